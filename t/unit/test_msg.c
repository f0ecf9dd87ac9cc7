// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdlib.h>

#include "ipc/msg.h"

static void test_round_trip(void **state)
{
	struct arena arena = ARENA_INIT;
	struct msg_out out = { 0 };
	struct slice value;
	const char *text;
	uint64_t u;
	int64_t i;
	struct msg m;

	(void)state;
	for (int round = 0; round < 2; round++) {
		msg_begin(&out, "OFFER");
		msg_add_str(&out, "id", "4bXyz");
		msg_add_str(&out, "left_out", NULL);
		msg_add(&out, "bytes", SLICE_LIT("a\0b"));
		msg_add(&out, "empty", SLICE_NULL);
		msg_add_u64(&out, "max", UINT64_MAX);
		msg_add_i64(&out, "min", INT64_MIN);
		msg_add_i64(&out, "minus", -1);
	}
	assert_false(out.buf.overflow);
	assert_true(msg_parse(&m, slice_from(strbuf_slice(&out.buf), MSG_FRONT), &arena));
	assert_true(msg_is(&m, "OFFER"));
	assert_false(msg_is(&m, "OFFERS"));
	want_int("attributes", m.attr_count, 6);
	assert_true(msg_get_str(&m, "id", &arena, &text));
	want_str("text", text, "4bXyz");
	assert_false(msg_get(&m, "left_out", &value));
	assert_true(msg_get(&m, "bytes", &value));
	want_slice("bytes", value, SLICE_LIT("a\0b"));
	assert_false(msg_get_str(&m, "bytes", &arena, &text));
	assert_true(msg_get_str(&m, "empty", &arena, &text));
	want_str("empty", text, "");
	assert_false(msg_get_u64(&m, "empty", &u));
	assert_false(msg_get_u64(&m, "id", &u));
	assert_true(msg_get_u64(&m, "max", &u));
	assert_true(u == UINT64_MAX);
	assert_false(msg_get_i64(&m, "max", &i));
	assert_true(msg_get_i64(&m, "min", &i));
	assert_true(i == INT64_MIN);
	assert_true(msg_get_i64(&m, "minus", &i));
	want_int("minus", i, -1);
	assert_false(msg_get_u64(&m, "minus", &u));
	msg_release(&out);
	arena_release(&arena);
}

static void test_repeated(void **state)
{
	static const char *const want[] = { "a", "b", "c" };
	struct arena arena = ARENA_INIT;
	struct msg_out out = { 0 };
	struct slice value;
	size_t index = 0, n = 0;
	struct msg m;

	(void)state;
	msg_begin(&out, "X");
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		msg_add_str(&out, "rcpt", want[i]);
		msg_add_str(&out, "other", "z");
	}
	assert_true(msg_parse(&m, slice_from(strbuf_slice(&out.buf), MSG_FRONT), &arena));
	while (msg_each(&m, "rcpt", &index, &value))
		want_slice("value", value, slice_of(want[n++]));
	want_int("number", n, 3);
	msg_release(&out);
	arena_release(&arena);
}

#define BODY(text) text, sizeof(text) - 1

static void test_malformed(void **state)
{
	static const struct {
		const char *name, *body;
		size_t len;
		bool want;
	} cases[] = {
		{ "kind only", BODY("\1K"), true },
		{ "one attribute", BODY("\1K\1n\0\0\0\1v"), true },
		{ "empty value", BODY("\1K\1n\0\0\0\0"), true },
		{ "nothing", BODY(""), false },
		{ "empty kind", BODY("\0"), false },
		{ "short kind", BODY("\2K"), false },
		{ "kind in lower case", BODY("\1k"), false },
		{ "empty name", BODY("\1K\0\0\0\0\0"), false },
		{ "name in upper case", BODY("\1K\1N\0\0\0\0"), false },
		{ "name with NUL", BODY("\1K\1\0\0\0\0\0"), false },
		{ "no value", BODY("\1K\1n"), false },
		{ "short length", BODY("\1K\1n\0\0\0"), false },
		{ "short value", BODY("\1K\1n\0\0\0\2v"), false },
		{ "huge value", BODY("\1K\1n\xff\xff\xff\xffv"), false },
		{ "trailing byte", BODY("\1K\1n\0\0\0\1vx"), false },
		{ "second is short", BODY("\1K\1n\0\0\0\1v\1n"), false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		/* On the heap to the byte, where a sanitizer sees a read past the end. */
		char *copy = xmalloc(cases[i].len);
		struct msg m;

		memcpy(copy, cases[i].body, cases[i].len);
		want_int(cases[i].name, msg_parse(&m, slice_mem(copy, cases[i].len), &arena),
		    cases[i].want);
		if (!cases[i].want)
			want_int(cases[i].name, m.attr_count, 0);
		free(copy);
		arena_release(&arena);
	}
}

static void test_too_large(void **state)
{
	struct msg_out out = { 0 };
	char *big = xcalloc(1, MSG_MAX);

	(void)state;
	msg_begin(&out, "X");
	msg_add(&out, "v", slice_mem(big, MSG_MAX - MSG_FRONT - 2 - 2 - 4));
	assert_false(out.buf.overflow);
	want_int("full", out.buf.len, MSG_MAX);
	msg_begin(&out, "X");
	msg_add(&out, "v", slice_mem(big, MSG_MAX - MSG_FRONT - 2 - 2 - 4 + 1));
	assert_true(out.buf.overflow);
	msg_begin(&out, "X");
	assert_false(out.buf.overflow);
	free(big);
	msg_release(&out);
}

static void bad_name(void)
{
	struct msg_out out = { 0 };

	msg_begin(&out, "X");
	msg_add_str(&out, "Name", "");
}

static void bad_kind(void)
{
	struct msg_out out = { 0 };

	msg_begin(&out, "");
}

static void test_bugs(void **state)
{
	(void)state;
	want_abort("name", bad_name);
	want_abort("kind", bad_kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_bugs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
