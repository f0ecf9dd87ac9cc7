// SPDX-License-Identifier: BSD-2-Clause
/*
 * A map by key and a list by use, under one mutex; nothing slow is done while it is held.  An entry
 * is one allocation: its key, the user, and the texts one after the other.
 */
#include "authd/auth_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/list.h"
#include "base/map.h"

#define KEY_MAX (64 * 1024)
/* Of an entry beside its texts: the struct, its place in the map, malloc's own. */
#define ENTRY_OVERHEAD (sizeof(struct cached) + 96)

struct cached {
	struct list by_use;
	struct slice key, user, texts; /* behind the struct */
	size_t size;
	int64_t made; /* clock_ms */
	enum db_result result;
	bool expand, matched;
	const char *field_word; /* static */
	char data[];
};

static struct {
	uint64_t max;
	int64_t ttl, negative_ttl; /* ms */
	pthread_mutex_t mutex;
	struct map map;
	struct list by_use; /* least lately first */
	uint64_t bytes;
	uint64_t hits, misses, positive, negative;
} cache = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void drop(struct cached *entry)
{
	map_remove(&cache.map, entry->key);
	list_del(&entry->by_use);
	cache.bytes -= entry->size;
	secret_clear(entry, entry->size - (ENTRY_OVERHEAD - sizeof(*entry)));
	free(entry);
}

void auth_cache_setup(uint64_t size, int64_t ttl, int64_t negative_ttl)
{
	pthread_mutex_lock(&cache.mutex);
	if (!cache.by_use.next)
		list_init(&cache.by_use);
	while (!list_is_empty(&cache.by_use))
		drop(list_entry(cache.by_use.next, struct cached, by_use));
	cache.max = size;
	cache.ttl = ttl * 1000;
	cache.negative_ttl = negative_ttl * 1000;
	cache.hits = cache.misses = cache.positive = cache.negative = 0;
	pthread_mutex_unlock(&cache.mutex);
}

void auth_cache_setup_from(const struct dovecot_settings *settings)
{
	auth_cache_setup(
	    settings->auth_cache_size, settings->auth_cache_ttl, settings->auth_cache_negative_ttl);
}

/* --- keys --- */

struct key_builder {
	const struct subject *subject;
	struct strbuf text;
};

/* A NUL ends each value: none can run into the next. */
static struct slice note_variable(const char *name, void *arg)
{
	struct key_builder *b = arg;
	struct slice value = subject_variable(b->subject, name);

	strbuf_addslice(&b->text, value);
	strbuf_addch(&b->text, '\0');
	return value;
}

struct slice auth_cache_key(const struct database *db, struct subject *subject)
{
	struct key_builder b = { .subject = subject };
	struct strbuf unused = STRBUF_INIT(KEY_MAX);
	struct slice key = SLICE_NULL;

	if (!cache.max || !db->cache_key)
		return key;
	strbuf_init(&b.text, KEY_MAX);
	strbuf_addf(&b.text, "%c%zu", db->is_userdb ? 'U' : 'P', db->position);
	strbuf_addch(&b.text, '\0');
	/* Every user is told apart, also where an administrator's key leaves the user out. */
	note_variable("user", &b);
	dovecot_var_expand(&unused, db->cache_key, note_variable, &b, NULL);
	if (!b.text.overflow) {
		unsigned char digest[DIGEST_MAX_SIZE];
		size_t size = digest_bytes("SHA256", strbuf_slice(&b.text), digest);

		/* A digest: a password may be among the values, and the map keeps copies.  Where
		 * there is none, an empty key would be everybody's. */
		if (size)
			key = slice_mem(
			    arena_slicedup(subject->arena, slice_mem(digest, size)), size);
	}
	secret_release(&b.text);
	secret_release(&unused);
	return key;
}

/* --- entries --- */

/* Texts are "password NUL scheme NUL name NUL value NUL ..."; a flag byte stands before each. */
enum { TEXT_IS_THERE = '+', TEXT_IS_NULL = '-' };

static void add_text(struct strbuf *out, const char *text)
{
	strbuf_addch(out, text ? TEXT_IS_THERE : TEXT_IS_NULL);
	strbuf_addstr(out, text ? text : "");
	strbuf_addch(out, '\0');
}

static const char *next_text(struct slice *rest, struct arena *arena)
{
	ptrdiff_t end = slice_find(*rest, '\0');
	const char *text = NULL;

	ASSERT(end > 0);
	if (rest->ptr[0] == TEXT_IS_THERE)
		text = arena_slicedup(arena, slice_mem(rest->ptr + 1, (size_t)end - 1));
	*rest = slice_from(*rest, (size_t)end + 1);
	return text;
}

static void unpack(const struct cached *from, struct arena *arena, struct db_entry *entry)
{
	struct slice rest = from->texts;

	*entry = (struct db_entry){ .expand = from->expand, .field_word = from->field_word };
	entry->password = next_text(&rest, arena);
	entry->scheme = next_text(&rest, arena);
	while (rest.len) {
		const char *name = next_text(&rest, arena);

		pairs_set(&entry->fields, arena, name, next_text(&rest, arena));
	}
}

