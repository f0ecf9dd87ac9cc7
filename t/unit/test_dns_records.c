// SPDX-License-Identifier: BSD-2-Clause
/* Records of the DNS: a name server that lies, in a thread on loopback. */
#include "dns_fixture.h"

#include <stdlib.h>

#include "base/clock.h"
#include "net/dns_records.h"
#include "net/dns_wire.h"

#define SOON deadline_in(60000)

/* What the server does with a question for a name. */
enum lie {
	HONEST,
	AUTHENTIC = 1,	 /* sets AD */
	SILENT = 2,	 /* says nothing */
	WRONG_ID = 4,	 /* another query's number */
	WRONG_NAME = 8,	 /* another question */
	TRUNCATED = 16,	 /* TC, also by TCP */
	NO_EDNS = 32,	 /* FORMERR for what has an OPT */
	CUT_SHORT = 64,	 /* the last byte is missing */
	NO_ANSWER = 128, /* the response bit is not set */
	MANY = 256,	 /* as often as there is room */
	NO_OPT = 512	 /* as if there were no EDNS0 */
};

#define HEX(text) text, sizeof(text) - 1

static const struct reply {
	const char *name;
	int type, rcode, lie;
	/* OWNER (NULL: the name asked for), type, data as on the wire */
	struct {
		const char *owner;
		int type;
		const char *data;
		size_t len;
	} records[4];
} replies[] = {
	{ "mx.lie", DNS_TYPE_MX, 0, AUTHENTIC,
	    { { NULL, DNS_TYPE_MX, HEX("\0\24\1b\3lie\0") },
		{ NULL, DNS_TYPE_MX, HEX("\0\12\1a\3LIE\0") }, { NULL, 46, HEX("signature") } } },
	{ "plain.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\3lie\0") } } },
	{ "null.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0\0\0") } } },
	{ "old.lie", DNS_TYPE_MX, 0, AUTHENTIC | NO_EDNS,
	    { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\3lie\0") } } },
	{ "no-opt.lie", DNS_TYPE_MX, 0, AUTHENTIC | NO_OPT,
	    { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\3lie\0") } } },
	{ "many.lie", DNS_TYPE_MX, 0, MANY, { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\0") } } },
	{ "silent.lie", DNS_TYPE_MX, 0, SILENT, { { 0 } } },
	{ "wrong-id.lie", DNS_TYPE_MX, 0, WRONG_ID, { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\0") } } },
	{ "wrong-name.lie", DNS_TYPE_MX, 0, WRONG_NAME,
	    { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\0") } } },
	{ "truncated.lie", DNS_TYPE_MX, 0, TRUNCATED, { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\0") } } },
	{ "cut.lie", DNS_TYPE_MX, 0, CUT_SHORT, { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\0") } } },
	{ "question.lie", DNS_TYPE_MX, 0, NO_ANSWER, { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\0") } } },
	{ "servfail.lie", DNS_TYPE_MX, 2, HONEST, { { 0 } } },
	{ "refused.lie", DNS_TYPE_MX, 5, HONEST, { { 0 } } },
	{ "strange.lie", DNS_TYPE_MX, 9, HONEST, { { 0 } } },
	{ "nothing.lie", DNS_TYPE_MX, 3, AUTHENTIC, { { 0 } } },
	{ "empty.lie", DNS_TYPE_MX, 0, AUTHENTIC, { { 0 } } },
	{ "foreign.lie", DNS_TYPE_MX, 0, HONEST,
	    { { "other.lie", DNS_TYPE_MX, HEX("\0\1\1a\0") } } },
	{ "bad.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0\1\3a b\0") } } },
	{ "bad-and-good.lie", DNS_TYPE_MX, 0, HONEST,
	    { { NULL, DNS_TYPE_MX, HEX("\0\1\3a\nb\0") },
		{ NULL, DNS_TYPE_MX, HEX("\0\2\1a\0") } } },
	{ "dash.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0\1\2-a\0") } } },
	{ "dot.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0\1\3a.b\0") } } },
	{ "number.lie", DNS_TYPE_MX, 0, HONEST,
	    { { NULL, DNS_TYPE_MX, HEX("\0\1\003192\0010\0012\0011\0") } } },
	{ "short.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0") } } },
	{ "no-name.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0\1") } } },
	{ "long.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0\1\1a\0x") } } },
	{ "forward.lie", DNS_TYPE_MX, 0, HONEST, { { NULL, DNS_TYPE_MX, HEX("\0\1\300\377") } } },
	{ "round.lie", DNS_TYPE_MX, 0, HONEST,
	    { { NULL, DNS_TYPE_CNAME, HEX("\4back\3lie\0") },
		{ "back.lie", DNS_TYPE_CNAME, HEX("\5round\3lie\0") } } },
	{ "alias.lie", DNS_TYPE_MX, 0, AUTHENTIC,
	    { { NULL, DNS_TYPE_CNAME, HEX("\4real\3lie\0") },
		{ "real.lie", DNS_TYPE_MX, HEX("\0\1\1a\0") },
		{ NULL, DNS_TYPE_MX, HEX("\0\1\1b\0") } } },
	{ "_25._tcp.lie", DNS_TYPE_TLSA, 0, AUTHENTIC,
	    { { NULL, DNS_TYPE_TLSA, HEX("\3\1\1") }, { NULL, DNS_TYPE_TLSA, HEX("\3\1\1abc") },
		{ NULL, DNS_TYPE_TLSA, HEX("\2\0\2\0") } } },
	{ "_26._tcp.lie", DNS_TYPE_TLSA, 0, AUTHENTIC, { { NULL, DNS_TYPE_TLSA, HEX("\3\1") } } },
	{ "_27._tcp.lie", DNS_TYPE_TLSA, 0, AUTHENTIC, { { NULL, DNS_TYPE_TLSA, HEX("\3\1\1") } } },
	{ "_sub._tcp.lie", DNS_TYPE_SRV, 0, HONEST,
	    { { NULL, DNS_TYPE_SRV, HEX("\0\1\0\2\2\113\1a\0") },
		{ NULL, DNS_TYPE_SRV, HEX("\0\1\0\0\0\0\0") } } },
	{ "_bad._tcp.lie", DNS_TYPE_SRV, 0, HONEST, { { NULL, DNS_TYPE_SRV, HEX("\0\1\0\0\0") } } },
	{ "both.lie", DNS_TYPE_A, 0, AUTHENTIC, { { NULL, DNS_TYPE_A, HEX("\300\0\2\1") } } },
	{ "both.lie", DNS_TYPE_AAAA, 0, AUTHENTIC,
	    { { NULL, DNS_TYPE_AAAA, HEX("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1") } } },
	{ "half.lie", DNS_TYPE_A, 0, AUTHENTIC, { { NULL, DNS_TYPE_A, HEX("\300\0\2\1") } } },
	{ "half.lie", DNS_TYPE_AAAA, 0, HONEST,
	    { { NULL, DNS_TYPE_AAAA, HEX("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1") } } },
	{ "four.lie", DNS_TYPE_A, 0, AUTHENTIC, { { NULL, DNS_TYPE_A, HEX("\300\0\2\1") } } },
	{ "four.lie", DNS_TYPE_AAAA, 0, HONEST, { { 0 } } },
	{ "lame.lie", DNS_TYPE_A, 0, HONEST, { { 0 } } },
	{ "lame.lie", DNS_TYPE_AAAA, 2, HONEST, { { 0 } } },
	{ "three.lie", DNS_TYPE_A, 0, HONEST, { { NULL, DNS_TYPE_A, HEX("\300\0\2") } } },
	{ "three.lie", DNS_TYPE_AAAA, 0, HONEST, { { 0 } } },
	{ "to-both.lie", DNS_TYPE_A, 0, AUTHENTIC,
	    { { NULL, DNS_TYPE_CNAME, HEX("\4both\3lie\0") },
		{ "both.lie", DNS_TYPE_A, HEX("\300\0\2\1") } } },
	{ "to-both.lie", DNS_TYPE_AAAA, 0, AUTHENTIC,
	    { { NULL, DNS_TYPE_CNAME, HEX("\4both\3lie\0") } } },
};

