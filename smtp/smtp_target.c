// SPDX-License-Identifier: BSD-2-Clause
/* From a destination to its hosts. */
#include "smtp/smtp_target.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "net/dns_wire.h"
#include "smtp/smtp_target_internal.h"

/* For all lookups of one destination. */
#define LOOKUPS_MS 60000
#define SMTP_PORT  25

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

void smtp_targets_init(struct smtp_targets *targets)
{
	memset(targets, 0, sizeof(*targets));
}

void smtp_targets_release(struct smtp_targets *targets)
{
	arena_release(&targets->arena);
	smtp_targets_init(targets);
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

static enum smtp_targets_result find_inet(struct target_search *search, const char *text)
{
	struct smtp_target *like = &search->like;
	struct target_place place;

	if (!target_place_parse(
		text, SMTP_PARAM(tcp_port), &search->found.arena, &place, search->failure))
		return SMTP_TARGETS_NONE;
	like->nexthop = place.host;
	like->host = search->domain = place.ascii;
	like->port = place.port;
	like->is_domain = !place.brackets;
	search->service = place.service;
	search->detect_loops = place.port == SMTP_PORT;
	if (place.brackets)
		return target_find_host(search);
	if (target_rules.mx && target_uses_srv(place.service))
		return target_find_service(search);
	/* An MX is a host for SMTP. */
	return smtp_is_lmtp || !target_rules.mx ? target_find_host(search)
						: target_find_domain(search);
}

static enum smtp_targets_result find(struct target_search *search)
{
	const char *destination = search->like.destination;

	if (smtp_is_lmtp && slice_casestarts(slice_of(destination), "unix:")) {
		add_unix(&search->found, destination, destination + strlen("unix:"));
		return SMTP_TARGETS_FOUND;
	}
	if (smtp_is_lmtp && slice_casestarts(slice_of(destination), "inet:"))
		destination += strlen("inet:");
	return find_inet(search, destination);
}

enum smtp_targets_result smtp_targets_find(struct smtp_targets *targets, const char *destination,
    bool fallback, struct smtp_failure *failure)
{
	/* Those of this destination, in the arena of all. */
	struct target_search search = { .found = { .arena = targets->arena },
		.deadline = deadline_in(LOOKUPS_MS),
		.failure = failure };
	enum smtp_targets_result result;

	memset(failure, 0, sizeof(*failure));
	search.like.destination = arena_strdup(&search.found.arena, destination);
	search.like.is_fallback = fallback;
	search.like.canonical = "";
	result = find(&search);
	targets->arena = search.found.arena;
	targets->own |= search.found.own;
	if (result != SMTP_TARGETS_FOUND)
		return result;
	search.found.count = target_balance(
	    search.found.list, search.found.count, (size_t)SMTP_PARAM(mx_address_limit));
	for (size_t i = 0; i < search.found.count; i++)
		target_add(targets, &search.found.list[i]);
	return result;
}

static void prepare_lookups(void)
{
	const char *level = SMTP_PARAM(dns_support_level), *lookup = SMTP_PARAM(host_lookup),
		   *options = SMTP_PARAM(dns_resolver_options);

	if (!*level)
		level = smtp_params->disable_dns_lookups ? "disabled" : "enabled";
	target_rules.dnssec = strcmp(level, "dnssec") == 0;
	target_rules.mx = strcmp(level, "disabled") != 0;
	target_rules.dns = target_rules.mx && strstr(lookup, "dns");
	target_rules.native = !target_rules.dns || strstr(lookup, "native");
	target_rules.search_default = strstr(options, "res_defnames");
	target_rules.search_parents = strstr(options, "res_dnsrch");
	while (target_rules.domain_count < ARRAY_LEN(target_rules.domains) &&
	       dns_search_domain(
		   target_rules.domain_count, target_rules.domains[target_rules.domain_count]))
		target_rules.domain_count++;
}

static void check_word(const char *parameter, const char *value, const char *const *words)
{
	struct slice rest = slice_of(value), word;

	while (slice_token(&rest, ", \t\r\n", &word)) {
		size_t i = 0;

		while (words[i] && !slice_caseeq_str(word, words[i]))
			i++;
		if (!words[i])
			fatal("bad %s parameter: %s", parameter, value);
	}
}

static void check_words(void)
{
	static const char *const levels[] = { "enabled", "disabled", "dnssec", NULL };
	static const char *const lookups[] = { "dns", "native", NULL };
	static const char *const options[] = { "res_defnames", "res_dnsrch", NULL };
	static const char *const families[] = { "any", "ipv4", "ipv6", NULL };

	check_word(SMTP_PARAM_NAME("dns_support_level"), SMTP_PARAM(dns_support_level), levels);
	check_word(SMTP_PARAM_NAME("host_lookup"), SMTP_PARAM(host_lookup), lookups);
	check_word(
	    SMTP_PARAM_NAME("dns_resolver_options"), SMTP_PARAM(dns_resolver_options), options);
	check_word(SMTP_PARAM_NAME("address_preference"), SMTP_PARAM(address_preference), families);
}

static int family_of_protocols(const char *value)
{
	bool all = strstr(value, "all"), ipv4 = all || strstr(value, "ipv4"),
	     ipv6 = all || strstr(value, "ipv6");

	return ipv4 == ipv6 ? AF_UNSPEC : ipv4 ? AF_INET : AF_INET6;
}

void smtp_target_prepare(const struct postfix_params *params)
{
	const char *first = SMTP_PARAM(address_preference);

	if (*params->postcote_dns_server && !dns_use_server(params->postcote_dns_server))
		fatal("bad postcote_dns_server parameter: %s", params->postcote_dns_server);
	check_words();
	target_rules.family = family_of_protocols(params->inet_protocols);
	target_rules.first_family = strcasecmp(first, "ipv4") == 0   ? AF_INET
				    : strcasecmp(first, "ipv6") == 0 ? AF_INET6
								     : AF_UNSPEC;
	prepare_lookups();
	target_filter_prepare();
	target_own_prepare(params);
	target_bind_prepare(params);
	dns_open();
}
