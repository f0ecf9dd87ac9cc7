// SPDX-License-Identifier: BSD-2-Clause
/* Restrictions on the sender's and the recipient's addresses. */
#include <stdlib.h>

#include "log/log.h"
#include "mail/address.h"
#include "mail/hostname.h"
#include "smtpd/restrict_eval.h"

enum check restrict_resolve(struct eval *e, int who, struct resolved_once **result)
{
	struct slice address = who == WHO_SENDER ? e->facts->sender : e->facts->recipient;
	struct resolved_once *once = &e->resolved[who];
	struct reason why = { "", "" };

	*result = once;
	if (once->state == NOT_ASKED) {
		resolved_init(&once->res);
		strbuf_init(&once->canonical, 2 * ADDRESS_MAX);
		rewrite_address(e->r->rewriter, REWRITE_LOCAL, address, &once->canonical);
		/* Where the sender's own address goes does not depend on a sender. */
		if (resolve(e->r->resolver, strbuf_slice(&once->canonical),
			who == WHO_SENDER ? SLICE_NULL : e->facts->sender, &once->res, &why))
			once->state = RESOLVED;
		else
			once->state = reason_is_permanent(&why) ? RESOLVE_BAD : RESOLVE_FAILED;
	}
	return once->state == RESOLVE_FAILED ? restrict_lookup_error(e, address) : CHECK_DUNNO;
}

static enum check non_fqdn(struct eval *e, enum subject subject, struct slice address)
{
	struct slice local, domain;

	if (!address.len)
		return CHECK_DUNNO;
	address_split(address, &local, &domain);
	if (slice_starts(domain, "[") && slice_ends(domain, "]"))
		return CHECK_DUNNO;
	if (slice_ends(domain, "."))
		domain.len--;
	if (hostname_is_fqdn(domain))
		return CHECK_DUNNO;
	return restrict_reject_subject(e, (unsigned)e->r->params->non_fqdn_reject_code, "5.5.2",
	    subject, "need fully-qualified address");
}

enum check restrict_non_fqdn_sender(struct eval *e, const struct rule *rule)
{
	(void)rule;
	return non_fqdn(e, SUBJECT_SENDER, e->facts->sender);
}

enum check restrict_non_fqdn_recipient(struct eval *e, const struct rule *rule)
{
	(void)rule;
	return non_fqdn(e, SUBJECT_RECIPIENT, e->facts->recipient);
}

/* CHECK_PERMIT: we take mail for the recipient from anybody. */
static enum check auth_destination(struct eval *e)
{
	struct resolved_once *once;
	enum check check = restrict_resolve(e, WHO_RECIPIENT, &once);

	if (check != CHECK_DUNNO)
		return check;
	/* An address that is none is refused for that, but is no reason to relay it. */
	if (once->state == RESOLVE_BAD)
		return CHECK_DUNNO;
	if (once->res.class != RESOLVE_DEFAULT &&
	    (!once->res.routed || e->r->params->allow_untrusted_routing))
		return CHECK_PERMIT;
	return CHECK_DUNNO;
}

enum check restrict_permit_auth_destination(struct eval *e, const struct rule *rule)
{
	(void)rule;
	return e->facts->recipient.len ? auth_destination(e) : CHECK_DUNNO;
}

/* 0: reject_unauth_destination, 1: defer_unauth_destination */
enum check restrict_unauth_destination(struct eval *e, const struct rule *rule)
{
	unsigned code = (unsigned)e->r->params->relay_domains_reject_code;
	struct slice recipient = e->facts->recipient;
	enum check check;

	if (!recipient.len)
		return CHECK_DUNNO;
	check = auth_destination(e);
	if (check == CHECK_PERMIT)
		return CHECK_DUNNO;
	if (check == CHECK_REJECT)
		return check;
	if (rule->row->number)
		code = code >= 500 ? code - 100 : code;
	return restrict_reject(e, code, "5.7.1", "<%.*s>: Relay access denied",
	    SLICE_ARG(slice_first(recipient, 512)));
}

static enum check unlisted(struct eval *e, int who, enum subject subject)
{
	struct slice address = who == WHO_SENDER ? e->facts->sender : e->facts->recipient;
	struct resolved_once *once;
	struct reason why = { "", "" };
	enum check check;

