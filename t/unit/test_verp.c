// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "mail/verp.h"

static void test_delimiters(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{ "+=", true },
		{ "-=", true },
		{ "++", true },
		{ "", false },
		{ "+", false },
		{ "+=-", false },
		{ "a=", false },
		{ "+a", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		want_int(cases[i].text, verp_is_valid(slice_of(cases[i].text), "-=+"), cases[i].ok);
	want_int("NUL", verp_is_valid(slice_mem("+\0", 2), "-=+"), false);
}

static void test_sender(void **state)
{
	static const struct {
		const char *delimiters, *sender, *recipient, *want;
	} cases[] = {
		{ "+=", "list@here", "user@there", "list+user=there@here" },
		{ "-=", "list@here", "user+x@there", "list-user+x=there@here" },
		{ "+=", "list", "user@there", "list+user=there" },
		{ "+=", "list@here", "user", "list+user@here" },
		{ "+=", "a b@here", "x@y@there", "a b+x@y=there@here" },
		{ "+=", "list@here", "", "list+@here" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(1000);

		verp_sender(cases[i].delimiters, slice_of(cases[i].sender),
		    slice_of(cases[i].recipient), &out);
		want_str(cases[i].sender, out.ptr, cases[i].want);
		strbuf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delimiters),
		cmocka_unit_test(test_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
