// SPDX-License-Identifier: BSD-2-Clause
/*
 * check_*_access: what is looked up for whom, and what a result means (access(5)).  The actions
 * are a table; what is no action is a list of restrictions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/header.h"
#include "smtpd/restrict_eval.h"

struct action_call {
	struct eval *e;
	enum subject subject;
	const char *table;	 /* for log lines */
	struct slice key;	 /* what was looked up, also for them */
	const char *value;	 /* the whole result */
	struct slice text;	 /* behind the action's name */
	char dsn[DSN_CODE_TEXT]; /* taken off TEXT, or "" */
};

static const char *text_or(const struct action_call *c, const char *text)
{
	return c->text.len ? arena_slicedup(c->e->findings->arena, c->text) : text;
}

static const char *dsn_or(const struct action_call *c, const char *dsn)
{
	return c->dsn[0] ? c->dsn : dsn;
}

/* An action that makes no sense does nothing, as with the peer. */
static enum check bad_entry(const struct action_call *c, const char *why)
{
	log_warning("access table %s entry \"%.*s\" %s", c->table,
	    SLICE_ARG(slice_first(c->key, 512)), why);
	return CHECK_DUNNO;
}

/* "<NAME>: SUBJECT triggers WHAT", under WHAT's name in the log. */
static void log_trigger(const struct action_call *c, const char *what, const char *triggers)
{
	struct arena *arena = c->e->findings->arena;
	struct strbuf name = STRBUF_INIT(4096);

	restrict_subject_name(c->e, c->subject, &name);
	restrict_log(c->e, what,
	    arena_printf(
		arena, "<%.512s>: %s %s", name.ptr, restrict_subject_words(c->subject), triggers));
	strbuf_release(&name);
}

static enum check do_permit(struct action_call *c)
{
	struct slice rest = slice_of(c->value), action;

	slice_token(&rest, " \t", &action);
	restrict_log_permit(c->e, action, c->subject, c->table);
	return CHECK_PERMIT;
}

static enum check do_dunno(struct action_call *c)
{
	(void)c;
	return CHECK_DUNNO;
}

static enum check do_reject(struct action_call *c)
{
	return restrict_reject_subject(c->e, (unsigned)c->e->r->params->access_map_reject_code,
	    dsn_or(c, "5.7.1"), c->subject, text_or(c, "Access denied"));
}

static enum check do_defer(struct action_call *c)
{
	return restrict_reject_subject(c->e, (unsigned)c->e->r->params->access_map_defer_code,
	    dsn_or(c, "4.7.1"), c->subject, text_or(c, "Access denied"));
}

static enum check do_defer_if_permit(struct action_call *c)
{
	return restrict_defer_if(c->e, &c->e->if_permit,
	    (unsigned)c->e->r->params->access_map_defer_code, dsn_or(c, "4.7.1"), c->subject,
	    text_or(c, "Service unavailable"));
}

static enum check do_defer_if_reject(struct action_call *c)
{
	return restrict_defer_if(c->e, &c->e->if_reject,
	    (unsigned)c->e->r->params->access_map_defer_code, dsn_or(c, "4.7.1"), c->subject,
	    text_or(c, "Service unavailable"));
}

static enum check do_hangup(struct action_call *c)
{
	restrict_log(c->e, "hangup", text_or(c, ""));
	memset(c->e->verdict, 0, sizeof(*c->e->verdict));
	c->e->verdict->disconnect = true;
	return CHECK_REJECT;
}

static enum check do_warn(struct action_call *c)
{
	restrict_log(c->e, "warn", text_or(c, ""));
	return CHECK_DUNNO;
}

static enum check do_info(struct action_call *c)
{
	restrict_log(c->e, "info", text_or(c, ""));
	return CHECK_DUNNO;
}

static enum check do_hold(struct action_call *c)
{
	if (c->e->findings->hold)
		return CHECK_DUNNO;
	log_trigger(c, "hold", text_or(c, "triggers HOLD action"));
	c->e->findings->hold = true;
	c->e->findings->hold_reason = text_or(c, "");
	return CHECK_DUNNO;
}

static enum check do_discard(struct action_call *c)
{
	log_trigger(c, "discard", text_or(c, "triggers DISCARD action"));
	c->e->findings->discard = true;
	c->e->findings->discard_reason = text_or(c, "");
	return CHECK_PERMIT;
}

