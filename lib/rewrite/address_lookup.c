// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every form is asked in its external spelling first and, where that differs, in its internal one.
 */
#include "rewrite/address_lookup.h"

#include <stdlib.h>

#include "base/check.h"
#include "mail/address.h"
#include "mail/hostname.h"
#include "rewrite/own_addr.h"

struct address_rules {
	char *delimiters, *myorigin;
	struct match_list *mydestination;
	struct own_addrs own;
};

struct address_rules *address_rules_new(const struct postfix_params *params)
{
	struct address_rules *r = xcalloc(1, sizeof(*r));

	r->delimiters = xstrdup(params->recipient_delimiter);
	r->myorigin = xstrdup(params->myorigin);
	r->mydestination = match_list_new(params, "mydestination", params->mydestination);
	own_addrs_add(&r->own, "inet_interfaces", params->inet_interfaces);
	own_addrs_add(&r->own, "proxy_interfaces", params->proxy_interfaces);
	return r;
}

void address_rules_free(struct address_rules *r)
{
	if (!r)
		return;
	own_addrs_release(&r->own);
	match_list_free(r->mydestination);
	free(r->myorigin);
	free(r->delimiters);
	free(r);
}

const char *address_rules_delimiters(const struct address_rules *r)
{
	return r->delimiters;
}

bool address_rules_is_own_addr(const struct address_rules *r, const struct net_addr *addr)
{
	return own_addrs_have(&r->own, addr);
}

static bool is_own_literal(const struct address_rules *r, struct slice domain)
{
	struct net_addr addr;
	struct slice text;

	return address_literal_parse(domain, &text) && net_addr_parse(text, 0, &addr) &&
	       own_addrs_have(&r->own, &addr);
}

/* Without $myorigin, which is local for tables but not for delivery. */
static enum match_result is_destination(const struct address_rules *r, struct slice domain)
{
	enum match_result m;

	if (slice_ends(domain, "."))
		domain.len--;
	m = match_list_string(r->mydestination, domain);
	if (m == MATCH_NO && is_own_literal(r, domain))
		m = MATCH_YES;
	return m;
}

enum match_result address_rules_is_destination(const struct address_rules *r, struct slice domain)
{
	return is_destination(r, domain);
}

enum match_result address_rules_is_local(const struct address_rules *r, struct slice domain)
{
	if (slice_caseeq_str(domain, r->myorigin))
		return MATCH_YES;
	return is_destination(r, domain);
}

/* ---- one look-up under way ---- */

struct lookup {
	const struct address_rules *rules;
	struct tables *tables;
	struct strbuf *value, *extension;
	struct slice address, local, domain, user, ext;
	bool has_domain, has_ext;
	char delimiter;
	struct strbuf key, spelled;
};

static void lookup_init(struct lookup *l, const struct address_rules *rules, struct tables *tables,
    struct slice address, struct strbuf *value)
{
	*l =
	    (struct lookup){ .rules = rules, .tables = tables, .value = value, .address = address };
	strbuf_init(&l->key, 2 * ADDRESS_MAX);
	strbuf_init(&l->spelled, 4 * ADDRESS_MAX);
	l->has_domain = address_split(address, &l->local, &l->domain);
	l->has_ext =
	    address_split_extension(l->local, rules->delimiters, &l->user, &l->ext, &l->delimiter);
}

static void lookup_release(struct lookup *l)
{
	strbuf_release(&l->key);
	strbuf_release(&l->spelled);
}

/* TAIL ("@dom", "@", "") behind LOCAL. */
static enum table_result ask(struct lookup *l, struct slice local, const char *at,
    struct slice domain, enum tables_key whole)
{
	enum table_result result;