static void add_record(struct strbuf *out, const char *owner, int type, struct slice data)
{
	add_name(out, owner);
	add_u16(out, (unsigned)type);
	add_u16(out, 1);
	add_u16(out, 0);
	add_u16(out, 60);
	add_u16(out, (unsigned)data.len);
	strbuf_addslice(out, data);
}

static unsigned add_records(struct strbuf *out, const struct reply *r)
{
	unsigned count = 0;

	for (; count < ARRAY_LEN(r->records) && r->records[count].type; count++)
		add_record(out, r->records[count].owner ? r->records[count].owner : r->name,
		    r->records[count].type,
		    slice_mem(r->records[count].data, r->records[count].len));
	if (r->lie & MANY)
		for (; count < 2000; count++)
			add_record(out, "many.lie", DNS_TYPE_MX, slice_mem(HEX("\0\1\1a\0")));
	return count;
}

/* "chainN.lie": an MX behind N CNAMEs. */
static unsigned add_chain(struct strbuf *out, const char *name)
{
	struct strbuf target = STRBUF_INIT(100);
	char owner[64], next[64];
	int length;

	if (sscanf(name, "chain%d.lie", &length) != 1)
		return 0;
	snprintf(owner, sizeof(owner), "chain%d.lie", length);
	for (int i = 0; i < length; i++) {
		snprintf(next, sizeof(next), "link%d.lie", i);
		strbuf_reset(&target);
		add_name(&target, next);
		add_record(out, owner, DNS_TYPE_CNAME, strbuf_slice(&target));
		memcpy(owner, next, sizeof(owner));
	}
	add_record(out, owner, DNS_TYPE_MX, slice_mem(HEX("\0\1\1a\0")));
	strbuf_release(&target);
	return (unsigned)length + 1;
}

