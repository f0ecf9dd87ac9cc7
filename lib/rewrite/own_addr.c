// SPDX-License-Identifier: BSD-2-Clause
#include "rewrite/own_addr.h"

#include <netdb.h>
#include <stdlib.h>

#include "base/check.h"
#include "log/log.h"

#define MAX_ADDRS 1000

static void add(struct own_addrs *own, const struct net_addr *addr)
{
	if (own->count == MAX_ADDRS || own_addrs_have(own, addr))
		return;
	own->list = xreallocarray(own->list, own->count + 1, sizeof(*own->list));
	own->list[own->count++] = *addr;
}

static void add_interfaces(struct own_addrs *own, bool loopback_only)
{
	struct net_addr *addrs = xcalloc(MAX_ADDRS, sizeof(*addrs));
	unsigned *prefixes = xcalloc(MAX_ADDRS, sizeof(*prefixes));
	size_t count = net_interfaces(addrs, prefixes, MAX_ADDRS);

	for (size_t i = 0; i < count; i++) {
		if (!loopback_only || net_addr_is_loopback(&addrs[i]))
			add(own, &addrs[i]);
	}
	free(prefixes);
	free(addrs);
}

static void add_host(struct own_addrs *own, const char *parameter, struct slice word)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list, *ai;
	struct net_addr addr;
	char *name;

	if (slice_starts(word, "[") && slice_ends(word, "]"))
		word = slice_mem(word.ptr + 1, word.len - 2);
	if (net_addr_parse(word, 0, &addr)) {
		add(own, &addr);
		return;
	}
	name = xstrndup(word.ptr, word.len);
	if (getaddrinfo(name, NULL, &hints, &list) == 0) {
		for (ai = list; ai; ai = ai->ai_next) {
			addr = net_addr_of(ai->ai_addr, ai->ai_addrlen);
			add(own, &addr);
		}
		freeaddrinfo(list);
	} else {
		log_warning("%s: host not found: %s", parameter, name);
	}
	free(name);
}

void own_addrs_add(struct own_addrs *own, const char *parameter, const char *value)
{
	struct slice rest = slice_of(value), word;

	while (slice_token(&rest, ", \t\r\n", &word)) {
		if (slice_caseeq_str(word, "all"))
			add_interfaces(own, false);
		else if (slice_caseeq_str(word, "loopback-only"))
			add_interfaces(own, true);
		else
			add_host(own, parameter, word);
	}
}

bool own_addrs_have(const struct own_addrs *own, const struct net_addr *addr)
{
	for (size_t i = 0; i < own->count; i++) {
		if (net_addr_equal(&own->list[i], addr))
			return true;
	}
	return false;
}

void own_addrs_release(struct own_addrs *own)
{
	free(own->list);
	*own = (struct own_addrs){ NULL, 0 };
}
