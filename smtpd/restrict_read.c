// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lists of restrictions, as they are read: once, with all that they name opened.
 *
 * A word that we do not know stays in its list as a rule with a "problem": who comes to it gets
 * 451.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/postfix_restrictions.h"
#include "log/log.h"
#include "smtpd/restrict_eval.h"

#define MAX_SLEEP 3600 /* seconds */

struct reader {
	struct restrictions *r;
	const char *bare_access; /* what a bare type:table stands for; NULL: the list says it */
	bool may_open;		 /* not while serving: tables are opened before the jail */
};

static const struct rule_list *find_class(struct restrictions *r, struct slice name);

static const struct restriction *find_row(struct slice name)
{
	for (size_t i = 0; i < restrict_row_count; i++) {
		if (slice_caseeq_str(name, restrict_rows[i].name))
			return &restrict_rows[i];
	}
	return NULL;
}

static struct rule *add_rule(struct rule_list *list, struct slice word)
{
	struct rule *rule;

	list->rules = xreallocarray(list->rules, list->count + 1, sizeof(*list->rules));
	rule = &list->rules[list->count++];
	*rule = (struct rule){ .text = xstrndup(word.ptr, word.len) };
	return rule;
}

static void read_table(struct reader *reader, struct rule *rule, struct slice spec)
{
	char *text;

	if (!spec.len || slice_find(spec, ':') < 0) {
		rule->problem =
		    xasprintf("restriction %s: bad argument \"%.*s\": need maptype:mapname",
			rule->text, SLICE_ARG(spec.len ? spec : slice_of(rule->text)));
		return;
	}
	if (!reader->may_open) {
		rule->problem = xasprintf(
		    "restriction %s: a table must be named in main.cf, not in an access table",
		    rule->text);
		return;
	}
	text = xstrndup(spec.ptr, spec.len);
	rule->tables = tables_open(rule->text, text, 0);
	free(text);
}

static void read_number(struct rule *rule, struct slice word)
{
	uint64_t number = 0;

	if (!slice_uint(word, MAX_SLEEP, &number))
		rule->problem =
		    xasprintf("restriction %s: bad argument \"%.*s\": need a number up to %d",
			rule->text, SLICE_ARG(word), MAX_SLEEP);
	rule->number = (unsigned)number;
}

/* A restriction of the peer's that we cannot do yet, with its argument. */
static bool is_unsupported(struct slice word, struct slice *rest)
{
	const struct postfix_restriction *known = postfix_restriction_find(word);
	struct slice argument;

	if (!known || known->works)
		return false;
	if (known->has_argument)
		table_list_next(rest, &argument);
	return true;
}

/* Names that the peer has given up, and what it tells who still has them. */
static const struct {
	const char *name, *instead;
} removed[] = {
	{ "permit_naked_ip_address", "\"permit_mynetworks\" or \"permit_sasl_authenticated\"" },
	{ "reject_maps_rbl", "\"reject_rbl_client domain-name\"" },
	{ "check_relay_domains", "\"reject_unauth_destination\"" },
};

static char *problem_of(struct slice word)
{
	for (size_t i = 0; i < ARRAY_LEN(removed); i++) {
		if (slice_caseeq_str(word, removed[i].name))
			return xasprintf("support for restriction \"%s\" has been removed in "
					 "Postfix 3.9; instead, specify %s",
			    removed[i].name, removed[i].instead);
	}
	return xasprintf("unknown smtpd restriction: \"%.*s\"", SLICE_ARG(word));
}

static void read_word(struct reader *reader, struct rule_list *list, struct slice word,
    struct slice *rest, bool warn_only)
{
	struct rule *rule = add_rule(list, word);
	struct slice argument = SLICE_NULL;

	rule->warn_only = warn_only;
	rule->row = find_row(word);
	if (rule->row) {
		if (rule->row->argument != ARG_NONE)
			table_list_next(rest, &argument);
		if (rule->row->argument == ARG_TABLE)
			read_table(reader, rule, argument);
		if (rule->row->argument == ARG_NUMBER)
			read_number(rule, argument);
		return;
	}
	rule->class = find_class(reader->r, word);
	if (rule->class)
		return;
	if (is_unsupported(word, rest)) {
		rule->problem = xasprintf("restriction %.*s is not supported yet", SLICE_ARG(word));
		return;
	}
	if (slice_find(word, ':') > 0) {
		rule->row = reader->bare_access ? find_row(slice_of(reader->bare_access))
						: &restrict_bare_row;
		read_table(reader, rule, word);
		return;
	}
	rule->problem = problem_of(word);
}

static void read_list(struct reader *reader, const char *text, struct rule_list *list)
{
	struct slice rest = slice_of(text), word;
	bool warn_only = false;

	while (table_list_next(&rest, &word)) {
		if (slice_caseeq_str(word, "warn_if_reject")) {
			warn_only = true;
			continue;
		}
		read_word(reader, list, word, &rest, warn_only);
		warn_only = false;
	}
}

void restrict_read_text(const struct restrictions *r, const char *text, struct rule_list *list)
{
	/* The classes are looked at only; nothing of R is changed. */
	struct reader reader = { .r = (struct restrictions *)r };

	read_list(&reader, text, list);
}

void restrict_list_release(struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		tables_free(list->rules[i].tables);
		free(list->rules[i].text);
		free(list->rules[i].problem);
	}
	free(list->rules);
	*list = (struct rule_list){ NULL, 0 };
}