	if (!address.len)
		return CHECK_DUNNO;
	check = restrict_resolve(e, who, &once);
	if (check != CHECK_DUNNO)
		return check;
	if (once->state == RESOLVE_BAD)
		return restrict_reject_subject(e, 501, "5.1.3", subject, "bad address syntax");
	switch ((who == WHO_SENDER ? resolver_sender_known : resolver_recipient_known)(
	    e->r->resolver, strbuf_slice(&once->canonical), &once->res, &why)) {
	case RECIPIENT_KNOWN:
		return CHECK_DUNNO;
	case RECIPIENT_ERROR:
		return restrict_lookup_error(e, address);
	case RECIPIENT_UNKNOWN:
		break;
	}
	/* 5.1.1 is about a destination; RFC 3463 has no code for a sender that is unknown. */
	return restrict_reject_subject(e, resolver_unknown_code(e->r->resolver, once->res.class),
	    who == WHO_SENDER && once->res.class != RESOLVE_VIRTUAL_ALIAS ? "5.1.0" : why.dsn,
	    subject, why.text);
}

enum check restrict_unlisted_recipient(struct eval *e, const struct rule *rule)
{
	(void)rule;
	if (e->recipient_checked)
		return CHECK_DUNNO;
	e->recipient_checked = true;
	return unlisted(e, WHO_RECIPIENT, SUBJECT_RECIPIENT);
}

enum check restrict_unlisted_sender(struct eval *e, const struct rule *rule)
{
	(void)rule;
	if (e->sender_checked)
		return CHECK_DUNNO;
	e->sender_checked = true;
	return unlisted(e, WHO_SENDER, SUBJECT_SENDER);
}

enum check restrict_multi_recipient_bounce(struct eval *e, const struct rule *rule)
{
	const struct restrict_facts *f = e->facts;

	(void)rule;
	/* Only when all recipients are there. */
	if ((e->stage != RESTRICT_DATA && e->stage != RESTRICT_END_OF_DATA) || !f->sender.ptr ||
	    f->sender.len || f->recipient_count <= 1)
		return CHECK_DUNNO;
	return restrict_reject_subject(e,
	    (unsigned)e->r->params->multi_recipient_bounce_reject_code, "5.5.3", e->list_subject,
	    "Multi-recipient bounce");
}

static bool owns(struct slice owners, const char *user)
{
	struct slice word;

	while (slice_token(&owners, ", \t\r\n", &word)) {
		if (slice_caseeq_str(word, user))
			return true;
	}
	return false;
}

/* Which of the three complaints each name makes. */
enum {
	LOGIN_NOT_OWNER = 1,	 /* logged in, the address has owners, and is none of them */
	LOGIN_NOT_LOGGED_IN = 2, /* the address has owners, nobody is logged in */
	LOGIN_NO_OWNER = 4	 /* logged in, the address has no owner */
};

static enum check not_owner(struct eval *e)
{
	char *text =
	    arena_printf(e->findings->arena, "not owned by user %s", e->facts->sasl_username);

	return restrict_reject_subject(e, 553, "5.7.1", SUBJECT_SENDER, text);
}

bool restrict_lacks_sasl(const struct eval *e, const char *name)
{
	if (e->r->params->smtpd_sasl_auth_enable)
		return false;
	log_warning("restriction `%s' ignored: no SASL support", name);
	return true;
}

static bool ignores_logins(const struct eval *e, const struct rule *rule)
{
	/* One name for two restrictions. */
	if (rule->row->number != (LOGIN_NOT_OWNER | LOGIN_NOT_LOGGED_IN | LOGIN_NO_OWNER))
		return restrict_lacks_sasl(e, rule->row->name);
	return restrict_lacks_sasl(e, "reject_authenticated_sender_login_mismatch") &&
	       restrict_lacks_sasl(e, "reject_unauthenticated_sender_login_mismatch");
}

enum check restrict_sender_login(struct eval *e, const struct rule *rule)
{
	const struct restrict_facts *f = e->facts;
	struct strbuf owners = STRBUF_INIT(65536);
	unsigned which = rule->row->number;
	enum check check = CHECK_DUNNO;
	enum table_result found;

	if (ignores_logins(e, rule) || !f->sender.len)
		return CHECK_DUNNO;
	found = address_lookup(resolver_rules(e->r->resolver), e->r->sender_login, f->sender,
	    ADDRESS_LOOKUP_ALIAS, &owners, NULL);
	if (found == TABLE_ERROR)
		check = restrict_lookup_error(e, f->sender);
	else if (f->sasl_username && found == TABLE_FOUND && (which & LOGIN_NOT_OWNER) &&
		 !owns(strbuf_slice(&owners), f->sasl_username))
		check = not_owner(e);
	else if (f->sasl_username && found == TABLE_NOT_FOUND && (which & LOGIN_NO_OWNER))
		check = not_owner(e);
	else if (!f->sasl_username && found == TABLE_FOUND && (which & LOGIN_NOT_LOGGED_IN))
		check = restrict_reject_subject(e, 553, "5.7.1", SUBJECT_SENDER, "not logged in");
	strbuf_release(&owners);
	return check;
}
