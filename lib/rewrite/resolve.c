// SPDX-License-Identifier: BSD-2-Clause
/*
 * Three steps: take our own domains off a routed address until a foreign one or none is left; find
 * the class of what is left, and with it transport and next hop; let transport_maps (and
 * relocated_maps) have the last word.
 */
#include "rewrite/resolve.h"

#include <stdlib.h>

#include "base/check.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/hostname.h"
#include "rewrite/rewrite.h"

#define MAX_ROUTES 50 /* domains of ours in one address */

struct resolver {
	const struct postfix_params *params; /* outlives the resolver */
	struct address_rules *rules;
	struct rewriter *rewriter;
	struct match_list *virtual_alias_domains, *virtual_mailbox_domains, *relay_domains;
	struct tables *transport_maps, *relocated_maps;
	struct tables *sender_relayhost, *sender_transport;
	struct tables *canonical, *sender_canonical, *recipient_canonical, *virtual_alias;
	struct tables *local_recipients, *mailboxes, *relay_recipients;
	bool transport_parents;
};

void resolved_init(struct resolved *r)
{
	r->class = RESOLVE_DEFAULT;
	r->routed = false;
	strbuf_init(&r->transport, 2048);
	strbuf_init(&r->nexthop, 16384);
	strbuf_init(&r->recipient, 2 * ADDRESS_MAX);
}

void resolved_release(struct resolved *r)
{
	strbuf_release(&r->transport);
	strbuf_release(&r->nexthop);
	strbuf_release(&r->recipient);
}

struct resolver *resolver_new(const struct postfix_params *p)
{
	struct resolver *r = xcalloc(1, sizeof(*r));

	r->params = p;
	r->rules = address_rules_new(p);
	r->rewriter = rewriter_new(p);
	r->virtual_alias_domains =
	    match_list_new(p, "virtual_alias_domains", p->virtual_alias_domains);
	r->virtual_mailbox_domains =
	    match_list_new(p, "virtual_mailbox_domains", p->virtual_mailbox_domains);
	r->relay_domains = match_list_new(p, "relay_domains", p->relay_domains);
	r->transport_maps = tables_open("transport_maps", p->transport_maps, TABLE_NO_SUBSTITUTION);
	r->transport_parents = match_list_has_parents(p, "transport_maps");
	r->relocated_maps = tables_open("relocated_maps", p->relocated_maps, 0);
	r->sender_relayhost = tables_open("sender_dependent_relayhost_maps",
	    p->sender_dependent_relayhost_maps, TABLE_NO_SUBSTITUTION);
	r->sender_transport = tables_open("sender_dependent_default_transport_maps",
	    p->sender_dependent_default_transport_maps, TABLE_NO_SUBSTITUTION);
	r->canonical = tables_open("canonical_maps", p->canonical_maps, 0);
	r->sender_canonical = tables_open("sender_canonical_maps", p->sender_canonical_maps, 0);
	r->recipient_canonical =
	    tables_open("recipient_canonical_maps", p->recipient_canonical_maps, 0);
	r->virtual_alias = tables_open("virtual_alias_maps", p->virtual_alias_maps, 0);
	r->local_recipients = tables_open("local_recipient_maps", p->local_recipient_maps, 0);
	r->mailboxes = tables_open("virtual_mailbox_maps", p->virtual_mailbox_maps, 0);
	r->relay_recipients = tables_open("relay_recipient_maps", p->relay_recipient_maps, 0);
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	tables_free(r->relay_recipients);
	tables_free(r->mailboxes);
	tables_free(r->local_recipients);
	tables_free(r->virtual_alias);
	tables_free(r->recipient_canonical);
	tables_free(r->sender_canonical);
	tables_free(r->canonical);
	tables_free(r->sender_transport);
	tables_free(r->sender_relayhost);
	tables_free(r->relocated_maps);
	tables_free(r->transport_maps);
	match_list_free(r->relay_domains);
	match_list_free(r->virtual_mailbox_domains);
	match_list_free(r->virtual_alias_domains);
	rewriter_free(r->rewriter);
	address_rules_free(r->rules);
	free(r);
}

