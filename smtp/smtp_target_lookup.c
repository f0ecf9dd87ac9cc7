// SPDX-License-Identifier: BSD-2-Clause
/* The addresses of one host (RFC 5321 5.1). */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "net/dns_wire.h"
#include "smtp/smtp_target_internal.h"

#define ADDRESSES_MAX (2 * DNS_MAX_RECORDS)

struct smtp_target *target_add(struct smtp_targets *targets, const struct smtp_target *target)
{
	size_t count = targets->count;

	/* A power of two is full. */
	if ((count & (count - 1)) == 0) {
		struct smtp_target *list =
		    arena_alloc(&targets->arena, (count ? 2 * count : 1) * sizeof(*list));

		if (count)
			memcpy(list, targets->list, count * sizeof(*list));
		targets->list = list;
	}
	targets->list[targets->count++] = *target;
	return &targets->list[count];
}

static void set_port(struct net_addr *addr, unsigned port)
{
	if (addr->ss.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&addr->ss)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)&addr->ss)->sin_port = htons((uint16_t)port);
}

static bool family_is_used(const struct net_addr *addr)
{
	return target_rules.family == AF_UNSPEC || addr->ss.ss_family == target_rules.family;
}

static void add_addresses(struct smtp_targets *targets, const struct smtp_target *like,
    const struct net_addr *addrs, size_t count)
{
	struct smtp_target target = *like;

	for (size_t i = 0; i < count; i++) {
		target.addr = addrs[i];
		set_port(&target.addr, like->port);
		target_add(targets, &target);
	}
}

static bool add_literal(struct smtp_targets *targets, const struct smtp_target *like)
{
	struct net_addr addr;

	if (!net_addr_parse(slice_of(like->host), like->port, &addr) || !family_is_used(&addr))
		return false;
	add_addresses(targets, like, &addr, 1);
	return true;
}

static bool add_by_dns(struct smtp_targets *targets, const struct smtp_target *like,
    int64_t deadline, struct dns_answer *answer)
{
	struct net_addr *addrs = xcalloc(ADDRESSES_MAX, sizeof(*addrs));
	struct smtp_target target = *like;
	size_t count = dns_secure_addresses_of(
	    like->host, target_rules.family, deadline, addrs, ADDRESSES_MAX, answer);

	target.addr_secure = target_rules.dnssec && answer->secure;
	target.canonical = target.addr_secure && count && strcmp(answer->canonical, like->host) != 0
			       ? arena_strdup(&targets->arena, answer->canonical)
			       : "";
	add_addresses(targets, &target, addrs, count);
	free(addrs);
	return count > 0;
}

static bool add_native(struct smtp_targets *targets, const struct smtp_target *like,
    int64_t deadline, enum dns_result *result)
{
	struct net_addr *addrs = xcalloc(ADDRESSES_MAX, sizeof(*addrs));
	size_t count = dns_addresses_of(
	    like->host, target_rules.family, deadline, addrs, ADDRESSES_MAX, result);

	add_addresses(targets, like, addrs, count);
	free(addrs);
	return count > 0;
}

bool target_add_host(struct smtp_targets *targets, const struct smtp_target *like, int64_t deadline,
    const char *id, struct smtp_failure *failure)
{
	struct dns_answer answer = { .result = DNS_NOT_FOUND };
	enum dns_result result;

	if (add_literal(targets, like))
		return true;
	if (target_rules.dns && add_by_dns(targets, like, deadline, &answer))
		return true;
	if (target_rules.dns)
		target_dns_failed(failure, like->host, &answer);
	if (!target_rules.native || answer.result == DNS_TEMPORARY)
		return false;
	if (add_native(targets, like, deadline, &result))
		return true;
	target_failed(failure, result == DNS_TEMPORARY ? "4.4.3" : "5.4.4",
	    "unable to look up host %s: %s", like->host,
	    result == DNS_TEMPORARY ? "Temporary failure in name resolution"
				    : "Name or service not known");
	(void)id;
	return false;
}
