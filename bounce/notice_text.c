// SPDX-License-Identifier: BSD-2-Clause
/*
 * The text of a notice: multipart/report with a part for people, a part for programs, and the
 * original or its header (RFC 3462, RFC 3464; the layout is postfix.md's 6.7).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/strbuf.h"
#include "bounce/bounce.h"
#include "mail/date.h"
#include "mail/dsn.h"
#include "mail/text_wrap.h"
#include "queue/envelope.h"
#include "queue/queue_file.h"

/* Lines for people have at most so many columns, further ones behind an indent. */
#define WRAP_COLUMN 79
/* Foreign words may be many. */
#define LINE_CUT 4000

struct notice {
	struct intake *in;
	const struct notice_letter *letter;
	const struct postfix_params *params;
	const struct notice_request *request;
	const char *encoding;
	bool is_8bit, is_global;
	char boundary[QUEUE_ID_SIZE + 300];
	struct reason *why;
	bool ok;
};

static const struct notice_template *template_of(const struct notice *n)
{
	return n->letter->template;
}

/* Words of a remote host or a user end no line, and no group of fields. */
static void mask(const struct notice *n, struct strbuf *text)
{
	bool utf8 =
	    (n->params->smtputf8_enable || n->is_global) && utf8_is_valid(strbuf_slice(text));

	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f || (c > 0x7f && !utf8))
			text->ptr[i] = '?';
	}
}