	strbuf_reset(&l->key);
	strbuf_reset(&l->spelled);
	strbuf_addslice(&l->key, local);
	address_external(strbuf_slice(&l->key), &l->spelled);
	/* A bare local part that holds '@' would have been split there. */
	if (slice_find(local, '@') >= 0) {
		strbuf_reset(&l->spelled);
		strbuf_addslice(&l->key, SLICE_LIT("@"));
		address_external(strbuf_slice(&l->key), &l->spelled);
		strbuf_truncate(&l->key, l->key.len - 1);
		strbuf_truncate(&l->spelled, l->spelled.len - 1);
	}
	strbuf_addf(&l->key, "%s%.*s", at, SLICE_ARG(domain));
	strbuf_addf(&l->spelled, "%s%.*s", at, SLICE_ARG(domain));
	if (l->key.overflow || l->spelled.overflow)
		return TABLE_NOT_FOUND;
	result = tables_get(l->tables, strbuf_slice(&l->spelled), whole, l->value);
	if (result == TABLE_NOT_FOUND &&
	    !slice_eq(strbuf_slice(&l->key), strbuf_slice(&l->spelled)))
		result = tables_get(l->tables, strbuf_slice(&l->key), whole, l->value);
	return result;
}

static void give_extension(struct lookup *l)
{
	if (!l->extension || !l->has_ext)
		return;
	strbuf_addch(l->extension, l->delimiter);
	strbuf_addslice(l->extension, l->ext);
}

static const char *at_of(const struct lookup *l)
{
	return l->has_domain ? "@" : "";
}

static enum table_result ask_full(struct lookup *l)
{
	return ask(l, l->local, at_of(l), l->domain, TABLES_WHOLE_KEY);
}

static enum table_result ask_noext(struct lookup *l)
{
	enum table_result result;

	if (!l->has_ext)
		return TABLE_NOT_FOUND;
	result = ask(l, l->user, at_of(l), l->domain, TABLES_PARTIAL);
	if (result == TABLE_FOUND)
		give_extension(l);
	return result;
}

static enum table_result ask_local(struct lookup *l)
{
	enum table_result result;

	/* Without a domain these were the first two. */
	if (!l->has_domain)
		return TABLE_NOT_FOUND;
	switch (address_rules_is_local(l->rules, l->domain)) {
	case MATCH_ERROR:
		return TABLE_ERROR;
	case MATCH_NO:
		return TABLE_NOT_FOUND;
	case MATCH_YES:
		break;
	}
	result = ask(l, l->local, "", SLICE_NULL, TABLES_PARTIAL);
	if (result == TABLE_NOT_FOUND && l->has_ext) {
		result = ask(l, l->user, "", SLICE_NULL, TABLES_PARTIAL);
		if (result == TABLE_FOUND)
			give_extension(l);
	}
	return result;
}

static enum table_result ask_local_at(struct lookup *l)
{
	enum table_result result = ask(l, l->local, "@", SLICE_NULL, TABLES_PARTIAL);

	if (result == TABLE_NOT_FOUND && l->has_ext)
		result = ask(l, l->user, "@", SLICE_NULL, TABLES_PARTIAL);
	return result;
}

static enum table_result ask_at_domain(struct lookup *l)
{
	if (!l->has_domain)
		return TABLE_NOT_FOUND;
	strbuf_reset(&l->key);
	strbuf_addf(&l->key, "@%.*s", SLICE_ARG(l->domain));
	return tables_get(l->tables, strbuf_slice(&l->key), TABLES_PARTIAL, l->value);
}

enum parent_style { PARENT_NONE, PARENT_PLAIN, PARENT_DOT };

static enum table_result ask_domain(struct tables *tables, struct slice domain,
    enum tables_key whole, enum parent_style style, struct strbuf *value)
{
	enum table_result result = tables_get(tables, domain, whole, value);
	ptrdiff_t dot;

	if (slice_starts(domain, "["))
		return result;
	while (result == TABLE_NOT_FOUND && style != PARENT_NONE &&
	       (dot = slice_find(slice_from(domain, 1), '.')) >= 0) {
		domain = slice_from(domain, (size_t)dot + 1 + (style == PARENT_PLAIN));
		if (!domain.len)
			break;
		result = tables_get(tables, domain, TABLES_PARTIAL, value);
	}
	return result;
}

