// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where does mail for an address go: its class, transport, next hop and recipient, and is it an
 * address that exists?  (trivial-rewrite(8), ADDRESS_CLASS_README, postfix.md 4.4.)
 *
 * A resolver is made from a role's parameters before the jail, and is immutable and safe for all
 * threads.  It sees replaced tables after table_refresh_all.  A table that fails is an error of
 * 4.3.0, never a wrong answer.
 */
#ifndef PC_REWRITE_RESOLVE_H
#define PC_REWRITE_RESOLVE_H

#include <stdbool.h>

#include "base/reason.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "conf/postfix_conf.h"
#include "rewrite/address_lookup.h"

struct resolver;

enum resolve_class {
	RESOLVE_LOCAL,		 /* mydestination, our interfaces' literals */
	RESOLVE_VIRTUAL_ALIAS,	 /* virtual_alias_domains: transport is error */
	RESOLVE_VIRTUAL_MAILBOX, /* virtual_mailbox_domains */
	RESOLVE_RELAY,		 /* relay_domains */
	RESOLVE_DEFAULT		 /* all else */
};

struct resolved {
	enum resolve_class class;
	bool routed; /* the local part still has a domain in it (user@other@here, a%b, a!b) */
	struct strbuf transport; /* "virtual", "smtp", "error" */
	/* "mx.example.com", "[10.0.0.1]:25", for local the host; for error "5.1.1 User unknown ..."
	 */
	struct strbuf nexthop;
	struct strbuf recipient; /* internal form, as the agent gets it */
};
void resolved_init(struct resolved *r);
void resolved_release(struct resolved *r);

struct resolver *resolver_new(const struct postfix_params *params);
void resolver_free(struct resolver *resolver);
const struct address_rules *resolver_rules(const struct resolver *resolver);

/*
 * ADDRESS (internal form, already canonical) as sent by SENDER (empty: the null sender; it selects
 * sender_dependent_...maps).  RESULT is emptied first.  False: WHY is 4.3.0 for a table that
 * failed, or 5.1.3 for what can be no recipient (control characters, a domain that is no name, a
 * leading '-'). An address to which a transport "error" applies is a success with transport error.
 */
bool resolve(const struct resolver *resolver, struct slice address, struct slice sender,
    struct resolved *result, struct reason *why);

/*
 * Is ADDRESS (internal form) one that resolve() would not refuse with 5.1.3?  The empty one is.
 */
bool resolve_syntax(const struct resolver *resolver, struct slice address);

/* The class alone, by domain (SLICE_NULL: a bare name, local); MATCH_ERROR when a table failed. */
enum match_result resolve_domain_class(
    const struct resolver *resolver, struct slice domain, enum resolve_class *class);

enum recipient_status { RECIPIENT_KNOWN, RECIPIENT_UNKNOWN, RECIPIENT_ERROR };
/*
 * Is there such a recipient in its class: canonical and virtual alias maps first, then the class's
 * own table (local_recipient_maps, virtual_mailbox_maps, relay_recipient_maps; a class whose list
 * is empty, or RESOLVE_DEFAULT, knows everyone).  R is what resolve() said.  UNKNOWN: WHY is
 * "5.1.1", "User unknown in virtual mailbox table" (no " in ..." with show_user_unknown_table_name
 * = no). ERROR: 4.3.0.  Postmaster, double-bounce and mailer-daemon at a local domain are always
 * known.
 */
enum recipient_status resolver_recipient_known(const struct resolver *resolver,
    struct slice address, const struct resolved *r, struct reason *why);
/* The same for a sender's address: sender_canonical_maps instead of recipient_canonical_maps. */
enum recipient_status resolver_sender_known(const struct resolver *resolver, struct slice address,
    const struct resolved *r, struct reason *why);
/* The reply code for UNKNOWN: unknown_local_recipient_reject_code and its sisters. */
unsigned resolver_unknown_code(const struct resolver *resolver, enum resolve_class class);

/*
 * Would we take mail for this domain from anybody: local, virtual or relay?
 * (permit_auth_destination, reject_unauth_destination.)  A routed address is not.
 */
bool resolved_is_auth_destination(const struct resolved *r);

#endif
