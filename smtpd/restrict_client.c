// SPDX-License-Identifier: BSD-2-Clause
/* Restrictions on everything but addresses: the generic ones, the client, HELO. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "mail/hostname.h"
#include "smtpd/restrict_eval.h"

enum check restrict_permit(struct eval *e, const struct rule *rule)
{
	(void)e;
	(void)rule;
	return CHECK_PERMIT;
}

/* reject, defer, defer_if_permit, defer_if_reject: in the words of the list they stand in. */
enum check restrict_refuse(struct eval *e, const struct rule *rule)
{
	const struct postfix_params *p = e->r->params;
	enum subject subject = e->list_subject;

	switch (rule->row->number) {
	case 0:
		return restrict_reject_subject(
		    e, (unsigned)p->reject_code, "5.7.1", subject, "Access denied");
	case 1:
		return restrict_reject_subject(
		    e, (unsigned)p->defer_code, "4.3.2", subject, "Try again later");
	case 2:
		return restrict_defer_if(
		    e, &e->if_permit, 450, "4.7.0", subject, "defer_if_permit requested");
	default:
		return restrict_defer_if(
		    e, &e->if_reject, 450, "4.7.0", subject, "defer_if_reject requested");
	}
}

enum check restrict_permit_mynetworks(struct eval *e, const struct rule *rule)
{
	static const struct net_addr nowhere = { .len = 0 };
	const struct restrict_facts *f = e->facts;

	(void)rule;
	switch (match_list_client(e->r->mynetworks, slice_of(f->client_name),
	    f->client_addr ? f->client_addr : &nowhere)) {
	case MATCH_YES:
		return CHECK_PERMIT;
	case MATCH_NO:
		return CHECK_DUNNO;
	case MATCH_ERROR:
		break;
	}
	return restrict_lookup_error(e, slice_of(f->client_address));
}

enum check restrict_permit_interfaces(struct eval *e, const struct rule *rule)
{
	const struct net_addr *addr = e->facts->client_addr;

	(void)rule;
	if (addr && addr->len && address_rules_is_own_addr(resolver_rules(e->r->resolver), addr))
		return CHECK_PERMIT;
	return CHECK_DUNNO;
}

enum check restrict_permit_sasl(struct eval *e, const struct rule *rule)
{
	(void)rule;
	return e->facts->sasl_username ? CHECK_PERMIT : CHECK_DUNNO;
}

enum check restrict_plaintext(struct eval *e, const struct rule *rule)
{
	(void)rule;
	if (e->facts->tls)
		return CHECK_DUNNO;
	return restrict_reject(e, (unsigned)e->r->params->plaintext_reject_code, "4.7.1",
	    "Session encryption is required");
}

enum check restrict_pipelining(struct eval *e, const struct rule *rule)
{
	(void)rule;
	if (!e->facts->pipelined)
		return CHECK_DUNNO;
	return restrict_reject_subject(
	    e, 503, "5.5.0", e->list_subject, "Improper use of SMTP command pipelining");
}

/* A thread of its own waits, so nobody else does. */
enum check restrict_sleep(struct eval *e, const struct rule *rule)
{
	struct timespec left = { .tv_sec = rule->number };

	(void)e;
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	return CHECK_DUNNO;
}

static bool is_unknown(const char *name)
{
	return !name || slice_eq_str(slice_of(name), "unknown");
}

enum check restrict_unknown_client(struct eval *e, const struct rule *rule)
{
	const struct restrict_facts *f = e->facts;
	bool reverse = rule->row->number != 0;
	/* A name server that does not answer proves nothing. */
	bool temporary = reverse ? f->reverse_name_failed : f->client_name_failed;
	unsigned code = temporary ? 450 : (unsigned)e->r->params->unknown_client_reject_code;
	char text[200];

	if (!is_unknown(reverse ? f->reverse_name : f->client_name))
		return CHECK_DUNNO;
	snprintf(text, sizeof(text), "cannot find your %shostname, [%s]", reverse ? "reverse " : "",
	    f->client_address ? f->client_address : "unknown");
	return restrict_reject(
	    e, code, reverse ? "4.7.1" : "4.7.25", "Client host rejected: %s", text);
}

/* One trailing dot is forgiven. */
static struct slice helo_name(const struct eval *e)
{
	struct slice name = slice_of(e->facts->helo);

	if (name.len > 1 && slice_ends(name, "."))
		name.len--;
	return name;
}

static bool is_bad_literal(struct slice name)
{
	struct slice address;

	return !address_literal_parse(name, &address);
}

enum check restrict_invalid_helo(struct eval *e, const struct rule *rule)
{
	unsigned code = (unsigned)e->r->params->invalid_hostname_reject_code;
	struct slice name = helo_name(e);

	(void)rule;
	if (!e->facts->helo)
		return CHECK_DUNNO;
	if (slice_starts(name, "[") && is_bad_literal(name))
		return restrict_reject_subject(
		    e, code, "5.5.2", SUBJECT_HELO, "invalid ip address");
	if (slice_starts(name, "[") || hostname_is_valid(name) || hostaddr_is_valid(name))
		return CHECK_DUNNO;
	return restrict_reject_subject(e, code, "5.5.2", SUBJECT_HELO, "Invalid name");
}

enum check restrict_non_fqdn_helo(struct eval *e, const struct rule *rule)
{
	struct slice name = helo_name(e);

	(void)rule;
	if (!e->facts->helo)
		return CHECK_DUNNO;
	if (slice_starts(name, "[") && is_bad_literal(name))
		return restrict_reject_subject(e,
		    (unsigned)e->r->params->invalid_hostname_reject_code, "5.5.2", SUBJECT_HELO,
		    "invalid ip address");
	if (slice_starts(name, "[") || hostname_is_fqdn(name))
		return CHECK_DUNNO;
	return restrict_reject_subject(e, (unsigned)e->r->params->non_fqdn_reject_code, "5.5.2",
	    SUBJECT_HELO, "need fully-qualified hostname");
}
