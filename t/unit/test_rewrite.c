// SPDX-License-Identifier: BSD-2-Clause
#include "config.h"
#include "rewrite/address_lookup.h"
#include "rewrite/rewrite.h"

struct rewrite_case {
	enum rewrite_context context;
	const char *in, *want;
};

static void run_cases(const char *main_cf, const struct rewrite_case *cases, size_t count)
{
	struct config c = { .dir = "" };
	struct rewriter *r;

	config_open(&c, main_cf);
	r = rewriter_new(c.params);
	for (size_t i = 0; i < count; i++) {
		struct strbuf out = STRBUF_INIT(4096);

		rewrite_address(r, cases[i].context, slice_of(cases[i].in), &out);
		want_slice(cases[i].in, strbuf_slice(&out), slice_of(cases[i].want));
		strbuf_release(&out);
	}
	rewriter_free(r);
	config_close(&c);
}

static void test_address(void **state)
{
	static const struct rewrite_case defaults[] = {
		{ REWRITE_LOCAL, "", "" },
		{ REWRITE_LOCAL, "bob", "bob@mail.example.com" },
		{ REWRITE_LOCAL, "bob@", "bob@" },
		{ REWRITE_LOCAL, "bob%", "bob@" },
		{ REWRITE_LOCAL, "%x.org", "@x.org" },
		{ REWRITE_LOCAL, "!bob", "bob@" },
		{ REWRITE_LOCAL, "bob@x.org", "bob@x.org" },
		{ REWRITE_LOCAL, "bob@x.org.", "bob@x.org" },
		{ REWRITE_LOCAL, "bob@x.org..", "bob@x.org.." },
		{ REWRITE_LOCAL, "bob@host", "bob@host.example.com" },
		{ REWRITE_LOCAL, "bob@localhost", "bob@localhost.example.com" },
		{ REWRITE_LOCAL, "bob@[1.2.3.4]", "bob@[1.2.3.4]" },
		{ REWRITE_LOCAL, "x.org!bob", "bob@x.org" },
		{ REWRITE_LOCAL, "x.org!y.org!bob", "y.org!bob@x.org" },
		{ REWRITE_LOCAL, "bob%x.org", "bob@x.org" },
		{ REWRITE_LOCAL, "bob%x.org@y.org", "bob%x.org@y.org" },
		{ REWRITE_LOCAL, "@a,@b:bob@x.org", "bob@x.org" },
		{ REWRITE_LOCAL, "@a:", "" },
		{ REWRITE_LOCAL, "!", "@" },
		{ REWRITE_LOCAL, "@", "@" },
		{ REWRITE_REMOTE, "bob", "bob" },
		{ REWRITE_REMOTE, "bob@host", "bob@host" },
	};
	static const struct rewrite_case others[] = {
		{ REWRITE_LOCAL, "bob", "bob@origin.test" },
		{ REWRITE_LOCAL, "bob@host", "bob@host" },
		{ REWRITE_LOCAL, "x.org!bob", "x.org!bob@origin.test" },
		{ REWRITE_LOCAL, "bob%x.org", "bob%x.org@origin.test" },
		{ REWRITE_REMOTE, "bob", "bob@domain.invalid" },
	};

	(void)state;
	run_cases("", defaults, ARRAY_LEN(defaults));
	run_cases("compatibility_level = 3.6\nmyorigin = origin.test\nswap_bangpath = no\n"
		  "allow_percent_hack = no\nremote_header_rewrite_domain = domain.invalid\n",
	    others, ARRAY_LEN(others));
}