static const struct reply *find_reply(const char *name, unsigned type)
{
	for (size_t i = 0; i < ARRAY_LEN(replies); i++)
		if (strcmp(replies[i].name, name) == 0 && replies[i].type == (int)type)
			return &replies[i];
	return NULL;
}

static void add_head(
    struct strbuf *out, unsigned id, const struct reply *r, unsigned count, unsigned additional)
{
	unsigned flags = 0x8180;

	flags |= r->lie & AUTHENTIC ? 0x20 : 0;
	flags |= r->lie & TRUNCATED ? 0x200 : 0;
	flags &= r->lie & NO_ANSWER ? 0x7fff : 0xffff;
	add_u16(out, r->lie & WRONG_ID ? id ^ 1 : id);
	add_u16(out, flags | (unsigned)r->rcode);
	add_u16(out, 1);
	add_u16(out, count);
	add_u16(out, 0);
	add_u16(out, additional);
}

static bool reply_to(struct slice query, struct strbuf *out)
{
	static const struct reply no_such_name = { .rcode = 3 };
	static const struct reply chain = { .rcode = 0 };
	struct strbuf records = STRBUF_INIT(64000);
	struct cursor c = cursor_of(query);
	unsigned id = dns_u16_read(&c), type, count, additional;
	const struct reply *r;
	struct dns_name name;

	cursor_take(&c, 8);
	additional = dns_u16_read(&c);
	dns_name_read(&c, &name);
	type = dns_u16_read(&c);
	dns_u16_read(&c);
	r = find_reply(name.text, type);
	count = r ? add_records(&records, r) : add_chain(&records, name.text);
	r = r ? r : count ? &chain : &no_such_name;
	if (additional && (r->lie & NO_EDNS)) {
		add_u16(out, id);
		add_u16(out, 0x8181);
		strbuf_add(out, "\0\1\0\0\0\0\0\0", 8);
		add_name(out, name.text);
		add_u16(out, type);
		add_u16(out, 1);
	} else {
		additional = additional && !(r->lie & NO_OPT);
		add_head(out, id, r, count, additional);
		add_name(out, r->lie & WRONG_NAME ? "other.lie" : name.text);
		add_u16(out, type);
		add_u16(out, 1);
		strbuf_addslice(out, strbuf_slice(&records));
		if (additional)
			strbuf_add(out, "\0\0\51\4\320\0\0\200\0\0\0", 11);
		if (r->lie & CUT_SHORT)
			strbuf_truncate(out, out->len - 1);
	}
	strbuf_release(&records);
	return !(r->lie & SILENT);
}

static const size_t udp_max = 1232;

