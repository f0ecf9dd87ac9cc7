// SPDX-License-Identifier: BSD-2-Clause
/*
 * Hash map from byte strings to pointers, keyed by SipHash with a secret of the process, so that
 * nobody outside can choose keys that collide.  Keys are copied.  Values belong to the caller.
 * Not for sharing between threads without a lock.
 */
#ifndef PC_BASE_MAP_H
#define PC_BASE_MAP_H

#include "base/slice.h"

struct map_entry {
	struct map_entry *chain;
	uint64_t hash;
	void *value;
	size_t key_len;
	char key[]; /* NUL-terminated after key_len bytes */
};

struct map {
	struct map_entry **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t count;
};

#define MAP_INIT                                                                                   \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}
/* Frees the map's memory; each value is given to FREE_VALUE when that is not NULL. */
void map_release(struct map *map, void (*free_value)(void *));
/* The value, or NULL. */
void *map_get(const struct map *map, struct slice key);
void *map_get_str(const struct map *map, const char *key);
/* Adds or replaces; returns the value that was replaced, or NULL. */
void *map_put(struct map *map, struct slice key, void *value);
void *map_put_str(struct map *map, const char *key, void *value);
/* Returns the value that was removed, or NULL. */
void *map_remove(struct map *map, struct slice key);
/* In no order; NULL starts and ends: for (e = map_next(m, NULL); e; e = map_next(m, e)).
 * Only the entry just returned may be removed, after the next one was fetched. */
struct map_entry *map_next(const struct map *map, const struct map_entry *entry);

/* SipHash-2-4 under the process's secret. */
uint64_t map_hash(struct slice key);
/* The same under a secret of the caller's, for processes that share what they hash. */
uint64_t map_hash_keyed(const uint64_t secret[2], struct slice key);

#endif