static enum check do_filter(struct action_call *c)
{
	const char *text = text_or(c, "");

	if (!c->text.len)
		return bad_entry(c, "has FILTER entry without value");
	if (slice_find(c->text, ':') < 0)
		return bad_entry(c, "requires transport:destination");
	log_trigger(c, "filter", arena_printf(c->e->findings->arena, "triggers FILTER %s", text));
	c->e->findings->filter = text;
	return CHECK_DUNNO;
}

/* The address of REDIRECT and BCC in internal form; NULL when it is none. */
static const char *take_address(struct action_call *c)
{
	struct strbuf address = STRBUF_INIT(ADDRESS_MAX);
	const char *copy = NULL;

	if (address_internal(c->text, ADDRESS_UTF8 | ADDRESS_NEED_DOMAIN, &address) == ADDRESS_OK)
		copy = arena_slicedup(c->e->findings->arena, strbuf_slice(&address));
	strbuf_release(&address);
	return copy;
}

static enum check do_redirect(struct action_call *c)
{
	const char *address = take_address(c);

	if (!address)
		return bad_entry(c, "requires user@domain target");
	log_trigger(
	    c, "redirect", arena_printf(c->e->findings->arena, "triggers REDIRECT %s", address));
	c->e->findings->redirect = address;
	return CHECK_DUNNO;
}

static void add_line(struct action_call *c, struct restrict_line **list, const char *text)
{
	struct restrict_line *line = ARENA_NEW(c->e->findings->arena, struct restrict_line);

	line->text = text;
	while (*list)
		list = &(*list)->next;
	*list = line;
}

static enum check do_bcc(struct action_call *c)
{
	const char *address = take_address(c);

	if (!address)
		return bad_entry(c, "requires user@domain target");
	log_trigger(c, "bcc", arena_printf(c->e->findings->arena, "triggers BCC %s", address));
	add_line(c, &c->e->findings->bcc, address);
	return CHECK_DUNNO;
}

static enum check do_prepend(struct action_call *c)
{
	const char *text = text_or(c, "");

	if (c->e->stage == RESTRICT_END_OF_DATA) {
		log_warning("access table %s: action PREPEND must be used before "
			    "smtpd_end_of_data_restrictions",
		    c->table);
		return CHECK_DUNNO;
	}
	if (!header_is_header(c->text))
		return bad_entry(c, "requires header: text");
	add_line(c, &c->e->findings->prepend, text);
	return CHECK_DUNNO;
}

static const struct action {
	const char *name;
	bool takes_dsn;
	bool needs_message; /* does something to mail, and so cannot stand where there is none */
	enum check (*apply)(struct action_call *c);
} actions[] = {
	{ "BCC", false, true, do_bcc },
	{ "DEFER", true, false, do_defer },
	{ "DEFER_IF_PERMIT", true, false, do_defer_if_permit },
	{ "DEFER_IF_REJECT", true, false, do_defer_if_reject },
	{ "DISCARD", false, true, do_discard },
	{ "DUNNO", false, false, do_dunno },
	{ "FILTER", false, true, do_filter },
	{ "HANGUP", false, false, do_hangup },
	{ "HOLD", false, true, do_hold },
	{ "INFO", false, false, do_info },
	{ "OK", false, false, do_permit },
	{ "PREPEND", false, true, do_prepend },
	{ "REDIRECT", false, true, do_redirect },
	{ "REJECT", true, false, do_reject },
	{ "RELAY", false, false, do_permit },
	{ "WARN", false, false, do_warn },
};

static bool has_message(const struct action_call *c, const char *action)
{
	if (c->e->stage == RESTRICT_ETRN) {
		log_warning("access table %s: action %s is unavailable in smtpd_etrn_restrictions",
		    c->table, action);
		return false;
	}
	if (c->e->stage > RESTRICT_HELO)
		return true;
	log_warning("access table %s: with smtpd_delay_reject=no, action %s is always skipped in "
		    "Client host or Helo command restrictions",
	    c->table, action);
	return false;
}

