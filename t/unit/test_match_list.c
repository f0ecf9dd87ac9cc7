// SPDX-License-Identifier: BSD-2-Clause
#include "config.h"
#include "table/match_list.h"

enum how { DOMAIN, STRING, CLIENT, ADDR };

static void test_match(void **state)
{
	static const struct {
		const char *name, *value;
		enum how how;
		const char *text, *addr;
		enum match_result want;
	} cases[] = {
		{ "mydestination", "a.example, b.example", STRING, "B.Example", NULL, MATCH_YES },
		{ "mydestination", "a.example, b.example", STRING, "c.example", NULL, MATCH_NO },
		{ "mydestination", "a.example", STRING, "x.a.example", NULL, MATCH_NO },
		{ "mydestination", "", STRING, "x", NULL, MATCH_NO },
		{ "mydestination", "!a.example, static:all", STRING, "a.example", NULL, MATCH_NO },
		{ "mydestination", "!a.example, static:all", STRING, "b.example", NULL, MATCH_YES },
		{ "mydestination", "a.example, fail:x", STRING, "a.example", NULL, MATCH_YES },
		{ "mydestination", "a.example, fail:x", STRING, "b.example", NULL, MATCH_ERROR },
		{ "mydestination", "inline:{a.example=x}", STRING, "A.example", NULL, MATCH_YES },
		{ "mydestination", "!", STRING, "a.example", NULL, MATCH_ERROR },
		{ "mydestination", "/nonexistent/x", STRING, "a.example", NULL, MATCH_ERROR },
		/* relay_domains is in parent_domain_matches_subdomains */
		{ "relay_domains", "a.example", DOMAIN, "x.y.A.example", NULL, MATCH_YES },
		{ "relay_domains", "a.example", DOMAIN, "xa.example", NULL, MATCH_NO },
		{ "relay_domains", "inline:{a.example=x}", DOMAIN, "x.y.a.example", NULL,
		    MATCH_YES },
		{ "relay_domains", "inline:{.a.example=x}", DOMAIN, "x.y.a.example", NULL,
		    MATCH_NO },
		{ "other", "a.example", DOMAIN, "x.a.example", NULL, MATCH_NO },
		{ "other", ".a.example", DOMAIN, "x.a.example", NULL, MATCH_YES },
		{ "other", ".a.example", DOMAIN, "a.example", NULL, MATCH_NO },
		{ "other", "inline:{.a.example=x}", DOMAIN, "x.y.a.example", NULL, MATCH_YES },
		{ "other", "inline:{a.example=x}", DOMAIN, "x.y.a.example", NULL, MATCH_NO },
		{ "other", "inline:{a.example=x}", DOMAIN, "", NULL, MATCH_NO },
		{ "mynetworks", "10.0.0.0/8, [::1]/128", ADDR, NULL, "10.1.2.3", MATCH_YES },
		{ "mynetworks", "10.0.0.0/8, [::1]/128", ADDR, NULL, "11.1.2.3", MATCH_NO },
		{ "mynetworks", "10.0.0.0/8, [::1]/128", ADDR, NULL, "::1", MATCH_YES },
		{ "mynetworks", "!10.0.0.5, 10.0.0.0/8", ADDR, NULL, "10.0.0.5", MATCH_NO },
		{ "mynetworks", "!10.0.0.5, 10.0.0.0/8", ADDR, NULL, "10.0.0.6", MATCH_YES },
		{ "mynetworks", "10.0.0.5/8", ADDR, NULL, "10.0.0.6", MATCH_ERROR },
		{ "mynetworks", "10.0.0.0/33", ADDR, NULL, "10.0.0.6", MATCH_ERROR },
		{ "mynetworks", "inline:{10.0.0.6=x}", ADDR, NULL, "10.0.0.6", MATCH_YES },
		{ "mynetworks", "10.0.0.0/8", ADDR, NULL, "", MATCH_NO },
		{ "mynetworks", "example.com", CLIENT, "a.example.com", "9.9.9.9", MATCH_YES },
		{ "mynetworks", "static:all", CLIENT, "unknown", "9.9.9.9", MATCH_YES },
		{ "mynetworks", "unknown", CLIENT, "unknown", "9.9.9.9", MATCH_NO },
		{ "mynetworks", "9.9.9.9", CLIENT, "unknown", "9.9.9.9", MATCH_YES },
	};
	struct config c = { .dir = "" };

	(void)state;
	config_open(&c, "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct match_list *list = match_list_new(c.params, cases[i].name, cases[i].value);
		struct slice text = slice_of(cases[i].text);
		struct net_addr addr = { .len = 0 };
		enum match_result got = MATCH_ERROR;

		if (cases[i].addr && *cases[i].addr)
			assert_true(net_addr_parse(slice_of(cases[i].addr), 0, &addr));
		switch (cases[i].how) {
		case DOMAIN:
			got = match_list_domain(list, text);
			break;
		case STRING:
			got = match_list_string(list, text);
			break;
		case CLIENT:
			got = match_list_client(list, text, &addr);
			break;
		case ADDR:
			got = match_list_addr(list, &addr);
			break;
		}
		want_int(cases[i].value, got, cases[i].want);
		match_list_free(list);
	}
	config_close(&c);
}

static void test_file(void **state)
{
	struct match_list *list;
	struct config c = { .dir = "" };
	char value[128];

	(void)state;
	config_dir(&c);
	config_write(&c, "domains", "# ours\na.example b.example\n  c.example\n!d.example\n");
	config_open(&c, "");
	snprintf(value, sizeof(value), "%s/domains static:all", c.dir);
	list = match_list_new(c.params, "mydestination", value);
	want_int("c", match_list_string(list, SLICE_LIT("c.example")), MATCH_YES);
	want_int("d", match_list_string(list, SLICE_LIT("d.example")), MATCH_NO);
	match_list_free(list);
	snprintf(value, sizeof(value), "!%s/domains static:all", c.dir);
	list = match_list_new(c.params, "mydestination", value);
	want_int("!c", match_list_string(list, SLICE_LIT("c.example")), MATCH_NO);
	want_int("!!d", match_list_string(list, SLICE_LIT("d.example")), MATCH_YES);
	want_int("other", match_list_string(list, SLICE_LIT("e.example")), MATCH_YES);
	match_list_free(list);
	snprintf(value, sizeof(value), "%s/domains2", c.dir);
	config_write(&c, "domains2", value);
	list = match_list_new(c.params, "mydestination", value);
	want_int("loop", match_list_string(list, SLICE_LIT("c.example")), MATCH_ERROR);
	match_list_free(list);
	config_close(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests_name("match_list", tests, NULL, NULL);
}
