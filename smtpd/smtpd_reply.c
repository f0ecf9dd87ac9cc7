// SPDX-License-Identifier: BSD-2-Clause
/* Replies: each one written whole, errors counted, hang-ups remembered. */
#include "mail/smtp_reply.h"
#include "smtpd/smtpd.h"
#include "smtpd/smtpd_footer.h"

static void reply(struct smtpd *s, unsigned code, const char *given_dsn, struct slice given)
{
	struct strbuf out = STRBUF_INIT(16384), text = STRBUF_INIT(16384);
	char dsn[DSN_CODE_TEXT] = "";

	snprintf(dsn, sizeof(dsn), "%s", given_dsn != NULL ? given_dsn : "");
	strbuf_addslice(&text, given);
	if (code >= 400)
		s->errors++;
	smtpd_footer_apply(s, &code, dsn, &text);
	/* Tables see the reply as it was, as with the peer. */
	if (smtpd_server.params->soft_bounce && code / 100 == 5) {
		code -= 100;
		if (dsn[0] != '\0')
			dsn[0] = '4';
	}
	if (code == 421 || code == 521)
		s->closing = true;
	smtp_reply_add(&out, code, dsn, strbuf_slice(&text));
	smtpd_log_dialogue(s, '>', strbuf_slice(&out));
	stream_write(s->session.stream, strbuf_slice(&out));
	strbuf_release(&text);
	strbuf_release(&out);
}

void smtpd_reply(struct smtpd *s, unsigned code, const char *dsn, const char *format, ...)
{
	struct strbuf text = STRBUF_INIT(8192);
	va_list args;

	va_start(args, format);
	strbuf_vaddf(&text, format, args);
	va_end(args);
	smtpd_notify_of_reply(s, code, dsn, strbuf_slice(&text));
	reply(s, code, dsn, strbuf_slice(&text));
	strbuf_release(&text);
}

void smtpd_reply_verdict(struct smtpd *s, const struct restrict_verdict *verdict)
{
	if (verdict->code != 0) {
		smtpd_notify_of_verdict(s, verdict->dsn);
		reply(s, verdict->code, verdict->dsn, slice_of(verdict->text));
	}
	if (verdict->disconnect)
		s->closing = true;
}

void smtpd_reply_more(struct smtpd *s, unsigned code, const char *format, ...)
{
	struct strbuf line = STRBUF_INIT(SMTP_REPLY_LINE_MAX + 3);
	va_list args;

	strbuf_addf(&line, "%u-", code);
	va_start(args, format);
	strbuf_vaddf(&line, format, args);
	va_end(args);
	strbuf_addstr(&line, "\r\n");
	smtpd_log_dialogue(s, '>', strbuf_slice(&line));
	stream_write(s->session.stream, strbuf_slice(&line));
	strbuf_release(&line);
}
