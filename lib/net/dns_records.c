// SPDX-License-Identifier: BSD-2-Clause
/*
 * c-ares sends and receives: retries, other servers, TCP for what was truncated.  The query has an
 * OPT record with DNSSEC OK, which its interface does not set; what comes back is decoded here
 * (net/dns_wire.h).
 */
#include "net/dns_records.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/dns_channel.h"
#include "net/dns_wire.h"

#define CLASS_IN 1
/* From the end of the query, which is its OPT record (RFC 6891 6.1.2). */
#define OPT_FLAGS_FROM_END 4
#define OPT_DNSSEC_OK	   0x80
#define HEADER_FLAGS_LOW   3
#define HEADER_AD	   0x20

static const char not_found[] = "Host not found";
static const char no_data[] = "Host found but no data record of requested type";
static const char try_again[] = "Host not found, try again";

struct question {
	const char *name;
	unsigned type;
	struct dns_answer *answer;
	struct dns_reply reply;
	unsigned char *packet; /* on the heap; the reply's */
	bool came;	       /* REPLY is there */
	bool format_error;
};

static void answer_set(struct dns_answer *answer, enum dns_result result, const char *text)
{
	answer->result = result;
	snprintf(answer->text, sizeof(answer->text), "%s", text);
}

/* c-ares calls back here once for each question. */
static void reply_came(void *arg, int status, int timeouts, unsigned char *packet, int len)
{
	struct question *q = arg;

	(void)timeouts;
	if (status != ARES_SUCCESS || !packet || len <= 0)
		return;
	q->packet = xmalloc((size_t)len);
	memcpy(q->packet, packet, (size_t)len);
	q->came = dns_reply_parse(slice_mem(q->packet, (size_t)len), q->name, q->type, &q->reply);
	/* A server that knows no EDNS0 may send nothing but a header (RFC 6891 7). */
	q->format_error = len >= 12 && (packet[HEADER_FLAGS_LOW] & 15) == DNS_RCODE_FORMERR;
}

/* Puts a question to CHANNEL; EDNS: with OPT. */
static void put(ares_channel channel, struct question *q, bool edns)
{
	unsigned char *query;
	int len;

	if (ares_create_query(q->name, CLASS_IN, (int)q->type, 0, 1, &query, &len,
		edns ? DNS_UDP_SIZE : 0) != ARES_SUCCESS)
		return;
	query[HEADER_FLAGS_LOW] |= HEADER_AD; /* RFC 6840 5.7 */
	if (edns)
		query[len - OPT_FLAGS_FROM_END] |= OPT_DNSSEC_OK;
	ares_send(channel, query, len, reply_came, q);
	ares_free_string(query);
}

static void judge(struct question *q)
{
	struct dns_answer *answer = q->answer;

	answer->type = q->type;
	answer_set(answer, DNS_TEMPORARY, try_again);
	if (!q->came)
		return;
	answer->rcode = q->reply.rcode;
	memcpy(answer->canonical, q->reply.canonical, sizeof(answer->canonical));
	answer->loop = q->reply.too_many_cnames;
	if (answer->loop)
		return;
	if (answer->rcode == DNS_RCODE_NXDOMAIN) {
		answer->no_such_name = true;
		answer_set(answer, DNS_NOT_FOUND, not_found);
	} else if (answer->rcode == 0) {
		/* Until a record is found. */
		answer_set(answer, DNS_NOT_FOUND, no_data);
	} else {
		return;
	}
	answer->secure = q->reply.authentic;
}

/* Asks all questions at once, each of which gets its answer. */
static void ask_once(struct question *list, size_t count, int64_t deadline, bool edns)
{
	unsigned state = dns_files_state();
	ares_channel channel;

	if (!dns_channel_open(&channel, DNS_CHANNEL_RECORDS, state))
		return;
	for (size_t i = 0; i < count; i++)
		if (!list[i].came)
			put(channel, &list[i], edns);
	dns_channel_run(channel, DNS_CHANNEL_RECORDS, state, deadline);
}

static void ask(struct question *list, size_t count, int64_t deadline)
{
	bool again = false;

	ask_once(list, count, deadline, true);
	for (size_t i = 0; i < count; i++) {
		if (!list[i].format_error)
			continue;
		free(list[i].packet);
		list[i].packet = NULL;
		list[i].came = false;
		again = true;
	}
	if (again)
		ask_once(list, count, deadline, false);
	for (size_t i = 0; i < count; i++)
		judge(&list[i]);
}

