// SPDX-License-Identifier: BSD-2-Clause
/* Next hops, and in what order hosts are tried; what needs the DNS is in t/smtp_dns.t. */
#include "config.h"

#include "smtp/smtp_target_internal.h"

bool smtp_is_lmtp;
const struct postfix_params *smtp_params;

static struct config config;

static void configure(const char *text)
{
	if (config.params)
		config_close(&config);
	memset(&config, 0, sizeof(config));
	config_open(&config, text);
	smtp_params = config.params;
}

static void test_items(void **state)
{
	static const char *const want[] = { "a.test", "[b.test]:26", "c.test" };
	struct arena arena = ARENA_INIT;
	const char *item;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(smtp_nexthop_item(" a.test,[b.test]:26 ,\tc.test,", i, &arena, &item));
		want_str("item", item, want[i]);
	}
	assert_false(smtp_nexthop_item("a.test,[b.test]:26 , c.test,", 3, &arena, &item));
	assert_false(smtp_nexthop_item("", 0, &arena, &item));
	arena_release(&arena);
}

static void test_places(void **state)
{
	static const struct {
		const char *destination, *host, *ascii;
		unsigned port;
		bool brackets;
	} cases[] = {
		{ "a.test", "a.test", "a.test", 25, false },
		{ "a.test:26", "a.test", "a.test", 26, false },
		{ "a.test:smtps", "a.test", "a.test", 465, false },
		{ "a.test:my-port", "a.test", "a.test", 2525, false },
		{ "[a.test]", "a.test", "a.test", 25, true },
		{ "[a.test]:", "a.test", "a.test", 25, true },
		{ "[192.0.2.1]:587", "192.0.2.1", "192.0.2.1", 587, true },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.1", 25, false },
		{ "[2001:db8::1]", "2001:db8::1", "2001:db8::1", 25, true },
		{ "[ipv6:2001:db8::1]:26", "2001:db8::1", "2001:db8::1", 26, true },
		{ "\xc3\xbc.test", "\xc3\xbc.test", "xn--tda.test", 25, false },
		{ "", NULL, NULL, 0, false },
		{ ":25", NULL, NULL, 0, false },
		{ "[]", NULL, NULL, 0, false },
		{ "[a.test", NULL, NULL, 0, false },
		{ "[a.test]25", NULL, NULL, 0, false },
		{ "a.test:65536", NULL, NULL, 0, false },
		{ "a.test:0", NULL, NULL, 0, false },
		{ "a.test:-1", NULL, NULL, 0, false },
		{ "a.test:no-such-service", NULL, NULL, 0, false },
		{ "a..test", NULL, NULL, 0, false },
		{ "1.2.3", NULL, NULL, 0, false },
		{ "a b.test", NULL, NULL, 0, false },
		{ "\xc3.test", NULL, NULL, 0, false },
	};

	(void)state;
	configure("known_tcp_ports = smtp=25, smtps=submissions=465 mine=my-port=2525 x=y");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *destination = cases[i].destination;
		struct arena arena = ARENA_INIT;
		struct smtp_failure failure;
		struct target_place place;
		bool ok = target_place_parse(destination, "smtp", &arena, &place, &failure);

		want_int(destination, ok, cases[i].host != NULL);
		if (ok) {
			want_str(destination, place.host, cases[i].host);
			want_str(destination, place.ascii, cases[i].ascii);
			want_int(destination, place.port, cases[i].port);
			want_int(destination, place.brackets, cases[i].brackets);
		} else {
			want_str(destination, failure.why.dsn, "4.3.5");
			want_int(destination, failure.stop, true);
		}
		arena_release(&arena);
	}
}

/* "10:192.0.2.1 20:2001:db8::1": preference and address. */
static size_t make_list(const char *text, struct smtp_target *list)
{
	struct slice rest = slice_of(text), word;
	size_t count = 0;

	while (slice_token(&rest, " ", &word)) {
		ptrdiff_t colon = slice_find(word, ':');
		uint64_t preference;

		assert_true(slice_uint(slice_first(word, (size_t)colon), 100, &preference));
		list[count] = (struct smtp_target){ .preference = (unsigned)preference };
		assert_true(
		    net_addr_parse(slice_from(word, (size_t)colon + 1), 25, &list[count].addr));
		count++;
	}
	return count;
}

static void want_list(const char *name, struct smtp_target *list, size_t count, const char *want)
{
	struct strbuf got = STRBUF_INIT(4096);
	char text[NET_ADDR_TEXT];

	for (size_t i = 0; i < count; i++)
		strbuf_addf(&got, "%s%u:%s", i ? " " : "", list[i].preference,
		    net_addr_text(&list[i].addr, text));
	want_str(name, got.ptr, want);
	strbuf_release(&got);
}

