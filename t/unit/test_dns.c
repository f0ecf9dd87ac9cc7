// SPDX-License-Identifier: BSD-2-Clause
/* The name server is a thread on loopback that answers from a table. */
#include "dns_fixture.h"

#include <stdlib.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "net/dns_shared.h"

enum { A = 1, CNAME = 5, PTR = 12, AAAA = 28 };
enum { NOERROR, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5, SILENT = 99 };

/* A record of an answer; VALUE is an address or a name. */
struct record {
	const char *owner;
	int type;
	const char *value;
};

static const struct reply {
	const char *name;
	int type, rcode;
	struct record records[4];
} replies[] = {
	{ "both.test", A, NOERROR,
	    { { "both.test", A, "192.0.2.1" }, { "both.test", A, "192.0.2.2" } } },
	{ "both.test", AAAA, NOERROR, { { "both.test", AAAA, "2001:db8::1" } } },
	{ "four.test", A, NOERROR, { { "four.test", A, "192.0.2.4" } } },
	{ "four.test", AAAA, NOERROR, { { 0 } } },
	{ "half.test", A, NOERROR, { { "half.test", A, "192.0.2.5" } } },
	{ "half.test", AAAA, SERVFAIL, { { 0 } } },
	{ "unsure.test", A, NOERROR, { { 0 } } },
	{ "unsure.test", AAAA, SERVFAIL, { { 0 } } },
	{ "empty.test", A, NOERROR, { { 0 } } },
	{ "empty.test", AAAA, NOERROR, { { 0 } } },
	{ "broken.test", A, SERVFAIL, { { 0 } } },
	{ "broken.test", AAAA, SERVFAIL, { { 0 } } },
	{ "refused.test", A, REFUSED, { { 0 } } },
	{ "refused.test", AAAA, REFUSED, { { 0 } } },
	{ "silent.test", A, SILENT, { { 0 } } },
	{ "silent.test", AAAA, SILENT, { { 0 } } },
	{ "alias.test", A, NOERROR,
	    { { "alias.test", CNAME, "real.test" }, { "real.test", A, "192.0.2.6" } } },
	{ "alias.test", AAAA, NOERROR, { { "alias.test", CNAME, "real.test" } } },
	{ "1.2.0.192.in-addr.arpa", PTR, NOERROR,
	    { { "1.2.0.192.in-addr.arpa", PTR, "both.test" } } },
	{ "2.2.0.192.in-addr.arpa", PTR, NOERROR,
	    { { "2.2.0.192.in-addr.arpa", PTR, "first.test" },
		{ "2.2.0.192.in-addr.arpa", PTR, "second.test" } } },
	{ "3.2.0.192.in-addr.arpa", PTR, NOERROR,
	    { { "3.2.0.192.in-addr.arpa", CNAME, "3.0-7.2.0.192.in-addr.arpa" },
		{ "3.0-7.2.0.192.in-addr.arpa", PTR, "delegated.test" } } },
	{ "4.2.0.192.in-addr.arpa", PTR, NOERROR,
	    { { "4.2.0.192.in-addr.arpa", PTR, "evil name.test" } } },
	{ "5.2.0.192.in-addr.arpa", PTR, NOERROR,
	    { { "5.2.0.192.in-addr.arpa", PTR, "10.0.0.1" } } },
	{ "6.2.0.192.in-addr.arpa", PTR, SERVFAIL, { { 0 } } },
	{ "7.2.0.192.in-addr.arpa", PTR, SILENT, { { 0 } } },
	{ "8.2.0.192.in-addr.arpa", PTR, NOERROR, { { 0 } } },
	{ "9.2.0.192.in-addr.arpa", PTR, NOERROR,
	    { { "9.2.0.192.in-addr.arpa", PTR, "x\"];evil.test" } } },
	{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", PTR, NOERROR,
	    { { "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", PTR,
		"six.test" } } },
};

