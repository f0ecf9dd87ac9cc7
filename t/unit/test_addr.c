// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <netinet/in.h>
#include <unistd.h>

#include "net/addr.h"
#include "sys/socket.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "2001:db8::1", "2001:db8::1" },
		{ "2001:0DB8:0:0::0:1", "2001:db8::1" },
		{ "::", "::" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::ffff:c000:201", "192.0.2.1" },
		{ "", NULL },
		{ "192.0.2", NULL },
		{ "192.0.2.256", NULL },
		{ "192.0.2.1 ", NULL },
		{ "192.0.2.01", NULL },
		{ "0x7f.1", NULL },
		{ "[::1]", NULL },
		{ "::1::", NULL },
		{ "localhost", NULL },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb", NULL },
	};
	char text[NET_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_addr addr;

		want_int(cases[i].text, net_addr_parse(slice_of(cases[i].text), 25, &addr),
		    cases[i].want != NULL);
		if (!cases[i].want)
			continue;
		want_str(cases[i].text, net_addr_text(&addr, text), cases[i].want);
		want_int(cases[i].text, net_addr_port(&addr), 25);
	}
	assert_false(net_addr_parse(SLICE_LIT("1.2.3.4\0"), 0, &(struct net_addr){ .len = 0 }));
}

static void test_no_address(void **state)
{
	struct net_addr none = net_addr_of(NULL, 0), some;
	char text[NET_ADDR_TEXT];
	int pair[2];

	(void)state;
	want_str("text", net_addr_text(&none, text), "unknown");
	want_int("port", net_addr_port(&none), 0);
	assert_true(net_addr_parse(SLICE_LIT("::1"), 0, &some));
	assert_false(net_addr_equal(&none, &some));
	assert_false(net_addr_is_loopback(&none));
	assert_int_equal(socket_pair(pair), 0);
	assert_true(net_addr_peer(pair[0], &some));
	want_int("a UNIX socket", some.len, 0);
	close(pair[0]);
	close(pair[1]);
	assert_false(net_addr_local(pair[0], &some));
}