static bool may_be_asked(const char *name)
{
	return *name == '\0' || (dns_name_is_host(name) && !dns_name_is_number(name));
}

/* The question for NAME, asked; false when there can be no records. */
static bool ask_one(struct question *q, const char *name, unsigned type, int64_t deadline,
    struct dns_answer *answer)
{
	memset(q, 0, sizeof(*q));
	memset(answer, 0, sizeof(*answer));
	*q = (struct question){ .name = name, .type = type, .answer = answer };
	if (!may_be_asked(name)) {
		answer->type = type;
		answer->no_such_name = true;
		answer_set(answer, DNS_NOT_FOUND, not_found);
		return false;
	}
	ask(q, 1, deadline);
	return answer->result == DNS_NOT_FOUND && !answer->no_such_name;
}

/* What reads one record's data into ITEM; false: it is malformed.  *SKIP: it counts as absent. */
typedef bool read_fn(struct cursor data, uint32_t ttl, void *item, bool *skip);

/*
 * Reads the wanted records of a reply into LIST.  One that is malformed spoils the answer: what
 * such a server or resolver says is not to be believed.
 */
static size_t collect(struct question *q, read_fn *read, void *list, size_t size, size_t max)
{
	size_t at = q->reply.answers_at, count = 0, seen = 0;
	struct dns_record record;

	if (max > DNS_MAX_RECORDS)
		max = DNS_MAX_RECORDS;
	for (unsigned i = 0; i < q->reply.answers && count < max && seen < DNS_MAX_RECORDS; i++) {
		bool skip = false;

		if (!dns_reply_next(&q->reply, &at, &record))
			break;
		if (record.type != q->type || strcmp(record.owner.text, q->reply.canonical) != 0)
			continue;
		seen++;
		q->answer->ttl[q->type == DNS_TYPE_AAAA] = record.ttl;
		if (!read(record.data, record.ttl, (char *)list + count * size, &skip)) {
			answer_set(
			    q->answer, DNS_TEMPORARY, "Malformed or unexpected name server reply");
			return 0;
		}
		q->answer->bad_names |= skip;
		count += !skip;
	}
	if (count > 0) {
		answer_set(q->answer, DNS_FOUND, "");
		q->answer->bad_names = false;
	}
	return count;
}

static size_t ask_and_collect(const char *name, unsigned type, int64_t deadline, read_fn *read,
    void *list, size_t size, size_t max, struct dns_answer *answer)
{
	struct question q;
	size_t count = 0;

	if (ask_one(&q, name, type, deadline, answer))
		count = collect(&q, read, list, size, max);
	free(q.packet);
	return count;
}

/* A name that ends the data. */
static bool read_last_name(struct cursor *data, char out[DNS_NAME_SIZE], bool *skip)
{
	struct dns_name name;

	if (!dns_name_read(data, &name) || !cursor_at_end(data))
		return false;
	*skip = !name.is_host;
	memcpy(out, name.text, DNS_NAME_SIZE);
	return true;
}

static bool read_mx(struct cursor data, uint32_t ttl, void *item, bool *skip)
{
	struct dns_mx *mx = item;

	mx->preference = dns_u16_read(&data);
	mx->ttl = ttl;
	return read_last_name(&data, mx->name, skip);
}

size_t dns_mx_of(const char *domain, int64_t deadline, struct dns_mx *list, size_t max,
    struct dns_answer *answer)
{
	return ask_and_collect(
	    domain, DNS_TYPE_MX, deadline, read_mx, list, sizeof(*list), max, answer);
}

static bool read_srv(struct cursor data, uint32_t ttl, void *item, bool *skip)
{
	struct dns_srv *srv = item;

	srv->priority = dns_u16_read(&data);
	srv->weight = dns_u16_read(&data);
	srv->port = dns_u16_read(&data);
	srv->ttl = ttl;
	return read_last_name(&data, srv->name, skip);
}

size_t dns_srv_of(
    const char *name, int64_t deadline, struct dns_srv *list, size_t max, struct dns_answer *answer)
{
	return ask_and_collect(
	    name, DNS_TYPE_SRV, deadline, read_srv, list, sizeof(*list), max, answer);
}

