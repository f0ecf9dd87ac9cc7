// SPDX-License-Identifier: BSD-2-Clause
#include "table/table_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "unit.h"

#define WRITERS 4
#define ENTRIES 50

static struct table_cache *open_cache(const char *name)
{
	char *error = NULL, *spec = xasprintf("proxy:btree:%s", scratch_path(name));
	struct table_cache *cache = table_cache_open(spec, 1, &error);

	if (!cache)
		fail_msg("%s", error);
	free(spec);
	return cache;
}

static void want_value(struct table_cache *cache, const char *key, const char *want)
{
	struct strbuf value = STRBUF_INIT(100);
	enum table_result result = table_cache_get(cache, slice_of(key), &value);

	want_int(key, result, want ? TABLE_FOUND : TABLE_NOT_FOUND);
	want_str(key, value.ptr, want ? want : "");
	strbuf_release(&value);
}

static void test_entries(void **state)
{
	struct table_cache *cache = open_cache("entries");
	struct stat st;

	(void)state;
	want_value(cache, "a", NULL);
	assert_true(table_cache_put(cache, slice_of("a"), slice_of("one")));
	assert_true(table_cache_put(cache, slice_of("b"), SLICE_NULL));
	want_value(cache, "a", "one");
	want_value(cache, "b", "");
	assert_true(table_cache_put(cache, slice_of("a"), slice_of("two")));
	assert_true(table_cache_remove(cache, slice_of("b")));
	assert_true(table_cache_remove(cache, slice_of("b")));
	table_cache_free(cache);
	cache = open_cache("entries");
	want_value(cache, "a", "two");
	want_value(cache, "b", NULL);
	table_cache_free(cache);
	assert_int_equal(stat(scratch_path("entries.lmdb"), &st), 0);
	want_int("nobody else reads it", st.st_mode & 0777, 0600);
	want_int("no lock file", access(scratch_path("entries.lmdb-lock"), F_OK), -1);
}

/* As any other program sees it. */
static void test_as_table(void **state)
{
	struct table_cache *cache = open_cache("table");
	char *spec = xasprintf("btree:%s", scratch_path("table"));
	struct strbuf value = STRBUF_INIT(100);
	struct table *table;

	(void)state;
	assert_true(table_cache_put(cache, slice_of("key"), slice_of("value")));
	table_cache_free(cache);
	table = table_open(spec, 0);
	want_int("found", table_get(table, slice_of("key"), &value), TABLE_FOUND);
	want_str("value", value.ptr, "value");
	table_free(table);
	strbuf_release(&value);
	free(spec);
}

static void test_limits(void **state)
{
	struct table_cache *cache = open_cache("limits");
	struct strbuf small = STRBUF_INIT(3);
	char key[600];

	(void)state;
	memset(key, 'k', sizeof(key));
	assert_false(table_cache_put(cache, slice_mem(key, sizeof(key)), slice_of("x")));
	assert_false(table_cache_put(cache, SLICE_NULL, slice_of("x")));
	assert_true(table_cache_put(cache, slice_mem(key, 500), slice_of("long")));
	want_int("too long of a value", table_cache_get(cache, slice_mem(key, 500), &small),
	    TABLE_ERROR);
	strbuf_release(&small);
	table_cache_free(cache);
}

/* The map has a megabyte. */
static void test_full(void **state)
{
	struct table_cache *cache = open_cache("full");
	static char large[100000];
	char key[20];

	(void)state;
	memset(large, 'x', sizeof(large));
	for (int i = 0; i < 30; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_true(table_cache_put(cache, slice_of(key), slice_mem(large, sizeof(large))));
	}
	want_value(cache, "k0", NULL);
	table_cache_free(cache);
}

static void *write_entries(void *arg)
{
	struct table_cache *cache = arg;
	static int next;
	int me = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
	char key[40];

	for (int i = 0; i < ENTRIES; i++) {
		snprintf(key, sizeof(key), "%ld-%d-%d", (long)getpid(), me, i);
		if (!table_cache_put(cache, slice_of(key), slice_of("x")))
			return cache;
	}
	return NULL;
}

static bool write_by_threads(struct table_cache *cache)
{
	pthread_t threads[WRITERS];
	bool ok = true;
	void *failed;

	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_entries, cache), 0);
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], &failed);
		ok &= !failed;
	}
	return ok;
}

static bool count_entry(struct slice key, struct slice value, void *arg)
{
	(void)key;
	(void)value;
	(*(int *)arg)++;
	return true;
}

static void test_writers(void **state)
{
	char *spec = xasprintf("lmdb:%s", scratch_path("writers"));
	struct table_cache *cache;
	struct table *table;
	int status, count = 0;
	pid_t child = fork();

	(void)state;
	cache = open_cache("writers");
	assert_true(write_by_threads(cache));
	table_cache_free(cache);
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, &status, 0), child);
	want_int("the other process", status, 0);
	table = table_open(spec, 0);
	assert_true(table_each(table, count_entry, &count));
	want_int("entries", count, 2 * WRITERS * ENTRIES);
	table_free(table);
	free(spec);
}

static void test_bad_files(void **state)
{
	static const char *const specs[] = { "proxy:texthash:/x", "proxy:btree:", "btree",
		"proxy:btree:/nonexistent/cache" };
	char *error = NULL, *spec;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		assert_null(table_cache_open(specs[i], 1, &error));
		assert_non_null(error);
		free(error);
	}
	table_cache_free(open_cache("short"));
	assert_int_equal(truncate(scratch_path("short.lmdb"), 4096), 0);
	spec = xasprintf("btree:%s", scratch_path("short"));
	assert_null(table_cache_open(spec, 1, &error));
	free(error);
	free(spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_as_table),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_bad_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
