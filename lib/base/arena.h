// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory with one lifetime: everything allocated from an arena is freed together.  One arena per
 * command or transaction, one per session, passed explicitly.  Not for sharing between threads.
 */
#ifndef PC_BASE_ARENA_H
#define PC_BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena_block;
struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;		    /* bytes handed out since the last reset */
};

#define ARENA_INIT                                                                                 \
	{                                                                                          \
		NULL, 0                                                                            \
	}
/* Frees all; the arena is empty and usable afterwards. */
void arena_release(struct arena *arena);
/* The same, and overwrites all first: for arenas in which passwords were. */
void arena_wipe(struct arena *arena);
/* Zeroed memory, aligned for any type.  Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
char *arena_strdup(struct arena *arena, const char *text); /* NULL stays NULL */
/* A NUL-terminated copy (bytes after an embedded NUL are copied too). */
char *arena_slicedup(struct arena *arena, struct slice s);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