static const struct rule_list *find_class(struct restrictions *r, struct slice name)
{
	for (struct class_row *c = r->classes; c; c = c->next) {
		if (slice_eq_str(name, c->name))
			return &c->list;
	}
	return NULL;
}

/* All names first: a class may hold one that comes later. */
static void read_classes(struct restrictions *r)
{
	struct reader reader = { .r = r, .may_open = true };
	struct slice rest = slice_of(r->params->smtpd_restriction_classes), word;

	while (table_list_next(&rest, &word)) {
		struct class_row *c = xcalloc(1, sizeof(*c));

		c->name = xstrndup(word.ptr, word.len);
		c->next = r->classes;
		r->classes = c;
	}
	for (struct class_row *c = r->classes; c; c = c->next) {
		const char *text = postfix_param_lookup(r->params, c->name);

		if (text)
			read_list(&reader, text, &c->list);
		else
			add_rule(&c->list, slice_of(c->name))->problem =
			    xasprintf("restriction class %s is not defined", c->name);
	}
}

static void read_lists(struct restrictions *r)
{
	const struct postfix_params *p = r->params;
	const struct {
		const char *text, *bare_access;
		struct rule_list *list;
	} lists[] = {
		{ p->smtpd_client_restrictions, NULL, &r->client },
		{ p->smtpd_helo_restrictions, NULL, &r->helo },
		{ p->smtpd_sender_restrictions, NULL, &r->sender },
		{ p->smtpd_relay_restrictions, NULL, &r->relay },
		{ p->smtpd_recipient_restrictions, NULL, &r->recipient },
		{ p->smtpd_data_restrictions, NULL, &r->data },
		{ p->smtpd_end_of_data_restrictions, NULL, &r->end_of_data },
		{ p->smtpd_etrn_restrictions, NULL, &r->etrn },
		{ p->local_header_rewrite_clients, "check_address_map", &r->local_rewrite },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct reader reader = {
			.r = r, .bare_access = lists[i].bare_access, .may_open = true
		};

		read_list(&reader, lists[i].text, lists[i].list);
	}
}

/* ---- does anything refuse strangers? ---- */

static const char *const guards[] = { "reject_unauth_destination", "defer_unauth_destination",
	"reject", "defer", "defer_if_permit" };

static bool is_guard(const struct rule *rule)
{
	for (size_t i = 0; i < ARRAY_LEN(guards); i++) {
		if (rule->row && strcmp(rule->row->name, guards[i]) == 0)
			return true;
	}
	return false;
}

/* What stands behind "permit", or only warns, guards nothing. */
static bool is_guarded(const struct rule_list *list, unsigned depth)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		if (rule->warn_only)
			continue;
		if (rule->row && strcmp(rule->row->name, "permit") == 0) {
			if (i + 1 < list->count)
				log_warning("restriction `%s' after `permit' is ignored",
				    rule[1].warn_only ? "warn_if_reject" : rule[1].text);
			return false;
		}
		if (is_guard(rule))
			return true;
		if (rule->class && depth < RESTRICT_DEPTH_MAX && is_guarded(rule->class, depth + 1))
			return true;
	}
	return false;
}

static void check_relay_safety(struct restrictions *r)
{
	struct strbuf list = STRBUF_INIT(1000);

	if (is_guarded(&r->relay, 0) || is_guarded(&r->recipient, 0))
		return;
	for (size_t i = 0; i < ARRAY_LEN(guards); i++)
		strbuf_addf(&list, "%s%s",
		    i == 0			? ""
		    : i + 1 < ARRAY_LEN(guards) ? ", "
						: " or ",
		    guards[i]);
	r->trouble = xasprintf("in parameter smtpd_relay_restrictions or "
			       "smtpd_recipient_restrictions, specify at least one working "
			       "instance of: %s",
	    list.ptr);
	strbuf_release(&list);
}

struct restrictions *restrictions_new(const struct postfix_params *params,
    const struct resolver *resolver, const struct rewriter *rewriter)
{
	struct restrictions *r = xcalloc(1, sizeof(*r));

	r->params = params;
	r->resolver = resolver;
	r->rewriter = rewriter;
	r->mynetworks = match_list_new(params, "mynetworks", params->mynetworks);
	if (*params->smtpd_log_access_permit_actions)
		r->log_permits = match_list_new(params, "smtpd_log_access_permit_actions",
		    params->smtpd_log_access_permit_actions);
	r->sender_login =
	    tables_open("smtpd_sender_login_maps", params->smtpd_sender_login_maps, 0);
	r->relay_certs = tables_open("relay_clientcerts", params->relay_clientcerts, 0);
	r->access_parents = match_list_has_parents(params, "smtpd_access_maps");
	read_classes(r);
	read_lists(r);
	check_relay_safety(r);
	return r;
}

void restrictions_free(struct restrictions *r)
{
	if (!r)
		return;
	struct rule_list *lists[] = { &r->client, &r->helo, &r->sender, &r->relay, &r->recipient,
		&r->data, &r->end_of_data, &r->etrn, &r->local_rewrite };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		restrict_list_release(lists[i]);
	while (r->classes) {
		struct class_row *c = r->classes;

		r->classes = c->next;
		restrict_list_release(&c->list);
		free(c->name);
		free(c);
	}
	tables_free(r->sender_login);
	tables_free(r->relay_certs);
	match_list_free(r->mynetworks);
	match_list_free(r->log_permits);
	free(r->trouble);
	free(r);
}

const char *restrictions_trouble(const struct restrictions *r)
{
	return r->trouble;
}