static void add_record(struct strbuf *out, const struct record *r)
{
	struct strbuf data = STRBUF_INIT(300);
	unsigned char address[16];

	if (r->type == A && inet_pton(AF_INET, r->value, address) == 1)
		strbuf_add(&data, address, 4);
	else if (r->type == AAAA && inet_pton(AF_INET6, r->value, address) == 1)
		strbuf_add(&data, address, 16);
	else
		add_name(&data, r->value);
	add_name(out, r->owner);
	add_u16(out, (unsigned)r->type);
	add_u16(out, 1);
	add_u16(out, 0);
	add_u16(out, 60);
	add_u16(out, (unsigned)data.len);
	strbuf_addslice(out, strbuf_slice(&data));
	strbuf_release(&data);
}

/* "many.test" has 150 addresses, "chainN.test" an address behind N CNAMEs. */
static unsigned add_generated(struct strbuf *out, const char *name, int type)
{
	char owner[256], value[64];
	int length;

	if (type == A && strcmp(name, "many.test") == 0) {
		for (int i = 0; i < 150; i++) {
			snprintf(value, sizeof(value), "198.51.100.%d", i);
			add_record(out, &(struct record){ "many.test", A, value });
		}
		return 150;
	}
	if (type != A || sscanf(name, "chain%d.test", &length) != 1)
		return 0;
	snprintf(owner, sizeof(owner), "%s", name);
	for (int i = 0; i < length; i++) {
		snprintf(value, sizeof(value), "link%d.test", i);
		add_record(out, &(struct record){ owner, CNAME, value });
		snprintf(owner, sizeof(owner), "%s", value);
	}
	add_record(out, &(struct record){ owner, A, "192.0.2.7" });
	return (unsigned)length + 1;
}

static bool add_reply(struct strbuf *out, const char *name, int type, int *rcode, unsigned *count)
{
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		const struct reply *r = &replies[i];

		if (strcmp(r->name, name) != 0 || r->type != type)
			continue;
		for (; *count < ARRAY_LEN(r->records) && r->records[*count].owner; (*count)++)
			add_record(out, &r->records[*count]);
		*rcode = r->rcode;
		return r->rcode != SILENT;
	}
	*count = add_generated(out, name, type);
	*rcode =
	    *count || slice_starts(slice_of(name), "chain") || slice_starts(slice_of(name), "many")
		? NOERROR
		: NXDOMAIN;
	return true;
}

static void question_of(struct cursor *c, char *name, size_t size)
{
	size_t at = 0;

	for (unsigned len; (len = cursor_u8(c)) > 0 && at + len + 2 < size;) {
		struct slice label = cursor_take(c, len);

		memcpy(name + at, label.ptr, label.len);
		at += label.len;
		name[at++] = '.';
	}
	name[at ? at - 1 : 0] = '\0';
}

/* The reply to QUERY in OUT; false when there is none. */
static bool reply_to(struct slice query, struct strbuf *out)
{
	struct strbuf records = STRBUF_INIT(60000);
	struct cursor c = cursor_of(query);
	struct slice id = cursor_take(&c, 2);
	unsigned count = 0;
	char name[256];
	int type, rcode;
	bool ok;

	cursor_take(&c, 10);
	question_of(&c, name, sizeof(name));
	cursor_u8(&c);
	type = cursor_u8(&c);
	cursor_take(&c, 2);
	ok = !c.failed && add_reply(&records, name, type, &rcode, &count);
	if (ok) {
		strbuf_addslice(out, id);
		add_u16(out, 0x8580 | (unsigned)rcode);
		add_u16(out, 1);
		add_u16(out, count);
		add_u16(out, 0);
		add_u16(out, 0);
		strbuf_addslice(out, slice_from(slice_first(query, c.at), 12));
		strbuf_addslice(out, strbuf_slice(&records));
	}
	strbuf_release(&records);
	return ok;
}

static const size_t udp_max = 512;

#define SOON deadline_in(60000)