static void test_order(void **state)
{
	static const struct {
		int first;
		const char *list, *want;
	} cases[] = {
		{ AF_UNSPEC, "20:192.0.2.1 10:192.0.2.2 15:::1",
		    "10:192.0.2.2 15:::1 20:192.0.2.1" },
		{ AF_UNSPEC, "10:192.0.2.1 10:::1 10:::2", "10:192.0.2.1 10:::1 10:::2" },
		{ AF_INET6, "10:192.0.2.1 10:::1 5:192.0.2.2", "5:192.0.2.2 10:::1 10:192.0.2.1" },
		{ AF_INET, "10:::1 10:192.0.2.1 5:::2", "5:::2 10:192.0.2.1 10:::1" },
	};
	struct smtp_target list[10];

	(void)state;
	configure("smtp_randomize_addresses = no");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t count = make_list(cases[i].list, list);

		target_rules.first_family = cases[i].first;
		target_order(list, count);
		want_list(cases[i].list, list, count, cases[i].want);
	}
	target_rules.first_family = AF_UNSPEC;
}

/* Each of three equals is the first one now and then, and a worse one never. */
static void test_shuffle(void **state)
{
	struct smtp_target list[4];
	bool was_first[4] = { false };

	(void)state;
	configure("");
	for (int i = 0; i < 1000; i++) {
		size_t count =
		    make_list("10:192.0.2.0 10:192.0.2.1 10:192.0.2.2 20:192.0.2.3", list);
		char text[NET_ADDR_TEXT];

		target_order(list, count);
		was_first[net_addr_text(&list[0].addr, text)[8] - '0'] = true;
		want_int("the worse one is last", list[3].preference, 20);
	}
	assert_true(was_first[0] && was_first[1] && was_first[2] && !was_first[3]);
}

static void test_balance(void **state)
{
	static const struct {
		size_t limit;
		const char *list, *want;
	} cases[] = {
		{ 0, "1:192.0.2.1 2:192.0.2.2", "1:192.0.2.1 2:192.0.2.2" },
		{ 2, "1:192.0.2.1 2:192.0.2.2 3:192.0.2.3", "1:192.0.2.1 2:192.0.2.2" },
		{ 3, "1:192.0.2.1 2:192.0.2.2", "1:192.0.2.1 2:192.0.2.2" },
		{ 1, "1:192.0.2.1 2:::1", "1:192.0.2.1" },
		{ 2, "1:192.0.2.1 1:192.0.2.2 2:192.0.2.3 2:::1", "1:192.0.2.1 2:::1" },
		{ 3, "1:::1 1:::2 1:::3 2:192.0.2.1 2:192.0.2.2", "1:::1 1:::2 2:192.0.2.1" },
		{ 4, "1:::1 1:::2 1:::3 1:::4 2:192.0.2.1", "1:::1 1:::2 1:::3 2:192.0.2.1" },
		{ 4, "1:192.0.2.1 1:::1 1:::2 1:::3 1:::4", "1:192.0.2.1 1:::1 1:::2 1:::3" },
	};
	struct smtp_target list[10];

	(void)state;
	configure("");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t count = make_list(cases[i].list, list);

		count = target_balance(list, count, cases[i].limit);
		want_list(cases[i].list, list, count, cases[i].want);
	}
	configure("smtp_balance_inet_protocols = no");
	want_int("not balanced",
	    target_balance(list, make_list("1:192.0.2.1 1:192.0.2.2 2:::1", list), 2), 2);
	want_list("not balanced", list, 2, "1:192.0.2.1 1:192.0.2.2");
}

static void test_own(void **state)
{
	static const struct {
		const char *list, *want;
		bool own;
	} cases[] = {
		{ "1:192.0.2.1 2:192.0.2.2", "1:192.0.2.1 2:192.0.2.2", false },
		/* As config.h has inet_interfaces. */
		{ "1:192.0.2.1 2:192.0.2.25 2:192.0.2.2 3:192.0.2.3", "1:192.0.2.1", true },
		{ "1:192.0.2.25 1:192.0.2.1", "", true },
		{ "1:192.0.2.1 2:198.51.100.1 3:192.0.2.2", "1:192.0.2.1", true },
		{ "1:127.0.0.1", "", true },
		{ "1:192.0.2.1 5:192.0.2.25 3:127.0.0.1 4:192.0.2.4", "1:192.0.2.1", true },
	};
	struct smtp_target list[10];

	(void)state;
	configure("proxy_interfaces = 198.51.100.1");
	target_own_prepare(smtp_params);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t count = make_list(cases[i].list, list);
		bool own;

		count = target_drop_own(list, count, &own);
		want_list(cases[i].list, list, count, cases[i].want);
		want_int(cases[i].list, own, cases[i].own);
	}
}

static int tear_down(void **state)
{
	(void)state;
	config_close(&config);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_shuffle),
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
