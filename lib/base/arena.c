// SPDX-License-Identifier: BSD-2-Clause
/*
 * A chain of blocks, the first ones smaller, cut from the front.  An allocation that is large for a
 * block gets one of its own *behind* the newest, whose free space stays in use.  Under
 * AddressSanitizer every allocation is such a block, so that it sees an overrun of each.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_BLOCK 0
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_BLOCK 0
#endif
#ifndef ARENA_BLOCK
#define ARENA_BLOCK 4000 /* with malloc's and our own header within a page */
#endif

#define ALIGNMENT _Alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(max_align_t) char data[];
};

void arena_release(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	arena->used = 0;
}

void arena_wipe(struct arena *arena)
{
	for (struct arena_block *block = arena->blocks; block; block = block->next)
		explicit_bzero(block->data, block->used);
	arena_release(arena);
}

static struct arena_block *block_new(size_t size)
{
	struct arena_block *block;

	ASSERT(size <= SIZE_MAX / 2);
	block = xcalloc(1, sizeof(*block) + size);
	block->size = size;
	return block;
}

static void *block_take(struct arena_block *block, size_t size)
{
	void *ptr = block->data + block->used;

	block->used += size;
	return ptr;
}

/* Thousands of arenas that hold little each are alive at a time. */
static size_t block_size(const struct arena *arena)
{
	static const size_t sizes[] = { 464, 1488, ARENA_BLOCK };
	size_t i = 0;

	/* With what the block is for. */
	while (i < ARRAY_LEN(sizes) - 1 && sizes[i] < arena->used)
		i++;
	return sizes[i];
}

static struct arena_block *block_for(struct arena *arena, size_t size)
{
	struct arena_block *newest = arena->blocks, *block;

	if (newest && newest->size - newest->used >= size)
		return newest;
	block = block_new(size > ARENA_BLOCK / 4 ? size : block_size(arena));
	if (newest && block->size == size) {
		block->next = newest->next;
		newest->next = block;
	} else {
		block->next = newest;
		arena->blocks = block;
	}
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t rounded;

	ASSERT(size <= SIZE_MAX / 2);
	rounded = size ? (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
	arena->used += rounded;
	return block_take(block_for(arena, rounded), rounded);
}

char *arena_slicedup(struct arena *arena, struct slice s)
{
	char *copy = arena_alloc(arena, s.len + 1);

	if (s.len)
		memcpy(copy, s.ptr, s.len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text ? arena_slicedup(arena, slice_of(text)) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args, again;
	char *text;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	ASSERT(len >= 0);
	text = arena_alloc(arena, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}
