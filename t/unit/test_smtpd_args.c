// SPDX-License-Identifier: BSD-2-Clause
/* The arguments of MAIL and RCPT. */
#include "unit.h"

#include "smtpd/smtpd_args.h"

static void keywords(void **state)
{
	static const struct {
		const char *args, *rest; /* NULL: not the keyword */
	} cases[] = {
		{ "FROM:<a@b>", "<a@b>" },
		{ "from: \t<a@b> ", "<a@b>" },
		{ "FROM:", "" },
		{ "FROM", NULL },
		{ "FROM :<a@b>", NULL },
		{ "TO:<a@b>", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice args = slice_of(cases[i].args);
		bool taken = smtpd_args_keyword(&args, "FROM");

		want_int(cases[i].args, taken, cases[i].rest != NULL);
		want_slice(cases[i].args, args, slice_of(taken ? cases[i].rest : cases[i].args));
	}
}

static void paths(void **state)
{
	static const struct {
		const char *args;
		enum address_status sender, recipient;
		const char *address, *rest;
	} cases[] = {
		{ "<a@b> SIZE=1", ADDRESS_OK, ADDRESS_OK, "a@b", " SIZE=1" },
		{ "<a@b>\tX", ADDRESS_OK, ADDRESS_OK, "a@b", "\tX" },
		{ "<@x,@y:a@b>", ADDRESS_OK, ADDRESS_OK, "a@b", "" },
		{ "<>", ADDRESS_OK, ADDRESS_SYNTAX, "", "" },
		{ "<\"\">", ADDRESS_OK, ADDRESS_SYNTAX, "", "" },
		{ "<a@>", ADDRESS_SYNTAX, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@b>SIZE=1", ADDRESS_SYNTAX, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@b", ADDRESS_SYNTAX, ADDRESS_SYNTAX, NULL, NULL },
		{ "<\303\244@b>", ADDRESS_NON_ASCII, ADDRESS_NON_ASCII, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		bool sender = i % 2 != 0;
		enum address_status want = sender ? cases[i / 2].sender : cases[i / 2].recipient;
		const char *name = cases[i / 2].args;
		struct strbuf out = STRBUF_INIT(ADDRESS_MAX);
		struct slice args = slice_of(name);

		want_int(
		    name, smtpd_args_path(&args, sender ? ADDRESS_ALLOW_EMPTY : 0, &out), want);
		if (want == ADDRESS_OK) {
			want_slice(name, strbuf_slice(&out), slice_of(cases[i / 2].address));
			want_slice(name, args, slice_of(cases[i / 2].rest));
		}
		strbuf_release(&out);
	}
}

static void options(void **state)
{
	static const struct {
		const char *option;
		enum smtpd_option want;
		uint64_t size;
		const char *auth;
	} cases[] = {
		{ "SIZE=0", OPTION_SIZE, 0, "" },
		{ "size=9223372036854775807", OPTION_SIZE, INT64_MAX, "" },
		{ "SIZE=9223372036854775808", OPTION_HUGE_SIZE, 0, "" },
		{ "SIZE=18446744073709551616", OPTION_HUGE_SIZE, 0, "" },
		{ "SIZE=-1", OPTION_BAD_SIZE, 0, "" },
		{ "SIZE=", OPTION_BAD_SIZE, 0, "" },
		{ "SIZE=1k", OPTION_BAD_SIZE, 0, "" },
		{ "SIZE", OPTION_UNKNOWN, 0, "" },
		{ "BODY=7bit", OPTION_BODY_7BIT, 0, "" },
		{ "body=8BITMIME", OPTION_BODY_8BIT, 0, "" },
		{ "BODY=BINARYMIME", OPTION_UNKNOWN, 0, "" },
		{ "AUTH=<>", OPTION_AUTH, 0, "<>" },
		{ "AUTH=a+2Bb@c", OPTION_AUTH, 0, "a+b@c" },
		{ "AUTH=a+2", OPTION_BAD_AUTH, 0, NULL },
		{ "AUTH=a+C3", OPTION_BAD_AUTH, 0, NULL },
		{ "AUTH=a+00", OPTION_BAD_AUTH, 0, NULL },
		{ "AUTH=a+0D+0Ab", OPTION_BAD_AUTH, 0, NULL },
		{ "RET=FULL", OPTION_UNKNOWN, 0, "" },
		{ "", OPTION_UNKNOWN, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf auth = STRBUF_INIT(500);
		const char *name = cases[i].option;
		uint64_t size = 0;

		want_int(name, smtpd_args_option(slice_of(name), &size, &auth), cases[i].want);
		want_int(name, size, cases[i].size);
		if (cases[i].auth != NULL)
			want_slice(name, strbuf_slice(&auth), slice_of(cases[i].auth));
		strbuf_release(&auth);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keywords),
		cmocka_unit_test(paths),
		cmocka_unit_test(options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