/* Whether a record's data make sense for its types is for whoever uses them (RFC 6698 2.1). */
static bool read_tlsa(struct cursor data, uint32_t ttl, void *item, bool *skip)
{
	struct dns_tlsa *tlsa = item;
	struct slice rest;

	(void)ttl;
	tlsa->usage = cursor_u8(&data);
	tlsa->selector = cursor_u8(&data);
	tlsa->matching = cursor_u8(&data);
	if (data.failed)
		return false;
	rest = cursor_rest(&data);
	*skip = rest.len == 0 || rest.len > sizeof(tlsa->data);
	if (!*skip) {
		tlsa->len = (uint16_t)rest.len;
		memcpy(tlsa->data, rest.ptr, rest.len);
	}
	return true;
}

size_t dns_tlsa_of(const char *name, int64_t deadline, struct dns_tlsa *list, size_t max,
    struct dns_answer *answer)
{
	return ask_and_collect(
	    name, DNS_TYPE_TLSA, deadline, read_tlsa, list, sizeof(*list), max, answer);
}

static bool read_none(struct cursor data, uint32_t ttl, void *item, bool *skip)
{
	(void)data, (void)ttl, (void)item, (void)skip;
	return true;
}

bool dns_exists(const char *name, unsigned type, int64_t deadline, struct dns_answer *answer)
{
	char none;

	return ask_and_collect(name, type, deadline, read_none, &none, 0, 1, answer) > 0;
}

static bool read_a(struct cursor data, uint32_t ttl, void *item, bool *skip)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct slice bytes = cursor_take(&data, sizeof(sin.sin_addr));

	(void)ttl, (void)skip;
	if (data.failed || !cursor_at_end(&data))
		return false;
	memcpy(&sin.sin_addr, bytes.ptr, bytes.len);
	*(struct net_addr *)item = net_addr_of((const struct sockaddr *)&sin, sizeof(sin));
	return true;
}

static bool read_aaaa(struct cursor data, uint32_t ttl, void *item, bool *skip)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct slice bytes = cursor_take(&data, sizeof(sin6.sin6_addr));

	(void)ttl, (void)skip;
	if (data.failed || !cursor_at_end(&data))
		return false;
	memcpy(&sin6.sin6_addr, bytes.ptr, bytes.len);
	*(struct net_addr *)item = net_addr_of((const struct sockaddr *)&sin6, sizeof(sin6));
	return true;
}

/* What both families say together: of failures the one that is worth another try. */
static void join(const struct dns_answer *a, const struct dns_answer *b, struct dns_answer *out)
{
	bool a_found = a->result == DNS_FOUND, b_found = b->result == DNS_FOUND;

	if (a_found != b_found)
		*out = a_found ? *a : *b;
	else if (a->result == DNS_TEMPORARY && b->result != DNS_TEMPORARY)
		*out = *a;
	else
		*out = *b;
	out->ttl[0] = a->ttl[0];
	out->ttl[1] = b->ttl[1];
	if (a_found && b_found)
		out->secure = a->secure && b->secure && !strcmp(a->canonical, b->canonical);
}

static size_t addresses_of_both(const char *name, int64_t deadline, struct net_addr *addrs,
    size_t max, struct dns_answer *answer)
{
	struct dns_answer *answers = xcalloc(2, sizeof(*answers));
	struct question list[2] = {
		{ .name = name, .type = DNS_TYPE_A, .answer = &answers[0] },
		{ .name = name, .type = DNS_TYPE_AAAA, .answer = &answers[1] },
	};
	size_t count = 0;

	ask(list, 2, deadline);
	for (int i = 0; i < 2; i++) {
		if (answers[i].result == DNS_NOT_FOUND && !answers[i].no_such_name)
			count += collect(&list[i], i == 0 ? read_a : read_aaaa, addrs + count,
			    sizeof(*addrs), max - count);
		free(list[i].packet);
	}
	join(&answers[0], &answers[1], answer);
	free(answers);
	return count;
}

size_t dns_secure_addresses_of(const char *name, int family, int64_t deadline,
    struct net_addr *addrs, size_t max, struct dns_answer *answer)
{
	if (family == AF_UNSPEC && *name && may_be_asked(name))
		return addresses_of_both(name, deadline, addrs, max, answer);
	if (family == AF_INET6)
		return ask_and_collect(
		    name, DNS_TYPE_AAAA, deadline, read_aaaa, addrs, sizeof(*addrs), max, answer);
	return ask_and_collect(
	    name, DNS_TYPE_A, deadline, read_a, addrs, sizeof(*addrs), max, answer);
}
