// SPDX-License-Identifier: BSD-2-Clause
/* The addresses of one host. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "net/dns_wire.h"
#include "smtp/smtp_target_internal.h"

#define ADDRESSES_MAX (2 * DNS_MAX_RECORDS)
#define LOOKUP_MS     20000

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

int64_t target_lookup_deadline(const struct target_search *search)
{
	int64_t deadline = deadline_in(LOOKUP_MS);

	return deadline < search->deadline ? deadline : search->deadline;
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

static void add_addresses(struct target_search *search, const struct smtp_target *like,
    const struct net_addr *addrs, size_t count)
{
	struct smtp_target target = *like;

	for (size_t i = 0; i < count; i++) {
		target.addr = addrs[i];
		set_port(&target.addr, like->port);
		target_add(&search->found, &target);
	}
}

static bool add_literal(struct target_search *search, const struct smtp_target *like)
{
	struct net_addr addr;

	if (!net_addr_parse(slice_of(like->host), like->port, &addr) || !family_is_used(&addr))
		return false;
	add_addresses(search, like, &addr, 1);
	return true;
}

static const char *type_name(unsigned type)
{
	switch (type) {
	case DNS_TYPE_MX:
		return "MX";
	case DNS_TYPE_SRV:
		return "SRV";
	case DNS_TYPE_AAAA:
		return "AAAA";
	default:
		return "A";
	}
}

void target_dns_failed(
    struct smtp_failure *failure, const char *name, const struct dns_answer *answer)
{
	if (answer->loop)
		target_failed(failure, "4.4.3", "Name server loop for %s", name);
	else if (!dns_name_is_host(name) || dns_name_is_number(name))
		target_failed(failure, "5.4.4",
		    "Name service error for %s: invalid host or domain name", name);
	else if (answer->bad_names)
		target_failed(failure, "5.4.4",
		    "Name service error for name=%s type=%s: Malformed or unexpected name server "
		    "reply",
		    name, type_name(answer->type));
	else
		target_failed(failure, answer->result == DNS_TEMPORARY ? "4.4.3" : "5.4.4",
		    "Host or domain name not found. Name service error for name=%s type=%s: %s",
		    name, type_name(answer->type), answer->text);
}

/* Returns how many of ADDRS smtp_dns_reply_filter leaves. */
static size_t filter(const char *host, struct net_addr *addrs, size_t count,
    const struct dns_answer *answer, bool *broken)
{
	char text[NET_ADDR_TEXT];
	size_t left = 0;

	for (size_t i = 0; i < count && !*broken; i++) {
		bool ipv6 = addrs[i].ss.ss_family == AF_INET6;

		if (target_filter_passes(host, answer->ttl[ipv6], ipv6 ? "AAAA" : "A",
			net_addr_text(&addrs[i], text), broken))
			addrs[left++] = addrs[i];
	}
	return *broken ? 0 : left;
}

/* Adds the addresses of NAME, which is TARGET's host, or that with a domain after it. */
static bool ask_dns(struct target_search *search, const struct smtp_target *like, const char *name,
    struct dns_answer *answer)
{
	struct net_addr *addrs = xcalloc(ADDRESSES_MAX, sizeof(*addrs));
	struct smtp_target target = *like;
	bool broken = false;
	size_t count = dns_secure_addresses_of(name, target_rules.family,
	    target_lookup_deadline(search), addrs, ADDRESSES_MAX, answer);

	if (count == 0) {
		target_dns_failed(search->failure, name, answer);
	} else if ((count = filter(answer->canonical, addrs, count, answer, &broken)) == 0) {
		target_filter_failed(search->failure, answer->canonical,
		    addrs[0].ss.ss_family == AF_INET6 ? "AAAA" : "A", broken);
		/* Nobody else is to be asked. */
		answer->result = DNS_TEMPORARY;
	}
	target.addr_secure = target_rules.dnssec && answer->secure;
	if (target.addr_secure && strcmp(answer->canonical, name) != 0)
		target.canonical = arena_strdup(&search->found.arena, answer->canonical);
	add_addresses(search, &target, addrs, count);
	free(addrs);
	return count > 0;
}

/* With the domains of resolv.conf, as far as smtp_dns_resolver_options says. */
static bool search_dns(
    struct target_search *search, const struct smtp_target *target, struct dns_answer *answer)
{
	bool has_dot = strchr(target->host, '.');
	char name[2 * DNS_NAME_SIZE];

	if (has_dot ? !target_rules.search_parents : !target_rules.search_default)
		return ask_dns(search, target, target->host, answer);
	if (has_dot && ask_dns(search, target, target->host, answer))
		return true;
	for (size_t i = 0; i < target_rules.domain_count; i++) {
		if (i > 0 && !target_rules.search_parents)
			break;
		snprintf(name, sizeof(name), "%s.%s", target->host, target_rules.domains[i]);
		if (ask_dns(search, target, name, answer))
			return true;
		if (answer->result == DNS_TEMPORARY)
			return false;
	}
	return !has_dot && ask_dns(search, target, target->host, answer);
}

static bool add_native(struct target_search *search, const struct smtp_target *target)
{
	struct net_addr *addrs = xcalloc(ADDRESSES_MAX, sizeof(*addrs));
	enum dns_result result;
	size_t count = dns_addresses_of(target->host, target_rules.family,
	    target_lookup_deadline(search), addrs, ADDRESSES_MAX, &result);

	if (count == 0)
		target_failed(search->failure, result == DNS_TEMPORARY ? "4.4.3" : "5.4.4",
		    "unable to look up host %s: %s", target->host,
		    result == DNS_TEMPORARY ? "Temporary failure in name resolution"
					    : "Name or service not known");
	add_addresses(search, target, addrs, count);
	free(addrs);
	return count > 0;
}

bool target_add_host(struct target_search *search, const struct smtp_target *target)
{
	struct dns_answer answer;

	if (add_literal(search, target))
		return true;
	if (!target_rules.dns)
		return add_native(search, target);
	if (search_dns(search, target, &answer))
		return true;
	return target_rules.native && answer.result == DNS_NOT_FOUND && add_native(search, target);
}