static void test_header(void **state)
{
	struct strbuf out = STRBUF_INIT(4096);
	struct config c = { .dir = "" };
	struct rewriter *r;

	(void)state;
	config_open(&c, "");
	r = rewriter_new(c.params);
	want_int("changed",
	    rewrite_header(r, REWRITE_LOCAL, SLICE_LIT("Bob <bob>, \"J D\" <j@x.org>"), &out),
	    true);
	want_slice("local", strbuf_slice(&out),
	    SLICE_LIT("Bob <bob@mail.example.com>, \"J D\" <j@x.org>"));
	strbuf_reset(&out);
	want_int("remote", rewrite_header(r, REWRITE_REMOTE, SLICE_LIT("bob"), &out), false);
	want_slice("remote", strbuf_slice(&out), SLICE_LIT("bob"));
	strbuf_release(&out);
	rewriter_free(r);
	config_close(&c);
}

/* The order in which forms are asked, seen by what is found when all are there. */
static void test_lookup(void **state)
{
	static const struct {
		unsigned forms;
		const char *table, *address, *want, *extension;
	} cases[] = {
		{ ADDRESS_LOOKUP_ALIAS, "a+x@x.org=1 a@x.org=2 @x.org=3", "A+x@X.org", "1", "" },
		{ ADDRESS_LOOKUP_ALIAS, "a@x.org=2 @x.org=3", "a+x@x.org", "2", "+x" },
		{ ADDRESS_LOOKUP_ALIAS, "a=2 @x.org=3", "a+x@x.org", "3", "" },
		{ ADDRESS_LOOKUP_ALIAS, "a+x=1 a=2 @mail.example.com=3", "a+x@mail.example.com",
		    "1", "" },
		{ ADDRESS_LOOKUP_ALIAS, "a=2 @mail.example.com=3", "a+x@mail.example.com", "2",
		    "+x" },
		{ ADDRESS_LOOKUP_ALIAS, "a=2", "a@[192.0.2.25]", "2", "" },
		{ ADDRESS_LOOKUP_ALIAS, "a=2", "a@[192.0.2.26]", NULL, "" },
		{ ADDRESS_LOOKUP_ALIAS, "a=2", "a", "2", "" },
		{ ADDRESS_LOOKUP_MAILBOX, "a=2 x.org=4", "a@mail.example.com", NULL, "" },
		{ ADDRESS_LOOKUP_MAILBOX, "@x.org=4", "\"@x.org", "4", "" },
		{ ADDRESS_LOOKUP_ALIAS, "{\"a b\"@x.org=1}", "a b@x.org", "1", "" },
		{ ADDRESS_LOOKUP_ALIAS, "{a b@x.org=1}", "a b@x.org", "1", "" },
		{ ADDRESS_LOOKUP_ALIAS, "{\"a b\"@x.org=1}", "a b+c@x.org", "1", "+c" },
		{ ADDRESS_LOOKUP_ALIAS, "a@x.org=1", "", NULL, "" },
	};
	struct config c = { .dir = "" };
	struct address_rules *rules;

	(void)state;
	config_open(&c, "recipient_delimiter = +\n");
	rules = address_rules_new(c.params);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *spec = xasprintf("inline:{%s}", cases[i].table);
		struct tables *tables = tables_open("test_maps", spec, 0);
		struct strbuf value = STRBUF_INIT(4096), ext = STRBUF_INIT(4096);
		enum table_result got = address_lookup(
		    rules, tables, slice_of(cases[i].address), cases[i].forms, &value, &ext);

		want_int(cases[i].address, got, cases[i].want ? TABLE_FOUND : TABLE_NOT_FOUND);
		want_slice(cases[i].address, strbuf_slice(&value), slice_of(cases[i].want));
		want_slice(cases[i].address, strbuf_slice(&ext), slice_of(cases[i].extension));
		strbuf_release(&ext);
		strbuf_release(&value);
		tables_free(tables);
		free(spec);
	}
	address_rules_free(rules);
	config_close(&c);
}