const struct address_rules *resolver_rules(const struct resolver *r)
{
	return r->rules;
}

static bool table_failed(struct reason *why)
{
	reason_set(why, "4.3.0", "Temporary lookup failure");
	return false;
}

/* ---- class ---- */

static enum match_result in_class(
    const struct resolver *r, struct slice domain, enum resolve_class class)
{
	switch (class) {
	case RESOLVE_LOCAL:
		return address_rules_is_destination(r->rules, domain);
	case RESOLVE_VIRTUAL_ALIAS:
		return match_list_string(r->virtual_alias_domains, domain);
	case RESOLVE_VIRTUAL_MAILBOX:
		return match_list_string(r->virtual_mailbox_domains, domain);
	case RESOLVE_RELAY:
		return match_list_domain(r->relay_domains, domain);
	case RESOLVE_DEFAULT:
		return MATCH_YES;
	}
	return MATCH_ERROR;
}

static const char *const class_parameters[] = {
	[RESOLVE_LOCAL] = "mydestination",
	[RESOLVE_VIRTUAL_ALIAS] = "virtual_alias_domains",
	[RESOLVE_VIRTUAL_MAILBOX] = "virtual_mailbox_domains",
	[RESOLVE_RELAY] = "relay_domains",
};

/*
 * An address of a domain in two classes would go one way or the other by chance of the order.  Mail
 * that is delivered here may come from a host that relays: there two classes are in order.
 */
static void warn_of_doubles(
    const struct resolver *r, struct slice domain, struct slice folded, enum resolve_class class)
{
	int end = class == RESOLVE_VIRTUAL_ALIAS ? RESOLVE_RELAY : RESOLVE_VIRTUAL_MAILBOX;

	for (int other = class + 1; other <= end; other++) {
		if (in_class(r, folded, other) == MATCH_YES)
			log_warning("do not list domain %.*s in BOTH %s and %s", SLICE_ARG(domain),
			    class_parameters[class], class_parameters[other]);
	}
}

enum match_result resolve_domain_class(
    const struct resolver *r, struct slice domain, enum resolve_class *class)
{
	struct strbuf folded = STRBUF_INIT(ADDRESS_MAX);
	enum match_result result = MATCH_NO;

	*class = RESOLVE_LOCAL;
	if (!domain.ptr)
		return MATCH_YES;
	address_fold(domain, &folded);
	for (int c = RESOLVE_LOCAL; result == MATCH_NO && c <= RESOLVE_DEFAULT; c++) {
		result = in_class(r, strbuf_slice(&folded), c);
		*class = c;
	}
	if (result == MATCH_YES && *class < RESOLVE_RELAY && r->params->helpful_warnings)
		warn_of_doubles(r, domain, strbuf_slice(&folded), *class);
	strbuf_release(&folded);
	return result;
}

/* ---- routes ---- */

static bool has_one_of(struct slice text, const char *set)
{
	for (; *set; set++)
		if (slice_find(text, *set) >= 0)
			return true;
	return false;
}

static bool needs_quotes(struct slice local)
{
	struct strbuf external = STRBUF_INIT(4 * ADDRESS_MAX);
	bool quoted;

	address_external(local, &external);
	quoted = !slice_eq(strbuf_slice(&external), local) || has_one_of(local, "@");
	strbuf_release(&external);
	return quoted;
}

/* Does the local part go on as an address of its own, once its domain is taken off? */
static bool is_address(const struct resolver *r, struct slice local)
{
	return (r->params->resolve_dequoted_address || !needs_quotes(local)) &&
	       (has_one_of(local, "@") || (r->params->swap_bangpath && has_one_of(local, "!")) ||
		   (r->params->allow_percent_hack && has_one_of(local, "%")));
}

struct unrouting {
	struct strbuf *address;
	struct strbuf domain; /* the last one that was taken off */
};

/* "user@1.2.3.4" is meant for [1.2.3.4]. */
static void enclose(struct strbuf *address, struct slice local, struct slice domain)
{
	bool is_ipv6 = slice_find(domain, ':') >= 0;
	char *text =
	    xasprintf("%.*s@[%s%.*s]", SLICE_ARG(local), is_ipv6 ? "IPv6:" : "", SLICE_ARG(domain));

	strbuf_reset(address);
	strbuf_addstr(address, text);
	free(text);
}