static struct slice place(char **at, struct slice text)
{
	struct slice placed = slice_mem(*at, text.len);

	if (text.len)
		memcpy(*at, text.ptr, text.len);
	*at += text.len;
	return placed;
}

static struct cached *pack(const struct subject *subject, struct slice key, enum db_result result,
    const struct db_entry *entry)
{
	struct slice user = slice_of(subject->user);
	struct strbuf texts = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct cached *made;
	char *at;

	add_text(&texts, entry->password);
	add_text(&texts, entry->scheme);
	for (const struct pair *p = entry->fields.first; p; p = p->next) {
		add_text(&texts, p->name);
		add_text(&texts, p->value);
	}
	made = xcalloc(1, sizeof(*made) + key.len + user.len + texts.len);
	at = made->data;
	made->key = place(&at, key);
	made->user = place(&at, user);
	made->texts = place(&at, strbuf_slice(&texts));
	made->size = ENTRY_OVERHEAD + key.len + user.len + texts.len;
	made->made = clock_ms();
	made->result = result;
	made->expand = entry->expand;
	made->field_word = entry->field_word;
	list_init(&made->by_use);
	secret_release(&texts);
	return made;
}

static bool is_fresh(const struct cached *entry)
{
	int64_t life = entry->result == DB_OK ? cache.ttl : cache.negative_ttl;

	return clock_ms() - entry->made < life;
}

void auth_cache_get(struct subject *subject, struct slice key, struct cached_answer *answer)
{
	struct cached *found;

	*answer = (struct cached_answer){ .state = CACHED_NONE };
	if (!key.ptr)
		return;
	pthread_mutex_lock(&cache.mutex);
	found = map_get(&cache.map, key);
	if (found) {
		answer->state = is_fresh(found) ? CACHED_FRESH : CACHED_EXPIRED;
		answer->result = found->result;
		answer->is_trusted =
		    found->matched || clock_ms() - found->made >= cache.negative_ttl;
		unpack(found, subject->arena, &answer->entry);
		list_del(&found->by_use);
		list_add_tail(&cache.by_use, &found->by_use);
	}
	if (answer->state == CACHED_FRESH)
		cache.hits++;
	else
		cache.misses++;
	pthread_mutex_unlock(&cache.mutex);
}

void auth_cache_note(struct slice key, bool matched)
{
	struct cached *found;

	if (!key.ptr)
		return;
	pthread_mutex_lock(&cache.mutex);
	found = map_get(&cache.map, key);
	if (found)
		found->matched = matched;
	pthread_mutex_unlock(&cache.mutex);
}

void auth_cache_put(const struct subject *subject, struct slice key, enum db_result result,
    const struct db_entry *entry)
{
	struct cached *made, *old;

	if (!key.ptr || (result != DB_OK && result != DB_UNKNOWN))
		return;
	if ((result == DB_OK ? cache.ttl : cache.negative_ttl) == 0)
		return;
	made = pack(subject, key, result, entry);
	pthread_mutex_lock(&cache.mutex);
	old = map_get(&cache.map, key);
	if (old)
		drop(old);
	map_put(&cache.map, made->key, made);
	list_add_tail(&cache.by_use, &made->by_use);
	cache.bytes += made->size;
	if (result == DB_OK)
		cache.positive++;
	else
		cache.negative++;
	while (cache.bytes > cache.max)
		drop(list_entry(cache.by_use.next, struct cached, by_use));
	pthread_mutex_unlock(&cache.mutex);
}

size_t auth_cache_flush(const char *user)
{
	size_t count = 0;

	if (!cache.max)
		return 0;
	pthread_mutex_lock(&cache.mutex);
	list_for_each_safe(pos, next, &cache.by_use) {
		struct cached *entry = list_entry(pos, struct cached, by_use);

		if (user && !slice_eq_str(entry->user, user))
			continue;
		drop(entry);
		count++;
	}
	pthread_mutex_unlock(&cache.mutex);
	return count;
}

void auth_cache_log(void)
{
	uint64_t hits, asked, positive, negative, bytes;

	pthread_mutex_lock(&cache.mutex);
	hits = cache.hits;
	asked = cache.hits + cache.misses;
	positive = cache.positive;
	negative = cache.negative;
	bytes = cache.bytes;
	cache.hits = cache.misses = cache.positive = cache.negative = 0;
	pthread_mutex_unlock(&cache.mutex);
	log_info("Authentication cache hits %llu/%llu (%llu%%)", (unsigned long long)hits,
	    (unsigned long long)asked, (unsigned long long)(asked ? hits * 100 / asked : 100));
	log_info("Authentication cache inserts: positive: %llu, negative: %llu; "
		 "current: %llu bytes used of %llu",
	    (unsigned long long)positive, (unsigned long long)negative, (unsigned long long)bytes,
	    (unsigned long long)cache.max);
}
