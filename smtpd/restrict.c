// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lists of restrictions: read once, walked for each stage.
 *
 * A word that we do not know stays in its list as a rule with a "problem": who comes to it gets
 * 451. So does whoever comes to a restriction class that holds itself, at the hundredth turn.
 */
#include "smtpd/restrict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/postfix_restrictions.h"
#include "log/log.h"
#include "smtpd/restrict_eval.h"

#define MAX_DEPTH 100
#define MAX_SLEEP 3600 /* seconds */

/* ---- reading ---- */

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

static void list_release(struct rule_list *list)
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
		if (rule->class && depth < MAX_DEPTH && is_guarded(rule->class, depth + 1))
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

static bool are_access_parents(const struct postfix_params *p)
{
	struct slice rest = slice_of(p->parent_domain_matches_subdomains), word;

	while (table_list_next(&rest, &word)) {
		if (slice_caseeq_str(word, "smtpd_access_maps"))
			return true;
	}
	return false;
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
	r->access_parents = are_access_parents(params);
	read_classes(r);
	read_lists(r);
	check_relay_safety(r);
	return r;
}

void restrictions_free(struct restrictions *r)
{
	struct rule_list *lists[9];

	if (!r)
		return;
	memcpy(lists,
	    (struct rule_list *[]){ &r->client, &r->helo, &r->sender, &r->relay, &r->recipient,
		&r->data, &r->end_of_data, &r->etrn, &r->local_rewrite },
	    sizeof(lists));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		list_release(lists[i]);
	while (r->classes) {
		struct class_row *c = r->classes;

		r->classes = c->next;
		list_release(&c->list);
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

/* ---- walking ---- */

static enum check eval_rule(struct eval *e, const struct rule *rule)
{
	enum check check;

	if (rule->problem)
		return restrict_server_error(e, rule->problem);
	if (rule->class)
		return restrict_eval_list(e, rule->class);
	check = rule->row->check(e, rule);
	if (check == CHECK_PERMIT && rule->row->argument == ARG_NONE)
		restrict_log_permit(e, slice_of(rule->row->name), e->list_subject, NULL);
	return check;
}

/* Said each time, for it is no error, but never what was meant. */
static void warn_of_rest(const struct eval *e, const struct rule_list *list, size_t i)
{
	static const char *const last[] = { "permit", "reject", "defer" };
	const struct rule *rule = &list->rules[i];

	if (i + 1 == list->count || !rule->row || e->warn_only || e->quiet)
		return;
	for (size_t k = 0; k < ARRAY_LEN(last); k++) {
		if (strcmp(rule->row->name, last[k]) == 0)
			log_warning("restriction `%s' after `%s' is ignored",
			    rule[1].warn_only ? "warn_if_reject" : rule[1].text, last[k]);
	}
}

enum check restrict_eval_list(struct eval *e, const struct rule_list *list)
{
	enum check check = CHECK_DUNNO;
	bool warn_before = e->warn_only;

	if (e->depth++ >= MAX_DEPTH) {
		e->depth--;
		return restrict_server_error(e, "restriction classes are nested too deep");
	}
	for (size_t i = 0; check == CHECK_DUNNO && i < list->count; i++) {
		if (e->findings->discard)
			break;
		e->warn_only = warn_before || list->rules[i].warn_only;
		check = eval_rule(e, &list->rules[i]);
		warn_of_rest(e, list, i);
	}
	e->warn_only = warn_before;
	e->depth--;
	return check;
}

enum check restrict_eval_text(struct eval *e, enum subject subject, const char *text)
{
	enum subject outer = e->list_subject;
	/* The classes are looked at only; nothing of R is changed. */
	struct reader reader = { .r = (struct restrictions *)e->r };
	struct rule_list list = { NULL, 0 };
	enum check check;

	read_list(&reader, text, &list);
	e->list_subject = subject;
	check = restrict_eval_list(e, &list);
	e->list_subject = outer;
	list_release(&list);
	return check;
}

static enum check eval_for(struct eval *e, const struct rule_list *list, enum subject subject)
{
	e->list_subject = subject;
	e->warn_only = false;
	/* A deferral of what is refused holds in its own list; of what is permitted, to the end. */
	e->if_reject.active = false;
	return restrict_eval_list(e, list);
}

static enum check eval_client(struct eval *e)
{
	return eval_for(e, &e->r->client, SUBJECT_CLIENT);
}

static enum check eval_helo(struct eval *e)
{
	return e->facts->helo ? eval_for(e, &e->r->helo, SUBJECT_HELO) : CHECK_DUNNO;
}

static enum check eval_sender(struct eval *e)
{
	enum check check;

	if (!e->facts->sender.ptr)
		return CHECK_DUNNO;
	check = eval_for(e, &e->r->sender, SUBJECT_SENDER);
	if (check != CHECK_REJECT && e->r->params->smtpd_reject_unlisted_sender &&
	    !e->findings->discard)
		check = restrict_unlisted_sender(e, NULL);
	return check;
}

static enum check eval_delayed(struct eval *e)
{
	if (!e->r->params->smtpd_delay_reject)
		return CHECK_DUNNO;
	if (eval_client(e) == CHECK_REJECT || eval_helo(e) == CHECK_REJECT ||
	    eval_sender(e) == CHECK_REJECT)
		return CHECK_REJECT;
	return CHECK_DUNNO;
}

/* What could not be checked, and would have been refused perhaps, is not permitted now. */
static enum check settle(struct eval *e, enum check check)
{
	struct restrict_deferral *d = &e->if_permit;

	if (check == CHECK_REJECT || !d->active)
		return check;
	return restrict_reject(e, d->code, d->dsn, "%s", d->text);
}

/* Behind a content filter they were checked before. */
static bool checks_unlisted_recipients(const struct postfix_params *p)
{
	struct slice rest = slice_of(p->receive_override_options), word;

	while (slice_token(&rest, " \t\r\n,", &word))
		if (slice_caseeq_str(word, "no_unknown_recipient_checks"))
			return false;
	return p->smtpd_reject_unlisted_recipient;
}

static enum check eval_recipient(struct eval *e)
{
	bool relay_first = e->r->params->smtpd_relay_before_recipient_restrictions;
	const struct rule_list *first = relay_first ? &e->r->relay : &e->r->recipient;
	const struct rule_list *second = relay_first ? &e->r->recipient : &e->r->relay;
	enum check check;

	/* RFC 5321 4.5.1: always accepted. */
	if (slice_caseeq_str(e->facts->recipient, "postmaster"))
		return CHECK_DUNNO;
	if (eval_delayed(e) == CHECK_REJECT ||
	    eval_for(e, first, SUBJECT_RECIPIENT) == CHECK_REJECT)
		return CHECK_REJECT;
	check = settle(e, eval_for(e, second, SUBJECT_RECIPIENT));
	if (check != CHECK_REJECT && checks_unlisted_recipients(e->r->params) &&
	    !e->findings->discard) {
		e->list_subject = SUBJECT_RECIPIENT;
		check = restrict_unlisted_recipient(e, NULL);
	}
	return check;
}

static enum check eval_etrn(struct eval *e)
{
	if (eval_delayed(e) == CHECK_REJECT)
		return CHECK_REJECT;
	return settle(e, eval_for(e, &e->r->etrn, SUBJECT_ETRN));
}

/* An address that can be delivered nowhere, whatever the lists say. */
static enum check check_syntax(struct eval *e)
{
	bool sender = e->stage == RESTRICT_MAIL;
	struct slice address = sender ? e->facts->sender : e->facts->recipient;
	struct restrict_verdict *v = e->verdict;
	char line[1200];

	if (e->stage != RESTRICT_MAIL && e->stage != RESTRICT_RCPT && e->stage != RESTRICT_VRFY)
		return CHECK_DUNNO;
	if (!address.len || resolve_syntax(e->r->resolver, address))
		return CHECK_DUNNO;
	snprintf(line, sizeof(line), "Illegal address syntax from %s[%s] in %s command: <%.*s>",
	    e->facts->client_name ? e->facts->client_name : "unknown",
	    e->facts->client_address ? e->facts->client_address : "unknown",
	    sender ? "MAIL" : "RCPT", SLICE_ARG(slice_first(address, 512)));
	if (e->facts->log)
		e->facts->log(line, e->facts->log_arg);
	else
		log_warning("%s", line);
	v->code = 501;
	snprintf(v->dsn, sizeof(v->dsn), "%s", sender ? "5.1.7" : "5.1.3");
	snprintf(
	    v->text, sizeof(v->text), "Bad %s address syntax", sender ? "sender" : "recipient");
	return CHECK_REJECT;
}

static enum check eval_stage(struct eval *e)
{
	bool delayed = e->r->params->smtpd_delay_reject;

	switch (e->stage) {
	case RESTRICT_CONNECT:
		return delayed ? CHECK_DUNNO : eval_client(e);
	case RESTRICT_HELO:
		return delayed ? CHECK_DUNNO : eval_helo(e);
	case RESTRICT_MAIL:
		return delayed ? CHECK_DUNNO : eval_sender(e);
	case RESTRICT_RCPT:
	case RESTRICT_VRFY:
		return eval_recipient(e);
	case RESTRICT_DATA:
		return settle(e, eval_for(e, &e->r->data, SUBJECT_DATA));
	case RESTRICT_END_OF_DATA:
		return settle(e, eval_for(e, &e->r->end_of_data, SUBJECT_END_OF_DATA));
	case RESTRICT_ETRN:
		return eval_etrn(e);
	}
	return CHECK_DUNNO;
}

static void inherit(struct restrict_deferral *to, const struct restrict_findings *from)
{
	if (from && !to->active && from->if_permit.active)
		*to = from->if_permit;
}

/*
 * A deferral holds for what comes after the stage that asked for it: for the session after CONNECT
 * and HELO, for the transaction after MAIL, for one recipient after RCPT.
 */
static void keep_deferrals(const struct eval *e)
{
	if (e->stage > RESTRICT_MAIL)
		return;
	e->findings->if_permit = e->if_permit;
}

bool restrict_check(const struct restrictions *r, enum restrict_stage stage,
    const struct restrict_facts *facts, struct restrict_findings *session,
    struct restrict_findings *transaction, struct restrict_verdict *verdict)
{
	struct restrict_facts own = *facts;
	/* VRFY and ETRN are about no message: what they find is for nobody. */
	bool no_message = stage == RESTRICT_VRFY || stage == RESTRICT_ETRN;
	struct arena scratch = ARENA_INIT;
	struct restrict_findings unused = { .arena = &scratch };
	struct eval e = { .r = r,
		.facts = &own,
		.stage = stage,
		.findings = no_message	  ? &unused
			    : transaction ? transaction
					  : session,
		.verdict = verdict };
	enum check check;

	ASSERT(e.findings && e.findings->arena);
	memset(verdict, 0, sizeof(*verdict));
	/* One of many recipients would be the wrong one to look at, or to name in the log. */
	if ((stage == RESTRICT_DATA || stage == RESTRICT_END_OF_DATA) && own.recipient_count != 1)
		own.recipient = SLICE_NULL;
	inherit(&e.if_permit, transaction);
	inherit(&e.if_permit, session);
	check = check_syntax(&e);
	if (check == CHECK_DUNNO)
		check = eval_stage(&e);
	keep_deferrals(&e);
	for (size_t i = 0; i < ARRAY_LEN(e.resolved); i++) {
		if (e.resolved[i].state != NOT_ASKED) {
			resolved_release(&e.resolved[i].res);
			strbuf_release(&e.resolved[i].canonical);
		}
	}
	/* A check that only warned has filled in the verdict, too. */
	if (check != CHECK_REJECT)
		memset(verdict, 0, sizeof(*verdict));
	verdict->accepted = check != CHECK_REJECT;
	arena_release(&scratch);
	return verdict->accepted;
}

enum rewrite_context restrict_header_context(
    const struct restrictions *r, const struct restrict_facts *facts)
{
	struct restrict_verdict verdict;
	struct arena arena = ARENA_INIT;
	struct restrict_findings findings = { .arena = &arena };
	struct eval e = {
		.r = r, .facts = facts, .findings = &findings, .verdict = &verdict, .quiet = true
	};
	enum check check = restrict_eval_list(&e, &r->local_rewrite);

	arena_release(&arena);
	return check == CHECK_PERMIT ? REWRITE_LOCAL : REWRITE_REMOTE;
}