/* Takes the domain off when it is ours, and rewrites what was its local part; false: that was all.
 */
static bool take_domain(const struct resolver *r, struct unrouting *u, enum match_result *own)
{
	struct strbuf rest = STRBUF_INIT(2 * ADDRESS_MAX);
	struct slice local, domain;
	bool again = false;

	if (!address_split(strbuf_slice(u->address), &local, &domain))
		return false;
	if (domain.len == 0 && r->params->resolve_null_domain) {
		strbuf_truncate(u->address, local.len);
		return true;
	}
	if (r->params->resolve_numeric_domain && hostaddr_is_valid(domain)) {
		enclose(u->address, local, domain);
		return true;
	}
	*own = domain.len == 0 ? MATCH_NO : address_rules_is_destination(r->rules, domain);
	if (*own == MATCH_YES && local.len == 0) {
		strbuf_addf(
		    &rest, "%s@%.*s", r->params->empty_address_recipient, SLICE_ARG(domain));
		strbuf_reset(u->address);
		strbuf_addslice(u->address, strbuf_slice(&rest));
	}
	if (*own == MATCH_YES && is_address(r, local)) {
		strbuf_reset(&u->domain);
		strbuf_addslice(&u->domain, domain);
		rewrite_address(r->rewriter, REWRITE_LOCAL, local, &rest);
		strbuf_reset(u->address);
		strbuf_addslice(u->address, strbuf_slice(&rest));
		again = true;
	}
	strbuf_release(&rest);
	return again;
}

/* user%dom@here becomes user@dom as long as "here" is ours; what has no domain then is ours. */
static bool unroute(
    const struct resolver *r, struct slice address, struct strbuf *out, struct reason *why)
{
	struct unrouting u = { .address = out, .domain = STRBUF_INIT(ADDRESS_MAX) };
	enum match_result own = MATCH_NO;

	strbuf_reset(out);
	strbuf_addstr(&u.domain, r->params->myhostname);
	rewrite_address(r->rewriter, REWRITE_LOCAL, address, out);
	for (int i = 0; i < MAX_ROUTES && take_domain(r, &u, &own); i++)
		if (out->len == 0) /* it was nothing but an '@' */
			strbuf_addstr(out, r->params->empty_address_recipient);
	if (slice_find(strbuf_slice(out), '@') < 0)
		strbuf_addf(out, "@%s", u.domain.ptr);
	strbuf_release(&u.domain);
	return own != MATCH_ERROR || table_failed(why);
}

/* ---- transport and next hop ---- */

/* "transport:nexthop": a part that is not there leaves what was. */
static void apply_transport(
    struct resolved *res, struct slice value, struct slice domain, bool empty_nexthop_is_domain)
{
	ptrdiff_t colon = slice_find(value, ':');
	struct slice transport = colon < 0 ? value : slice_first(value, (size_t)colon);
	struct slice nexthop = colon < 0 ? SLICE_NULL : slice_from(value, (size_t)colon + 1);

	transport = slice_trim(transport, " \t");
	nexthop = slice_trim(nexthop, " \t");
	if (transport.len) {
		strbuf_reset(&res->transport);
		strbuf_addslice(&res->transport, transport);
	}
	if (!nexthop.len && (!transport.len || !empty_nexthop_is_domain))
		return;
	strbuf_reset(&res->nexthop);
	strbuf_addslice(&res->nexthop, nexthop.len ? nexthop : domain);
}

/* The null sender is asked as $empty_address_..._lookup_key. */
static enum table_result ask_sender(const struct resolver *r, struct tables *tables,
    struct slice sender, const char *null_key, struct strbuf *value)
{
	if (!sender.len)
		return tables_get(tables, slice_of(null_key), TABLES_WHOLE_KEY, value);
	return address_lookup(r->rules, tables, sender, ADDRESS_LOOKUP_MAILBOX, value, NULL);
}

