// SPDX-License-Identifier: BSD-2-Clause
/*
 * In what order the parts of an address, a host name or an IP address are looked up in a list of
 * tables: the first hit wins, and a part is asked of *all* tables before the next part.  Pattern
 * tables get the whole address once, never a part.  Any error ends the search with TABLE_ERROR.
 *
 * Addresses are in internal form.  A local part that needs quotes is looked up in its external
 * form first, as the peer does.
 */
#ifndef PC_REWRITE_ADDRESS_LOOKUP_H
#define PC_REWRITE_ADDRESS_LOOKUP_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "net/addr.h"
#include "table/match_list.h"
#include "table/table.h"

/* Forms, in the order in which they are tried. */
enum address_forms {
	ADDRESS_FORM_FULL = 1,		 /* user+ext@dom */
	ADDRESS_FORM_NOEXT = 2,		 /* user@dom */
	ADDRESS_FORM_LOCAL_IF_LOCAL = 4, /* user+ext, user: when dom is ours, or there is none */
	ADDRESS_FORM_LOCAL_AT = 8,	 /* (last) user+ext@, user@ */
	ADDRESS_FORM_AT_DOMAIN = 16,	 /* @dom */
	ADDRESS_FORM_DOMAIN = 32,	 /* dom */
	ADDRESS_FORM_PARENTS = 64,	 /* parents of dom as "parent" (with DOMAIN) */
	ADDRESS_FORM_DOT_PARENTS = 128	 /* parents of dom as ".parent" (with DOMAIN) */
};

/* virtual_alias_maps, canonical_maps, generic, relocated_maps, recipient_bcc_maps, ... */
#define ADDRESS_LOOKUP_ALIAS                                                                       \
	(ADDRESS_FORM_FULL | ADDRESS_FORM_NOEXT | ADDRESS_FORM_LOCAL_IF_LOCAL |                    \
	    ADDRESS_FORM_AT_DOMAIN)
/* virtual_mailbox_maps, relay_recipient_maps, sender_dependent_..., uid and gid maps */
#define ADDRESS_LOOKUP_MAILBOX (ADDRESS_FORM_FULL | ADDRESS_FORM_NOEXT | ADDRESS_FORM_AT_DOMAIN)
/* transport_maps (the "*" is asked by address_lookup_transport) */
#define ADDRESS_LOOKUP_TRANSPORT (ADDRESS_FORM_FULL | ADDRESS_FORM_NOEXT | ADDRESS_FORM_DOMAIN)

struct address_rules;
/* What the forms depend on: recipient_delimiter, myorigin, mydestination, interfaces. */
struct address_rules *address_rules_new(const struct postfix_params *params);
void address_rules_free(struct address_rules *rules);
/* Is DOMAIN local: $myorigin, $mydestination, or [literal] of an interface or proxy of ours? */
enum match_result address_rules_is_local(const struct address_rules *rules, struct slice domain);
/* The same without $myorigin: is mail for DOMAIN delivered as local? */
enum match_result address_rules_is_destination(
    const struct address_rules *rules, struct slice domain);
/* Is ADDR one of ours: $inet_interfaces or $proxy_interfaces? */
bool address_rules_is_own_addr(const struct address_rules *rules, const struct net_addr *addr);
const char *address_rules_delimiters(const struct address_rules *rules);

/*
 * FORMS is one of the sets above.  EXTENSION (may be NULL) is emptied, and gets the delimiter and
 * the extension ("+ext") when the hit was a form without it: the caller adds it to the result again
 * where propagate_unmatched_extensions says so.
 */
enum table_result address_lookup(const struct address_rules *rules, struct tables *tables,
    struct slice address, unsigned forms, struct strbuf *value, struct strbuf *extension);

/*
 * transport(5): user+ext@dom, user@dom, dom, parents, "*".  PARENTS: they are asked as "parent",
 * else as ".parent".
 */
enum table_result address_lookup_transport(const struct address_rules *rules, struct tables *tables,
    struct slice address, bool parents, struct strbuf *value);

/*
 * access(5).  PARENTS: is smtpd_access_maps in $parent_domain_matches_subdomains?  Then parents are
 * asked as "parent", else as ".parent".
 */
enum table_result access_lookup_address(const struct address_rules *rules, struct tables *tables,
    struct slice address, bool parents, struct strbuf *value);
enum table_result access_lookup_domain(
    struct tables *tables, struct slice domain, bool parents, struct strbuf *value);
/* 192.0.2.1, 192.0.2, 192.0, 192; 2001:db8:0:0, ... (with ':' groups dropped). */
enum table_result access_lookup_addr(
    struct tables *tables, const struct net_addr *addr, struct strbuf *value);

#endif
