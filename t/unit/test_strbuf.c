// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdlib.h>

#include "base/strbuf.h"

static void test_appends(void **state)
{
	struct strbuf buf = STRBUF_INIT(STRBUF_NO_LIMIT);

	(void)state;
	want_str("empty", buf.ptr, "");
	strbuf_addstr(&buf, "a");
	strbuf_addslice(&buf, SLICE_NULL);
	strbuf_addslice(&buf, SLICE_LIT("bc"));
	strbuf_addch(&buf, 'd');
	strbuf_addf(&buf, "%d%s", 5, "e");
	want_str("terminated", buf.ptr, "abcd5e");
	want_slice("slice", strbuf_slice(&buf), SLICE_LIT("abcd5e"));
	strbuf_release(&buf);
	want_str("released", buf.ptr, "");
	strbuf_addstr(&buf, "again");
	want_str("usable", buf.ptr, "again");
	strbuf_release(&buf);
}

static void test_growth(void **state)
{
	struct strbuf buf = STRBUF_INIT(100000);

	(void)state;
	for (int i = 0; i < 100000; i++)
		strbuf_addch(&buf, (char)('a' + i % 26));
	assert_false(buf.overflow);
	want_int("length", buf.len, 100000);
	for (int i = 0; i < 100000; i++)
		want_int("byte", buf.ptr[i], 'a' + i % 26);
	want_int("terminator", buf.ptr[100000], 0);
	strbuf_release(&buf);
}

static void add_text(struct strbuf *buf)
{
	strbuf_addstr(buf, "123");
}

static void add_formatted(struct strbuf *buf)
{
	strbuf_addf(buf, "%d", 123);
}

static void test_maximum(void **state)
{
	static const struct {
		const char *name;
		size_t max;
		void (*add)(struct strbuf *);
		bool overflow;
		const char *want;
	} cases[] = {
		{ "text fits exactly", 5, add_text, false, "ab123" },
		{ "text is one too long", 4, add_text, true, "ab" },
		{ "format fits exactly", 5, add_formatted, false, "ab123" },
		{ "format is one too long", 4, add_formatted, true, "ab" },
		{ "no room at all", 2, add_text, true, "ab" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf buf;

		strbuf_init(&buf, cases[i].max);
		strbuf_addstr(&buf, "ab");
		cases[i].add(&buf);
		want_int(cases[i].name, buf.overflow, cases[i].overflow);
		want_str(cases[i].name, buf.ptr, cases[i].want);
		strbuf_release(&buf);
	}
}

static void test_overflow_sticks(void **state)
{
	struct strbuf buf = STRBUF_INIT(3);

	(void)state;
	strbuf_addstr(&buf, "abcd");
	assert_true(buf.overflow);
	strbuf_addstr(&buf, "a");
	assert_true(buf.overflow);
	strbuf_reset(&buf);
	assert_false(buf.overflow);
	strbuf_addstr(&buf, "abc");
	assert_false(buf.overflow);
	strbuf_release(&buf);
}

static void test_reserve(void **state)
{
	struct strbuf buf = STRBUF_INIT(10);

	(void)state;
	strbuf_addstr(&buf, "abc");
	assert_false(strbuf_reserve(&buf, 8));
	assert_false(strbuf_reserve(&buf, SIZE_MAX));
	assert_true(strbuf_reserve(&buf, 7));
	memset(buf.ptr + buf.len, 'x', 8);
	buf.ptr[3] = '\0';
	want_str("kept", buf.ptr, "abc");
	assert_false(buf.overflow);
	strbuf_release(&buf);
}

static void test_shortening(void **state)
{
	struct strbuf buf = STRBUF_INIT(10);

	(void)state;
	strbuf_truncate(&buf, 0);
	strbuf_consume(&buf, 0);
	strbuf_addstr(&buf, "abcdef");
	strbuf_consume(&buf, 2);
	want_str("consumed", buf.ptr, "cdef");
	strbuf_truncate(&buf, 3);
	want_str("truncated", buf.ptr, "cde");
	strbuf_consume(&buf, 3);
	want_str("all gone", buf.ptr, "");
	want_int("length", buf.len, 0);
	strbuf_release(&buf);
}

static void test_detach(void **state)
{
	struct strbuf buf = STRBUF_INIT(10);
	char *empty, *text;

	(void)state;
	empty = strbuf_detach(&buf);
	want_str("empty", empty, "");
	strbuf_addstr(&buf, "abc");
	text = strbuf_detach(&buf);
	want_str("text", text, "abc");
	want_str("buffer", buf.ptr, "");
	want_int("alloc", buf.alloc, 0);
	free(empty);
	free(text);
}

static void truncate_too_long(void)
{
	struct strbuf buf = STRBUF_INIT(10);

	strbuf_truncate(&buf, 1);
}

static void consume_too_much(void)
{
	struct strbuf buf = STRBUF_INIT(10);

	strbuf_consume(&buf, 1);
}

static void test_bugs(void **state)
{
	(void)state;
	want_abort("truncate", truncate_too_long);
	want_abort("consume", consume_too_much);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_overflow_sticks),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_shortening),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_bugs),
	};

	return cmocka_run_group_tests_name("strbuf", tests, NULL, NULL);
}
