// SPDX-License-Identifier: BSD-2-Clause
/*
 * Chained buckets, doubled when there are as many entries.  The map never shrinks: a removal moves
 * nothing, which is what lets a walk remove the entry that it has left.
 */
#include "base/map.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"

static uint64_t secret[2];

static void make_secret(void)
{
	random_bytes(secret, sizeof(secret));
}

static uint64_t rotate(uint64_t x, unsigned int by)
{
	return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

static uint64_t siphash(const uint64_t key[2], struct slice in)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
	uint64_t word, length = (uint64_t)in.len << 56;

	for (; in.len >= sizeof(word); in = slice_from(in, sizeof(word))) {
		memcpy(&word, in.ptr, sizeof(word));
		sip_word(v, le64toh(word));
	}
	word = 0;
	if (in.len)
		memcpy(&word, in.ptr, in.len);
	sip_word(v, le64toh(word) | length);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t map_hash(struct slice key)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_secret);
	return siphash(secret, key);
}

uint64_t map_hash_keyed(const uint64_t own_secret[2], struct slice key)
{
	return siphash(own_secret, key);
}

void map_release(struct map *map, void (*free_value)(void *))
{
	struct map_entry *entry = map_next(map, NULL), *next;

	for (; entry; entry = next) {
		next = map_next(map, entry);
		if (free_value)
			free_value(entry->value);
		free(entry);
	}
	free(map->buckets);
	*map = (struct map)MAP_INIT;
}

static struct map_entry **bucket_of(const struct map *map, uint64_t hash)
{
	return &map->buckets[hash & (map->bucket_count - 1)];
}

/* Where the entry hangs, or where its chain ends; NULL in a map without buckets. */
static struct map_entry **find(const struct map *map, struct slice key, uint64_t hash)
{
	struct map_entry **at;

	if (!map->bucket_count)
		return NULL;
	for (at = bucket_of(map, hash); *at; at = &(*at)->chain) {
		if ((*at)->hash == hash && slice_eq(slice_mem((*at)->key, (*at)->key_len), key))
			break;
	}
	return at;
}

void *map_get(const struct map *map, struct slice key)
{
	struct map_entry **at = map->count ? find(map, key, map_hash(key)) : NULL;

	return at && *at ? (*at)->value : NULL;
}

void *map_get_str(const struct map *map, const char *key)
{
	return map_get(map, slice_of(key));
}

static void grow(struct map *map)
{
	struct map old = *map;

	map->bucket_count = old.bucket_count ? old.bucket_count * 2 : 16;
	map->buckets = xcalloc(map->bucket_count, sizeof(struct map_entry *));
	for (size_t i = 0; i < old.bucket_count; i++) {
		while (old.buckets[i]) {
			struct map_entry *entry = old.buckets[i], **to;

			old.buckets[i] = entry->chain;
			to = bucket_of(map, entry->hash);
			entry->chain = *to;
			*to = entry;
		}
	}
	free(old.buckets);
}

static void insert(struct map *map, struct slice key, uint64_t hash, void *value)
{
	struct map_entry *entry, **to;

	if (map->count >= map->bucket_count)
		grow(map);
	entry = xcalloc(1, sizeof(*entry) + key.len + 1);
	to = bucket_of(map, hash);
	entry->chain = *to;
	entry->hash = hash;
	entry->value = value;
	entry->key_len = key.len;
	if (key.len)
		memcpy(entry->key, key.ptr, key.len);
	*to = entry;
	map->count++;
}

void *map_put(struct map *map, struct slice key, void *value)
{
	uint64_t hash = map_hash(key);
	struct map_entry **at = find(map, key, hash);
	void *replaced;

	if (!at || !*at) {
		insert(map, key, hash, value);
		return NULL;
	}
	replaced = (*at)->value;
	(*at)->value = value;
	return replaced;
}

void *map_put_str(struct map *map, const char *key, void *value)
{
	return map_put(map, slice_of(key), value);
}

void *map_remove(struct map *map, struct slice key)
{
	struct map_entry **at = find(map, key, map_hash(key)), *entry;
	void *value;

	if (!at || !*at)
		return NULL;
	entry = *at;
	*at = entry->chain;
	map->count--;
	value = entry->value;
	free(entry);
	return value;
}

struct map_entry *map_next(const struct map *map, const struct map_entry *entry)
{
	size_t bucket = 0;

	if (entry && entry->chain)
		return entry->chain;
	if (entry)
		bucket = (entry->hash & (map->bucket_count - 1)) + 1;
	for (; bucket < map->bucket_count; bucket++) {
		if (map->buckets[bucket])
			return map->buckets[bucket];
	}
	return NULL;
}
