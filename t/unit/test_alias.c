// SPDX-License-Identifier: BSD-2-Clause
/* What a recipient stands for: chains, loops, limits, extensions, tables that fail. */
#include "intake/alias.h"

#include <string.h>

#include "config.h"

static struct config config;
static struct rewriter *rewriter;
static struct address_rules *rules;
static struct aliases *aliases;

static void open_aliases(const char *main_cf)
{
	config_open(&config, main_cf);
	rewriter = rewriter_new(config.params);
	rules = address_rules_new(config.params);
	aliases = aliases_new(config.params, rules, rewriter);
}

static void close_aliases(void)
{
	aliases_free(aliases);
	address_rules_free(rules);
	rewriter_free(rewriter);
	config_close(&config);
}

static bool join(struct slice address, void *arg)
{
	struct strbuf *out = arg;

	if (out->len > 0)
		strbuf_addch(out, ' ');
	strbuf_addslice(out, address);
	return true;
}

/* WANT: the final addresses in order, or NULL for an error. */
static void check(const char *address, const char *want)
{
	struct strbuf out = STRBUF_INIT(100000);
	enum alias_result result =
	    aliases_expand(aliases, slice_of(address), "test", "ID", join, &out);

	want_int(address, result, want != NULL ? ALIAS_OK : ALIAS_ERROR);
	if (want != NULL)
		want_str(address, out.ptr, want);
	strbuf_release(&out);
}

static void test_none(void **state)
{
	(void)state;
	open_aliases("");
	check("a@example.com", "a@example.com");
	close_aliases();
}

static void test_expansion(void **state)
{
	static const struct {
		const char *address, *want;
	} cases[] = {
		{ "x@example.com", "x@example.com" },
		{ "one@example.com", "two@example.net" },
		{ "Sales@Example.com", "a@example.org b@example.org" },
		{ "chain@example.com", "two@example.net" },
		{ "bare@example.com", "root@example.com" },
		{ "self@example.com", "self@example.com b@example.org" },
		{ "diamond@example.com", "two@example.net" },
		{ "any@catch.test", "any@example.net" },
		{ "one+ext@example.com", "two+ext@example.net" },
		{ "quoted@example.com", "a b@example.org" },
		{ "loop@example.com", NULL },
		{ "empty@example.com", NULL },
	};

	(void)state;
	open_aliases(
	    "myorigin = example.com\nrecipient_delimiter = +\n"
	    "virtual_alias_maps = inline:{ {one@example.com = two@example.net},"
	    " {sales@example.com = a@example.org, b@example.org},"
	    " {chain@example.com = one@example.com}, {bare@example.com = root},"
	    " {self@example.com = self@example.com, b@example.org},"
	    " {diamond@example.com = chain@example.com, one@example.com},"
	    " {@catch.test = @example.net},"
	    " {quoted@example.com = \"a b\"@example.org},"
	    " {loop@example.com = back@example.com}, {back@example.com = loop@example.com},"
	    " {empty@example.com = ,} }");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(cases[i].address, cases[i].want);
	close_aliases();
}

static void test_limits(void **state)
{
	(void)state;
	open_aliases("virtual_alias_expansion_limit = 2\nvirtual_alias_recursion_limit = 3\n"
		     "virtual_alias_address_length_limit = 20\n"
		     "virtual_alias_maps = inline:{ {two@x.test = a@y.test, b@y.test},"
		     " {three@x.test = a@y.test, b@y.test, c@y.test},"
		     " {d1@x.test = d2@x.test}, {d2@x.test = d3@x.test}, {d3@x.test = d4@x.test},"
		     " {long@x.test = a-name-of-more-than-twenty@y.test} }");
	check("two@x.test", "a@y.test b@y.test");
	check("three@x.test", NULL);
	check("d2@x.test", "d4@x.test");
	check("d1@x.test", NULL);
	check("long@x.test", NULL);
	close_aliases();
}

static void test_table_fails(void **state)
{
	(void)state;
	open_aliases("virtual_alias_maps = fail:now");
	check("a@example.com", NULL);
	close_aliases();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_expansion),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_table_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