/* A number alone is OK: address-based authentication outside of us puts time stamps there. */
static bool is_number(struct slice value)
{
	for (size_t i = 0; i < value.len; i++) {
		if (!ascii_isdigit(value.ptr[i]))
			return false;
	}
	return value.len > 0;
}

static bool is_reply(struct slice value)
{
	return is_number(slice_first(value, 3)) && value.len > 3 && ascii_isspace(value.ptr[3]) &&
	       (value.ptr[0] == '4' || value.ptr[0] == '5');
}

static enum check give_reply(struct action_call *c)
{
	struct slice value = slice_of(c->value);
	uint64_t code = 0;

	(void)slice_uint(slice_first(value, 3), 599, &code);
	c->text = slice_trim(slice_from(value, 3), " \t");
	dsn_take(&c->text, c->dsn);
	return restrict_reject_subject(
	    c->e, (unsigned)code, dsn_or(c, "5.7.1"), c->subject, text_or(c, "Access denied"));
}

static enum check eval_restrictions(const struct action_call *c)
{
	if (!strchr(c->value, ':'))
		return restrict_eval_text(c->e, c->subject, c->value);
	log_warning("access table %s has entry with lookup table: %s", c->table, c->value);
	log_warning("do not specify lookup tables inside SMTPD access maps");
	return restrict_server_error(
	    c->e, "define a restriction class and specify its name instead.");
}

enum check restrict_access_result(
    struct eval *e, enum subject subject, const char *table, struct slice key, const char *value)
{
	struct action_call c = { .e = e, .subject = subject, .table = table, .key = key };
	struct slice rest = slice_trim(slice_of(value), " \t\r\n"), word;

	c.value = arena_slicedup(e->findings->arena, rest);
	if (!rest.len)
		return CHECK_DUNNO;
	if (is_reply(rest))
		return give_reply(&c);
	if (is_number(rest))
		return do_permit(&c);
	slice_token(&rest, " \t", &word);
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (!slice_caseeq_str(word, actions[i].name))
			continue;
		c.text = slice_trim(rest, " \t");
		if (actions[i].needs_message && !has_message(&c, actions[i].name))
			return CHECK_DUNNO;
		if (actions[i].takes_dsn)
			dsn_take(&c.text, c.dsn);
		return actions[i].apply(&c);
	}
	return eval_restrictions(&c);
}

/* ---- what is looked up ---- */

static enum table_result look_up_client(struct eval *e, struct tables *tables, struct strbuf *value)
{
	const struct restrict_facts *f = e->facts;
	enum table_result found = access_lookup_domain(tables,
	    slice_of(f->client_name ? f->client_name : "unknown"), e->r->access_parents, value);

	if (found == TABLE_NOT_FOUND && f->client_addr && f->client_addr->len)
		found = access_lookup_addr(tables, f->client_addr, value);
	return found;
}

/* The address as it would be delivered; one that can be no address as it stands. */
static enum check look_up_address(
    struct eval *e, int who, struct tables *tables, struct strbuf *value, enum table_result *found)
{
	struct resolved_once *once;
	enum check check;
	struct slice address = who == WHO_SENDER ? e->facts->sender : e->facts->recipient;

	*found = TABLE_NOT_FOUND;
	if (!address.len) {
		const char *key = e->r->params->smtpd_null_access_lookup_key;

		if (address.ptr)
			*found = tables_get(tables, slice_of(key), TABLES_WHOLE_KEY, value);
		return CHECK_DUNNO;
	}
	check = restrict_resolve(e, who, &once);
	if (check != CHECK_DUNNO)
		return check;
	address = once->state == RESOLVED ? strbuf_slice(&once->res.recipient)
					  : strbuf_slice(&once->canonical);
	*found = access_lookup_address(
	    resolver_rules(e->r->resolver), tables, address, e->r->access_parents, value);
	return CHECK_DUNNO;
}

static enum check look_up(struct eval *e, const struct rule *rule, enum subject subject,
    struct strbuf *value, enum table_result *found)
{
	const struct restrict_facts *f = e->facts;

