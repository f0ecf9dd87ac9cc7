// SPDX-License-Identifier: BSD-2-Clause
/*
 * DATA: content comes in, is kept or refused, and gets its answer.  Where it ends is data_lines.h's
 * affair.
 */
#include "smtpd/data_lines.h"

#include "base/clock.h"
#include "smtpd/smtpd_message.h"

/* False when the connection is gone before the end. */
static bool read_body(struct smtpd *s, struct data_lines *lines)
{
	struct stream *stream = s->session.stream;
	struct slice piece;

	smtpd_set_deadline(s);
	for (;;) {
		stream_set_deadline(stream, deadline_in(s->params->smtpd_timeout * 1000));
		if (stream_read_line(stream, smtpd_server.line_max, &piece) == STREAM_READ_FAILED)
			return false;
		s->data_bytes += (int64_t)piece.len;
		if (data_lines_take(lines, piece))
			return true;
	}
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
	if (smtpd_message_may_begin(s, NULL, &verdict))
		return true;
	smtpd_reply_verdict(s, &verdict);
	return false;
}

void smtpd_data(struct smtpd *s, struct slice args)
{
	struct data_lines lines = {
		.keep = smtpd_message_line,
		.arg = s,
		.bare_allowed = smtpd_message_allows_bare_newline(s),
	};

	if (!is_ready_for_data(s, args))
		return;
	if (!smtpd_message_begin(s)) {
		smtpd_message_refuse(s);
		smtpd_transaction_end(s);
		return;
	}
	smtpd_reply(s, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	bool ended = read_body(s, &lines);

	s->bare_lf_seen |= lines.bare_lf_seen;
	if (!ended)
		return; /* the transaction's id is in the last log line; smtpd_close ends it */
	s->where = "END-OF-MESSAGE";
	if (!smtpd_message_refuse_bare_newline(s, lines.bare_lf_seen, s->where) &&
	    smtpd_message_end(s))
		smtpd_reply(s, 250, "2.0.0", "Ok: queued as %s", intake_id(s->transaction->intake));
	smtpd_transaction_end(s);
}