static void line(struct notice *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(struct notice *n, const char *format, ...)
{
	struct strbuf text = STRBUF_INIT(2 * MSG_MAX);
	va_list args;

	va_start(args, format);
	strbuf_vaddf(&text, format, args);
	va_end(args);
	if (text.len > LINE_CUT)
		strbuf_truncate(&text, LINE_CUT);
	mask(n, &text);
	if (n->ok)
		n->ok = intake_line(n->in, strbuf_slice(&text), true, n->why);
	strbuf_release(&text);
}

/* The administrator's, as they are. */
static void lines(struct notice *n, struct slice rest)
{
	while (rest.len > 0 && n->ok) {
		ptrdiff_t lf = slice_find(rest, '\n');
		size_t len = lf < 0 ? rest.len : (size_t)lf;

		n->ok = intake_line(n->in, slice_first(rest, len), true, n->why);
		rest = slice_from(rest, len + 1);
	}
}

/* RFC 6533: where an address may be one of RFC 6531 the types are others. */
static bool is_global(const struct notice_request *request)
{
	return (request->sendopts & QUEUE_SENDOPT_SMTPUTF8) != 0;
}

const char *notice_encoding(const struct notice_letter *letter)
{
	const char *encoding = letter->request->encoding;

	if (letter->params->smtputf8_enable || is_global(letter->request) ||
	    strcmp(encoding, "8bit") == 0 || !ascii_is_valid(slice_of(letter->text)))
		return "8bit";
	return strcmp(encoding, "7bit") == 0 ? "7bit" : NULL;
}

/* Without NOTIFY the sender hears of failures and delays (RFC 3461 4.1). */
bool notice_tells_of(const struct notice_letter *letter, size_t i)
{
	unsigned notify = letter->request->recipients[i].notify;

	if (letter->for_postmaster || notify == 0)
		return true;
	switch (letter->request->kind) {
	case NOTICE_FAILED:
		return (notify & DSN_NOTIFY_FAILURE) != 0;
	case NOTICE_DELAYED:
		return (notify & DSN_NOTIFY_DELAY) != 0;
	case NOTICE_SENT:
	case NOTICE_TRACE:
		break;
	}
	return true;
}

static void write_from(struct notice *n)
{
	const struct notice_template *t = template_of(n);
	bool is_own = strcmp(t->from, notice_template_default(0)->from) != 0;

	if (!is_own && strcmp(n->params->header_from_format, "obsolete") == 0)
		line(n, "From: MAILER-DAEMON (Mail Delivery System)");
	else
		line(n, "From: %s", t->from);
}

/* Where the reader's program shows the notice beside the message that it is about. */
static void write_thread(struct notice *n)
{
	const struct strbuf *id = &n->letter->original->message_id;

	if (!n->params->enable_threaded_bounces || id->len == 0)
		return;
	line(n, "References: %s", id->ptr);
	line(n, "In-Reply-To: %s", id->ptr);
}

static void write_to(struct notice *n)
{
	line(n, "To: %s", n->letter->to);
	if (n->params->tls_required_enable && n->letter->original->tls_not_required)
		line(n, "TLS-Required: no");
}

static void write_header(struct notice *n)
{
	char date[DATE_TEXT];
	bool copy = n->letter->for_postmaster;

	line(n, "Date: %s", date_rfc5322((time_t)(clock_wall_us() / 1000000), date));
	write_from(n);
	line(n, "Subject: %s",
	    copy && template_of(n)->postmaster_subject ? template_of(n)->postmaster_subject
						       : template_of(n)->subject);
	write_to(n);
	write_thread(n);
	line(n, "Auto-Submitted: %s", copy ? "auto-generated" : "auto-replied");
	line(n, "MIME-Version: 1.0");
	line(n, "Content-Type: multipart/report; report-type=delivery-status;");
	line(n, "\tboundary=\"%s\"", n->boundary);
	if (n->encoding)
		line(n, "Content-Transfer-Encoding: %s", n->encoding);
	line(n, "%s", "");
	line(n, "This is a MIME-encapsulated message.");
}

static void begin_part(struct notice *n, const char *description, const char *type, bool is_8bit)
{
	line(n, "%s", "");
	line(n, "--%s", n->boundary);
	line(n, "Content-Description: %s", description);
	line(n, "Content-Type: %s", type);
	if (is_8bit)
		line(n, "Content-Transfer-Encoding: 8bit");
	line(n, "%s", "");
}

/* Wrapped at blanks; a longer word stays whole. */
static void write_wrapped(struct notice *n, struct slice text)
{
	size_t room = WRAP_COLUMN;
	const char *indent = "";

	do {
		size_t len = text_wrap(text, room);
		struct slice part = slice_trim(slice_first(text, len), " ");

		line(n, "%s%.*s", indent, SLICE_ARG(part));
		text = slice_trim(slice_from(text, len), " ");
		indent = TEXT_WRAP_INDENT;
		room = WRAP_COLUMN - strlen(TEXT_WRAP_INDENT);
	} while (text.len > 0);
}

static void write_reason(struct notice *n, const struct notice_recipient *rcpt)
{
	struct strbuf words = STRBUF_INIT(4096);

	strbuf_addf(&words, "<%s>", rcpt->address);
	if (rcpt->original[0] != '\0' && strcmp(rcpt->original, rcpt->address) != 0)
		strbuf_addf(&words, " (expanded from <%s>)", rcpt->original);
	strbuf_addf(&words, ": %s", rcpt->why.text);
	line(n, "%s", "");
	write_wrapped(n, strbuf_slice(&words));
	strbuf_release(&words);
}

/* A charset that has ASCII in it: what we say ourselves is nothing else, or UTF-8. */
static const char *charset_of(const struct notice *n)
{
	const char *charset = template_of(n)->charset;

	return n->is_8bit && strcasecmp(charset, "us-ascii") == 0 ? "utf-8" : charset;
}

static void write_notification(struct notice *n)
{
	char type[200];

	snprintf(type, sizeof(type), "text/plain; charset=%.150s", charset_of(n));
	begin_part(n, "Notification", type, n->is_8bit);
	lines(n, slice_of(n->letter->text));
	for (size_t i = 0; i < n->request->recipient_count; i++)
		if (notice_tells_of(n->letter, i))
			write_reason(n, &n->request->recipients[i]);
}

/* Folded, as it may be long (RFC 3464 2.1.1). */
static void write_diagnostic(struct notice *n, const struct notice_recipient *rcpt)
{
	struct strbuf text = STRBUF_INIT(2 * MSG_MAX);

	if (rcpt->diagnostic[0] != '\0')
		strbuf_addf(&text, "Diagnostic-Code: smtp; %s", rcpt->diagnostic);
	else
		strbuf_addf(
		    &text, "Diagnostic-Code: X-%s; %s", n->params->mail_name, rcpt->why.text);
	write_wrapped(n, strbuf_slice(&text));
	strbuf_release(&text);
}

static const char *type_of(const char *address)
{
	return ascii_is_valid(slice_of(address)) ? "rfc822" : "utf-8";
}

/* RFC 3464 2.3. */
static void write_recipient(struct notice *n, const struct notice_recipient *rcpt)
{
	const struct notice_request *r = n->request;
	char date[DATE_TEXT];
	const char *dsn = rcpt->why.dsn;

	line(n, "%s", "");
	line(n, "Final-Recipient: %s; %s", type_of(rcpt->address), rcpt->address);
	if (rcpt->orcpt[0] != '\0')
		line(n, "Original-Recipient: %s", rcpt->orcpt);
	else if (rcpt->original[0] != '\0')
		line(n, "Original-Recipient: %s;%s", type_of(rcpt->original), rcpt->original);
	line(n, "Action: %s", rcpt->action);
	line(n, "Status: %s", dsn[0] != '\0' ? dsn : "5.0.0");
	if (rcpt->remote_mta[0] != '\0')
		line(n, "Remote-MTA: dns; %s", rcpt->remote_mta);
	write_diagnostic(n, rcpt);
	if (r->kind == NOTICE_DELAYED)
		line(n, "Will-Retry-Until: %s",
		    date_rfc5322(
			(time_t)(r->arrival_us / 1000000 + n->params->maximal_queue_lifetime),
			date));
}

static void write_sender(struct notice *n)
{
	const struct notice_request *r = n->request;

	if (r->sender[0] != '\0')
		line(n, "X-%s-Sender: %s; %s", n->params->mail_name, type_of(r->sender), r->sender);
	else
		line(n, "X-%s-Sender: rfc822; MAILER-DAEMON@%s", n->params->mail_name,
		    n->params->myhostname);
}

static void write_report(struct notice *n)
{
	const struct notice_request *r = n->request;
	char date[DATE_TEXT];

	begin_part(n, "Delivery report",
	    n->is_global ? "message/global-delivery-status" : "message/delivery-status",
	    n->is_global);
	line(n, "Reporting-MTA: dns; %s", n->params->myhostname);
	if (r->envelope_id[0] != '\0')
		line(n, "Original-Envelope-Id: %s", r->envelope_id);
	line(n, "X-%s-Queue-ID: %s", n->params->mail_name, r->id);
	write_sender(n);
	line(n, "Arrival-Date: %s", date_rfc5322((time_t)(r->arrival_us / 1000000), date));
	for (size_t i = 0; i < r->recipient_count; i++)
		if (notice_tells_of(n->letter, i))
			write_recipient(n, &r->recipients[i]);
}

/* False when the original could not be read: nothing is sent, the request is refused. */
static bool copy_original(struct notice *n, int fd, bool headers_only)
{
	struct content_reader reader;
	struct slice text;
	enum content_read result;
	bool whole, line_start = true;

	content_reader_init(&reader, fd, n->request->data_offset);
	while ((result = content_reader_next(&reader, &text, &whole)) == CONTENT_LINE && n->ok) {
		if (headers_only && line_start && text.len == 0)
			break;
		n->ok = intake_line(n->in, text, whole, n->why);
		line_start = whole;
	}
	content_reader_release(&reader);
	/* The boundary has a line of its own, whatever the original's last one is. */
	if (n->ok && !line_start)
		n->ok = intake_line(n->in, SLICE_NULL, true, n->why);
	if (result == CONTENT_DAMAGED) {
		reason_set(n->why, "4.3.0", "cannot read the original message");
		return false;
	}
	return n->ok;
}

/* Of a large message, and of one that went by safe ways only, there is the header alone. */
static bool is_cut(const struct notice *n)
{
	const struct notice_request *r = n->request;

	return n->letter->ret == DSN_RET_HDRS || r->size > n->params->bounce_size_limit ||
	       ((r->sendopts & QUEUE_SENDOPT_REQUIRETLS) && n->params->requiretls_redact_dsn);
}

static void begin_original(struct notice *n, bool headers_only)
{
	bool undelivered = n->request->kind == NOTICE_FAILED || n->request->kind == NOTICE_DELAYED;
	char description[100];

	snprintf(description, sizeof(description), "%sMessage%s", undelivered ? "Undelivered " : "",
	    headers_only ? " Headers" : "");
	if (headers_only)
		begin_part(n, description,
		    n->is_global ? "message/global-headers" : "text/rfc822-headers", n->is_8bit);
	else
		begin_part(
		    n, description, n->is_global ? "message/global" : "message/rfc822", n->is_8bit);
}

static bool write_original(struct notice *n, int fd)
{
	const struct notice_request *r = n->request;
	bool headers_only = is_cut(n);

	begin_original(n, headers_only);
	/* The envelope's sender, which the header of a message under way does not have. */
	if (r->sender[0] != '\0')
		line(n, "Return-Path: <%s>", r->sender);
	else
		line(n, "Return-Path: <MAILER-DAEMON@%s>", n->params->myhostname);
	if (!copy_original(n, fd, headers_only))
		return false;
	line(n, "%s", "");
	line(n, "--%s--", n->boundary);
	return n->ok;
}

bool notice_write(struct intake *in, const struct notice_letter *letter, int fd, struct reason *why)
{
	struct notice n = { .in = in,
		.letter = letter,
		.params = letter->params,
		.request = letter->request,
		.encoding = notice_encoding(letter),
		.is_global = is_global(letter->request),
		.why = why,
		.ok = true };

	n.is_8bit = n.encoding != NULL && strcmp(n.encoding, "8bit") == 0;
	/* Nobody who wrote the original knew its queue id. */
	snprintf(n.boundary, sizeof(n.boundary), "%s.%lld/%.255s", letter->request->id,
	    (long long)(clock_wall_us() / 1000000), letter->params->myhostname);
	write_header(&n);
	write_notification(&n);
	write_report(&n);
	return write_original(&n, fd);
}
