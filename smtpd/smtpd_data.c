// SPDX-License-Identifier: BSD-2-Clause
/*
 * DATA: content comes in, is kept or refused, and gets its answer.  Where it ends is data_lines.h's
 * affair.
 */
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "smtpd/data_lines.h"
#include "smtpd/smtpd.h"

struct body {
	struct smtpd *session;
	struct data_lines lines;
	bool refused; /* intake failed, or the client is refused: read on, keep nothing */
	struct reason why;
};

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
	for (struct restrict_line *l = s->findings.prepend; l != NULL; l = l->next)
		if (!intake_prepend(s->transaction->intake, slice_of(l->text), why))
			return false;
	for (struct restrict_line *l = s->transaction->findings.prepend; l != NULL; l = l->next)
		if (!intake_prepend(s->transaction->intake, slice_of(l->text), why))
			return false;
	return prepend_received(s, why);
}

static bool bare_newline_is_allowed(const struct smtpd *s)
{
	return smtpd_server.bare_newline == BARE_NEWLINE_NO ||
	       smtpd_server.bare_newline == BARE_NEWLINE_NOTE ||
	       match_list_client(smtpd_server.bare_newline_exclusions, slice_of(s->client_name),
		   &s->session.peer) == MATCH_YES;
}

static void keep(void *arg, struct slice line, bool complete)
{
	struct body *b = arg;

	if (b->refused)
		return;
	b->refused = !intake_line(b->session->transaction->intake, line, complete, &b->why);
	if (b->refused && strcmp(b->why.text, "message file too big") == 0)
		log_warning("%s: queue file size limit exceeded", smtpd_queue_id(b->session));
}

/* False when the connection is gone before the end. */
static bool read_body(struct smtpd *s, struct body *b)
{
	struct stream *stream = s->session.stream;
	struct slice piece;
	bool ended;

	smtpd_set_deadline(s);
	for (;;) {
		stream_set_deadline(stream, deadline_in(smtpd_server.params->smtpd_timeout * 1000));
		if (stream_read_line(stream, smtpd_server.line_max, &piece) == STREAM_READ_FAILED)
			return false;
		s->data_bytes += (int64_t)piece.len;
		ended = data_lines_take(&b->lines, piece);
		s->bare_lf_seen |= b->lines.bare_lf_seen;
		if (ended)
			return true;
	}
}

/* Post-DATA replies of the intake. */
static void reply_refusal(struct smtpd *s, const struct reason *why)
{
	char text[600];
	unsigned code = intake_reply(why, text);

	smtpd_reply(s, code, why->dsn, "%s", text);
}

static bool has_bare_newline_to_refuse(const struct smtpd *s, const struct body *b)
{
	return s->bare_lf_seen && smtpd_server.bare_newline == BARE_NEWLINE_REJECT &&
	       !b->lines.bare_allowed;
}

static void end_message(struct smtpd *s, struct body *b)
{
	struct smtpd_transaction *t = s->transaction;
	struct restrict_verdict verdict;

	if (has_bare_newline_to_refuse(s, b)) {
		unsigned code =
		    (unsigned)smtpd_server.params->smtpd_forbid_bare_newline_reject_code;

		log_info("%s: reject: END-OF-MESSAGE from %s: %u 5.5.2 bare <LF> received",
		    intake_id(t->intake), s->name_addr, code);
		smtpd_reply(s, code, "5.5.2", "%s Error: bare <LF> received",
		    smtpd_server.params->myhostname);
		s->closing = true;
	} else if (b->refused) {
		reply_refusal(s, &b->why);
	} else if (!smtpd_check(s, RESTRICT_END_OF_DATA, SLICE_NULL, &verdict)) {
		smtpd_reply_verdict(s, &verdict);
	} else if (!t->findings.discard && !s->findings.discard &&
		   !intake_commit(t->intake, &b->why)) {
		reply_refusal(s, &b->why);
	} else {
		/* The limits are on errors and idle commands without mail in between. */
		s->errors = 0;
		s->junk = 0;
		smtpd_reply(s, 250, "2.0.0", "Ok: queued as %s", intake_id(t->intake));
	}
}

/* Findings that need a part of the suite that is not there: never skipped. */
static bool has_unsupported_finding(const struct restrict_findings *f)
{
	return f->filter != NULL || f->redirect != NULL || f->bcc != NULL;
}

static bool is_ready_for_data(struct smtpd *s, struct slice args)
{
	struct smtpd_transaction *t = s->transaction;
	struct restrict_verdict verdict;

	if (t == NULL || t->recipient_count == 0) {
		if (t != NULL)
			smtpd_reply(s, 554, "5.5.1", "Error: no valid recipients");
		else
			smtpd_reply(s, 503, "5.5.1", "Error: need RCPT command");
		return false;
	}
	if (args.len > 0) {
		smtpd_reply(s, 501, "5.5.4", "Syntax: DATA");
		return false;
	}
	if (!smtpd_check(s, RESTRICT_DATA, SLICE_NULL, &verdict)) {
		smtpd_reply_verdict(s, &verdict);
		return false;
	}
	if (has_unsupported_finding(&s->findings) || has_unsupported_finding(&t->findings)) {
		log_warning("%s: FILTER, REDIRECT and BCC actions are not supported yet",
		    intake_id(t->intake));
		smtpd_reply(s, 451, "4.3.5", "Server configuration error");
		return false;
	}
	return true;
}

void smtpd_data(struct smtpd *s, struct slice args)
{
	struct body body = {
		.session = s,
		.lines = { .keep = keep, .bare_allowed = bare_newline_is_allowed(s) },
	};

	body.lines.arg = &body;

	if (!is_ready_for_data(s, args))
		return;
	if (s->findings.hold || s->transaction->findings.hold)
		intake_set_hold(s->transaction->intake);
	if (!prepend_headers(s, &body.why)) {
		reply_refusal(s, &body.why);
		smtpd_transaction_end(s);
		return;
	}
	smtpd_reply(s, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	s->data_bytes = 0;
	if (!read_body(s, &body))
		return; /* the transaction's id is in the last log line; smtpd_close ends it */
	s->data_bytes = -1;
	s->where = "END-OF-MESSAGE";
	end_message(s, &body);
	smtpd_transaction_end(s);
}
