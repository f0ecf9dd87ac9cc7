// SPDX-License-Identifier: BSD-2-Clause
/* The arguments of MAIL, RCPT and BDAT. */
#include "unit.h"

#include "mail/dsn.h"
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

struct option_case {
	const char *option;
	enum smtpd_option want;
	uint64_t number;
	const char *text; /* NULL: whatever */
};

static void run_options(const struct option_case *cases, size_t count,
    enum smtpd_option (*parse)(struct slice, struct smtpd_option_value *))
{
	struct smtpd_option_value value = { .text = STRBUF_INIT(SMTPD_OPTION_TEXT_MAX) };

	for (size_t i = 0; i < count; i++) {
		const char *name = cases[i].option;

		want_int(name, parse(slice_of(name), &value), cases[i].want);
		want_int(name, value.number, cases[i].number);
		if (cases[i].text != NULL)
			want_slice(name, strbuf_slice(&value.text), slice_of(cases[i].text));
	}
	strbuf_release(&value.text);
}

/* hostile-input rows 25 and 26. */
static void mail_options(void **state)
{
	static const struct option_case cases[] = {
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
		{ "AUTH=a+2Bb@c", OPTION_AUTH, 0, "a+2Bb@c" },
		{ "AUTH=a+0D+0A", OPTION_AUTH, 0, "a+0D+0A" },
		{ "RET=FULL", OPTION_RET, DSN_RET_FULL, "" },
		{ "ret=hdrs", OPTION_RET, DSN_RET_HDRS, "" },
		{ "RET=", OPTION_BAD_RET, 0, "" },
		{ "RET=BODY", OPTION_BAD_RET, 0, "" },
		{ "RET", OPTION_UNKNOWN, 0, "" },
		{ "ENVID=a+20b+3Dc+2b", OPTION_ENVID, 0, "a b=c+" },
		{ "envid=a=b", OPTION_ENVID, 0, "a=b" },
		{ "ENVID=", OPTION_BAD_ENVID, 0, "" },
		{ "ENVID=+00", OPTION_BAD_ENVID, 0, NULL },
		{ "ENVID=a+0D+0Ab", OPTION_BAD_ENVID, 0, NULL },
		{ "ENVID=+7F", OPTION_BAD_ENVID, 0, NULL },
		{ "ENVID=+E4", OPTION_BAD_ENVID, 0, NULL },
		{ "ENVID=\303\244", OPTION_BAD_ENVID, 0, NULL },
		{ "ENVID=a+", OPTION_BAD_ENVID, 0, NULL },
		{ "ENVID=a+4", OPTION_BAD_ENVID, 0, NULL },
		{ "ENVID=a+4g", OPTION_BAD_ENVID, 0, NULL },
		{ "ENVID", OPTION_UNKNOWN, 0, "" },
		{ "SMTPUTF8", OPTION_SMTPUTF8, 0, "" },
		{ "smtputf8", OPTION_SMTPUTF8, 0, "" },
		{ "SMTPUTF8=1", OPTION_UNKNOWN, 0, "" },
		{ "NOTIFY=NEVER", OPTION_UNKNOWN, 0, "" },
		{ "", OPTION_UNKNOWN, 0, "" },
	};

	(void)state;
	run_options(cases, ARRAY_LEN(cases), smtpd_args_mail_option);
}

static void rcpt_options(void **state)
{
	static const struct option_case cases[] = {
		{ "NOTIFY=NEVER", OPTION_NOTIFY, DSN_NOTIFY_NEVER, "" },
		{ "notify=success,Failure", OPTION_NOTIFY, DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE,
		    "" },
		{ "NOTIFY=DELAY,DELAY,", OPTION_NOTIFY, DSN_NOTIFY_DELAY, "" },
		{ "NOTIFY=NEVER,DELAY", OPTION_BAD_NOTIFY, DSN_NOTIFY_NEVER | DSN_NOTIFY_DELAY,
		    NULL },
		{ "NOTIFY=", OPTION_BAD_NOTIFY, 0, "" },
		{ "NOTIFY=,", OPTION_BAD_NOTIFY, 0, "" },
		{ "NOTIFY=x", OPTION_BAD_NOTIFY, 0, "" },
		{ "NOTIFY", OPTION_UNKNOWN, 0, "" },
		{ "ORCPT=rfc822;a@b", OPTION_ORCPT, 0, "rfc822;a@b" },
		{ "orcpt=RFC822;a+2Bb@c", OPTION_ORCPT, 0, "RFC822;a+b@c" },
		{ "ORCPT=rfc822;", OPTION_ORCPT, 0, "rfc822;" },
		{ "ORCPT=x400;a=b", OPTION_ORCPT, 0, "x400;a=b" },
		{ "ORCPT=", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=rfc822", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=;a@b", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=rfc822;a+00", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=rfc822;a+0D+0Ab", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=rfc822;a+2", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=rfc822;+E4", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=\303\244;a", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;a\\x{e4}b@c", OPTION_ORCPT, 0, "utf-8;a\303\244b@c" },
		{ "ORCPT=UTF-8;\303\244@b", OPTION_ORCPT, 0, "UTF-8;\303\244@b" },
		{ "ORCPT=utf-8;\\x{20AC}\\x{10FFFF}\\x{41}", OPTION_ORCPT, 0,
		    "utf-8;\342\202\254\364\217\277\277A" },
		{ "ORCPT=utf-8;a+C3", OPTION_ORCPT, 0, "utf-8;a+C3" },
		{ "ORCPT=utf-8;\\x{110000}", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;\\x{D800}", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;\\x{0}", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;\\x{A}", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;\\x{}", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;\\x{1234567}", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;\\x{41", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;\\x{g}", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT=utf-8;\344", OPTION_BAD_ORCPT, 0, "" },
		{ "ORCPT", OPTION_UNKNOWN, 0, "" },
		{ "RET=FULL", OPTION_UNKNOWN, 0, "" },
	};

	(void)state;
	run_options(cases, ARRAY_LEN(cases), smtpd_args_rcpt_option);
}

/* hostile-input row 14. */
static void chunks(void **state)
{
	static const struct {
		const char *args;
		bool good, last;
		uint64_t size;
	} cases[] = {
		{ "0", true, false, 0 },
		{ "0 LAST", true, true, 0 },
		{ "10 last", true, true, 10 },
		{ "10 \t LAST", true, true, 10 },
		{ "007", true, false, 7 },
		{ "9223372036854775807", true, false, INT64_MAX },
		{ "9223372036854775808", false, false, 0 },
		{ "18446744073709551616", false, false, 0 },
		{ "-1", false, false, 0 },
		{ "+1", false, false, 0 },
		{ "0x10", false, false, 0 },
		{ "1.5", false, false, 0 },
		{ "", false, false, 0 },
		{ "LAST", false, false, 0 },
		{ "1 LASTE", false, false, 0 },
		{ "1 LAST x", false, false, 0 },
		{ "1 2", false, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t size;
		bool last;

		want_int(cases[i].args, smtpd_args_chunk(slice_of(cases[i].args), &size, &last),
		    cases[i].good);
		if (cases[i].good) {
			want_int(cases[i].args, size, cases[i].size);
			want_int(cases[i].args, last, cases[i].last);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keywords),
		cmocka_unit_test(paths),
		cmocka_unit_test(mail_options),
		cmocka_unit_test(rcpt_options),
		cmocka_unit_test(chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
