// SPDX-License-Identifier: BSD-2-Clause
/*
 * The levels dane and dane-only for one host (RFC 7672 2): which of the others they come to.
 *
 *   records            dane       dane-only
 *   usable             dane       dane-only     (half-dane behind an MX that is not validated)
 *   none is usable     encrypt    no delivery
 *   none               may        no delivery
 *   nobody can tell    no delivery now
 */
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "net/dane.h"
#include "smtp/smtp_tls_private.h"

#define LOOKUP_MS 60000

static const char *insecure_mx_policy(void)
{
	return smtp_params->smtp_tls_dane_insecure_mx_policy;
}

static bool insecure_mx(const struct smtp_target *target)
{
	return target->by_mx && !target->mx_secure;
}

/* There is no DANE for this host; WHAT says why. */
static bool do_without(struct smtp_tls_policy *policy, enum smtp_tls_level instead,
    const char *what, struct reason *why)
{
	if (policy->level == SMTP_TLS_DANE_ONLY) {
		reason_set(why, "4.7.5", "%s", what);
		return false;
	}
	policy->level = instead;
	policy->name = instead == SMTP_TLS_ENCRYPT ? "dane:encrypt" : "may";
	return true;
}

static void take_records(const struct smtp_target *target, struct dane_records *records,
    struct smtp_tls_details *details, struct arena *arena)
{
	struct dns_tlsa *list = arena_alloc(arena, records->count * sizeof(*list));

	memcpy(list, records->list, records->count * sizeof(*list));
	details->check = TLS_CHECK_DANE;
	details->tlsa = list;
	details->tlsa_count = records->count;
	details->tlsa_base = arena_strdup(arena, records->base);
	details->server_name = details->tlsa_base;
	smtp_tls_words_add(&details->names, arena, details->tlsa_base);
	/* RFC 7672 3.2.2: a validated MX makes the domain's own name good, too. */
	if (target->by_mx && target->mx_secure)
		smtp_tls_words_add(&details->names, arena, target->nexthop);
}

static bool found(const struct smtp_target *target, struct smtp_tls_policy *policy,
    struct dane_records *records, struct smtp_tls_details *details, struct arena *arena)
{
	if (insecure_mx(target) && strcasecmp(insecure_mx_policy(), "encrypt") == 0) {
		policy->level = SMTP_TLS_ENCRYPT;
		policy->name = "dane:encrypt";
		return true;
	}
	take_records(target, records, details, arena);
	if (insecure_mx(target)) {
		policy->level = SMTP_TLS_HALF_DANE;
		policy->name = "dane:halfdane";
		details->forged_perhaps = true;
	}
	return true;
}

static bool lookup(const struct smtp_target *target, struct smtp_tls_policy *policy,
    struct smtp_tls_details *details, struct arena *arena, struct reason *why)
{
	struct dane_host host = { .name = target->host,
		.canonical = target->canonical,
		.secure = target->addr_secure,
		.even_when_insecure = SMTP_PARAM(tls_force_insecure_host_tlsa_lookup),
		.port = target->port };
	struct dane_records records;
	bool ok = false;

	switch (dane_find(&host, smtp_tls_context(), deadline_in(LOOKUP_MS), &records)) {
	case DANE_NONE:
		ok = do_without(policy, SMTP_TLS_MAY, "no TLSA records found", why);
		break;
	case DANE_UNUSABLE:
		ok = do_without(policy, SMTP_TLS_ENCRYPT, "TLSA records unusable", why);
		break;
	case DANE_USABLE:
		ok = found(target, policy, &records, details, arena);
		break;
	case DANE_ERROR:
		reason_set(why, "4.7.5", "TLSA lookup error for %s:%u", target->host, target->port);
		break;
	}
	dane_records_release(&records);
	return ok;
}

bool smtp_tls_dane_resolve(const struct smtp_target *target, struct smtp_tls_policy *policy,
    struct smtp_tls_details *details, struct arena *arena, struct reason *why, bool *config)
{
	const char *level = smtp_tls_level_name(policy->level);

	*config = false;
	if (target->path) {
		log_warning("%s: the \"dane\" security level is invalid for delivery via "
			    "unix-domain sockets",
		    target->destination);
		*config = true;
		return false;
	}
	if (strcasecmp(SMTP_PARAM(dns_support_level), "dnssec") != 0) {
		log_warning(
		    "%s: %s configured with dnssec lookups disabled", target->destination, level);
		*config = policy->level == SMTP_TLS_DANE_ONLY;
		return do_without(policy, SMTP_TLS_MAY, "no DNSSEC", why);
	}
	/* RFC 7672 2.2.1: an MX that anybody could have made says nothing. */
	if (insecure_mx(target) &&
	    (policy->level == SMTP_TLS_DANE_ONLY || strcasecmp(insecure_mx_policy(), "may") == 0))
		return do_without(policy, SMTP_TLS_MAY, "non DNSSEC destination", why);
	/* Without TLS of our own nothing can be said of records; the handshake will tell. */
	if (smtp_tls_context() == NULL)
		return do_without(policy, SMTP_TLS_ENCRYPT, "our TLS engine is unavailable", why);
	return lookup(target, policy, details, arena, why);
}
