// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "base/cursor.h"

static void test_walk(void **state)
{
	struct cursor c = cursor_of(slice_mem("\xff"
					      "b",
	    2));

	(void)state;
	want_int("peek is unsigned", cursor_peek(&c), 0xff);
	want_int("peek takes nothing", cursor_next(&c), 0xff);
	want_slice("rest", cursor_rest(&c), SLICE_LIT("b"));
	want_int("last", cursor_next(&c), 'b');
	assert_true(cursor_at_end(&c));
	want_int("peek at the end", cursor_peek(&c), -1);
	assert_false(c.failed);
	want_int("next at the end", cursor_next(&c), -1);
	assert_true(c.failed);
	c = cursor_of(slice_mem("\0", 1));
	want_int("NUL is a byte", cursor_next(&c), 0);
	assert_true(cursor_at_end(&c) && !c.failed);
}

static void test_numbers(void **state)
{
	static const char bytes[] = "\x81\x82\x83\x84\x85\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8";
	struct cursor c = cursor_of(slice_mem(bytes, 13));

	(void)state;
	want_int("u8", cursor_u8(&c), 0x81);
	want_int("be32", cursor_be32(&c), 0x82838485);
	assert_true(cursor_be64(&c) == 0xf1f2f3f4f5f6f7f8);
	assert_true(cursor_at_end(&c) && !c.failed);
}

static bool take_one_more(struct cursor *c)
{
	return cursor_take(c, 4).len == 0;
}

static bool take_everything(struct cursor *c)
{
	return cursor_take(c, SIZE_MAX).len == 0;
}

static bool read_be32(struct cursor *c)
{
	return cursor_be32(c) == 0;
}

static bool read_be64(struct cursor *c)
{
	return cursor_be64(c) == 0;
}

/* After a failure there is nothing left to read, though bytes were. */
static void test_failure_sticks(void **state)
{
	static const struct {
		const char *name;
		bool (*read)(struct cursor *);
	} cases[] = {
		{ "take", take_one_more },
		{ "take SIZE_MAX", take_everything },
		{ "be32", read_be32 },
		{ "be64", read_be64 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cursor c = cursor_of(SLICE_LIT("abc"));

		want_int(cases[i].name, cases[i].read(&c) && c.failed, true);
		want_int(cases[i].name, cursor_at_end(&c), true);
		want_int(cases[i].name, cursor_skip(&c, "a") || cursor_skip(&c, ""), false);
		want_int(cases[i].name, cursor_caseskip(&c, ""), false);
		want_int(cases[i].name, cursor_span(&c, "abc").len, 0);
		want_int(cases[i].name, cursor_take(&c, 0).len, 0);
		want_int(cases[i].name, cursor_u8(&c), 0);
		want_int(cases[i].name, cursor_next(&c), -1);
		want_int(cases[i].name, c.failed, true);
	}
}

static void test_skip(void **state)
{
	struct cursor c = cursor_of(SLICE_LIT("MAIL FROM:"));

	(void)state;
	assert_false(cursor_skip(&c, "mail"));
	assert_true(cursor_caseskip(&c, "mail "));
	assert_false(cursor_caseskip(&c, "to"));
	assert_true(cursor_skip(&c, "FROM"));
	assert_false(cursor_skip(&c, ":x"));
	want_slice("rest", cursor_rest(&c), SLICE_LIT(":"));
	assert_false(c.failed);
}

static void test_sets(void **state)
{
	struct cursor c = cursor_of(slice_mem("12ab\0c", 6));

	(void)state;
	want_slice("span", cursor_span(&c, "0123456789"), SLICE_LIT("12"));
	want_slice("span of none", cursor_span(&c, "0123456789"), SLICE_NULL);
	want_slice("until", cursor_until(&c, "b"), SLICE_LIT("a"));
	want_slice("NUL ends no until", cursor_until(&c, "c"), slice_mem("b\0", 2));
	want_slice("until the end", cursor_until(&c, "x"), SLICE_LIT("c"));
	assert_true(cursor_at_end(&c) && !c.failed);
	c = cursor_of(slice_mem("\0", 1));
	want_slice("NUL is in no set", cursor_span(&c, "a"), SLICE_NULL);
}

static void test_empty(void **state)
{
	struct cursor c = cursor_of(SLICE_NULL);

	(void)state;
	assert_true(cursor_at_end(&c));
	assert_true(cursor_skip(&c, ""));
	want_slice("take of none", cursor_take(&c, 0), SLICE_NULL);
	assert_false(c.failed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_failure_sticks),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