static enum parent_style style_of(unsigned forms)
{
	if (forms & ADDRESS_FORM_PARENTS)
		return PARENT_PLAIN;
	return forms & ADDRESS_FORM_DOT_PARENTS ? PARENT_DOT : PARENT_NONE;
}

static enum table_result ask_forms(struct lookup *l, unsigned forms)
{
	enum table_result result = TABLE_NOT_FOUND;

	if (forms & ADDRESS_FORM_FULL)
		result = ask_full(l);
	if (result == TABLE_NOT_FOUND && (forms & ADDRESS_FORM_NOEXT))
		result = ask_noext(l);
	if (result == TABLE_NOT_FOUND && (forms & ADDRESS_FORM_LOCAL_IF_LOCAL))
		result = ask_local(l);
	if (result == TABLE_NOT_FOUND && (forms & ADDRESS_FORM_AT_DOMAIN))
		result = ask_at_domain(l);
	if (result == TABLE_NOT_FOUND && (forms & ADDRESS_FORM_DOMAIN) && l->domain.len)
		result =
		    ask_domain(l->tables, l->domain, TABLES_PARTIAL, style_of(forms), l->value);
	if (result == TABLE_NOT_FOUND && (forms & ADDRESS_FORM_LOCAL_AT))
		result = ask_local_at(l);
	return result;
}

enum table_result address_lookup(const struct address_rules *rules, struct tables *tables,
    struct slice address, unsigned forms, struct strbuf *value, struct strbuf *extension)
{
	enum table_result result = TABLE_NOT_FOUND;
	struct lookup l;

	strbuf_reset(value);
	if (extension)
		strbuf_reset(extension);
	if (!address.len || tables_is_empty(tables))
		return TABLE_NOT_FOUND;
	lookup_init(&l, rules, tables, address, value);
	l.extension = extension;
	result = ask_forms(&l, forms);
	lookup_release(&l);
	return result;
}

enum table_result address_lookup_transport(const struct address_rules *rules, struct tables *tables,
    struct slice address, bool parents, struct strbuf *value)
{
	enum table_result result = address_lookup(rules, tables, address,
	    ADDRESS_LOOKUP_TRANSPORT | (parents ? ADDRESS_FORM_PARENTS : ADDRESS_FORM_DOT_PARENTS),
	    value, NULL);

	if (result == TABLE_NOT_FOUND)
		result = tables_get(tables, SLICE_LIT("*"), TABLES_PARTIAL, value);
	return result;
}

enum table_result access_lookup_address(const struct address_rules *rules, struct tables *tables,
    struct slice address, bool parents, struct strbuf *value)
{
	return address_lookup(rules, tables, address,
	    ADDRESS_FORM_FULL | ADDRESS_FORM_NOEXT | ADDRESS_FORM_DOMAIN | ADDRESS_FORM_LOCAL_AT |
		(parents ? ADDRESS_FORM_PARENTS : ADDRESS_FORM_DOT_PARENTS),
	    value, NULL);
}

enum table_result access_lookup_domain(
    struct tables *tables, struct slice domain, bool parents, struct strbuf *value)
{
	return ask_domain(
	    tables, domain, TABLES_WHOLE_KEY, parents ? PARENT_PLAIN : PARENT_DOT, value);
}

enum table_result access_lookup_addr(
    struct tables *tables, const struct net_addr *addr, struct strbuf *value)
{
	char text[NET_ADDR_TEXT];
	struct slice rest = slice_of(net_addr_text(addr, text));
	char separator = slice_find(rest, ':') >= 0 ? ':' : '.';
	enum table_result result = tables_get(tables, rest, TABLES_WHOLE_KEY, value);
	ptrdiff_t at;

	while (result == TABLE_NOT_FOUND && (at = slice_rfind(rest, separator)) > 0) {
		rest = slice_first(rest, (size_t)at);
		result = tables_get(tables, rest, TABLES_PARTIAL, value);
	}
	return result;
}
