// SPDX-License-Identifier: BSD-2-Clause
/* Hosts of a domain (RFC 5321 5.1). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "net/dns_wire.h"
#include "smtp/smtp_target_internal.h"

/* What a hostile domain may make us ask for. */
#define MX_HOSTS_MAX 30

static enum smtp_targets_result loops_back(struct target_search *search, const char *name)
{
	search->found.count = 0;
	target_failed(search->failure, "5.4.6", "mail for %s loops back to myself", name);
	return SMTP_TARGETS_OWN;
}

enum smtp_targets_result target_find_host(struct target_search *search)
{
	struct smtp_targets *found = &search->found;

	if (!target_add_host(search, &search->like))
		return SMTP_TARGETS_NONE;
	for (size_t i = 0; search->detect_loops && i < found->count; i++)
		if (target_is_own(&found->list[i].addr))
			return loops_back(search, search->domain);
	target_order(found->list, found->count);
	return SMTP_TARGETS_FOUND;
}

/* Enough addresses for smtp_mx_address_limit, of both families where both are used? */
bool target_are_enough(const struct target_search *search)
{
	size_t limit = (size_t)SMTP_PARAM(mx_address_limit), in[2] = { 0, 0 };
	const struct smtp_targets *found = &search->found;

	for (size_t i = 0; i < found->count; i++)
		in[found->list[i].addr.ss.ss_family == AF_INET6]++;
	return limit && found->count >= limit &&
	       (target_rules.family != AF_UNSPEC || (in[0] && in[1]));
}

enum smtp_targets_result target_choose(
    struct target_search *search, const char *name, unsigned best)
{
	struct smtp_targets *found = &search->found;
	unsigned best_found = found->list[0].preference;

	if (search->detect_loops)
		found->count = target_drop_own(found->list, found->count, &found->own);
	if (found->count > 0)
		return SMTP_TARGETS_FOUND;
	if (best == best_found)
		return loops_back(search, name);
	target_failed(search->failure, "4.4.4", "unable to find primary relay for %s", name);
	return SMTP_TARGETS_NONE;
}

static int by_preference(const void *a, const void *b)
{
	const struct dns_mx *x = a, *y = b;

	return x->preference < y->preference ? -1 : x->preference > y->preference;
}

/*
 * The addresses of the MX hosts, the best first.  Hosts of one preference are all asked for, for
 * one of them may be this host.
 */
static void add_mx_hosts(
    struct target_search *search, const struct dns_mx *list, size_t count, bool secure)
{
	struct smtp_target target = search->like;

	target.by_mx = true;
	target.mx_secure = target_rules.dnssec && secure;
	for (size_t i = 0; i < count && i < MX_HOSTS_MAX; i++) {
		if (i > 0 && list[i].preference != list[i - 1].preference &&
		    target_are_enough(search))
			break;
		if (dns_name_is_number(list[i].name))
			log_warning("numeric domain name in resource data of MX record for %s: %s",
			    search->domain, list[i].name);
		target.host = arena_strdup(&search->found.arena, list[i].name);
		target.preference = list[i].preference;
		target_add_host(search, &target);
	}
}

/* Beside others, too, where it must not be (RFC 7505 3): such a domain wants no mail. */
static bool has_null_mx(const struct dns_mx *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!*list[i].name)
			return true;
	return false;
}

static enum smtp_targets_result use_mx(
    struct target_search *search, struct dns_mx *list, size_t count, bool secure)
{
	struct smtp_failure *failure = search->failure;
	const char *domain = search->domain;

	if (has_null_mx(list, count)) {
		target_failed(failure, "5.1.0", "Domain %s does not accept mail (nullMX)", domain);
		return SMTP_TARGETS_NONE;
	}
	qsort(list, count, sizeof(*list), by_preference);
	add_mx_hosts(search, list, count, secure);
	if (search->found.count > 0) {
		enum smtp_targets_result result = target_choose(search, domain, list[0].preference);

		target_order(search->found.list, search->found.count);
		return result;
	}
	log_warning("no MX host for %s has a valid address record", domain);
	if (SMTP_PARAM(defer_if_no_mx_address_found) && reason_is_permanent(&failure->why)) {
		strcpy(failure->why.dsn, "4.4.4");
		failure->host = true;
	}
	return SMTP_TARGETS_NONE;
}

/* Without those that smtp_dns_reply_filter hides; returns how many are left. */
static size_t filter_mx(const char *domain, struct dns_mx *list, size_t count, bool *broken)
{
	char data[DNS_NAME_SIZE + 16];
	size_t left = 0;

	for (size_t i = 0; i < count && !*broken; i++) {
		snprintf(data, sizeof(data), "%u %s.", list[i].preference, list[i].name);
		if (target_filter_passes(domain, list[i].ttl, "MX", data, broken))
			list[left++] = list[i];
	}
	return *broken ? 0 : left;
}

static enum smtp_targets_result use_answer(struct target_search *search, struct dns_mx *list,
    size_t count, const struct dns_answer *answer)
{
	const char *domain = search->domain;
	bool broken = false;

	if (count > 0) {
		count = filter_mx(answer->canonical, list, count, &broken);
		if (count > 0)
			return use_mx(search, list, count, answer->secure);
		target_filter_failed(search->failure, domain, "MX", broken);
		return SMTP_TARGETS_NONE;
	}
	if (answer->bad_names)
		log_warning("malformed domain name in resource data of MX record for %s", domain);
	if ((answer->result == DNS_NOT_FOUND && !answer->bad_names) ||
	    smtp_params->ignore_mx_lookup_error)
		return target_find_host(search);
	target_dns_failed(search->failure, domain, answer);
	return SMTP_TARGETS_NONE;
}

enum smtp_targets_result target_find_domain(struct target_search *search)
{
	struct dns_mx *list = xcalloc(DNS_MAX_RECORDS, sizeof(*list));
	enum smtp_targets_result result;
	struct dns_answer answer;
	size_t count = dns_mx_of(
	    search->domain, target_lookup_deadline(search), list, DNS_MAX_RECORDS, &answer);

	target_probe_dnssec(&answer);
	result = use_answer(search, list, count, &answer);
	free(list);
	return result;
}
