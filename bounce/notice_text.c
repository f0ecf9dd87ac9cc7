// SPDX-License-Identifier: BSD-2-Clause
/*
 * The text of a notice: multipart/report with a part for people, a part for programs, and the
 * original or its header (RFC 3462, RFC 3464; the layout is postfix.md's 6.7).
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/strbuf.h"
#include "bounce/bounce.h"
#include "conf/postfix_expand.h"
#include "mail/date.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/notice_template.h"
#include "queue/envelope.h"

/* Lines for people are wrapped here. */
#define WRAP_COLUMN 75
/* Foreign words may be many. */
#define LINE_CUT 4000

struct notice {
	struct intake *in;
	const struct postfix_params *params;
	const struct notice_request *request;
	char boundary[QUEUE_ID_SIZE + 300];
	struct reason *why;
	bool ok;
};

/* In the order of enum notice_kind. */
static const struct notice_template *template_of(const struct notice *n)
{
	return notice_template_default(n->request->kind);
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
	/* Words of a remote host or a user end no line, and no group of fields. */
	for (size_t i = 0; i < text.len; i++)
		if (((unsigned char)text.ptr[i] < 0x20 && text.ptr[i] != '\t') ||
		    text.ptr[i] == 0x7f)
			text.ptr[i] = '?';
	if (n->ok)
		n->ok = intake_line(n->in, strbuf_slice(&text), true, n->why);
	strbuf_release(&text);
}

static void lines(struct notice *n, const char *text)
{
	struct slice rest = slice_of(text);

	while (rest.len > 0) {
		ptrdiff_t lf = slice_find(rest, '\n');
		size_t len = lf < 0 ? rest.len : (size_t)lf;

		line(n, "%.*s", (int)len, rest.ptr);
		rest = slice_from(rest, len + 1);
	}
}

/* Declared, or said by a remote host. */
static bool has_8bit(const struct notice_request *request)
{
	if (strcmp(request->encoding, "8bit") == 0 || !ascii_is_valid(slice_of(request->sender)))
		return true;
	for (size_t i = 0; i < request->recipient_count; i++) {
		const struct notice_recipient *r = &request->recipients[i];

		if (!ascii_is_valid(slice_of(r->address)) ||
		    !ascii_is_valid(slice_of(r->original)) ||
		    !ascii_is_valid(slice_of(r->why.text)) ||
		    !ascii_is_valid(slice_of(r->diagnostic)))
			return true;
	}
	return false;
}

static void write_header(struct notice *n)
{
	const struct notice_request *r = n->request;
	char date[DATE_TEXT];

	line(n, "Date: %s", date_rfc5322((time_t)(clock_wall_us() / 1000000), date));
	if (strcmp(n->params->header_from_format, "obsolete") == 0)
		line(n, "From: MAILER-DAEMON@%s (Mail Delivery System)", n->params->myorigin);
	else
		line(n, "From: Mail Delivery System <MAILER-DAEMON@%s>", n->params->myorigin);
	line(n, "Subject: %s", template_of(n)->subject);
	line(n, "To: %s", notice_address(r));
	line(n, "Auto-Submitted: auto-replied");
	line(n, "MIME-Version: 1.0");
	line(n, "Content-Type: multipart/report; report-type=delivery-status;");
	line(n, "\tboundary=\"%s\"", n->boundary);
	if (has_8bit(r))
		line(n, "Content-Transfer-Encoding: 8bit");
	line(n, "%s", "");
	line(n, "This is a MIME-encapsulated message.");
}

static void begin_part(struct notice *n, const char *description, const char *type)
{
	line(n, "%s", "");
	line(n, "--%s", n->boundary);
	line(n, "Content-Description: %s", description);
	line(n, "Content-Type: %s", type);
	if (has_8bit(n->request))
		line(n, "Content-Transfer-Encoding: 8bit");
	line(n, "%s", "");
}

/* "<addr>: reason", wrapped at blanks, further lines indented. */
static void write_wrapped(struct notice *n, struct slice text)
{
	const char *indent = "";

	while (text.len > 0) {
		size_t room = WRAP_COLUMN - strlen(indent), len = text.len;

		if (len > room) {
			ptrdiff_t blank = slice_rfind(slice_first(text, room), ' ');

			len = blank > 0 ? (size_t)blank : room;
		}
		line(n, "%s%.*s", indent, (int)len, text.ptr);
		text = slice_trim(slice_from(text, len), " ");
		indent = "    ";
	}
}

