// SPDX-License-Identifier: BSD-2-Clause
/* Names of hosts and services in configurations, turned into addresses to listen at. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"
#include "master/supervisor.h"

bool bind_port(const char *text, unsigned *port)
{
	/* Those of RFC 8314 and RFC 6409 that an old /etc/services may lack. */
	static const struct {
		const char *name;
		unsigned port;
	} known[] = { { "smtp", 25 }, { "smtps", 465 }, { "submissions", 465 },
		{ "submission", 587 }, { "pop3", 110 }, { "pop3s", 995 }, { "imap", 143 },
		{ "imaps", 993 } };
	const struct servent *entry;
	uint64_t number;

	if (slice_uint(slice_of(text), 65535, &number)) {
		*port = (unsigned)number;
		return true;
	}
	entry = getservbyname(text, "tcp");
	if (entry != NULL) {
		*port = ntohs((uint16_t)entry->s_port);
		return true;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, text) == 0) {
			*port = known[i].port;
			return true;
		}
	return false;
}

/* A kernel without IPv6 (or IPv4) has none of its addresses. */
static bool family_exists(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool is_wanted(const struct bind_list *list, int family)
{
	return (family == AF_INET && list->ipv4) || (family == AF_INET6 && list->ipv6);
}

static bool put(struct bind_list *list, const struct net_addr *addr)
{
	for (size_t i = 0; i < list->count; i++)
		if (net_addr_equal(&list->addr[i], addr) &&
		    net_addr_port(&list->addr[i]) == net_addr_port(addr))
			return true;
	if (list->count == BIND_MAX)
		return false;
	list->addr[list->count++] = *addr;
	return true;
}

static void put_wildcards(struct bind_list *list, unsigned port)
{
	struct net_addr addr;

	if (list->ipv4 && family_exists(AF_INET) &&
	    net_addr_parse(SLICE_LIT("0.0.0.0"), port, &addr))
		(void)put(list, &addr);
	if (list->ipv6 && family_exists(AF_INET6) && net_addr_parse(SLICE_LIT("::"), port, &addr))
		(void)put(list, &addr);
}

static bool put_name(struct bind_list *list, const char *host, unsigned port, char why[256])
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	size_t usable = 0;
	char service[8];
	int rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &found);
	if (rc != 0) {
		snprintf(why, 256, "%.150s: %s", host, gai_strerror(rc));
		return false;
	}
	for (const struct addrinfo *ai = found; ai != NULL; ai = ai->ai_next) {
		struct net_addr addr = net_addr_of(ai->ai_addr, ai->ai_addrlen);

		if (is_wanted(list, ai->ai_family) && family_exists(ai->ai_family))
			usable += put(list, &addr);
	}
	freeaddrinfo(found);
	if (usable == 0)
		snprintf(why, 256, "%.150s: no address of the wanted protocols", host);
	return usable > 0;
}

bool bind_add(struct bind_list *list, const char *host, unsigned port, char why[256])
{
	struct slice text = slice_of(host);
	struct net_addr addr;

	if (strcmp(host, "*") == 0) {
		put_wildcards(list, port);
		return true;
	}
	if (slice_starts(text, "[") && slice_ends(text, "]"))
		text = (struct slice){ text.ptr + 1, text.len - 2 };
	if (!net_addr_parse(text, port, &addr))
		return put_name(list, host, port, why);
	if (!is_wanted(list, addr.ss.ss_family))
		return true;
	if (put(list, &addr))
		return true;
	snprintf(why, 256, "more than %d addresses", BIND_MAX);
	return false;
}
