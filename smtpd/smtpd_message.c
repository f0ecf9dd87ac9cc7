// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message, however it comes (DATA, BDAT): what is checked before it, the headers of ours in
 * front, its lines, and the answer at its end.
 */
#include "smtpd/smtpd_message.h"

#include <string.h>

#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"

/* RFC 5321 4.4. */
static bool prepend_received(struct smtpd *s, struct reason *why)
{
	struct smtpd_transaction *t = s->transaction;
	const struct postfix_params *p = smtpd_server.params;
	struct strbuf out = STRBUF_INIT(8192);
	char date[DATE_TEXT];
	bool v6 = strchr(s->client_address, ':') != NULL;

	strbuf_addf(&out, "Received: from %s (%s [%s%s])",
	    s->helo != NULL ? s->helo : s->client_name, s->client_name, v6 ? "IPv6:" : "",
	    s->client_address);
	if (p->smtpd_tls_received_header && stream_tls(s->session.stream) != NULL)
		smtpd_tls_received(s, &out);
	if (p->smtpd_sasl_authenticated_header && s->sasl_username != NULL)
		strbuf_addf(&out, "\n\t(Authenticated sender: %s)", s->sasl_username);
	strbuf_addf(&out, "\n\tby %s (%s) with %s id %s", p->myhostname, p->mail_name,
	    smtpd_protocol(s), intake_id(t->intake));
	if (t->recipient_count == 1) {
		strbuf_addstr(&out, "\n\tfor <");
		address_external(t->only_recipient, &out);
		strbuf_addstr(&out, ">; ");
	} else {
		strbuf_addstr(&out, ";\n\t");
	}
	strbuf_addf(&out, "%s", date_rfc5322((time_t)(t->arrival_us / 1000000), date));
	bool ok = intake_prepend(t->intake, strbuf_slice(&out), why);

	strbuf_release(&out);
	return ok;
}

static bool prepend_headers(struct smtpd *s, struct reason *why)
{
	for (struct restrict_line *l = s->transaction->findings.prepend; l != NULL; l = l->next)
		if (!intake_prepend(s->transaction->intake, slice_of(l->text), why))
			return false;
	return prepend_received(s, why);
}

void smtpd_message_refuse(struct smtpd *s)
{
	const struct reason *why = &s->transaction->why;
	char text[600];
	unsigned code = intake_reply(why, text);

	smtpd_reply(s, code, why->dsn, "%s", text);
}

bool smtpd_message_may_begin(struct smtpd *s, const char *command, struct restrict_verdict *verdict)
{
	return smtpd_check_command(s, RESTRICT_DATA, command, verdict);
}

/* What access actions asked for. */
static bool hand_over(struct intake *in, const struct restrict_findings *f, struct reason *why)
{
	if (f->hold)
		intake_set_hold(in);
	if (f->filter != NULL)
		intake_set_filter(in, f->filter);
	if (f->redirect != NULL)
		intake_set_redirect(in, slice_of(f->redirect));
	for (struct restrict_line *l = f->bcc; l != NULL; l = l->next)
		if (!intake_add_bcc(in, slice_of(l->text), why))
			return false;
	return true;
}

bool smtpd_message_begin(struct smtpd *s)
{
	struct smtpd_transaction *t = s->transaction;

	t->refused = !hand_over(t->intake, &t->findings, &t->why) || !prepend_headers(s, &t->why);
	/* What END-OF-DATA finds is handed over apart. */
	t->findings.hold = false;
	t->findings.filter = t->findings.redirect = NULL;
	t->findings.bcc = NULL;
	s->data_bytes = 0;
	return !t->refused;
}

void smtpd_message_line(void *session, struct slice line, bool complete)
{
	struct smtpd *s = session;
	struct smtpd_transaction *t = s->transaction;

	if (t->refused)
		return;
	t->refused = !intake_line(t->intake, line, complete, &t->why);
	if (t->refused && strcmp(t->why.text, "message file too big") == 0)
		log_warning("%s: queue file size limit exceeded", smtpd_queue_id(s));
}

bool smtpd_message_end(struct smtpd *s)
{
	struct smtpd_transaction *t = s->transaction;
	struct restrict_verdict verdict;

	if (t->refused) {
		smtpd_message_refuse(s);
		return false;
	}
	if (!smtpd_check(s, RESTRICT_END_OF_DATA, SLICE_NULL, &verdict)) {
		smtpd_reply_verdict(s, &verdict);
		return false;
	}
	if (t->findings.discard)
		intake_set_discard(t->intake);
	if (!hand_over(t->intake, &t->findings, &t->why) || !intake_commit(t->intake, &t->why)) {
		smtpd_message_refuse(s);
		return false;
	}
	/* The limits are on errors and idle commands without mail in between. */
	s->errors = 0;
	s->junk = 0;
	return true;
}

bool smtpd_message_allows_bare_newline(const struct smtpd *s)
{
	return smtpd_server.bare_newline == BARE_NEWLINE_NO || smtpd_may_send_bare_newline(s);
}

bool smtpd_message_refuse_bare_newline(struct smtpd *s, bool seen, const char *where)
{
	if (!seen || smtpd_server.bare_newline != BARE_NEWLINE_REJECT ||
	    smtpd_may_send_bare_newline(s))
		return false;
	smtpd_refuse_bare_newline(s, where);
	return true;
}
