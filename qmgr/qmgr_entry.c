// SPDX-License-Identifier: BSD-2-Clause
/*
 * Chained buckets, doubled when there are as many entries, with the chain inside of the entries:
 * the general map would cost half as much again.
 */
#include "qmgr/qmgr_entry.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "qmgr/qmgr.h"

static struct entry **bucket_of(const char *id)
{
	const struct entry_table *t = &qm.entries;

	return &t->buckets[map_hash(slice_of(id)) & (t->bucket_count - 1)];
}

struct entry *entry_find(const char *id)
{
	struct entry *e = qm.entries.count > 0 ? *bucket_of(id) : NULL;

	while (e && strcmp(e->id, id) != 0)
		e = e->chain;
	return e;
}

static void put(struct entry *e)
{
	struct entry **bucket = bucket_of(e->id);

	e->chain = *bucket;
	*bucket = e;
}

static void grow(void)
{
	struct entry_table old = qm.entries;

	qm.entries.bucket_count = old.bucket_count > 0 ? 2 * old.bucket_count : 64;
	qm.entries.buckets = xcalloc(qm.entries.bucket_count, sizeof(struct entry *));
	for (size_t i = 0; i < old.bucket_count; i++) {
		for (struct entry *e = old.buckets[i], *next; e; e = next) {
			next = e->chain;
			put(e);
		}
	}
	free(old.buckets);
}

struct entry *entry_add(const char *id)
{
	size_t size = strlen(id) + 1;
	struct entry *e = xcalloc(1, sizeof(*e) + size);

	memcpy(e->id, id, size);
	if (qm.entries.count >= qm.entries.bucket_count)
		grow();
	put(e);
	qm.entries.count++;
	return e;
}

void entry_drop(struct entry *e)
{
	struct entry **at = bucket_of(e->id);

	ASSERT(!e->message);
	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	qm.entries.count--;
	heap_remove(&qm.waiting, &e->due);
	sites_release(&e->sites);
	free(e);
}

struct entry *entry_next(const struct entry *e)
{
	const struct entry_table *t = &qm.entries;
	size_t bucket = 0;

	if (e && e->chain)
		return e->chain;
	if (e)
		bucket = (size_t)(bucket_of(e->id) - t->buckets) + 1;
	while (bucket < t->bucket_count && !t->buckets[bucket])
		bucket++;
	return bucket < t->bucket_count ? t->buckets[bucket] : NULL;
}

struct entry *entry_of_due(struct heap_node *node)
{
	return (struct entry *)(void *)((char *)node - offsetof(struct entry, due));
}