static void test_addresses(void **state)
{
	static const struct {
		const char *name;
		int family;
		enum dns_result want;
		const char *addrs[3];
	} cases[] = {
		{ "both.test", AF_UNSPEC, DNS_FOUND, { "192.0.2.1", "192.0.2.2", "2001:db8::1" } },
		{ "both.test", AF_INET, DNS_FOUND, { "192.0.2.1", "192.0.2.2" } },
		{ "both.test", AF_INET6, DNS_FOUND, { "2001:db8::1" } },

		{ "four.test", AF_UNSPEC, DNS_FOUND, { "192.0.2.4" } },
		{ "four.test", AF_INET6, DNS_NOT_FOUND, { 0 } },
		{ "half.test", AF_UNSPEC, DNS_FOUND, { "192.0.2.5" } },
		{ "half.test", AF_INET6, DNS_TEMPORARY, { 0 } },
		{ "unsure.test", AF_UNSPEC, DNS_TEMPORARY, { 0 } },
		{ "empty.test", AF_UNSPEC, DNS_NOT_FOUND, { 0 } },
		{ "no-such.test", AF_UNSPEC, DNS_NOT_FOUND, { 0 } },
		{ "broken.test", AF_UNSPEC, DNS_TEMPORARY, { 0 } },
		{ "refused.test", AF_UNSPEC, DNS_TEMPORARY, { 0 } },
		{ "alias.test", AF_UNSPEC, DNS_FOUND, { "192.0.2.6" } },
		{ "chain10.test", AF_INET, DNS_FOUND, { "192.0.2.7" } },
		{ "chain11.test", AF_INET, DNS_TEMPORARY, { 0 } },
		{ "192.0.2.9", AF_INET, DNS_FOUND, { "192.0.2.9" } },
		{ "localhost", AF_INET, DNS_FOUND, { "127.0.0.1" } },
		{ "a..test", AF_UNSPEC, DNS_NOT_FOUND, { 0 } },
	};
	char text[NET_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_addr addrs[3];
		enum dns_result result;
		size_t count = dns_addresses_of(
		    cases[i].name, cases[i].family, SOON, addrs, ARRAY_LEN(addrs), &result);

		want_int(cases[i].name, result, cases[i].want);
		for (size_t j = 0; j < count; j++) {
			assert_non_null(cases[i].addrs[j]);
			want_str(cases[i].name, net_addr_text(&addrs[j], text), cases[i].addrs[j]);
		}
		assert_true(count == ARRAY_LEN(addrs) || !cases[i].addrs[count]);
	}
}

static void test_limits(void **state)
{
	struct net_addr addrs[200];
	enum dns_result result;

	(void)state;
	want_int("the limit of answers",
	    dns_addresses_of("many.test", AF_INET, SOON, addrs, 200, &result), DNS_MAX_RECORDS);
	want_int(
	    "the caller's", dns_addresses_of("many.test", AF_INET, SOON, addrs, 5, &result), 5);
}

