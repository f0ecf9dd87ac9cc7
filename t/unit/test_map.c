// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <pthread.h>
#include <stdio.h>

#include "base/map.h"

#define KEYS 1000

static char values[KEYS];

static void fill(struct map *map)
{
	char key[20];

	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		assert_null(map_put_str(map, key, &values[i]));
		memset(key, 'x', sizeof(key)); /* keys are copied */
	}
	want_int("count", map->count, KEYS);
}

static void test_put_and_get(void **state)
{
	struct map map = MAP_INIT;
	char key[20];

	(void)state;
	assert_null(map_get_str(&map, "key0"));
	fill(&map);
	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		assert_ptr_equal(map_get_str(&map, key), &values[i]);
	}
	assert_null(map_get_str(&map, "KEY0"));
	assert_ptr_equal(map_put_str(&map, "key0", &values[7]), &values[0]);
	assert_ptr_equal(map_get_str(&map, "key0"), &values[7]);
	want_int("count", map.count, KEYS);
	map_release(&map, NULL);
	assert_null(map_get_str(&map, "key0"));
	assert_null(map_put_str(&map, "key0", &values[0]));
	map_release(&map, NULL);
}

static void test_remove(void **state)
{
	struct map map = MAP_INIT;

	(void)state;
	assert_null(map_remove(&map, SLICE_LIT("key5")));
	fill(&map);
	assert_ptr_equal(map_remove(&map, SLICE_LIT("key5")), &values[5]);
	assert_null(map_remove(&map, SLICE_LIT("key5")));
	assert_null(map_get_str(&map, "key5"));
	want_int("count", map.count, KEYS - 1);
	map_release(&map, NULL);
}

static void test_odd_keys(void **state)
{
	struct map map = MAP_INIT;

	(void)state;
	map_put(&map, SLICE_NULL, &values[0]);
	map_put(&map, slice_mem("a", 1), &values[1]);
	map_put(&map, slice_mem("a\0", 2), &values[2]);
	map_put(&map, slice_mem("a\0b", 3), &values[3]);
	assert_ptr_equal(map_get_str(&map, ""), &values[0]);
	assert_ptr_equal(map_get_str(&map, "a"), &values[1]);
	assert_ptr_equal(map_get(&map, slice_mem("a\0", 2)), &values[2]);
	assert_ptr_equal(map_get(&map, slice_mem("a\0b", 3)), &values[3]);
	map_release(&map, NULL);
}

static void test_walk(void **state)
{
	struct map map = MAP_INIT;
	struct map_entry *next;
	int seen = 0;

	(void)state;
	assert_null(map_next(&map, NULL));
	fill(&map);
	memset(values, 0, sizeof(values));
	for (struct map_entry *e = map_next(&map, NULL); e; e = next, seen++) {
		char *value = e->value;

		next = map_next(&map, e);
		want_int("key is terminated", strlen(e->key), e->key_len);
		want_int("seen before", (*value)++, 0);
		if (seen % 2)
			map_remove(&map, slice_mem(e->key, e->key_len));
	}
	want_int("seen", seen, KEYS);
	want_int("left", map.count, KEYS / 2);
	map_release(&map, NULL);
}

static int freed;

static void count_freed(void *value)
{
	(void)value;
	freed++;
}

static void test_release(void **state)
{
	struct map map = MAP_INIT;

	(void)state;
	map_release(&map, count_freed);
	want_int("of none", freed, 0);
	fill(&map);
	map_release(&map, count_freed);
	want_int("of all", freed, KEYS);
}

/* The key is secret and of this process, so what can be seen is only that it is there at all. */
static void print_hash(void)
{
	fprintf(stderr, "%llx", (unsigned long long)map_hash(SLICE_LIT("key")));
}

static void test_hash(void **state)
{
	char one[32], other[32];

	(void)state;
	want_int("exit", unit_run_apart(print_hash, one, sizeof(one)), 0);
	want_int("exit", unit_run_apart(print_hash, other, sizeof(other)), 0);
	assert_string_not_equal(one, other);
}

static void test_hash_of_lengths(void **state)
{
	(void)state;
	for (size_t len = 0; len < 40; len++) {
		static const char zeros[40];

		assert_true(map_hash(slice_mem(zeros, len)) != map_hash(slice_mem(zeros, len + 1)));
	}
}

/* The first use of the secret, from two threads at once; more for ThreadSanitizer than for us. */
static void *hash_in_thread(void *result)
{
	*(uint64_t *)result = map_hash(SLICE_LIT("key"));
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	uint64_t hashes[ARRAY_LEN(threads)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_in_thread, &hashes[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_true(hashes[i] == map_hash(SLICE_LIT("key")));
}

int main(void)
{
	/* The first two come first: children inherit the secret of a process that has one. */
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_hash_of_lengths),
		cmocka_unit_test(test_put_and_get),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_odd_keys),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_release),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
