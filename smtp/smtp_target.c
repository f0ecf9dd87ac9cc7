// SPDX-License-Identifier: BSD-2-Clause
/* From a destination to its hosts. */
#include "smtp/smtp_target.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "net/dns_wire.h"
#include "smtp/smtp_target_internal.h"

/* For all lookups of one destination. */
#define LOOKUPS_MS 60000
/* What a hostile domain may make us ask for. */
#define MX_HOSTS_MAX 30

struct target_rules target_rules;

void target_failed(struct smtp_failure *failure, const char *dsn, const char *format, ...)
{
	va_list args;

	memset(failure, 0, sizeof(*failure));
	va_start(args, format);
	reason_vset(&failure->why, dsn, format, args);
	va_end(args);
	failure->host = !reason_is_permanent(&failure->why);
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

void smtp_targets_init(struct smtp_targets *targets)
{
	memset(targets, 0, sizeof(*targets));
}

void smtp_targets_release(struct smtp_targets *targets)
{
	arena_release(&targets->arena);
	smtp_targets_init(targets);
}

static enum smtp_targets_result loops_back(struct smtp_failure *failure, const char *domain)
{
	target_failed(failure, "5.4.6", "mail for %s loops back to myself", domain);
	return SMTP_TARGETS_OWN;
}

/* Only what listens at the port of SMTP can be ourselves. */
static bool may_be_own(const struct smtp_target *like)
{
	return like->port == 25;
}

/* [HOST], or a domain without MX. */
static enum smtp_targets_result find_host(struct smtp_targets *found,
    const struct smtp_target *like, int64_t deadline, const char *id, struct smtp_failure *failure)
{
	if (!target_add_host(found, like, deadline, id, failure))
		return SMTP_TARGETS_NONE;
	for (size_t i = 0; may_be_own(like) && i < found->count; i++)
		if (target_is_own(&found->list[i].addr))
			return loops_back(failure, like->nexthop);
	target_order(found->list, found->count);
	return SMTP_TARGETS_FOUND;
}

static int by_preference(const void *a, const void *b)
{
	const struct dns_mx *x = a, *y = b;

	return x->preference < y->preference ? -1 : x->preference > y->preference;
}

/* Enough addresses for smtp_mx_address_limit, of both families where both are used? */
static bool are_enough(const struct smtp_targets *found)
{
	size_t limit = (size_t)SMTP_PARAM(mx_address_limit), in[2] = { 0, 0 };

	for (size_t i = 0; i < found->count; i++)
		in[found->list[i].addr.ss.ss_family == AF_INET6]++;
	return limit && found->count >= limit &&
	       (target_rules.family != AF_UNSPEC || (in[0] && in[1]));
}

/*
 * The addresses of the MX hosts, the best first.  Hosts of one preference are all asked for, for
 * one of them may be this host.
 */
static void add_mx_hosts(struct smtp_targets *found, const struct smtp_target *like,
    const struct dns_mx *list, size_t count, bool secure, int64_t deadline, const char *id,
    struct smtp_failure *failure)
{
	struct smtp_target target = *like;

	target.by_mx = true;
	target.mx_secure = target_rules.dnssec && secure;
	for (size_t i = 0; i < count && i < MX_HOSTS_MAX; i++) {
		if (i > 0 && list[i].preference != list[i - 1].preference && are_enough(found))
			break;
		if (dns_name_is_number(list[i].name))
			log_warning("%s: numeric domain name in resource data of MX record for %s: "
				    "%s",
			    id, like->nexthop, list[i].name);
		target.host = arena_strdup(&found->arena, list[i].name);
		target.preference = list[i].preference;
		target_add_host(found, &target, deadline, id, failure);
	}
}

static enum smtp_targets_result choose(struct smtp_targets *found, const struct smtp_target *like,
    unsigned best, struct smtp_failure *failure)
{
	unsigned best_found = found->list[0].preference;
	bool own = false;

	if (may_be_own(like))
		found->count = target_drop_own(found->list, found->count, &own);
	if (found->count > 0) {
		target_order(found->list, found->count);
		return SMTP_TARGETS_FOUND;
	}
	if (best == best_found)
		return loops_back(failure, like->nexthop);
	target_failed(failure, "4.4.4", "unable to find primary relay for %s", like->nexthop);
	return SMTP_TARGETS_NONE;
}

static enum smtp_targets_result use_mx(struct smtp_targets *found, const struct smtp_target *like,
    struct dns_mx *list, size_t count, bool secure, int64_t deadline, const char *id,
    struct smtp_failure *failure)
{
	if (count == 1 && !*list[0].name) {
		target_failed(
		    failure, "5.1.0", "Domain %s does not accept mail (nullMX)", like->nexthop);
		return SMTP_TARGETS_NONE;
	}
	qsort(list, count, sizeof(*list), by_preference);
	add_mx_hosts(found, like, list, count, secure, deadline, id, failure);
	if (found->count > 0)
		return choose(found, like, list[0].preference, failure);
	log_warning("%s: no MX host for %s has a valid address record", id, like->nexthop);
	if (SMTP_PARAM(defer_if_no_mx_address_found) && reason_is_permanent(&failure->why)) {
		failure->why.dsn[0] = '4';
		failure->host = true;
	}
	return SMTP_TARGETS_NONE;
}

static enum smtp_targets_result find_domain(struct smtp_targets *found,
    const struct smtp_target *like, int64_t deadline, const char *id, struct smtp_failure *failure)
{
	enum smtp_targets_result result = SMTP_TARGETS_NONE;
	struct dns_mx *list = xcalloc(DNS_MAX_RECORDS, sizeof(*list));
	struct dns_answer answer;
	size_t count = dns_mx_of(like->nexthop, deadline, list, DNS_MAX_RECORDS, &answer);

	if (count > 0) {
		result = use_mx(found, like, list, count, answer.secure, deadline, id, failure);
	} else if ((answer.result == DNS_NOT_FOUND && !answer.bad_names) ||
		   smtp_params->ignore_mx_lookup_error) {
		result = find_host(found, like, deadline, id, failure);
	} else {
		target_dns_failed(failure, like->nexthop, &answer);
	}
	free(list);
	return result;
}

static void add_unix(struct smtp_targets *targets, const char *destination, const char *path)
{
	const struct smtp_target target = { .destination = destination,
		.nexthop = path,
		.host = path,
		.path = path,
		.canonical = "" };

	target_add(targets, &target);
}

static enum smtp_targets_result find_inet(struct smtp_targets *found, const char *destination,
    bool fallback, const char *id, struct smtp_failure *failure)
{
	const char *text = destination;
	int64_t deadline = deadline_in(LOOKUPS_MS);
	struct target_place place;
	struct smtp_target like = {
		.destination = destination, .is_fallback = fallback, .canonical = ""
	};

	if (smtp_is_lmtp && slice_casestarts(slice_of(text), "inet:"))
		text += strlen("inet:");
	if (!target_place_parse(text, SMTP_PARAM(tcp_port), &found->arena, &place, failure))
		return SMTP_TARGETS_NONE;
	like.nexthop = like.host = place.host;
	like.port = place.port;
	like.is_domain = !place.brackets;
	if (place.brackets || smtp_is_lmtp || !target_rules.dns)
		return find_host(found, &like, deadline, id, failure);
	return find_domain(found, &like, deadline, id, failure);
}

enum smtp_targets_result smtp_targets_find(struct smtp_targets *targets, const char *destination,
    bool fallback, const char *id, struct smtp_failure *failure)
{
	/* Those of this destination, in the arena of all. */
	struct smtp_targets found = { .arena = targets->arena };
	enum smtp_targets_result result;

	memset(failure, 0, sizeof(*failure));
	destination = arena_strdup(&found.arena, destination);
	if (smtp_is_lmtp && slice_casestarts(slice_of(destination), "unix:")) {
		add_unix(&found, destination, destination + strlen("unix:"));
		result = SMTP_TARGETS_FOUND;
	} else {
		result = find_inet(&found, destination, fallback, id, failure);
		found.count =
		    target_balance(found.list, found.count, (size_t)SMTP_PARAM(mx_address_limit));
	}
	targets->arena = found.arena;
	for (size_t i = 0; result == SMTP_TARGETS_FOUND && i < found.count; i++)
		target_add(targets, &found.list[i]);
	return result;
}

static void prepare_lookups(void)
{
	const char *level = SMTP_PARAM(dns_support_level);

	target_rules.dnssec = strcmp(level, "dnssec") == 0;
	target_rules.dns = strcmp(level, "disabled") != 0 &&
			   (*level || !smtp_params->disable_dns_lookups) &&
			   strstr(SMTP_PARAM(host_lookup), "dns");
	target_rules.native = !target_rules.dns || strstr(SMTP_PARAM(host_lookup), "native");
}

static int family_of_protocols(const char *value)
{
	bool all = strstr(value, "all"), ipv4 = all || strstr(value, "ipv4"),
	     ipv6 = all || strstr(value, "ipv6");

	return ipv4 == ipv6 ? AF_UNSPEC : ipv4 ? AF_INET : AF_INET6;
}

void smtp_target_prepare(const struct postfix_params *params)
{
	target_rules.family = family_of_protocols(params->inet_protocols);
	prepare_lookups();
	if (strcmp(SMTP_PARAM(address_preference), "ipv4") == 0)
		target_rules.first_family = AF_INET;
	else if (strcmp(SMTP_PARAM(address_preference), "ipv6") == 0)
		target_rules.first_family = AF_INET6;
	else
		target_rules.first_family = AF_UNSPEC;
	target_own_prepare(params);
	target_bind_prepare(params);
	if (*params->postcote_dns_server && !dns_use_server(params->postcote_dns_server))
		fatal("bad postcote_dns_server parameter: %s", params->postcote_dns_server);
	dns_open();
}
