// SPDX-License-Identifier: BSD-2-Clause
/* Hosts of a service by SRV records (RFC 2782), as RFC 6186 clients find their submission server.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "net/dns_wire.h"
#include "smtp/smtp_target_internal.h"

#define SRV_HOSTS_MAX 30
#define SEPARATORS    ", \t\r\n"

bool target_uses_srv(const char *service)
{
	struct slice rest = slice_of(smtp_params->use_srv_lookup), word;

	while (slice_token(&rest, SEPARATORS, &word))
		if (slice_caseeq_str(word, service))
			return true;
	return false;
}

static int by_priority(const void *a, const void *b)
{
	const struct dns_srv *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	/* Those without weight are drawn last, or with luck. */
	return x->weight > y->weight ? -1 : x->weight < y->weight;
}

/* Moves the one that is drawn to the front: each as often as its weight says (RFC 2782). */
static void draw(struct dns_srv *list, size_t count)
{
	unsigned total = 0, ticket;
	size_t i = 0;

	for (size_t j = 0; j < count; j++)
		total += list[j].weight + 1;
	ticket = target_random_below(total);
	while (ticket >= list[i].weight + 1)
		ticket -= list[i++].weight + 1;

	struct dns_srv drawn = list[i];

	memmove(list + 1, list, i * sizeof(*list));
	list[0] = drawn;
}

static void put_in_order(struct dns_srv *list, size_t count)
{
	qsort(list, count, sizeof(*list), by_priority);
	if (!SMTP_PARAM(randomize_addresses))
		return;
	for (size_t i = 0; i < count; i++) {
		size_t end = i + 1;

		while (end < count && list[end].priority == list[i].priority)
			end++;
		draw(list + i, end - i);
	}
}

static void add_hosts(struct target_search *search, const char *name, const struct dns_srv *list,
    size_t count, bool secure)
{
	struct smtp_target target = search->like;

	target.by_mx = true;
	target.mx_secure = target_rules.dnssec && secure;
	for (size_t i = 0; i < count && i < SRV_HOSTS_MAX && !target_are_enough(search); i++) {
		if (!*list[i].name)
			continue;
		if (dns_name_is_number(list[i].name))
			log_warning("numeric domain name in resource data of SRV record for %s: %s",
			    name, list[i].name);
		target.host = arena_strdup(&search->found.arena, list[i].name);
		target.preference = list[i].priority;
		target.port = list[i].port ? list[i].port : search->like.port;
		target_add_host(search, &target);
	}
}

static size_t filter_srv(const char *name, struct dns_srv *list, size_t count, bool *broken)
{
	char data[DNS_NAME_SIZE + 32];
	size_t left = 0;

	for (size_t i = 0; i < count && !*broken; i++) {
		snprintf(data, sizeof(data), "%u %u %u %s.", list[i].priority, list[i].weight,
		    list[i].port, list[i].name);
		if (target_filter_passes(name, list[i].ttl, "SRV", data, broken))
			list[left++] = list[i];
	}
	return *broken ? 0 : left;
}

static enum smtp_targets_result use_srv(struct target_search *search, const char *name,
    struct dns_srv *list, size_t count, const struct dns_answer *answer)
{
	bool broken = false;

	if (count == 1 && !*list[0].name) {
		target_failed(
		    search->failure, "5.1.0", "Domain %s does not support SRV requests", name);
		return SMTP_TARGETS_NONE;
	}
	count = filter_srv(answer->canonical, list, count, &broken);
	if (count == 0) {
		target_filter_failed(search->failure, name, "SRV", broken);
		return SMTP_TARGETS_NONE;
	}
	put_in_order(list, count);
	add_hosts(search, name, list, count, answer->secure);
	if (search->found.count > 0)
		return target_choose(search, name, list[0].priority);
	log_warning("no SRV host for %s has a valid address record", name);
	return SMTP_TARGETS_NONE;
}

/* After a failure: are MX or address records another way? */
static bool may_go_on(const struct dns_answer *answer)
{
	bool error = answer->result == DNS_TEMPORARY || answer->bad_names;

	return smtp_params->allow_srv_lookup_fallback ||
	       (error && smtp_params->ignore_srv_lookup_error);
}

enum smtp_targets_result target_find_service(struct target_search *search)
{
	struct dns_srv *list = xcalloc(DNS_MAX_RECORDS, sizeof(*list));
	enum smtp_targets_result result = SMTP_TARGETS_NONE;
	const char *name =
	    arena_printf(&search->found.arena, "_%s._tcp.%s", search->service, search->domain);
	struct dns_answer answer;
	size_t count =
	    dns_srv_of(name, target_lookup_deadline(search), list, DNS_MAX_RECORDS, &answer);

	target_probe_dnssec(&answer);
	if (answer.bad_names)
		log_warning("malformed domain name in resource data of SRV record for %s", name);
	if (count > 0)
		result = use_srv(search, name, list, count, &answer);
	else
		target_dns_failed(search->failure, name, &answer);
	free(list);
	if (result == SMTP_TARGETS_FOUND || !may_go_on(&answer))
		return result;
	log_info("skipping SRV lookup for %s: %s", name, search->failure->why.text);
	return smtp_is_lmtp ? target_find_host(search) : target_find_domain(search);
}