static void test_names(void **state)
{
	static const struct {
		const char *addr;
		enum dns_result want;
		const char *name;
	} cases[] = {
		{ "192.0.2.1", DNS_FOUND, "both.test" },
		{ "192.0.2.2", DNS_FOUND, "first.test" },
		{ "192.0.2.3", DNS_FOUND, "delegated.test" },
		{ "192.0.2.4", DNS_NOT_FOUND, "" },
		{ "192.0.2.5", DNS_NOT_FOUND, "" },
		{ "192.0.2.6", DNS_TEMPORARY, "" },
		{ "192.0.2.8", DNS_NOT_FOUND, "" },
		{ "192.0.2.9", DNS_NOT_FOUND, "" },
		{ "192.0.2.99", DNS_NOT_FOUND, "" },
		{ "2001:db8::1", DNS_FOUND, "six.test" },
		{ "127.0.0.1", DNS_FOUND, "localhost" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char name[DNS_NAME_SIZE] = "";
		enum dns_result result;
		struct net_addr addr;

		assert_true(net_addr_parse(slice_of(cases[i].addr), 0, &addr));
		want_int(cases[i].addr, dns_name_of(&addr, SOON, name, sizeof(name), &result),
		    cases[i].want == DNS_FOUND);
		want_int(cases[i].addr, result, cases[i].want);
		want_str(cases[i].addr, name, cases[i].name);
	}
}

static void test_no_room(void **state)
{
	enum dns_result result;
	struct net_addr addr, none = { .len = 0 };
	char name[10] = "";

	(void)state;
	assert_true(net_addr_parse(SLICE_LIT("192.0.2.1"), 0, &addr));
	assert_false(dns_name_of(&addr, SOON, name, 9, &result));
	assert_true(dns_name_of(&addr, SOON, name, 10, &result));
	assert_false(dns_name_of(&none, SOON, name, 10, &result));
	want_int("no address", result, DNS_NOT_FOUND);
}

static void test_deadline(void **state)
{
	int64_t before = clock_ms();
	char name[DNS_NAME_SIZE];
	struct net_addr addr;
	enum dns_result result;

	(void)state;
	assert_true(net_addr_parse(SLICE_LIT("192.0.2.7"), 0, &addr));
	assert_false(dns_name_of(&addr, deadline_in(100), name, sizeof(name), &result));
	want_int("silent", result, DNS_TEMPORARY);
	assert_in_range(clock_ms() - before, 95, 60000);
	before = clock_ms();
	want_int("silent",
	    dns_addresses_of("silent.test", AF_UNSPEC, deadline_in(100), &addr, 1, &result), 0);
	want_int("silent", result, DNS_TEMPORARY);
	assert_in_range(clock_ms() - before, 95, 60000);
	want_int(
	    "past", dns_addresses_of("both.test", AF_INET, clock_ms() - 1, &addr, 1, &result), 0);
	want_int("past", result, DNS_TEMPORARY);
}

static void *look_up_often(void *arg)
{
	struct net_addr addrs[3];
	enum dns_result result;
	char name[DNS_NAME_SIZE];

	(void)arg;
	for (int i = 0; i < 20; i++) {
		ASSERT(dns_addresses_of("both.test", AF_UNSPEC, SOON, addrs, 3, &result) == 3);
		ASSERT(dns_name_of(&addrs[0], SOON, name, sizeof(name), &result));
		ASSERT(strcmp(name, "both.test") == 0);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_create(&threads[i], NULL, look_up_often, NULL);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

/* Where there is no resolv.conf any more. */
static void test_jail(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("# chroot(2) is root's\n");
		skip();
	}
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		struct net_addr addrs[3];
		enum dns_result result;
		size_t count = 0;

		dns_open();
		dns_files_changed(); /* no channel from before */
		if (chroot("/proc/self/fdinfo") == 0 && chdir("/") == 0)
			count = dns_addresses_of("both.test", AF_UNSPEC, SOON, addrs, 3, &result);
		_exit(count == 3 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	want_int("found", status, 0);
}

/* What was kept holds as long as the files do. */
static void test_shared(void **state)
{
	unsigned now = dns_files_state();
	char value[4];
	size_t size = sizeof(value);

	(void)state;
	dns_remember(SLICE_LIT("key"), now, "value", 5);
	want_int("known", dns_recall(SLICE_LIT("key"), now, value, &size), true);
	want_slice("as much as fits", slice_mem(value, size), SLICE_LIT("valu"));
	want_int("unknown", dns_recall(SLICE_LIT("other"), now, value, &size), false);
	dns_files_changed();
	assert_int_not_equal(dns_files_state(), now);
	want_int("over", dns_recall(SLICE_LIT("key"), dns_files_state(), value, &size), false);
	dns_remember(SLICE_LIT("key"), now, "late", 4);
	want_int("late", dns_recall(SLICE_LIT("key"), dns_files_state(), value, &size), false);
	for (int i = 0; i < 3000; i++) {
		char key[20];

		snprintf(key, sizeof(key), "%d", i);
		dns_remember(slice_of(key), dns_files_state(), key, 1);
	}
	want_int("bounded", dns_recall(SLICE_LIT("0"), dns_files_state(), value, &size), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_jail),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
