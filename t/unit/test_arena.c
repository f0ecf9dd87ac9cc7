// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "base/arena.h"

static void test_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 999, 1000, 1001, 4000, 4001, 100000, 8 };
	struct arena arena = ARENA_INIT;
	unsigned char *parts[ARRAY_LEN(sizes) * 10];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t size = sizes[i % ARRAY_LEN(sizes)];

		parts[i] = arena_alloc(&arena, size);
		want_int("aligned", (uintptr_t)parts[i] % _Alignof(max_align_t), 0);
		for (size_t at = 0; at < size; at++)
			want_int("zeroed", parts[i][at], 0);
		memset(parts[i], (int)i + 1, size);
	}
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		for (size_t at = 0; at < sizes[i % ARRAY_LEN(sizes)]; at++)
			want_int("not overwritten", parts[i][at], i + 1);
	}
	assert_true(arena.used > 1000000);
	arena_release(&arena);
	want_int("used", arena.used, 0);
}

static void test_reuse(void **state)
{
	struct arena arena = ARENA_INIT;

	(void)state;
	arena_release(&arena);
	arena_strdup(&arena, "a");
	arena_release(&arena);
	want_str("after a release", arena_strdup(&arena, "b"), "b");
	arena_release(&arena);
}

static void test_texts(void **state)
{
	struct arena arena = ARENA_INIT;
	struct pair {
		int a, b;
	} * pair;
	char *copy;

	(void)state;
	assert_null(arena_strdup(&arena, NULL));
	want_str("strdup", arena_strdup(&arena, "text"), "text");
	want_str("empty slice", arena_slicedup(&arena, SLICE_NULL), "");
	copy = arena_slicedup(&arena, slice_mem("a\0bc", 3));
	assert_memory_equal(copy, "a\0b", 4);
	want_str("printf", arena_printf(&arena, "%s-%d", "x", 7), "x-7");
	want_str("printf of nothing", arena_printf(&arena, "%s", ""), "");
	want_int("printf of 5000", strlen(arena_printf(&arena, "%5000d", 1)), 5000);
	pair = ARENA_NEW(&arena, struct pair);
	want_int("new", pair->a | pair->b, 0);
	arena_release(&arena);
}

static void ask_for_too_much(void)
{
	struct arena arena = ARENA_INIT;

	arena_alloc(&arena, SIZE_MAX - 8);
}

static void test_overflow(void **state)
{
	(void)state;
	want_abort("size that wraps", ask_for_too_much);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