static void test_mx(void **state)
{
	static const struct {
		const char *name;
		enum dns_result result;
		size_t count;
		bool secure, no_such_name, bad_names;
		const char *first, *canonical;
	} cases[] = {
		{ "mx.lie", DNS_FOUND, 2, true, false, false, "b.lie", "mx.lie" },
		{ "MX.Lie", DNS_FOUND, 2, true, false, false, "b.lie", "mx.lie" },
		{ "plain.lie", DNS_FOUND, 1, false, false, false, "a.lie", "plain.lie" },
		{ "null.lie", DNS_FOUND, 1, false, false, false, "", "null.lie" },
		{ "old.lie", DNS_FOUND, 1, false, false, false, "a.lie", "old.lie" },
		{ "no-opt.lie", DNS_FOUND, 1, false, false, false, "a.lie", "no-opt.lie" },
		{ "many.lie", DNS_FOUND, DNS_MAX_RECORDS, false, false, false, "a", "many.lie" },
		{ "nothing.lie", DNS_NOT_FOUND, 0, true, true, false, NULL, NULL },
		{ "empty.lie", DNS_NOT_FOUND, 0, true, false, false, NULL, NULL },
		{ "foreign.lie", DNS_NOT_FOUND, 0, false, false, false, NULL, NULL },
		{ "bad.lie", DNS_NOT_FOUND, 0, false, false, true, NULL, NULL },
		{ "bad-and-good.lie", DNS_FOUND, 1, false, false, false, "a", NULL },
		{ "dash.lie", DNS_NOT_FOUND, 0, false, false, true, NULL, NULL },
		{ "dot.lie", DNS_NOT_FOUND, 0, false, false, true, NULL, NULL },
		{ "number.lie", DNS_FOUND, 1, false, false, false, "192.0.2.1", NULL },
		{ "alias.lie", DNS_FOUND, 1, true, false, false, "a", "real.lie" },
		{ "chain10.lie", DNS_FOUND, 1, false, false, false, "a", "link9.lie" },
		{ "servfail.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "refused.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "strange.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "truncated.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "cut.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "short.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "no-name.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "long.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "forward.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "round.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		{ "chain11.lie", DNS_TEMPORARY, 0, false, false, false, NULL, NULL },
		/* What cannot be asked for. */
		{ "a b.lie", DNS_NOT_FOUND, 0, false, true, false, NULL, NULL },
		{ "a..lie", DNS_NOT_FOUND, 0, false, true, false, NULL, NULL },
		{ "192.0.2.1", DNS_NOT_FOUND, 0, false, true, false, NULL, NULL },
	};
	struct dns_mx *list = xcalloc(DNS_MAX_RECORDS, sizeof(*list));
	struct dns_answer answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *name = cases[i].name;

		want_int(
		    name, dns_mx_of(name, SOON, list, DNS_MAX_RECORDS, &answer), cases[i].count);
		want_int(name, answer.result, cases[i].result);
		want_int(name, answer.no_such_name, cases[i].no_such_name);
		want_int(name, answer.bad_names, cases[i].bad_names);
		want_int(name, answer.secure && answer.result != DNS_TEMPORARY, cases[i].secure);
		if (cases[i].first)
			want_str(name, list[0].name, cases[i].first);
		if (cases[i].canonical)
			want_str(name, answer.canonical, cases[i].canonical);
	}
	want_int("at most one", dns_mx_of("mx.lie", SOON, list, 1, &answer), 1);
	want_int("preference", list[0].preference, 20);
	want_int("TTL", list[0].ttl, 60);
	free(list);
}

/* Nobody waits longer than the deadline for what does not come. */
static void test_deadline(void **state)
{
	static const char *const names[] = { "silent.lie", "wrong-id.lie", "wrong-name.lie",
		"question.lie" };
	struct dns_answer answer;
	struct dns_mx mx;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		want_int(names[i], dns_mx_of(names[i], deadline_in(200), &mx, 1, &answer), 0);
		want_int(names[i], answer.result, DNS_TEMPORARY);
		want_str(names[i], answer.text, "Host not found, try again");
	}
}

static void test_tlsa(void **state)
{
	struct dns_tlsa *list = xcalloc(10, sizeof(*list));
	struct dns_answer answer;

	(void)state;
	want_int("odd lengths", dns_tlsa_of("_25._tcp.lie", SOON, list, 10, &answer), 2);
	want_int("secure", answer.secure, true);
	want_int("usage", list[0].usage, 3);
	want_int("selector", list[0].selector, 1);
	want_int("matching", list[0].matching, 1);
	want_slice("data", slice_mem(list[0].data, list[0].len), SLICE_LIT("abc"));
	want_int("a byte", list[1].len, 1);
	want_int("too short", dns_tlsa_of("_26._tcp.lie", SOON, list, 10, &answer), 0);
	want_int("too short", answer.result, DNS_TEMPORARY);
	want_int("no data", dns_tlsa_of("_27._tcp.lie", SOON, list, 10, &answer), 0);
	want_int("no data", answer.result, DNS_NOT_FOUND);
	free(list);
}

