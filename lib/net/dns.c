// SPDX-License-Identifier: BSD-2-Clause
/* What c-ares answers before it was driven came from files alone, and is remembered. */
#include "net/dns.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "net/dns_channel.h"

static enum dns_result result_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return DNS_FOUND;
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
	case ARES_EBADNAME:
		return DNS_NOT_FOUND;
	default:
		return DNS_TEMPORARY;
	}
}

/* One label of LEN bytes. */
static bool is_label(const char *label, size_t len)
{
	if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!ascii_isalnum(label[i]) && label[i] != '-' && label[i] != '_')
			return false;
	return true;
}

/* Numbers and dots alone would pass for an address in access rules and log lines. */
static bool is_hostname(const char *name)
{
	bool numeric = true;

	if (strlen(name) >= DNS_NAME_SIZE)
		return false;
	for (const char *label = name;; label++) {
		size_t len = strcspn(label, ".");

		if (!is_label(label, len))
			return false;
		numeric = numeric && strspn(label, "0123456789") >= len;
		label += len;
		if (!*label)
			return !numeric;
	}
}

struct name_query {
	const void *bytes; /* of the address */
	int len, family;
	enum dns_result result;
	char name[DNS_NAME_SIZE];
};

static void take_name(struct name_query *query, const char *name)
{
	size_t len = strlen(name);

	if (len && name[len - 1] == '.')
		len--;
	snprintf(query->name, sizeof(query->name), "%.*s", (int)len, name);
	query->result =
	    len < sizeof(query->name) && is_hostname(query->name) ? DNS_FOUND : DNS_NOT_FOUND;
}

static void host_found(void *arg, int status, int timeouts, struct hostent *host)
{
	(void)timeouts;
	if (status == ARES_SUCCESS)
		take_name(arg, host->h_name);
}

/*
 * c-ares makes the last of several PTR records the name, and lists all of them as aliases; the
 * first is what other resolvers take.  A name with bytes that no host name has is a bad answer to
 * it.
 */
static void pointer_found(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
	struct name_query *query = arg;
	struct hostent *host;

	(void)timeouts;
	query->result = result_of(status);
	if (query->result != DNS_FOUND)
		return;
	status = ares_parse_ptr_reply(reply, len, query->bytes, query->len, query->family, &host);
	query->result = status == ARES_EBADRESP ? DNS_NOT_FOUND : result_of(status);
	if (query->result != DNS_FOUND)
		return;
	take_name(query, host->h_aliases[0] ? host->h_aliases[0] : host->h_name);
	ares_free_hostent(host);
}

/* RFC 1035 3.5, RFC 3596 2.5 */
static void reverse_name(const struct name_query *query, char out[DNS_NAME_SIZE])
{
	const unsigned char *bytes = query->bytes;

	if (query->len == 4) {
		snprintf(out, DNS_NAME_SIZE, "%u.%u.%u.%u.in-addr.arpa", bytes[3], bytes[2],
		    bytes[1], bytes[0]);
		return;
	}
	for (int i = 15; i >= 0; i--, out += 4)
		snprintf(out, 5, "%x.%x.", bytes[i] & 15, bytes[i] >> 4);
	memcpy(out, "ip6.arpa", sizeof("ip6.arpa"));
}

/*
 * /etc/hosts alone: ares_gethostbyaddr would go on to the DNS, but calls any failure there "not
 * found".
 */
static void look_into_hosts(struct name_query *query, unsigned state)
{
	ares_channel channel;

	if (!dns_channel_open(&channel, DNS_CHANNEL_HOSTS, state))
		return;
	query->result = DNS_NOT_FOUND;
	ares_gethostbyaddr(channel, query->bytes, query->len, query->family, host_found, query);
	dns_channel_give(DNS_CHANNEL_HOSTS, state, channel);
}

/* QUERY's name is empty when hosts has none. */
static void recall_hosts(struct name_query *query, unsigned state)
{
	struct slice key = slice_mem(query->bytes, (size_t)query->len);
	size_t size = sizeof(query->name);

	if (!dns_recall(key, state, query->name, &size)) {
		look_into_hosts(query, state);
		if (query->result == DNS_TEMPORARY)
			return;
		if (query->result == DNS_NOT_FOUND)
			query->name[0] = '\0';
		dns_remember(key, state, query->name, strlen(query->name) + 1);
	}
	query->result = query->name[0] ? DNS_FOUND : DNS_NOT_FOUND;
}

static void look_into_dns(struct name_query *query, unsigned state, int64_t deadline)
{
	char name[DNS_NAME_SIZE];
	ares_channel channel;

	query->result = DNS_TEMPORARY;
	if (!dns_channel_open(&channel, DNS_CHANNEL_DNS, state))
		return;
	reverse_name(query, name);
	ares_query(channel, name, 1 /* IN */, 12 /* PTR */, pointer_found, query);
	dns_channel_run(channel, DNS_CHANNEL_DNS, state, deadline);
}

