// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdio.h>

#include "mail/header.h"

static void test_split(void **state)
{
	static const struct {
		const char *line, *name, *value;
	} cases[] = {
		{ "Subject: hi\r\n", "Subject", "hi" },
		{ "Subject:hi", "Subject", "hi" },
		{ "Subject :  hi\n", "Subject", "hi" },
		{ "X:", "X", "" },
		{ "X: a\r\n\tb\r\n", "X", "a\r\n\tb" },
		{ "no colon", NULL, NULL },
		{ ": x", NULL, NULL },
		{ " X: y", NULL, NULL },
		{ "", NULL, NULL },
		{ "X\x01: y", NULL, NULL },
		{ "X\xc3\xbc: y", NULL, NULL },
		{ "From me Fri Nov 20 07:31:48", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice name = SLICE_NULL, value = SLICE_NULL;

		want_int(cases[i].line, header_split(slice_of(cases[i].line), &name, &value),
		    cases[i].name != NULL);
		want_slice(cases[i].line, name, slice_of(cases[i].name));
		want_slice(cases[i].line, value, slice_of(cases[i].value));
	}
}

static bool add_address(const struct header_address *a, void *arg)
{
	strbuf_addf(arg, "%s%.*s%s|", a->in_group ? "g:" : "", SLICE_ARG(a->internal),
	    a->in_angle ? ">" : "");
	return true;
}

static void test_addresses(void **state)
{
	static const struct {
		const char *value, *want;
		bool ok;
	} cases[] = {
		{ "a@b", "a@b|", true },
		{ "a@b, c@d", "a@b|c@d|", true },
		{ "", "", true },
		{ ",, a@b,", "a@b|", true },
		{ "Joe <a@b>", "a@b>|", true },
		{ "\"Doe, Joe\" <a@b>", "a@b>|", true },
		{ "J. R. Doe <a@b>", "a@b>|", true },
		{ "a@b (Joe, \\) Doe)", "a@b|", true },
		{ "a (x (y)) @ (z) b . c", "a@b.c|", true },
		{ "team: a@b, Joe <c@d>;, e@f", "g:a@b|g:c@d>|e@f|", true },
		{ "undisclosed-recipients:;", "", true },
		{ "undisclosed-recipients: ;", "", true },
		{ "<@x,@y:a@b>", "a@b>|", true },
		{ "<>", "", true },
		{ "bob", "bob|", true },
		{ "\"a b\"@c", "a b@c|", true },
		{ "a@[1.2.3.4]", "a@[1.2.3.4]|", true },
		{ "a@b\r\n\t,\r\n c@d", "a@b|c@d|", true },
		{ "Joe Doe", "", false },
		{ "Joe Doe, a@b", "a@b|", false },
		{ "<a@b> <c@d>, e@f", "e@f|", false },
		{ "a@b <c@d>", "c@d>|", true },
		{ "<a@b", "", false },
		{ "a@b>", "", false },
		{ "<a@evil>:<b@good>;", "", false },
		{ "a@evil: <b@good>;", "", false },
		{ "a@b, \"open", "a@b|", false },
		{ "a@b, (open", "a@b|", false },
		{ "(ends in \\", "", false },
		{ "a@b, [open", "a@b|", false },
		{ "a@b)", "", false },
		{ "]", "", false },
		{ "a;b", "a|b|", true },
		{ "a@@b", "a@@b|", true },
		{ "x \x01 <a@b>", "a@b>|", true },
		{ "a\x01@b", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(4096);

		want_int(cases[i].value,
		    header_each_address(slice_of(cases[i].value), add_address, &out), cases[i].ok);
		want_slice(cases[i].value, strbuf_slice(&out), slice_of(cases[i].want));
		strbuf_release(&out);
	}
}

static bool count_address(const struct header_address *a, void *arg)
{
	(void)a;
	++*(unsigned *)arg;
	return true;
}

static void test_limits(void **state)
{
	struct strbuf in = STRBUF_INIT(1 << 20);
	unsigned count = 0;

	(void)state;
	for (int i = 0; i < HEADER_ADDRESSES_MAX + 5; i++)
		strbuf_addstr(&in, "a@b,");
	want_int("too many", header_each_address(strbuf_slice(&in), count_address, &count), false);
	want_int("reported", count, HEADER_ADDRESSES_MAX);
	strbuf_reset(&in);
	for (int i = 0; i < HEADER_COMMENT_DEPTH; i++)
		strbuf_addch(&in, '(');
	for (int i = 0; i < HEADER_COMMENT_DEPTH; i++)
		strbuf_addch(&in, ')');
	strbuf_addstr(&in, "a@b");
	count = 0;
	want_int("deep", header_each_address(strbuf_slice(&in), count_address, &count), true);
	strbuf_reset(&in);
	for (int i = 0; i < 100000; i++)
		strbuf_addch(&in, '(');
	want_int("too deep", header_each_address(strbuf_slice(&in), count_address, &count), false);
	want_int("reported", count, 1);
	strbuf_release(&in);
}

static bool append(const struct header_address *a, struct strbuf *out, void *arg)
{
	if (slice_find(a->internal, '@') >= 0)
		return false;
	strbuf_addf(out, "%.*s@%s", SLICE_ARG(a->internal), (const char *)arg);
	return true;
}

static void test_rewrite(void **state)
{
	static const struct {
		const char *value, *want;
		bool changed;
	} cases[] = {
		{ "bob", "bob@x", true },
		{ "a@b", "a@b", false },
		{ "Bob <bob>, a@b,\r\n\t(hi) joe (Joe)", "Bob <bob@x>, a@b,\r\n\t(hi) joe@x (Joe)",
		    true },
		{ "\"b b\"", "\"b b\"@x", true },
		{ "Joe Doe, bob", "Joe Doe, bob@x", true },
		{ "list: bob, joe;", "list: bob@x, joe@x;", true },
		{ "", "", false },
		{ "bob, \"open", "bob@x, \"open", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(4096);

		want_int(cases[i].value,
		    header_rewrite_addresses(slice_of(cases[i].value), append, "x", &out),
		    cases[i].changed);
		want_slice(cases[i].value, strbuf_slice(&out), slice_of(cases[i].want));
		strbuf_release(&out);
	}
}

static void test_class(void **state)
{
	bool resent;

	(void)state;
	want_int("to", header_address_class(SLICE_LIT("tO"), &resent), HEADER_RECIPIENT);
	want_int("to", resent, false);
	want_int("r", header_address_class(SLICE_LIT("Resent-Bcc"), &resent), HEADER_RECIPIENT);
	want_int("r", resent, true);
	want_int("from", header_address_class(SLICE_LIT("From"), NULL), HEADER_SENDER);
	want_int("subject", header_address_class(SLICE_LIT("Subject"), NULL), HEADER_NO_ADDRESS);
}

static void test_fold(void **state)
{
	struct strbuf out = STRBUF_INIT(4096);

	(void)state;
	header_unfold(SLICE_LIT("a\r\n\tb\n c\r\n"), &out);
	want_slice("unfold", strbuf_slice(&out), SLICE_LIT("a\tb c"));
	strbuf_reset(&out);
	header_fold(SLICE_LIT("X"), SLICE_LIT("a  b"), &out);
	want_slice("short", strbuf_slice(&out), SLICE_LIT("X: a b"));
	strbuf_reset(&out);
	header_fold(SLICE_LIT("References"),
	    SLICE_LIT("<1234567890123456789012345678901234567890> "
		      "<1234567890123456789012345678901234567890>"),
	    &out);
	want_slice("long", strbuf_slice(&out),
	    SLICE_LIT("References: <1234567890123456789012345678901234567890>\n"
		      "\t<1234567890123456789012345678901234567890>"));
	strbuf_release(&out);
}

static void test_extent(void **state)
{
	static const struct {
		const char *value;
		size_t tokens, want;
	} rows[] = {
		{ "a, b, c", 4, 5 },
		{ "a, b, c", 5, 7 },
		{ "a@b.c, d@e.f", 10, 6 },
		{ "a, b, c", 100, 7 },
		{ "(a b c) \"d e\" <f@g>", 2, 15 },
		{ "((((((((", 3, 8 },
		{ "", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    header_address_extent(slice_of(rows[i].value), rows[i].tokens), rows[i].want);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extent),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_class),
		cmocka_unit_test(test_fold),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
