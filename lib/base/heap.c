// SPDX-License-Identifier: BSD-2-Clause
/*
 * The array counts from 1, so that position 0 is free to mean "in no heap" and the children of I
 * are 2I and 2I+1.
 */
#include "base/heap.h"

#include <stdlib.h>

#include "base/check.h"

void heap_release(struct heap *heap)
{
	for (size_t i = 1; i <= heap->count; i++)
		heap->nodes[i]->position = 0;
	free(heap->nodes);
	*heap = (struct heap)HEAP_INIT;
}

static void place(struct heap *heap, size_t at, struct heap_node *node)
{
	heap->nodes[at] = node;
	node->position = at;
}

static void sift_up(struct heap *heap, struct heap_node *node)
{
	size_t at = node->position;

	while (at > 1 && heap->nodes[at / 2]->key > node->key) {
		place(heap, at, heap->nodes[at / 2]);
		at /= 2;
	}
	place(heap, at, node);
}

static void sift_down(struct heap *heap, struct heap_node *node)
{
	size_t at = node->position, child;

	while ((child = at * 2) <= heap->count) {
		if (child < heap->count && heap->nodes[child + 1]->key < heap->nodes[child]->key)
			child++;
		if (heap->nodes[child]->key >= node->key)
			break;
		place(heap, at, heap->nodes[child]);
		at = child;
	}
	place(heap, at, node);
}

static void append(struct heap *heap, struct heap_node *node)
{
	if (heap->count + 1 >= heap->alloc) {
		heap->alloc = heap->alloc ? heap->alloc * 2 : 16;
		heap->nodes = xreallocarray(heap->nodes, heap->alloc, sizeof(*heap->nodes));
	}
	place(heap, ++heap->count, node);
}

static bool is_member(const struct heap *heap, const struct heap_node *node)
{
	return node->position <= heap->count && heap->nodes[node->position] == node;
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
	if (!heap_contains(node))
		append(heap, node);
	ASSERT(is_member(heap, node));
	node->key = key;
	sift_up(heap, node);
	sift_down(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	struct heap_node *last;
	size_t hole = node->position;

	if (!heap_contains(node))
		return;
	ASSERT(is_member(heap, node));
	last = heap->nodes[heap->count--];
	node->position = 0;
	if (last == node)
		return;
	place(heap, hole, last);
	sift_up(heap, last);
	sift_down(heap, last);
}

struct heap_node *heap_min(const struct heap *heap)
{
	return heap->count ? heap->nodes[1] : NULL;
}
