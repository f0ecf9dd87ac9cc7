// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lists of restrictions, walked for each stage: which of them, in which order, and what is left of
 * an earlier stage.  Who comes to a restriction class that holds itself gets 451, at the hundredth
 * turn.
 */
#include "smtpd/restrict.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "smtpd/restrict_eval.h"

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

	if (e->depth++ >= RESTRICT_DEPTH_MAX) {
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
	struct rule_list list = { NULL, 0 };
	enum check check;

	restrict_read_text(e->r, text, &list);
	e->list_subject = subject;
	check = restrict_eval_list(e, &list);
	e->list_subject = outer;
	restrict_list_release(&list);
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
