// SPDX-License-Identifier: BSD-2-Clause
/*
 * Binary min-heap of elements that embed a struct heap_node, ordered by a 64-bit key (a time, as
 * a rule).  Insert, update and remove are O(log n).
 */
#ifndef PC_BASE_HEAP_H
#define PC_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t key;
	size_t position; /* 0: in no heap */
};

struct heap {
	struct heap_node **nodes; /* nodes[1] is the smallest */
	size_t count, alloc;
};

#define HEAP_INIT                                                                                  \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}
void heap_release(struct heap *heap); /* the elements are the caller's */
/* Inserts, or moves an element that is already in this heap to its new key. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t key);
/* No-op for a node in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
struct heap_node *heap_min(const struct heap *heap); /* NULL when empty */
static inline bool heap_contains(const struct heap_node *node)
{
	return node->position != 0;
}

#endif