/* relayhost and what the sender makes of it: for domains that are not delivered here. */
static bool apply_relayhost(
    const struct resolver *r, struct slice sender, struct resolved *res, struct reason *why)
{
	struct strbuf value = STRBUF_INIT(16384);
	struct slice host = slice_of(r->params->relayhost);
	enum table_result found = ask_sender(r, r->sender_relayhost, sender,
	    r->params->empty_address_relayhost_maps_lookup_key, &value);

	if (found == TABLE_FOUND) {
		/* DUNNO: this sender has the recipient's domain as next hop, or relayhost. */
		if (!slice_caseeq_str(strbuf_slice(&value), "DUNNO"))
			host = strbuf_slice(&value);
	}
	if (host.len) {
		strbuf_reset(&res->nexthop);
		strbuf_addslice(&res->nexthop, host);
	}
	strbuf_release(&value);
	return found != TABLE_ERROR || table_failed(why);
}

/* A sender's transport is instead of default_transport, whose next hop does not count then. */
static bool apply_default(const struct resolver *r, struct slice sender, struct slice domain,
    struct resolved *res, struct reason *why)
{
	struct strbuf value = STRBUF_INIT(16384);
	enum table_result found;

	if (!apply_relayhost(r, sender, res, why))
		return false;
	found = ask_sender(r, r->sender_transport, sender,
	    r->params->empty_address_default_transport_maps_lookup_key, &value);
	if (found != TABLE_FOUND || slice_caseeq_str(strbuf_slice(&value), "DUNNO"))
		apply_transport(res, slice_of(r->params->default_transport), domain, false);
	else
		apply_transport(res, strbuf_slice(&value), domain, false);
	strbuf_release(&value);
	if (found != TABLE_ERROR && res->transport.len == 0) {
		log_warning("sender_dependent_default_transport_maps: null transport is not "
			    "allowed for sender \"%.*s\"",
		    SLICE_ARG(sender));
		found = TABLE_ERROR;
	}
	return found != TABLE_ERROR || table_failed(why);
}

static const char *unknown_user_text(const struct resolver *r, enum resolve_class class)
{
	static const char *const texts[] = {
		[RESOLVE_LOCAL] = "User unknown in local recipient table",
		[RESOLVE_VIRTUAL_ALIAS] = "User unknown in virtual alias table",
		[RESOLVE_VIRTUAL_MAILBOX] = "User unknown in virtual mailbox table",
		[RESOLVE_RELAY] = "User unknown in relay recipient table",
		[RESOLVE_DEFAULT] = "User unknown",
	};

	return r->params->show_user_unknown_table_name ? texts[class] : "User unknown";
}

static bool apply_class(const struct resolver *r, struct slice sender, struct slice domain,
    struct resolved *res, struct reason *why)
{
	const struct postfix_params *p = r->params;

	strbuf_addslice(&res->nexthop, domain);
	switch (res->class) {
	case RESOLVE_LOCAL:
		apply_transport(res, slice_of(p->local_transport), domain, false);
		return true;
	case RESOLVE_VIRTUAL_ALIAS:
		strbuf_addstr(&res->transport, p->error_service_name);
		strbuf_reset(&res->nexthop);
		strbuf_addf(&res->nexthop, "5.1.1 %s", unknown_user_text(r, res->class));
		return true;
	case RESOLVE_VIRTUAL_MAILBOX:
		apply_transport(res, slice_of(p->virtual_transport), domain, false);
		return true;
	case RESOLVE_RELAY:
		if (!apply_relayhost(r, sender, res, why))
			return false;
		apply_transport(res, slice_of(p->relay_transport), domain, false);
		return true;
	case RESOLVE_DEFAULT:
		return apply_default(r, sender, domain, res, why);
	}
	return true;
}