	*found = TABLE_NOT_FOUND;
	switch (subject) {
	case SUBJECT_CLIENT:
		*found = look_up_client(e, rule->tables, value);
		break;
	case SUBJECT_REVERSE_CLIENT:
		if (f->reverse_name)
			*found = access_lookup_domain(
			    rule->tables, slice_of(f->reverse_name), e->r->access_parents, value);
		break;
	case SUBJECT_HELO:
		if (f->helo)
			*found = access_lookup_domain(
			    rule->tables, slice_of(f->helo), e->r->access_parents, value);
		break;
	case SUBJECT_ETRN:
		if (f->etrn_domain)
			*found = access_lookup_domain(
			    rule->tables, slice_of(f->etrn_domain), e->r->access_parents, value);
		break;
	case SUBJECT_SENDER:
		return look_up_address(e, WHO_SENDER, rule->tables, value, found);
	case SUBJECT_RECIPIENT:
		return look_up_address(e, WHO_RECIPIENT, rule->tables, value, found);
	case SUBJECT_SASL:
		*found =
		    tables_get(rule->tables, slice_of(f->sasl_username), TABLES_WHOLE_KEY, value);
		break;
	case SUBJECT_CLIENT_CERT: /* restrict_cert.c */
	case SUBJECT_DATA:
	case SUBJECT_END_OF_DATA:
		break;
	}
	return CHECK_DUNNO;
}

static struct slice looked_up(const struct eval *e, enum subject subject)
{
	const struct restrict_facts *f = e->facts;

	switch (subject) {
	case SUBJECT_CLIENT:
		return slice_of(f->client_address);
	case SUBJECT_REVERSE_CLIENT:
		return slice_of(f->reverse_name);
	case SUBJECT_HELO:
		return slice_of(f->helo);
	case SUBJECT_ETRN:
		return slice_of(f->etrn_domain);
	case SUBJECT_SENDER:
		return f->sender;
	case SUBJECT_RECIPIENT:
		return f->recipient;
	case SUBJECT_SASL:
		return slice_of(f->sasl_username);
	case SUBJECT_CLIENT_CERT:
	case SUBJECT_DATA:
	case SUBJECT_END_OF_DATA:
		break;
	}
	return SLICE_NULL;
}

static enum check check_access(struct eval *e, const struct rule *rule, enum subject subject)
{
	struct strbuf value = STRBUF_INIT(65536);
	enum table_result found;
	enum check check = look_up(e, rule, subject, &value, &found);

	if (check == CHECK_DUNNO && found == TABLE_ERROR)
		check =
		    restrict_reject_subject(e, 451, "4.3.5", subject, "Server configuration error");
	else if (check == CHECK_DUNNO && found == TABLE_FOUND)
		check = restrict_access_result(
		    e, subject, tables_last(), looked_up(e, subject), value.ptr);
	strbuf_release(&value);
	return check;
}

enum check restrict_check_access(struct eval *e, const struct rule *rule)
{
	return check_access(e, rule, (enum subject)rule->row->number);
}

enum check restrict_check_sasl_access(struct eval *e, const struct rule *rule)
{
	if (restrict_lacks_sasl(e, "check_sasl_access") || !e->facts->sasl_username ||
	    !*e->facts->sasl_username)
		return CHECK_DUNNO;
	return check_access(e, rule, SUBJECT_SASL);
}

enum check restrict_bare_access(struct eval *e, const struct rule *rule)
{
	if (e->list_subject != SUBJECT_DATA && e->list_subject != SUBJECT_END_OF_DATA)
		return check_access(e, rule, e->list_subject);
	return restrict_server_error(
	    e, arena_printf(e->findings->arena,
		   "specify one of (check_client_access, check_reverse_client_hostname_access, "
		   "check_helo_access, check_sender_access, check_recipient_access, "
		   "check_etrn_access) before %s restriction \"%s\"",
		   restrict_subject_words(e->list_subject), rule->text));
}

/* local_header_rewrite_clients: being in the table is all, whatever it says. */
enum check restrict_address_map(struct eval *e, const struct rule *rule)
{
	const char *address = e->facts->client_address ? e->facts->client_address : "unknown";
	struct strbuf value = STRBUF_INIT(65536);
	enum table_result found =
	    tables_get(rule->tables, slice_of(address), TABLES_WHOLE_KEY, &value);

	strbuf_release(&value);
	if (found == TABLE_ERROR)
		return restrict_lookup_error(e, slice_of(address));
	return found == TABLE_FOUND ? CHECK_PERMIT : CHECK_DUNNO;
}
