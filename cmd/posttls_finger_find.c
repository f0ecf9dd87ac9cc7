// SPDX-License-Identifier: BSD-2-Clause
/* From a destination to addresses: MX and addresses by DNS, or a name of this host's. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/posttls_finger.h"
#include "log/log.h"
#include "net/dns.h"

#define LOOKUP_MS   60000
#define MX_MAX	    100
#define ADDRS_MAX   20
#define TARGETS_MAX 200

struct finder {
	struct finger *f;
	struct finger_target *list;
	size_t count;
	struct reason *why;
};

static unsigned service_port(struct slice text)
{
	char name[64], *end;
	unsigned long number;
	struct servent *found;

	snprintf(name, sizeof(name), "%.*s", SLICE_ARG(text));
	number = strtoul(name, &end, 10);
	if (*name && *end == '\0' && number > 0 && number < 65536)
		return (unsigned)number;
	found = getservbyname(name, "tcp");
	return found ? ntohs((uint16_t)found->s_port) : 0;
}

static void add_target(
    struct finder *d, const struct finger_target *like, const struct net_addr *addr)
{
	struct finger_target *t = &d->list[d->count];
	struct net_addr whole;
	char text[NET_ADDR_TEXT];

	if (d->count == TARGETS_MAX)
		return;
	*t = *like;
	net_addr_text(addr, text);
	if (!net_addr_parse(slice_of(text), like->port, &whole))
		return;
	t->addr = whole;
	t->peer = arena_printf(&d->f->arena, "%s[%s]:%u", like->host, text, like->port);
	d->count++;
}

static size_t lookup(
    struct finder *d, struct finger_target *like, struct net_addr *addrs, struct dns_answer *answer)
{
	enum dns_result result;
	size_t count;

	if (d->f->native) {
		memset(answer, 0, sizeof(*answer));
		count = dns_addresses_of(
		    like->host, AF_UNSPEC, deadline_in(LOOKUP_MS), addrs, ADDRS_MAX, &result);
		answer->result = result;
		return count;
	}
	return dns_secure_addresses_of(
	    like->host, AF_UNSPEC, deadline_in(LOOKUP_MS), addrs, ADDRS_MAX, answer);
}

/* The addresses of one host; those of the family that is preferred first. */
static void add_host(struct finder *d, struct finger_target *like)
{
	struct net_addr addrs[ADDRS_MAX];
	struct dns_answer answer;
	size_t count = lookup(d, like, addrs, &answer);
	int first = d->f->family == AF_UNSPEC ? AF_INET6 : d->f->family;

	if (count == 0) {
		reason_set(d->why, "4.4.3",
		    "Host or domain name not found. Name service error for name=%s type=A: %s",
		    like->host, answer.text[0] ? answer.text : "Host not found");
		return;
	}
	like->addr_secure = answer.secure;
	like->canonical = answer.secure ? arena_strdup(&d->f->arena, answer.canonical) : "";
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < count; i++)
			if ((addrs[i].ss.ss_family == first) == (pass == 0))
				add_target(d, like, &addrs[i]);
}

static int by_preference(const void *a, const void *b)
{
	const struct dns_mx *x = a, *y = b;

	return x->preference < y->preference ? -1 : x->preference > y->preference;
}

/* RFC 5321 5.1; false: the domain has no MX, it is a host itself. */
static bool add_mx(struct finder *d, const struct finger_target *like)
{
	static struct dns_mx list[MX_MAX];
	struct dns_answer answer;
	size_t count = dns_mx_of(like->nexthop, deadline_in(LOOKUP_MS), list, MX_MAX, &answer);

	if (answer.result == DNS_NOT_FOUND)
		return false;
	if (count == 0) {
		reason_set(d->why, "4.4.3",
		    "Host or domain name not found. Name service error for name=%s type=MX: %s",
		    like->nexthop, answer.text);
		return true;
	}
	qsort(list, count, sizeof(*list), by_preference);
	for (size_t i = 0; i < count; i++) {
		struct finger_target host = *like;

		if (list[i].name[0] == '\0') {
			reason_set(d->why, "5.1.0", "Domain %s does not accept mail (nullMX)",
			    like->nexthop);
			continue;
		}
		host.host = arena_strdup(&d->f->arena, list[i].name);
		host.by_mx = true;
		host.mx_secure = answer.secure;
		add_host(d, &host);
	}
	return true;
}

static size_t find_host(struct finder *d, struct slice text)
{
	struct finger *f = d->f;
	struct finger_target like = { .canonical = "" };
	struct slice host = text, port = slice_of(f->lmtp ? "24" : "smtp");
	bool bracketed = slice_starts(text, "[");
	const char *end = bracketed ? memchr(text.ptr, ']', text.len) : NULL;
	const char *colon = end ? end + 1 : memrchr(text.ptr, ':', text.len);
	struct net_addr addr;

	if (bracketed && !end)
		fatal(
		    "bad network port: %.*s for destination: %s", SLICE_ARG(port), f->destination);
	if (colon && colon < text.ptr + text.len && *colon == ':') {
		port = slice_mem(colon + 1, (size_t)(text.ptr + text.len - colon - 1));
		host = slice_mem(text.ptr, (size_t)(colon - text.ptr));
	}
	if (bracketed)
		host = slice_mem(text.ptr + 1, (size_t)(end - text.ptr - 1));
	if (slice_casestarts(host, "ipv6:"))
		host = slice_from(host, 5);
	like.port = service_port(port);
	if (like.port == 0 || host.len == 0)
		fatal(
		    "bad network port: %.*s for destination: %s", SLICE_ARG(port), f->destination);
	like.host = like.nexthop = arena_slicedup(&f->arena, host);
	if (net_addr_parse(host, like.port, &addr))
		add_target(d, &like, &addr);
	else if (bracketed || f->lmtp || f->native || !add_mx(d, &like))
		add_host(d, &like);
	return d->count;
}

size_t finger_find(struct finger *f, struct finger_target **targets, struct reason *why)
{
	struct finder d = { .f = f, .why = why };
	struct slice text = slice_of(f->destination);

	reason_set(why, "4.4.3", "no host of %s has an address", f->destination);
	*targets = d.list = arena_alloc(&f->arena, TARGETS_MAX * sizeof(**targets));
	if (f->lmtp && slice_casestarts(text, "unix:")) {
		d.list[0] = (struct finger_target){ .host = f->params->myhostname,
			.nexthop = f->params->myhostname,
			.path = f->destination + 5,
			.canonical = "",
			.peer = arena_printf(
			    &f->arena, "%s[%s]", f->params->myhostname, f->destination + 5) };
		return 1;
	}
	if (slice_casestarts(text, "inet:"))
		text = slice_from(text, 5);
	return find_host(&d, text);
}
