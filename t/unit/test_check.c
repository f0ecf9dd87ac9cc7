// SPDX-License-Identifier: BSD-2-Clause
#include <config.h> /* the build's, not the tests' own */

#include "unit.h"

#include <stdlib.h>
#include <sysexits.h>

static void fail_assertion(void)
{
	ASSERT(1 + 1 == 3);
}

static void test_assert(void **state)
{
	char text[200];

	(void)state;
	ASSERT(1 + 1 == 2);
	want_int("signal", unit_run_apart(fail_assertion, text, sizeof(text)), 128 + 6);
	assert_non_null(strstr(text, "test_check.c:"));
	assert_non_null(strstr(text, ": assertion failed: 1 + 1 == 3\n"));
}

static void wrap_around(void)
{
	xreallocarray(NULL, SIZE_MAX / 2, 3);
}

static void exhaust(void)
{
	volatile size_t size = PTRDIFF_MAX;

	xmalloc(size);
}

static void test_out_of_memory(void **state)
{
	char text[200];

	(void)state;
	want_int("product", unit_run_apart(wrap_around, text, sizeof(text)), EX_TEMPFAIL);
	want_str("message", text, "out of memory\n");
#ifndef PC_SANITIZED
	want_int("malloc", unit_run_apart(exhaust, text, sizeof(text)), EX_TEMPFAIL);
#else
	(void)exhaust;
#endif
}

static void test_allocation(void **state)
{
	char *zeros = xcalloc(3, 2), *grown = xrealloc(NULL, 2);
	void *nothing[] = { xmalloc(0), xcalloc(0, 1), xrealloc(NULL, 0),
		xreallocarray(NULL, 0, 9) };

	(void)state;
	assert_memory_equal(zeros, "\0\0\0\0\0", 6);
	memcpy(grown, "ab", 2);
	grown = xreallocarray(grown, 500, 2);
	assert_memory_equal(grown, "ab", 2);
	free(zeros);
	free(grown);
	for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
		assert_non_null(nothing[i]);
		free(nothing[i]);
	}
}

static void test_texts(void **state)
{
	const struct {
		const char *name;
		char *got;
		const char *want;
	} cases[] = {
		{ "strdup", xstrdup("abc"), "abc" },
		{ "strndup cuts", xstrndup("abc", 2), "ab" },
		{ "strndup stops at the NUL", xstrndup("abc", 99), "abc" },
		{ "strndup of nothing", xstrndup("abc", 0), "" },
		{ "strndup of an empty slice", xstrndup(NULL, 0), "" },
		{ "asprintf", xasprintf("%s=%d", "a", 1), "a=1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		want_str(cases[i].name, cases[i].got, cases[i].want);
		free(cases[i].got);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assert),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_allocation),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