/* Our own templates name nothing else. */
static const char *look_up(const char *name, void *arg, bool *failed)
{
	const struct postfix_params *params = arg;

	*failed = strcmp(name, "myhostname") != 0;
	return params->myhostname;
}

static void write_notification(struct notice *n)
{
	const struct notice_request *r = n->request;

	begin_part(n, "Notification",
	    has_8bit(r) ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii");
	struct strbuf intro = STRBUF_INIT(NOTICE_TEMPLATE_FILE), error = STRBUF_INIT(1000);

	ASSERT(postfix_expand(
	    &intro, slice_of(template_of(n)->body), look_up, (void *)(uintptr_t)n->params, &error));
	lines(n, intro.ptr);
	strbuf_release(&intro);
	strbuf_release(&error);
	for (size_t i = 0; i < r->recipient_count; i++) {
		const struct notice_recipient *rcpt = &r->recipients[i];
		struct strbuf words = STRBUF_INIT(4096);

		strbuf_addf(&words, "<%s>", rcpt->address);
		if (rcpt->original[0] != '\0' && strcmp(rcpt->original, rcpt->address) != 0)
			strbuf_addf(&words, " (expanded from <%s>)", rcpt->original);
		strbuf_addf(&words, ": %s", rcpt->why.text);
		line(n, "%s", "");
		write_wrapped(n, strbuf_slice(&words));
		strbuf_release(&words);
	}
}

/* Folded, as it may be long (RFC 3464 2.1.1). */
static void write_diagnostic(struct notice *n, const struct notice_recipient *rcpt)
{
	struct strbuf text = STRBUF_INIT(2 * MSG_MAX);

	if (rcpt->diagnostic[0] != '\0')
		strbuf_addf(&text, "Diagnostic-Code: smtp; %s", rcpt->diagnostic);
	else
		strbuf_addf(&text, "Diagnostic-Code: X-Postfix; %s", rcpt->why.text);
	write_wrapped(n, strbuf_slice(&text));
	strbuf_release(&text);
}

/* RFC 3464 2.3. */
static void write_recipient(struct notice *n, const struct notice_recipient *rcpt)
{
	const struct notice_request *r = n->request;
	char date[DATE_TEXT];
	const char *dsn = rcpt->why.dsn;

	line(n, "%s", "");
	line(n, "Final-Recipient: rfc822; %s", rcpt->address);
	if (rcpt->orcpt[0] != '\0')
		line(n, "Original-Recipient: %s", rcpt->orcpt);
	else if (rcpt->original[0] != '\0')
		line(n, "Original-Recipient: rfc822;%s", rcpt->original);
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

static void write_report(struct notice *n)
{
	const struct notice_request *r = n->request;
	char date[DATE_TEXT];

	begin_part(n, "Delivery report", "message/delivery-status");
	line(n, "Reporting-MTA: dns; %s", n->params->myhostname);
	if (r->envelope_id[0] != '\0')
		line(n, "Original-Envelope-Id: %s", r->envelope_id);
	line(n, "X-Postfix-Queue-ID: %s", r->id);
	line(n, "X-Postfix-Sender: rfc822; %s", r->sender);
	line(n, "Arrival-Date: %s", date_rfc5322((time_t)(r->arrival_us / 1000000), date));
	for (size_t i = 0; i < r->recipient_count; i++)
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

static bool write_original(struct notice *n, int fd)
{
	const struct notice_request *r = n->request;
	bool headers_only = r->kind != NOTICE_FAILED || r->ret == DSN_RET_HDRS ||
			    r->size > n->params->bounce_size_limit;

	if (!headers_only)
		begin_part(n, "Undelivered Message", "message/rfc822");
	else
		begin_part(n,
		    r->kind == NOTICE_SENT || r->kind == NOTICE_TRACE
			? "Message Headers"
			: "Undelivered Message Headers",
		    "text/rfc822-headers");
	/* The envelope's sender, which the header of a message under way does not have. */
	line(n, "Return-Path: <%s>", r->sender);
	if (!copy_original(n, fd, headers_only))
		return false;
	line(n, "%s", "");
	line(n, "--%s--", n->boundary);
	return n->ok;
}

bool notice_write(struct intake *in, const struct postfix_params *params,
    const struct notice_request *request, int fd, struct reason *why)
{
	struct notice n = {
		.in = in, .params = params, .request = request, .why = why, .ok = true
	};

	snprintf(n.boundary, sizeof(n.boundary), "%s.%lld/%.255s", intake_id(in),
	    (long long)(clock_wall_us() / 1000000), params->myhostname);
	write_header(&n);
	write_notification(&n);
	write_report(&n);
	return write_original(&n, fd);
}