static void test_srv(void **state)
{
	struct dns_answer answer;
	struct dns_srv list[4];

	(void)state;
	want_int("two", dns_srv_of("_sub._tcp.lie", SOON, list, 4, &answer), 2);
	want_int("priority", list[0].priority, 1);
	want_int("weight", list[0].weight, 2);
	want_int("port", list[0].port, 587);
	want_str("target", list[0].name, "a");
	want_str("no such service", list[1].name, "");
	want_int("malformed", dns_srv_of("_bad._tcp.lie", SOON, list, 4, &answer), 0);
	want_int("malformed", answer.result, DNS_TEMPORARY);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *name;
		int family;
		size_t count;
		enum dns_result result;
		bool secure;
		unsigned type;
	} cases[] = {
		{ "both.lie", AF_UNSPEC, 2, DNS_FOUND, true, DNS_TYPE_AAAA },
		{ "both.lie", AF_INET, 1, DNS_FOUND, true, DNS_TYPE_A },
		{ "both.lie", AF_INET6, 1, DNS_FOUND, true, DNS_TYPE_AAAA },
		{ "half.lie", AF_UNSPEC, 2, DNS_FOUND, false, DNS_TYPE_AAAA },
		{ "four.lie", AF_UNSPEC, 1, DNS_FOUND, true, DNS_TYPE_A },
		{ "to-both.lie", AF_UNSPEC, 1, DNS_FOUND, true, DNS_TYPE_A },
		{ "lame.lie", AF_UNSPEC, 0, DNS_TEMPORARY, false, DNS_TYPE_AAAA },
		{ "three.lie", AF_UNSPEC, 0, DNS_TEMPORARY, false, DNS_TYPE_A },
		{ "no-such.lie", AF_UNSPEC, 0, DNS_NOT_FOUND, false, DNS_TYPE_AAAA },
		{ "192.0.2.1", AF_UNSPEC, 0, DNS_NOT_FOUND, false, DNS_TYPE_A },
	};
	struct net_addr addrs[4];
	struct dns_answer answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *name = cases[i].name;

		want_int(name,
		    dns_secure_addresses_of(name, cases[i].family, SOON, addrs, 4, &answer),
		    cases[i].count);
		want_int(name, answer.result, cases[i].result);
		want_int(name, answer.type, cases[i].type);
		if (answer.result == DNS_FOUND)
			want_int(name, answer.secure, cases[i].secure);
	}
	dns_secure_addresses_of("to-both.lie", AF_UNSPEC, SOON, addrs, 4, &answer);
	want_str("behind the alias", answer.canonical, "both.lie");
	want_int("exists", dns_exists("mx.lie", DNS_TYPE_MX, SOON, &answer), true);
	want_int("does not", dns_exists("no-such.lie", DNS_TYPE_NS, SOON, &answer), false);
}

static void test_names(void **state)
{
	char long_name[300];

	(void)state;
	memset(long_name, 'a', sizeof(long_name));
	for (size_t i = 50; i < sizeof(long_name); i += 51)
		long_name[i] = '.';
	long_name[253] = '\0';
	want_int("253 bytes", dns_name_is_host(long_name), true);
	long_name[253] = 'a';
	long_name[254] = '\0';
	want_int("254 bytes", dns_name_is_host(long_name), false);
	want_int("empty", dns_name_is_host(""), false);
	want_int("final dot", dns_name_is_host("a."), false);
	want_int("underscore", dns_name_is_host("_25._tcp.a"), true);
	want_int("number", dns_name_is_number("192.0.2.1"), true);
	want_int("no number", dns_name_is_number("192.0.2.1a"), false);
}

static void test_servers(void **state)
{
	(void)state;
	want_int("no server", dns_use_server("nonsense:nonsense"), false);
	want_int("the old one stays",
	    dns_exists("mx.lie", DNS_TYPE_MX, SOON, &(struct dns_answer){ .secure = false }), true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mx),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_tlsa),
		cmocka_unit_test(test_srv),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_servers),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
