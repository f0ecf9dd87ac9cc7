// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "mail/dsn.h"
#include "mail/smtp_reply.h"

static void test_add(void **state)
{
	static const struct {
		unsigned code;
		const char *dsn, *text, *want;
	} cases[] = {
		{ 250, "2.1.0", "Ok", "250 2.1.0 Ok\r\n" },
		{ 220, NULL, "host ESMTP", "220 host ESMTP\r\n" },
		{ 250, "", "a\nb\r\nc", "250-a\r\n250-b\r\n250 c\r\n" },
		{ 554, "5.7.1", "no\nnever", "554-5.7.1 no\r\n554 5.7.1 never\r\n" },
		{ 250, "", "a\n", "250 a\r\n" },
		{ 250, "", "", "250\r\n" },
		{ 550, "5.1.1", "x\ry\x01", "550 5.1.1 x?y?\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(4096);

		smtp_reply_add(&out, cases[i].code, cases[i].dsn, slice_of(cases[i].text));
		want_slice(cases[i].text, strbuf_slice(&out), slice_of(cases[i].want));
		strbuf_release(&out);
	}
}

static void test_cut(void **state)
{
	struct strbuf text = STRBUF_INIT(4096), out = STRBUF_INIT(4096);

	(void)state;
	strbuf_addf(&text, "%0600d", 0);
	smtp_reply_add(&out, 250, "2.0.0", strbuf_slice(&text));
	want_int("cut", out.len, SMTP_REPLY_LINE_MAX + 2);
	strbuf_reset(&text);
	strbuf_reset(&out);
	strbuf_addf(&text, "%0505d\xc3\xbc", 0);
	smtp_reply_add(&out, 250, NULL, strbuf_slice(&text));
	want_int("character", out.len, SMTP_REPLY_LINE_MAX - 1 + 2);
	strbuf_release(&text);
	strbuf_release(&out);
}

static void test_split(void **state)
{
	static const struct {
		const char *reply, *default_dsn;
		bool ok;
		unsigned code;
		const char *dsn, *text;
	} cases[] = {
		{ "554 5.7.1 no", NULL, true, 554, "5.7.1", "no" },
		{ "450 no", "5.7.1", true, 450, "4.7.1", "no" },
		{ "450 5.7.9 no", NULL, true, 450, "4.7.9", "no" },
		{ "450", NULL, true, 450, "4.0.0", "" },
		{ "554 5.7 no", NULL, true, 554, "5.0.0", "5.7 no" },
		{ "45", NULL, false, 0, "", "" },
		{ "4500 x", NULL, false, 0, "", "" },
		{ "600 x", NULL, false, 0, "", "" },
		{ "199 x", NULL, false, 0, "", "" },
		{ "+50 x", NULL, false, 0, "", "" },
		{ "REJECT", NULL, false, 0, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice text = SLICE_NULL;
		char dsn[DSN_CODE_TEXT] = "";
		unsigned code = 0;

		want_int(cases[i].reply,
		    smtp_reply_split(
			slice_of(cases[i].reply), cases[i].default_dsn, &code, dsn, &text),
		    cases[i].ok);
		want_int(cases[i].reply, code, cases[i].code);
		want_str(cases[i].reply, dsn, cases[i].dsn);
		want_slice(cases[i].reply, text, slice_of(cases[i].text));
	}
}

static void test_soften(void **state)
{
	unsigned code = 554;
	char dsn[DSN_CODE_TEXT] = "5.7.1";

	(void)state;
	smtp_reply_soften(&code, dsn);
	want_int("code", code, 454);
	want_str("dsn", dsn, "4.7.1");
	smtp_reply_soften(&code, dsn);
	want_int("again", code, 454);
}

static void test_dsn(void **state)
{
	unsigned bits = 99;

	(void)state;
	want_int("one", dsn_notify_parse(SLICE_LIT("never"), &bits), true);
	want_int("one", bits, DSN_NOTIFY_NEVER);
	want_int("two", dsn_notify_parse(SLICE_LIT("SUCCESS,delay"), &bits), true);
	want_int("two", bits, DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY);
	want_int("empty", dsn_notify_parse(SLICE_LIT(""), &bits), false);
	want_int("end", dsn_notify_parse(SLICE_LIT("DELAY,"), &bits), false);
	want_int("never", dsn_notify_parse(SLICE_LIT("NEVER,DELAY"), &bits), false);
	want_int("word", dsn_notify_parse(SLICE_LIT("DELAYS"), &bits), false);
	want_int("full", dsn_ret_parse(SLICE_LIT("full"), &bits), true);
	want_int("full", bits, DSN_RET_FULL);
	want_int("ret", dsn_ret_parse(SLICE_LIT(""), &bits), false);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_soften),
		cmocka_unit_test(test_dsn),
	};

	return cmocka_run_group_tests_name("smtp_reply", tests, NULL, NULL);
}