static void test_equal(void **state)
{
	static const struct {
		const char *a, *b;
		bool want;
	} cases[] = { { "192.0.2.1", "192.0.2.1", true }, { "192.0.2.1", "::ffff:192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false }, { "::1", "::1", true },
		{ "::1", "127.0.0.1", false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_addr a, b;

		assert_true(net_addr_parse(slice_of(cases[i].a), 1, &a));
		assert_true(net_addr_parse(slice_of(cases[i].b), 2, &b));
		want_int(cases[i].b, net_addr_equal(&a, &b), cases[i].want);
	}
}

static void test_loopback(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = { { "127.0.0.1", true }, { "127.255.0.9", true }, { "::1", true },
		{ "::ffff:127.0.0.1", true }, { "128.0.0.1", false }, { "::", false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_addr addr;

		assert_true(net_addr_parse(slice_of(cases[i].text), 0, &addr));
		want_int(cases[i].text, net_addr_is_loopback(&addr), cases[i].want);
	}
}

static void test_hostport(void **state)
{
	static const struct {
		const char *text, *host;
		int port; /* -1: refused */
	} cases[] = {
		{ "25", "", 25 },
		{ ":25", "", 25 },
		{ "smtp", "", 25 },
		{ "localhost:smtp", "localhost", 25 },
		{ "127.0.0.1:10025", "127.0.0.1", 10025 },
		{ "[127.0.0.1]:25", "127.0.0.1", 25 },
		{ "[::1]:25", "::1", 25 },
		{ "[2001:db8::1]:smtp", "2001:db8::1", 25 },
		{ "65535", "", 65535 },
		{ "65536", "", -1 },
		{ "-1", "", -1 },
		{ "::1:25", "", -1 },
		{ "[::1]", "", -1 },
		{ "[::1]25", "", -1 },
		{ "[::1", "", -1 },
		{ "[]:25", "", -1 },
		{ "host:", "", -1 },
		{ "", "", -1 },
		{ "host:no-such-service", "", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice host;
		unsigned port;

		want_int(cases[i].text, net_parse_hostport(slice_of(cases[i].text), &host, &port),
		    cases[i].port != -1);
		if (cases[i].port == -1)
			continue;
		want_slice(cases[i].text, host, slice_of(cases[i].host));
		want_int(cases[i].text, port, cases[i].port);
	}
}

static void check_block(bool (*parse)(struct slice text, struct net_block *block), const char *text,
    const char *inside, const char *outside)
{
	struct net_block block;
	struct net_addr in, out;

	want_int(text, parse(slice_of(text), &block), inside != NULL);
	if (!inside)
		return;
	assert_true(net_addr_parse(slice_of(inside), 0, &in));
	assert_true(net_addr_parse(slice_of(outside), 0, &out));
	want_int(text, net_block_contains(&block, &in), true);
	want_int(text, net_block_contains(&block, &out), false);
}

static void test_blocks(void **state)
{
	static const struct {
		const char *block, *in, *out; /* IN NULL: refused */
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.2" },
		{ "192.0.2.1/32", "::ffff:192.0.2.1", "::1" },
		{ "0.0.0.0/0", "255.255.255.255", "::1" },
		{ "[::]/0", "2001:db8::1", "192.0.2.1" },
		{ "[2001:db8::]/32", "2001:db8:ffff::1", "2001:db9::" },
		{ "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::" },
		{ "[::1]/128", "::1", "::2" },
		{ "[::1]", "::1", "::2" },
		{ "[::ffff:192.0.2.0]/120", "192.0.2.9", "192.0.3.9" },
		{ "192.0.2.1/24", NULL, NULL },
		{ "192.0.2.0/33", NULL, NULL },
		{ "192.0.2.0/", NULL, NULL },
		{ "192.0.2.0/+4", NULL, NULL },
		{ "192.0.2/24", NULL, NULL },
		{ "[192.0.2.0]/24", NULL, NULL },
		{ "[::1/128]", NULL, NULL },
		{ "[2001:db8::/32", NULL, NULL },
		{ "[2001:db8::1]/32", NULL, NULL },
		{ "[::]/129", NULL, NULL },
		{ "[::ffff:0.0.0.0]/90", NULL, NULL },
		{ "", NULL, NULL },
		{ "/8", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_block(net_block_parse, cases[i].block, cases[i].in, cases[i].out);
}

static void test_blocks_with_host_bits(void **state)
{
	static const struct {
		const char *block, *in, *out; /* IN NULL: refused */
	} cases[] = {
		{ "192.0.2.1/24", "192.0.2.255", "192.0.3.1" },
		{ "192.0.2.255/25", "192.0.2.128", "192.0.2.127" },
		{ "2001:db8::1/32", "2001:db8:ffff::1", "2001:db9::1" },
		{ "192.0.2.0/24", "192.0.2.1", "::1" },
		{ "192.0.2.1/33", NULL, NULL },
		{ "192.0.2.1/", NULL, NULL },
		{ "host/8", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_block(net_block_parse_any, cases[i].block, cases[i].in, cases[i].out);
}

static void test_interfaces(void **state)
{
	struct net_addr addrs[64];
	unsigned prefixes[64];
	size_t count = net_interfaces(addrs, prefixes, 64);
	bool loopback = false;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_true(prefixes[i] <= 128);
		if (net_addr_is_loopback(&addrs[i]) && addrs[i].ss.ss_family == AF_INET) {
			loopback = true;
			want_int("127.0.0.1/8", prefixes[i], 8);
		}
	}
	assert_true(loopback);
	assert_true(net_interfaces(addrs, prefixes, 1) <= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_hostport),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_blocks_with_host_bits),
		cmocka_unit_test(test_interfaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
