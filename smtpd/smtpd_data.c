// SPDX-License-Identifier: BSD-2-Clause
/*
 * DATA: the one reader of message content.
 *
 * Where a message ends is a question of bytes, and two servers that answer it differently let a
 * message be smuggled inside of another.  Here only CRLF "." CRLF ends it
 * (smtpd_forbid_bare_newline = normalize); a line that ends with a bare LF is a line of content,
 * also when it is a single dot (its dot is unstuffed like any other).  Clients for which
 * smtpd_forbid_bare_newline is off may end with LF "." LF.
 */
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "smtpd/smtpd.h"

/* Where we are in the bytes of the body. */
struct body {
	bool line_start;   /* the next piece begins a line */
	bool after_crlf;   /* ... and the line before it ended with CRLF */
	bool bare_allowed; /* LF "." LF ends the message for this client */
	bool refused;	   /* intake failed, or the client is refused: read on, keep nothing */
	bool held_cr;	   /* a piece ended with a CR that may belong to the line's end */
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
		strbuf_addch(&out, '>');
	}
	strbuf_addf(&out, "; %s", date_rfc5322((time_t)(t->arrival_us / 1000000), date));
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

static void keep(struct smtpd *s, struct body *b, struct slice line, bool complete)
{
	if (b->refused)
		return;
	if (b->held_cr && !intake_line(s->transaction->intake, SLICE_LIT("\r"), false, &b->why))
		b->refused = true;
	b->held_cr = false;
	if (!b->refused && !intake_line(s->transaction->intake, line, complete, &b->why))
		b->refused = true;
	if (b->refused && strcmp(b->why.text, "message file too big") == 0)
		log_warning("%s: queue file size limit exceeded", smtpd_queue_id(s));
}

/* A whole line (or its last piece), LF included.  True: it was the end of the message. */
static bool take_line(struct smtpd *s, struct body *b, struct slice line)
{
	bool first_piece = b->line_start, after_crlf = b->after_crlf, crlf;

	line.len--;
	crlf = line.len > 0 ? line.ptr[line.len - 1] == '\r' : b->held_cr;
	if (line.len > 0 && crlf)
		line.len--;
	else if (crlf)
		b->held_cr = false;
	if (!crlf)
		s->bare_lf_seen = true;
	b->line_start = true;
	b->after_crlf = crlf;
	if (first_piece && line.len > 0 && line.ptr[0] == '.') {
		if (line.len == 1 && ((crlf && after_crlf) || b->bare_allowed))
			return true;
		line = slice_from(line, 1); /* RFC 5321 4.5.2 */
	}
	keep(s, b, line, true);
	return false;
}

static void take_piece(struct smtpd *s, struct body *b, struct slice piece)
{
	if (b->line_start && piece.len > 0 && piece.ptr[0] == '.')
		piece = slice_from(piece, 1);
	b->line_start = false;
	/* A CR at the end of the piece is content only if no LF follows. */
	bool cr = piece.len > 0 && piece.ptr[piece.len - 1] == '\r';

	if (cr)
		piece.len--;
	keep(s, b, piece, false);
	b->held_cr = cr;
}

/* False when the connection is gone before the end. */
static bool read_body(struct smtpd *s, struct body *b)
{
	struct stream *stream = s->session.stream;
	struct slice line;

	smtpd_set_deadline(s);
	for (;;) {
		stream_set_deadline(stream, deadline_in(smtpd_server.params->smtpd_timeout * 1000));
		switch (stream_read_line(stream, smtpd_server.line_max, &line)) {
		case STREAM_READ_FAILED:
			return false;
		case STREAM_READ_PARTIAL:
			s->data_bytes += (int64_t)line.len;
			take_piece(s, b, line);
			break;
		case STREAM_READ_LINE:
			s->data_bytes += (int64_t)line.len;
			if (take_line(s, b, line))
				return true;
			break;
		}
	}
}

/* Post-DATA codes of postfix.md 5.2. */
static unsigned code_of(const struct reason *why)
{
	if (!reason_is_permanent(why))
		return strcmp(why->dsn, "4.3.1") == 0 ? 452 : 451;
	if (strcmp(why->dsn, "5.3.4") == 0)
		return 552;
	return strcmp(why->dsn, "5.1.0") == 0 ? 550 : 554;
}

static bool has_bare_newline_to_refuse(const struct smtpd *s, const struct body *b)
{
	return s->bare_lf_seen && smtpd_server.bare_newline == BARE_NEWLINE_REJECT &&
	       !b->bare_allowed;
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
		smtpd_reply(s, code_of(&b->why), b->why.dsn, "Error: %s", b->why.text);
	} else if (!smtpd_check(s, RESTRICT_END_OF_DATA, SLICE_NULL, &verdict)) {
		smtpd_reply_verdict(s, &verdict);
	} else if (!t->findings.discard && !s->findings.discard &&
		   !intake_commit(t->intake, &b->why)) {
		smtpd_reply(s, code_of(&b->why), b->why.dsn, "Error: %s", b->why.text);
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
		.line_start = true,
		.after_crlf = true,
		.bare_allowed = bare_newline_is_allowed(s),
	};

	if (!is_ready_for_data(s, args))
		return;
	if (s->findings.hold || s->transaction->findings.hold)
		intake_set_hold(s->transaction->intake);
	if (!prepend_headers(s, &body.why)) {
		smtpd_reply(s, code_of(&body.why), body.why.dsn, "Error: %s", body.why.text);
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
