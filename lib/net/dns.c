// SPDX-License-Identifier: BSD-2-Clause
/*
 * Each lookup has a channel of c-ares of its own, driven by poll(2) in the caller's thread: no
 * lock, no state between lookups, and a changed resolv.conf is seen by the next.  Making a channel
 * costs some 50 microseconds, little beside a round trip.
 */
#include "net/dns.h"

#include <ares.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define RESOLV_CONF "/etc/resolv.conf"

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static ares_channel kept[2]; /* resolv.conf as dns_open saw it, without and with search list */
static char *test_server;

static void start_library(void)
{
	ASSERT(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

/*
 * Without a search list unless SEARCH: "host.example" of a client must not become
 * "host.example.our.domain".
 */
static bool channel_new(ares_channel *channel, bool search)
{
	struct ares_options options = { .flags = ARES_FLAG_NOALIASES, .ndomains = 0 };
	int mask = ARES_OPT_FLAGS | (search ? 0 : ARES_OPT_DOMAINS);

	pthread_once(&library_once, start_library);
	return ares_init_options(channel, &options, mask) == ARES_SUCCESS;
}

void dns_open(void)
{
	for (int search = 0; search < 2; search++) {
		if (kept[search])
			ares_destroy(kept[search]);
		if (!channel_new(&kept[search], search))
			kept[search] = NULL;
	}
}

void dns_use_server(const char *server)
{
	free(test_server);
	test_server = server ? xstrdup(server) : NULL;
}

/* Copying a channel only reads it, so threads may share the kept ones. */
static bool channel_open(ares_channel *channel, bool search)
{
	if (kept[search] && access(RESOLV_CONF, R_OK) == -1) {
		if (ares_dup(channel, kept[search]) != ARES_SUCCESS)
			return false;
	} else if (!channel_new(channel, search)) {
		return false;
	}
	if (!test_server || ares_set_servers_ports_csv(*channel, test_server) == ARES_SUCCESS)
		return true;
	ares_destroy(*channel);
	return false;
}

/* Milliseconds until the deadline or c-ares's next retry, whichever comes first. */
static int wait_ms(ares_channel channel, int64_t deadline)
{
	struct timeval max = { .tv_sec = 60 }, left;
	int ms = deadline_left(deadline), retry;

	ares_timeout(channel, &max, &left);
	/* Rounded up: a wait that ends too early would come back here at once. */
	retry = (int)(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
	return ms == -1 || retry < ms ? retry : ms;
}

static void process(ares_channel channel, const struct pollfd *polled, size_t count)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		short got = polled[i].revents;

		if (!got)
			continue;
		any = true;
		ares_process_fd(channel,
		    got & (POLLIN | POLLERR | POLLHUP) ? polled[i].fd : ARES_SOCKET_BAD,
		    got & (POLLOUT | POLLERR | POLLHUP) ? polled[i].fd : ARES_SOCKET_BAD);
	}
	/* Retries and time-outs. */
	if (!any)
		ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* Until every query of the channel has called back; at the deadline with ARES_ECANCELLED. */
static void run(ares_channel channel, int64_t deadline)
{
	for (;;) {
		ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
		struct pollfd polled[ARES_GETSOCK_MAXNUM];
		int mask = ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
		size_t count = 0;

		for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
			short events = (ARES_GETSOCK_READABLE(mask, i) ? POLLIN : 0) |
				       (ARES_GETSOCK_WRITABLE(mask, i) ? POLLOUT : 0);

			if (events)
				polled[count++] =
				    (struct pollfd){ .fd = sockets[i], .events = events };
		}
		if (count == 0)
			return;
		if (deadline_left(deadline) == 0) {
			ares_cancel(channel);
			return;
		}
		if (poll(polled, count, wait_ms(channel, deadline)) >= 0)
			process(channel, polled, count);
	}
}

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
	enum dns_result result;
	char name[DNS_NAME_SIZE];
};

/*
 * Of several PTR records c-ares makes the last one the name and lists all of them as aliases; the
 * first is what other resolvers take.  An entry of /etc/hosts has its name not among its aliases.
 */
static const char *first_name(const struct hostent *host)
{
	for (char **alias = host->h_aliases; alias && *alias; alias++)
		if (strcmp(*alias, host->h_name) == 0)
			return host->h_aliases[0];
	return host->h_name;
}

static void name_found(void *arg, int status, int timeouts, struct hostent *host)
{
	struct name_query *query = arg;
	const char *name;
	size_t len;

	(void)timeouts;
	query->result = result_of(status);
	if (query->result != DNS_FOUND)
		return;
	name = first_name(host);
	len = strlen(name);
	if (len && name[len - 1] == '.')
		len--;
	snprintf(query->name, sizeof(query->name), "%.*s", (int)len, name);
	if (len >= sizeof(query->name) || !is_hostname(query->name))
		query->result = DNS_NOT_FOUND;
}

bool dns_name_of(
    const struct net_addr *addr, int64_t deadline, char *name, size_t size, enum dns_result *result)
{
	struct name_query query = { .result = DNS_TEMPORARY };
	const struct sockaddr *sa = (const void *)&addr->ss;
	const void *bytes = &((const struct sockaddr_in *)sa)->sin_addr;
	ares_channel channel;
	int len = 4;

	*result = DNS_NOT_FOUND;
	if (!addr->len)
		return false;
	if (sa->sa_family == AF_INET6) {
		bytes = &((const struct sockaddr_in6 *)sa)->sin6_addr;
		len = 16;
	}
	*result = DNS_TEMPORARY;
	if (!channel_open(&channel, false))
		return false;
	ares_gethostbyaddr(channel, bytes, len, sa->sa_family, name_found, &query);
	run(channel, deadline);
	ares_destroy(channel);
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
	struct net_addr addrs[DNS_MAX_RECORDS];
	size_t count;
};

static void addresses_found(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct address_query *query = arg;
	size_t cnames = 0;

	(void)timeouts;
	query->result = result_of(status);
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

size_t dns_addresses_of(const char *name, int family, int64_t deadline, struct net_addr *addrs,
    size_t max, enum dns_result *result)
{
	/* Off the stack, which is small in session threads. */
	struct address_query *queries = xcalloc(2, sizeof(*queries));
	struct address_query *in = &queries[0], *in6 = &queries[1];
	ares_channel channel;
	size_t count = 0;

	*result = DNS_TEMPORARY;
	in->result = in6->result = DNS_NOT_FOUND;
	if (!channel_open(&channel, strchr(name, '.') == NULL))
		goto free_queries;
	if (family != AF_INET6)
		ask(channel, name, AF_INET, in);
	if (family != AF_INET)
		ask(channel, name, AF_INET6, in6);
	run(channel, deadline);
	ares_destroy(channel);
	count = append(addrs, append(addrs, 0, max, in), max, in6);
	if (count)
		*result = DNS_FOUND;
	else if (in->result != DNS_TEMPORARY && in6->result != DNS_TEMPORARY)
		*result = DNS_NOT_FOUND;

free_queries:
	free(queries);
	return count;
}