static void test_access(void **state)
{
	static const struct {
		enum { ADDRESS, DOMAIN, ADDR } kind;
		bool parents;
		const char *table, *key, *want;
	} cases[] = {
		{ ADDRESS, true, "a@x.org=1 x.org=2 a@=3", "a@x.org", "1" },
		{ ADDRESS, true, "a@x.org=1 x.org=2 a@=3", "a+e@x.org", "1" },
		{ ADDRESS, true, "org=1 a@=3", "a@x.org", "1" },
		{ ADDRESS, true, ".x.org=1 a@=3", "a@y.x.org", "3" },
		{ ADDRESS, false, ".x.org=1 a@=3", "a@y.x.org", "1" },
		{ ADDRESS, true, "a+e@=1 a@=2", "a+e@x.org", "1" },
		{ ADDRESS, true, "a@=2", "a+e@x.org", "2" },
		{ DOMAIN, true, "example=1", "a.b.example", "1" },
		{ DOMAIN, false, "example=1", "a.b.example", NULL },
		{ DOMAIN, false, ".example=1", "a.b.example", "1" },
		{ ADDR, false, "10.0.0.1=1 10.0.0=2", "10.0.0.1", "1" },
		{ ADDR, false, "10.0.0=2 10=3", "10.0.0.1", "2" },
		{ ADDR, false, "10=3", "10.0.0.1", "3" },
		{ ADDR, false, "0.1=3", "10.0.0.1", NULL },
		{ ADDR, false, "2001:db8=3", "2001:db8:0:0:1:2:3:4", "3" },
	};
	struct config c = { .dir = "" };
	struct address_rules *rules;

	(void)state;
	config_open(&c, "recipient_delimiter = +\n");
	rules = address_rules_new(c.params);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *spec = xasprintf("inline:{%s}", cases[i].table);
		struct tables *tables = tables_open("test_maps", spec, 0);
		struct strbuf value = STRBUF_INIT(4096);
		struct slice key = slice_of(cases[i].key);
		struct net_addr addr;
		enum table_result got;

		if (cases[i].kind == ADDRESS)
			got = access_lookup_address(rules, tables, key, cases[i].parents, &value);
		else if (cases[i].kind == DOMAIN)
			got = access_lookup_domain(tables, key, cases[i].parents, &value);
		else {
			assert_true(net_addr_parse(key, 0, &addr));
			got = access_lookup_addr(tables, &addr, &value);
		}
		want_int(cases[i].key, got, cases[i].want ? TABLE_FOUND : TABLE_NOT_FOUND);
		want_slice(cases[i].key, strbuf_slice(&value), slice_of(cases[i].want));
		strbuf_release(&value);
		tables_free(tables);
		free(spec);
	}
	address_rules_free(rules);
	config_close(&c);
}

/* Pattern tables see the whole address and nothing else. */
static void test_pattern(void **state)
{
	struct strbuf value = STRBUF_INIT(4096);
	struct config c = { .dir = "" };
	struct address_rules *rules;
	struct tables *tables;
	char spec[128];

	(void)state;
	config_dir(&c);
	config_write(&c, "re", "/^a@x.org$/ whole\n/^@/ domain\n/^x.org$/ part\n");
	config_open(&c, "recipient_delimiter = +\n");
	rules = address_rules_new(c.params);
	snprintf(spec, sizeof(spec), "regexp:%s/re", c.dir);
	tables = tables_open("test_maps", spec, 0);
	want_int("whole",
	    address_lookup(rules, tables, SLICE_LIT("a@x.org"), ADDRESS_LOOKUP_ALIAS, &value, NULL),
	    TABLE_FOUND);
	want_int("noext",
	    address_lookup(
		rules, tables, SLICE_LIT("a+b@x.org"), ADDRESS_LOOKUP_ALIAS, &value, NULL),
	    TABLE_NOT_FOUND);
	want_int("access", access_lookup_address(rules, tables, SLICE_LIT("b@x.org"), true, &value),
	    TABLE_NOT_FOUND);
	tables_free(tables);
	address_rules_free(rules);
	config_close(&c);
	strbuf_release(&value);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_pattern),
	};

	return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