/* Without the prefix it is for the table to say what code its text has. */
static void apply_relocated(const struct resolver *r, struct slice value, struct resolved *res)
{
	char code[DSN_CODE_TEXT];
	struct slice text = value;

	strbuf_reset(&res->transport);
	strbuf_addstr(&res->transport, r->params->error_service_name);
	strbuf_reset(&res->nexthop);
	if (r->params->relocated_prefix_enable) {
		strbuf_addf(&res->nexthop, "5.1.6 User has moved to %.*s", SLICE_ARG(value));
	} else if (dsn_take(&text, code) && code[0] != '2' && text.len > 0) {
		strbuf_addslice(&res->nexthop, value);
	} else {
		log_warning("relocated_maps: no enhanced status code and text in \"%.*s\"",
		    SLICE_ARG(value));
		strbuf_addstr(&res->nexthop, "5.2.0 Mailbox is unavailable");
	}
}

/* A domain that is only there for aliases has nowhere to be delivered, whatever a table says. */
static bool apply_tables(
    const struct resolver *r, struct slice domain, struct resolved *res, struct reason *why)
{
	struct slice recipient = strbuf_slice(&res->recipient);
	struct strbuf value = STRBUF_INIT(16384);
	enum table_result found;

	found = address_lookup(
	    r->rules, r->relocated_maps, recipient, ADDRESS_LOOKUP_ALIAS, &value, NULL);
	if (found == TABLE_FOUND) {
		apply_relocated(r, strbuf_slice(&value), res);
	} else if (found == TABLE_NOT_FOUND && res->class != RESOLVE_VIRTUAL_ALIAS) {
		found = address_lookup_transport(
		    r->rules, r->transport_maps, recipient, r->transport_parents, &value);
		if (found == TABLE_FOUND)
			apply_transport(res, strbuf_slice(&value), domain, true);
	}
	strbuf_release(&value);
	return found != TABLE_ERROR || table_failed(why);
}

/* ---- what can be no recipient ---- */

static bool bad_address(struct reason *why)
{
	reason_set(why, "5.1.3", "bad address syntax");
	return false;
}

static bool domain_is_valid(struct slice domain)
{
	struct slice literal;

	if (slice_starts(domain, "["))
		return address_literal_parse(domain, &literal);
	return hostname_is_valid(domain);
}

static bool check_address(const struct resolver *r, struct slice address, struct reason *why)
{
	struct slice local, domain;

	for (size_t i = 0; i < address.len; i++) {
		unsigned char c = (unsigned char)address.ptr[i];

		if (c < 0x20 || c == 0x7f)
			return bad_address(why);
	}
	/* A program would take it for an option. */
	if (!address.len || (address.ptr[0] == '-' && !r->params->allow_min_user))
		return bad_address(why);
	if (address_split(address, &local, &domain) && !domain_is_valid(domain))
		return bad_address(why);
	return true;
}

bool resolve_syntax(const struct resolver *r, struct slice address)
{
	struct strbuf canonical = STRBUF_INIT(2 * ADDRESS_MAX);
	struct reason why;
	bool ok;

	if (!address.len)
		return true;
	rewrite_address(r->rewriter, REWRITE_LOCAL, address, &canonical);
	ok = !canonical.overflow && check_address(r, strbuf_slice(&canonical), &why);
	strbuf_release(&canonical);
	return ok;
}

bool resolve(const struct resolver *r, struct slice address, struct slice sender,
    struct resolved *res, struct reason *why)
{
	struct slice local, domain;

	strbuf_reset(&res->transport);
	strbuf_reset(&res->nexthop);
	res->class = RESOLVE_DEFAULT;
	res->routed = false;
	if (!address.len)
		address = slice_of(r->params->empty_address_recipient);
	if (!unroute(r, address, &res->recipient, why))
		return false;
	if (res->recipient.overflow || !check_address(r, strbuf_slice(&res->recipient), why))
		return bad_address(why);
	address_split(strbuf_slice(&res->recipient), &local, &domain);
	if (resolve_domain_class(r, domain, &res->class) == MATCH_ERROR)
		return table_failed(why);
	res->routed = has_one_of(local, "@!%");
	return apply_class(
		   r, sender, domain.ptr ? domain : slice_of(r->params->myhostname), res, why) &&
	       apply_tables(r, domain, res, why);
}

/* ---- is there such a recipient? ---- */