bool dns_name_of(
    const struct net_addr *addr, int64_t deadline, char *name, size_t size, enum dns_result *result)
{
	struct name_query query = { .family = addr->ss.ss_family, .result = DNS_TEMPORARY };
	unsigned state;

	*result = DNS_NOT_FOUND;
	if (!addr->len)
		return false;
	if (query.family == AF_INET6) {
		query.bytes = &((const struct sockaddr_in6 *)&addr->ss)->sin6_addr;
		query.len = 16;
	} else {
		query.bytes = &((const struct sockaddr_in *)&addr->ss)->sin_addr;
		query.len = 4;
	}
	state = dns_files_state();
	recall_hosts(&query, state);
	if (query.result != DNS_FOUND)
		look_into_dns(&query, state, deadline);
	*result = query.result;
	if (query.result == DNS_FOUND && strlen(query.name) >= size)
		*result = DNS_NOT_FOUND;
	if (*result != DNS_FOUND)
		return false;
	memcpy(name, query.name, strlen(query.name) + 1);
	return true;
}

struct address_query {
	enum dns_result result;
	bool answered;
	struct net_addr addrs[DNS_MAX_RECORDS];
	size_t count;
};

static void addresses_found(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct address_query *query = arg;
	size_t cnames = 0;

	(void)timeouts;
	query->result = result_of(status);
	query->answered = true;
	if (!info)
		return;
	for (struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
		cnames++;
	if (cnames > DNS_MAX_CNAMES) {
		query->result = DNS_TEMPORARY;
	} else if (query->result == DNS_FOUND) {
		for (struct ares_addrinfo_node *node = info->nodes;
		     node && query->count < DNS_MAX_RECORDS; node = node->ai_next)
			query->addrs[query->count++] =
			    net_addr_of(node->ai_addr, (socklen_t)node->ai_addrlen);
		if (!query->count)
			query->result = DNS_NOT_FOUND;
	}
	ares_freeaddrinfo(info);
}

static void ask(ares_channel channel, const char *name, int family, struct address_query *query)
{
	/* Sorting (RFC 6724) opens a socket per address, for an order that nobody here needs. */
	const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT, .ai_family = family, .ai_socktype = SOCK_STREAM
	};

	ares_getaddrinfo(channel, name, NULL, &hints, addresses_found, query);
}

static size_t append(
    struct net_addr *addrs, size_t count, size_t max, const struct address_query *query)
{
	for (size_t i = 0; i < query->count && count < max; i++)
		addrs[count++] = query->addrs[i];
	return count;
}

/* Longer than the key of an address's name, which is the address. */
static void key_of(const char *name, int family, struct strbuf *key)
{
	strbuf_addf(key, "addresses of family %d: %s", family, name);
}

static size_t recall_addresses(
    struct slice key, unsigned state, struct net_addr *addrs, size_t max, enum dns_result *result)
{
	size_t size = max * sizeof(*addrs);

	if (!dns_recall(key, state, addrs, &size) || size < sizeof(*addrs))
		return 0;
	*result = DNS_FOUND;
	return size / sizeof(*addrs);
}

/* Of a name that is not remembered. */
static size_t find_addresses(const char *name, int family, int64_t deadline, unsigned state,
    struct slice key, struct net_addr *addrs, size_t max, enum dns_result *result)
{
	enum dns_channel kind = strchr(name, '.') ? DNS_CHANNEL_DNS : DNS_CHANNEL_SEARCH;
	/* Off the stack, which is small in session threads. */
	struct address_query *queries = xcalloc(2, sizeof(*queries));
	struct address_query *in = &queries[0], *in6 = &queries[1];
	ares_channel channel;
	size_t count = 0;
	bool from_files;

	*result = DNS_TEMPORARY;
	in->result = in6->result = DNS_NOT_FOUND;
	in->answered = family == AF_INET6;
	in6->answered = family == AF_INET;
	if (!dns_channel_open(&channel, kind, state))
		goto free_queries;
	if (family != AF_INET6)
		ask(channel, name, AF_INET, in);
	if (family != AF_INET)
		ask(channel, name, AF_INET6, in6);
	from_files = in->answered && in6->answered;
	dns_channel_run(channel, kind, state, deadline);
	count = append(addrs, append(addrs, 0, max, in), max, in6);
	if (from_files && count > 0 && count < max)
		dns_remember(key, state, addrs, count * sizeof(*addrs));
	if (count)
		*result = DNS_FOUND;
	else if (in->result != DNS_TEMPORARY && in6->result != DNS_TEMPORARY)
		*result = DNS_NOT_FOUND;

free_queries:
	free(queries);
	return count;
}

size_t dns_addresses_of(const char *name, int family, int64_t deadline, struct net_addr *addrs,
    size_t max, enum dns_result *result)
{
	struct strbuf key = STRBUF_INIT(2 * DNS_NAME_SIZE);
	unsigned state = dns_files_state();
	size_t count;

	key_of(name, family, &key);
	count = recall_addresses(strbuf_slice(&key), state, addrs, max, result);
	if (count == 0)
		count = find_addresses(
		    name, family, deadline, state, strbuf_slice(&key), addrs, max, result);
	strbuf_release(&key);
	return count;
}
