// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "mail/address.h"
#include "mail/hostname.h"

#define STRICT	ADDRESS_STRICT
#define EMPTY	ADDRESS_ALLOW_EMPTY
#define UTF8	ADDRESS_UTF8
#define NEEDDOM ADDRESS_NEED_DOMAIN

static void test_path(void **state)
{
	static const struct {
		const char *in;
		unsigned flags;
		enum address_status status;
		const char *internal, *rest;
	} cases[] = {
		{ "<a@b.c>", 0, ADDRESS_OK, "a@b.c", "" },
		{ "<a@b.c> SIZE=1", STRICT, ADDRESS_OK, "a@b.c", " SIZE=1" },
		{ "  <a@b.c>", 0, ADDRESS_OK, "a@b.c", "" },
		{ "a@b.c SIZE=1", 0, ADDRESS_OK, "a@b.c", " SIZE=1" },
		{ "a@b.c", STRICT, ADDRESS_SYNTAX, NULL, NULL },
		{ "<>", EMPTY, ADDRESS_OK, "", "" },
		{ "<> BODY=8BITMIME", EMPTY | STRICT, ADDRESS_OK, "", " BODY=8BITMIME" },
		{ "<>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "", EMPTY, ADDRESS_SYNTAX, NULL, NULL },
		{ "   ", EMPTY, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@b.c", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "a@b.c>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@b.c>x", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@b.c>>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<<a@b.c>>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "< a@b.c >", 0, ADDRESS_OK, "a@b.c", "" },
		{ "< a@b.c >", STRICT, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a b@c>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<\"a b\"@c>", STRICT, ADDRESS_OK, "a b@c", "" },
		{ "<\"a>b\"@c>", STRICT, ADDRESS_OK, "a>b@c", "" },
		{ "<\"a\\\"b\\\\\"@c>", STRICT, ADDRESS_OK, "a\"b\\@c", "" },
		{ "<\"a@b\"@c>", STRICT, ADDRESS_OK, "a@b@c", "" },
		{ "<\"a@b\">", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<\"a\"b@c>", 0, ADDRESS_OK, "ab@c", "" },
		{ "<b\"a\"@c>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<\"a@c>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@\"c\">", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a\\ b@c>", 0, ADDRESS_OK, "a b@c", "" },
		{ "<a\\ b@c>", STRICT, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a\\", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<\"\"@c>", 0, ADDRESS_OK, "@c", "" },
		{ "<\"\">", 0, ADDRESS_OK, "", "" },
		{ "<@c>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<@a,@b:u@c>", STRICT, ADDRESS_OK, "u@c", "" },
		{ "<@a:u@c>", 0, ADDRESS_OK, "u@c", "" },
		{ "<@a:@b:u@c>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<@a:>", EMPTY, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a:b@c>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a,b@c>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@b@c>", 0, ADDRESS_OK, "a@b@c", "" },
		{ "<a@b@c>", STRICT, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a..b@c>", 0, ADDRESS_OK, "a..b@c", "" },
		{ "<a..b@c>", STRICT, ADDRESS_SYNTAX, NULL, NULL },
		{ "<\"a..b\"@c>", STRICT, ADDRESS_OK, "a..b@c", "" },
		{ "<a@c.>", 0, ADDRESS_OK, "a@c.", "" },
		{ "<a@c..d>", STRICT, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@>", STRICT, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@[1.2.3.4]>", STRICT, ADDRESS_OK, "a@[1.2.3.4]", "" },
		{ "<a@[IPv6:::1]>", STRICT, ADDRESS_OK, "a@[IPv6:::1]", "" },
		{ "<a@[1.2.3.4]x>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@x[1.2.3.4]>", 0, ADDRESS_SYNTAX, NULL, NULL },
		/* Its internal form would end in an other domain. */
		{ "<a@[x@y]>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@[]>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<a@[1.2.3.4>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<[1.2.3.4]>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<postmaster>", STRICT | NEEDDOM, ADDRESS_OK, "postmaster", "" },
		{ "<PostMaster>", NEEDDOM, ADDRESS_OK, "PostMaster", "" },
		{ "<bob>", NEEDDOM, ADDRESS_SYNTAX, NULL, NULL },
		{ "<bob>", STRICT, ADDRESS_OK, "bob", "" },
		{ "<a%b@c>", STRICT, ADDRESS_OK, "a%b@c", "" },
		{ "<b!a@c>", STRICT, ADDRESS_OK, "b!a@c", "" },
		{ "<;/bin/id;@x>", 0, ADDRESS_SYNTAX, NULL, NULL },
		{ "<|cmd@x>", 0, ADDRESS_OK, "|cmd@x", "" },
		{ "<a\tb@c>", 0, ADDRESS_CONTROL, NULL, NULL },
		{ "<a\x7f@c>", 0, ADDRESS_CONTROL, NULL, NULL },
		{ "<\"a\\\rb\"@c>", 0, ADDRESS_CONTROL, NULL, NULL },
		{ "<\"a\nb\"@c>", 0, ADDRESS_CONTROL, NULL, NULL },
		{ "<\xc3\xbc@c>", 0, ADDRESS_NON_ASCII, NULL, NULL },
		{ "<\xc3\xbc@c>", UTF8, ADDRESS_OK, "\xc3\xbc@c", "" },
		{ "<\xc3@c>", UTF8, ADDRESS_NON_ASCII, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(4096);
		struct slice rest = slice_of(cases[i].in);

		strbuf_addstr(&out, "x");
		want_int(
		    cases[i].in, address_take_path(&rest, cases[i].flags, &out), cases[i].status);
		want_slice(
		    cases[i].in, slice_from(strbuf_slice(&out), 1), slice_of(cases[i].internal));
		want_slice(
		    cases[i].in, rest, slice_of(cases[i].rest ? cases[i].rest : cases[i].in));
		strbuf_release(&out);
	}
}

static void test_nul(void **state)
{
	struct strbuf out = STRBUF_INIT(4096);

	(void)state;
	want_int("NUL", address_internal(SLICE_LIT("a\0b@c"), 0, &out), ADDRESS_CONTROL);
	strbuf_release(&out);
}

static void test_limits(void **state)
{
	struct strbuf in = STRBUF_INIT(4096), out = STRBUF_INIT(4096);

	(void)state;
	strbuf_addf(&in, "%0*d@c", ADDRESS_MAX - 2, 0);
	want_int("longest", address_internal(strbuf_slice(&in), 0, &out), ADDRESS_OK);
	strbuf_addstr(&in, "c");
	want_int("one more", address_internal(strbuf_slice(&in), 0, &out), ADDRESS_TOO_LONG);
	strbuf_reset(&in);
	strbuf_addf(&in, "a@%0*d", ADDRESS_DOMAIN_MAX, 0);
	want_int("longest domain", address_internal(strbuf_slice(&in), 0, &out), ADDRESS_OK);
	strbuf_addstr(&in, "c");
	want_int("domain", address_internal(strbuf_slice(&in), 0, &out), ADDRESS_TOO_LONG);
	strbuf_release(&in);
	strbuf_release(&out);
}

static void test_external(void **state)
{
	static const struct {
		const char *internal, *external;
	} cases[] = {
		{ "", "" },
		{ "a@b", "a@b" },
		{ "bob", "bob" },
		{ "a.b@c", "a.b@c" },
		{ "a..b@c", "\"a..b\"@c" },
		{ ".a@c", "\".a\"@c" },
		{ "a b@c", "\"a b\"@c" },
		{ "a@b@c", "\"a@b\"@c" },
		{ "a\"\\b@c", "\"a\\\"\\\\b\"@c" },
		{ "@c", "\"\"@c" },
		{ "a@[1.2.3.4]", "a@[1.2.3.4]" },
		{ "a\r\nb@c", "\"a??b\"@c" },
		{ "a@c\r\n", "a@c??" },
		{ "\xc3\xbc@c", "\xc3\xbc@c" },
		{ "a@", "a@" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(4096);

		address_external(slice_of(cases[i].internal), &out);
		want_slice(cases[i].internal, strbuf_slice(&out), slice_of(cases[i].external));
		strbuf_release(&out);
	}
}

static void test_extension(void **state)
{
	static const struct {
		const char *local, *delimiters, *user, *extension;
		char delimiter;
	} cases[] = {
		{ "a+b", "+", "a", "b", '+' },
		{ "a+b+c", "+", "a", "b+c", '+' },
		{ "a-b+c", "+-", "a", "b+c", '-' },
		{ "a-b+c", "+", "a-b", "c", '+' },
		{ "a", "+", "a", NULL, 0 },
		{ "a+", "+", "a+", NULL, 0 },
		{ "+a", "+", "+a", NULL, 0 },
		{ "a+b", "", "a+b", NULL, 0 },
		{ "", "+", "", NULL, 0 },
		{ "owner-list", "-", "owner-list", NULL, 0 },
		{ "list-request", "-", "list-request", NULL, 0 },
		{ "owner-list+x", "+", "owner-list", "x", '+' },
		{ "mailer-daemon", "-", "mailer-daemon", NULL, 0 },
		{ "Double-Bounce", "-", "Double-Bounce", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice user, extension;
		char delimiter = 0;
		bool got = address_split_extension(
		    slice_of(cases[i].local), cases[i].delimiters, &user, &extension, &delimiter);

		want_int(cases[i].local, got, cases[i].extension != NULL);
		want_slice(cases[i].local, user, slice_of(cases[i].user));
		want_slice(cases[i].local, extension, slice_of(cases[i].extension));
		want_int(cases[i].local, delimiter, cases[i].delimiter);
	}
}

static void test_split(void **state)
{
	struct slice local, domain;

	(void)state;
	want_int("a@b@c", address_split(SLICE_LIT("a@b@c"), &local, &domain), true);
	want_slice("local", local, SLICE_LIT("a@b"));
	want_slice("domain", domain, SLICE_LIT("c"));
	want_int("a", address_split(SLICE_LIT("a"), &local, &domain), false);
	want_int("no domain", domain.ptr == NULL, true);
	want_int("a@", address_split(SLICE_LIT("a@"), &local, &domain), true);
	want_int("empty domain", domain.ptr != NULL && domain.len == 0, true);
	want_int("equal", address_equal(SLICE_LIT("a@B"), SLICE_LIT("a@b")), true);
	want_int("local case", address_equal(SLICE_LIT("A@b"), SLICE_LIT("a@b")), false);
	want_int("none", address_equal(SLICE_LIT("a@"), SLICE_LIT("a")), false);
}

static void test_hostname(void **state)
{
	static const struct {
		const char *name;
		bool valid, fqdn, addr;
	} cases[] = {
		{ "example.com", true, true, false },
		{ "localhost", true, false, false },
		{ "a_b-c.d1", true, true, false },
		{ "", false, false, false },
		{ ".", false, false, false },
		{ "example.com.", false, false, false },
		{ "a..b", false, false, false },
		{ "-a.b", false, false, false },
		{ "a-.b", false, false, false },
		{ "a b", false, false, false },
		{ "1.2.3.4", false, false, true },
		{ "1.2.3", false, false, false },
		{ "2001:db8::1", false, false, true },
		{ "::ffff:1.2.3.4", false, false, true },
		{ "[1.2.3.4]", false, false, false },
		{ "1.2.3.4x", true, true, false },
		{ "123456789012345678901234567890123456789012345678901234567890123.x", true, true,
		    false },
		{ "1234567890123456789012345678901234567890123456789012345678901234.x", false,
		    false, false },
	};
	struct slice addr;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice name = slice_of(cases[i].name);

		want_int(cases[i].name, hostname_is_valid(name), cases[i].valid);
		want_int(cases[i].name, hostname_is_fqdn(name), cases[i].fqdn);
		want_int(cases[i].name, hostaddr_is_valid(name), cases[i].addr);
	}
	want_int("v4", address_literal_parse(SLICE_LIT("[1.2.3.4]"), &addr), true);
	want_slice("v4", addr, SLICE_LIT("1.2.3.4"));
	want_int("v6", address_literal_parse(SLICE_LIT("[ipv6:::1]"), &addr), true);
	want_slice("v6", addr, SLICE_LIT("::1"));
	want_int("v6 bare", address_literal_parse(SLICE_LIT("[::1]"), &addr), false);
	want_int("name", address_literal_parse(SLICE_LIT("[x]"), &addr), false);
	want_int("open", address_literal_parse(SLICE_LIT("[1.2.3.4"), &addr), false);
	want_int("empty", address_literal_parse(SLICE_LIT("[]"), &addr), false);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_extension),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_hostname),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
