// SPDX-License-Identifier: BSD-2-Clause
#include "intake/transcript.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/date.h"
#include "mail/text_wrap.h"

#define COLUMNS 78 /* behind a first blank */

static const struct {
	const char *name;
	unsigned bit;
} classes[] = {
	{ "bounce", TRANSCRIPT_BOUNCE },
	{ "policy", TRANSCRIPT_POLICY },
	{ "protocol", TRANSCRIPT_PROTOCOL },
	{ "resource", TRANSCRIPT_RESOURCE },
	{ "software", TRANSCRIPT_SOFTWARE },
	{ "data", TRANSCRIPT_DATA },
};

unsigned transcript_classes(const struct postfix_params *params)
{
	unsigned bits = 0;

	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (internal_mail_notifies(params, classes[i].name))
			bits |= classes[i].bit;
	return bits;
}

void transcript_add(struct transcript *t, char direction, struct slice lines)
{
	struct slice line;

	if (t->lines.max == 0)
		strbuf_init(&t->lines, TRANSCRIPT_MAX);
	while (slice_token(&lines, "\r\n", &line)) {
		if (t->cut || t->lines.len + line.len + 7 > TRANSCRIPT_MAX) {
			t->cut = true;
			return;
		}
		strbuf_addstr(&t->lines, direction == '<' ? "In:  " : "Out: ");
		strbuf_addslice(&t->lines, line);
		strbuf_addch(&t->lines, '\n');
	}
}

void transcript_release(struct transcript *t)
{
	strbuf_release(&t->lines);
	t->cut = false;
	t->classes = 0;
}

struct writing {
	struct intake *in;
	struct reason *why;
	bool ok;
};

static void line(struct writing *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(struct writing *w, const char *format, ...)
{
	struct strbuf text = STRBUF_INIT(2 * TRANSCRIPT_MAX);
	va_list args;

	va_start(args, format);
	strbuf_vaddf(&text, format, args);
	va_end(args);
	/* Nothing foreign is a header of ours, or anything but text. */
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_isprint(text.ptr[i]))
			text.ptr[i] = '?';
	if (w->ok)
		w->ok = intake_line(w->in, strbuf_slice(&text), true, w->why);
	strbuf_release(&text);
}

static void wrapped(struct writing *w, struct slice text)
{
	const char *indent = "";
	size_t room = COLUMNS;

	do {
		size_t len = text_wrap(text, room);

		line(w, " %s%.*s", indent, SLICE_ARG(slice_first(text, len)));
		text = slice_trim(slice_from(text, len), " ");
		indent = TEXT_WRAP_INDENT;
		room = COLUMNS - strlen(TEXT_WRAP_INDENT);
	} while (text.len > 0);
}

static void write_all(struct writing *w, const struct transcript *t,
    const struct internal_mail *mail, const char *subject, const char *reason)
{
	struct slice rest = strbuf_slice(&t->lines), one;

	char date[DATE_TEXT];

	line(w, "Date: %s", date_rfc5322((time_t)(clock_wall_us() / 1000000), date));
	line(w, "From: Mail Delivery System <MAILER-DAEMON@%s>", mail->params->myhostname);
	line(w, "To: Postmaster <%s>", mail->params->error_notice_recipient);
	line(w, "Subject: %s %s", mail->params->mail_name, subject);
	line(w, "%s", "");
	line(w, "Transcript of session follows.");
	line(w, "%s", "");
	while (slice_token(&rest, "\n", &one))
		wrapped(w, one);
	if (t->cut)
		wrapped(w, SLICE_LIT("[...]"));
	line(w, "%s", "");
	if (reason != NULL)
		line(w, "Session aborted, reason: %s", reason);
	line(w, "%s", "");
	line(w, "For other details, see the local mail logfile");
}

void transcript_send(const struct transcript *t, const struct internal_mail *mail,
    const char *subject, const char *reason)
{
	const struct postfix_params *p = mail->params;
	struct internal_mail whole = *mail;
	struct reason why;

	if ((t->classes & transcript_classes(p)) == 0)
		return;
	whole.filter_class = "notify";
	whole.is_last = true;
	whole.to =
	    t->classes & TRANSCRIPT_BOUNCE ? p->bounce_notice_recipient : p->error_notice_recipient;
	struct writing w = { .in = internal_mail_begin(&whole, &why), .why = &why, .ok = true };

	if (w.in != NULL) {
		write_all(&w, t, &whole, subject, reason);
		w.ok = w.ok && intake_commit(w.in, &why);
		intake_free(w.in);
	}
	if (w.in == NULL || !w.ok)
		log_warning("no transcript for the postmaster: %s", why.text);
}