static enum recipient_status ask_recipient(const struct resolver *r, struct tables *tables,
    struct slice address, unsigned forms, struct reason *why)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum table_result found = address_lookup(r->rules, tables, address, forms, &value, NULL);

	strbuf_release(&value);
	if (found == TABLE_ERROR)
		table_failed(why);
	return found == TABLE_FOUND ? RECIPIENT_KNOWN
				    : (found == TABLE_ERROR ? RECIPIENT_ERROR : RECIPIENT_UNKNOWN);
}

static bool is_special_user(struct slice address)
{
	static const char *const names[] = { "postmaster", "mailer-daemon", "double-bounce" };
	struct slice local, domain;

	address_split(address, &local, &domain);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_caseeq_str(local, names[i]))
			return true;
	}
	return false;
}

static enum recipient_status ask_class(
    const struct resolver *r, const struct resolved *res, struct reason *why)
{
	struct slice address = strbuf_slice(&res->recipient);
	struct tables *tables = NULL;
	unsigned forms = ADDRESS_LOOKUP_MAILBOX;

	switch (res->class) {
	case RESOLVE_LOCAL:
		if (is_special_user(address))
			return RECIPIENT_KNOWN;
		tables = r->local_recipients;
		forms = ADDRESS_LOOKUP_ALIAS;
		break;
	case RESOLVE_VIRTUAL_ALIAS:
		return RECIPIENT_UNKNOWN;
	case RESOLVE_VIRTUAL_MAILBOX:
		tables = r->mailboxes;
		break;
	case RESOLVE_RELAY:
		tables = r->relay_recipients;
		break;
	case RESOLVE_DEFAULT:
		return RECIPIENT_KNOWN;
	}
	if (tables_is_empty(tables))
		return RECIPIENT_KNOWN;
	return ask_recipient(r, tables, address, forms, why);
}

/* Maps that make another address of it come first: OWN are those of the address's own kind. */
static enum recipient_status ask_known(const struct resolver *r, struct tables *own,
    struct slice address, const struct resolved *res, struct reason *why)
{
	struct tables *const maps[] = { own, r->canonical, r->virtual_alias };
	struct strbuf canonical = STRBUF_INIT(2 * ADDRESS_MAX);
	enum recipient_status status = RECIPIENT_UNKNOWN;

	rewrite_address(r->rewriter, REWRITE_LOCAL, address, &canonical);
	for (size_t i = 0; status == RECIPIENT_UNKNOWN && i < ARRAY_LEN(maps); i++)
		status =
		    ask_recipient(r, maps[i], strbuf_slice(&canonical), ADDRESS_LOOKUP_ALIAS, why);
	if (status == RECIPIENT_UNKNOWN)
		status = ask_class(r, res, why);
	strbuf_release(&canonical);
	if (status == RECIPIENT_UNKNOWN)
		reason_set(why, "5.1.1", "%s", unknown_user_text(r, res->class));
	return status;
}

enum recipient_status resolver_recipient_known(
    const struct resolver *r, struct slice address, const struct resolved *res, struct reason *why)
{
	return ask_known(r, r->recipient_canonical, address, res, why);
}

enum recipient_status resolver_sender_known(
    const struct resolver *r, struct slice address, const struct resolved *res, struct reason *why)
{
	return ask_known(r, r->sender_canonical, address, res, why);
}

unsigned resolver_unknown_code(const struct resolver *r, enum resolve_class class)
{
	switch (class) {
	case RESOLVE_LOCAL:
		return (unsigned)r->params->unknown_local_recipient_reject_code;
	case RESOLVE_VIRTUAL_ALIAS:
		return (unsigned)r->params->unknown_virtual_alias_reject_code;
	case RESOLVE_VIRTUAL_MAILBOX:
		return (unsigned)r->params->unknown_virtual_mailbox_reject_code;
	case RESOLVE_RELAY:
		return (unsigned)r->params->unknown_relay_recipient_reject_code;
	case RESOLVE_DEFAULT:
		break;
	}
	return 550;
}

bool resolved_is_auth_destination(const struct resolved *res)
{
	return res->class != RESOLVE_DEFAULT && !res->routed;
}
