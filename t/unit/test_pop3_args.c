// SPDX-License-Identifier: BSD-2-Clause
/* Command lines of POP3 and the numbers in them. */
#include "unit.h"

#include "pop3d/pop3_args.h"

static void lines(void **state)
{
	static const struct {
		const char *line, *verb, *args;
	} cases[] = {
		{ "NOOP\r\n", "NOOP", "" },
		{ "NOOP\n", "NOOP", "" },
		{ "NOOP", "NOOP", "" },
		{ "TOP 1 2\r\n", "TOP", "1 2" },
		{ "PASS  a b \r\n", "PASS", " a b " },
		{ " LIST\r\n", "", "LIST" },
		{ "\r\n", "", "" },
		{ "", "", "" },
		{ "A\r\r\n", "A\r", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice verb, args;

		pop3_split(slice_of(cases[i].line), &verb, &args);
		want_slice(cases[i].line, verb, slice_of(cases[i].verb));
		want_slice(cases[i].line, args, slice_of(cases[i].args));
	}
}

static void messages(void **state)
{
	static const struct {
		const char *args, *error; /* NULL: good */
		size_t index;
		const char *rest;
	} cases[] = {
		{ "1", NULL, 0, "" },
		{ "3", NULL, 2, "" },
		{ " 2", NULL, 1, "" },
		{ "2 5", NULL, 1, " 5" },
		{ "002", NULL, 1, "" },
		{ "4", "There's no message 4.", 0, NULL },
		{ "0", "There's no message 0.", 0, NULL },
		{ "", "Invalid message number: ", 0, NULL },
		{ "x", "Invalid message number: x", 0, NULL },
		{ "1x", "Invalid message number: 1x", 0, NULL },
		{ "-1", "Invalid message number: -1", 0, NULL },
		{ "+1", "Invalid message number: +1", 0, NULL },
		{ "4294967296", "Message number too large: 4294967296", 0, NULL },
		{ "18446744073709551617", "Message number too large: 18446744073709551617", 0,
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice args = slice_of(cases[i].args);
		char error[160] = "";
		size_t index = 99;
		bool ok = pop3_take_message(&args, 3, &index, error);

		want_int(cases[i].args, ok, cases[i].error == NULL);
		if (ok) {
			want_int(cases[i].args, index, cases[i].index);
			want_slice(cases[i].args, args, slice_of(cases[i].rest));
		} else {
			want_str(cases[i].args, error, cases[i].error);
		}
	}
}

static void sizes(void **state)
{
	struct slice args = SLICE_LIT(" 10 x");
	char error[160];
	uint64_t size;

	(void)state;
	assert_true(pop3_take_size(&args, &size, error));
	want_int("size", size, 10);
	assert_false(pop3_no_more(args, "size", error));
	want_str("noise", error, "Noise after size:  x");
	args = SLICE_LIT(" -1");
	assert_false(pop3_take_size(&args, &size, error));
	want_str("sign", error, "Invalid size: -1");
	assert_true(pop3_no_more(SLICE_NULL, "size", error));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(messages),
		cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
