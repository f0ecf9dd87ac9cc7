// SPDX-License-Identifier: BSD-2-Clause
#include "mail/notice_template.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BLANKS "\t \r\v\f\n"
#define SENDER "Mail Delivery System <MAILER-DAEMON>"
#define INTRO  "This is the mail system at host $myhostname.\n\n"
#define OUTRO  "                   The mail system\n"
#define HELP                                                                                       \
	"For further assistance, please send mail to postmaster.\n\n"                              \
	"If you do so, please include this problem report. You can\n"                              \
	"delete your own text from the attached returned message.\n\n" OUTRO
#define RULE "####################################################################\n"

/* Word for word the peer's: programs that read notices know them by these sentences. */
static const struct notice_template defaults[NOTICE_TEMPLATES] = {
	{ "failure", "us-ascii", SENDER, "Undelivered Mail Returned to Sender",
	    "Postmaster Copy: Undelivered Mail",
	    INTRO "I'm sorry to have to inform you that your message could not\n"
		  "be delivered to one or more recipients. It's attached below.\n\n" HELP },
	{ "delay", "us-ascii", SENDER, "Delayed Mail (still being retried)",
	    "Postmaster Warning: Delayed Mail",
	    INTRO RULE
	    "# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\n" RULE "\n"
	    "Your message could not be delivered for more than $delay_warning_time_hours "
	    "hour(s).\n"
	    "It will be retried until it is $maximal_queue_lifetime_days day(s) old.\n\n" HELP },
	{ "success", "us-ascii", SENDER, "Successful Mail Delivery Report", NULL,
	    INTRO "Your message was successfully delivered to the destination(s)\n"
		  "listed below. If the message was delivered to mailbox you will\n"
		  "receive no further notifications. Otherwise you may still receive\n"
		  "notifications of mail delivery errors from other systems.\n\n" OUTRO },
	{ "verify", "us-ascii", SENDER, "Mail Delivery Status Report", NULL,
	    INTRO "Enclosed is the mail delivery report that you requested.\n\n" OUTRO },
};

const struct notice_template *notice_template_default(size_t i)
{
	ASSERT(i < NOTICE_TEMPLATES);
	return &defaults[i];
}

struct reader {
	struct notice_template_file *file;
	struct slice rest;
	unsigned line;
	void (*warn)(unsigned line, const char *text, void *arg);
	void *arg;
};

static void complain(struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void complain(struct reader *r, const char *format, ...)
{
	struct strbuf text = STRBUF_INIT(NOTICE_TEMPLATE_FILE);
	va_list args;
	va_start(args, format);
	strbuf_vaddf(&text, format, args);
	va_end(args);
	if (!text.overflow)
		r->warn(r->line, text.ptr, r->arg);
	strbuf_release(&text);
}

static bool take_line(struct reader *r, struct slice *line)
{
	if (r->rest.len == 0)
		return false;
	ptrdiff_t end = slice_find(r->rest, '\n');
	*line = end < 0 ? r->rest : slice_first(r->rest, (size_t)end);
	r->rest = slice_from(r->rest, end < 0 ? r->rest.len : (size_t)end + 1);
	r->line++;
	return true;
}

/* All lines up to one that is END. */
static void take_document(struct reader *r, struct slice end, struct strbuf *text)
{
	struct slice line;
	while (take_line(r, &line)) {
		if (slice_eq(line, end))
			return;
		strbuf_addslice(text, line);
		strbuf_addch(text, '\n');
	}
	complain(r, "missing \"%.*s\" end marker", SLICE_ARG(end));
}

static bool is_label(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_isprint(text.ptr[i]) || text.ptr[i] == ' ')
			return false;
	return text.len > 0;
}

/* Cuts the header off *TEXT, whose bytes get NULs; false for one that a template does not have. */
static bool take_header(struct reader *r, struct notice_template *template, char **text)
{
	size_t len = strcspn(*text, "\n");
	struct slice line = slice_mem(*text, len), label;
	ptrdiff_t colon = slice_find(line, ':');
	label = slice_first(line, (size_t)colon);
	struct slice value = slice_trim(slice_from(line, (size_t)colon + 1), BLANKS);
	char *line_start = *text;
	*text += len;
	++*text;
	const char **member =
	    slice_caseeq_str(label, "Charset")	 ? &template->charset
	    : slice_caseeq_str(label, "From")	 ? &template->from
	    : slice_caseeq_str(label, "Subject") ? &template->subject
	    : slice_caseeq_str(label, "Postmaster-Subject") && template->postmaster_subject
		? &template->postmaster_subject
		: NULL;
	if (!member) {
		complain(r,
		    "unknown \"%.*s\" header label in %s template -- ignoring this template",
		    SLICE_ARG(label), template->name);
		return false;
	}
	if (value.len > 0) {
		*member = value.ptr;
		line_start[value.ptr - line_start + (ptrdiff_t)value.len] = '\0';
	}
	return true;
}

static bool begins_header(const char *text)
{
	struct slice line = slice_mem(text, strcspn(text, "\n"));
	ptrdiff_t colon = slice_find(line, ':');
	return colon > 0 && text[line.len] == '\n' && is_label(slice_first(line, (size_t)colon));
}

static bool parse_template(struct reader *r, struct notice_template *template, char *text)
{
	struct notice_template parsed = *template;
	while (begins_header(text))
		if (!take_header(r, &parsed, &text))
			return false;
	if (*text == '\n')
		text++;
	if (text[strspn(text, BLANKS)] == '\0') {
		complain(r, "missing message text in %s template -- ignoring this template",
		    template->name);
		return false;
	}
	parsed.body = text;
	*template = parsed;
	return true;
}

static void add_template(struct reader *r, struct slice name, char *text)
{
	struct notice_template_file *file = r->file;
	for (size_t i = 0; i < NOTICE_TEMPLATES; i++) {
		char *full = xasprintf("%s_template", defaults[i].name);
		bool same = slice_eq_str(name, full);
		free(full);
		if (!same)
			continue;
		struct notice_template template = defaults[i];
		if (!parse_template(r, &template, text))
			break;
		free(file->texts[i]);
		file->texts[i] = text;
		file->templates[i] = template;
		return;
	}
	free(text);
}

static bool is_known(struct slice name)
{
	for (size_t i = 0; i < NOTICE_TEMPLATES; i++) {
		size_t len = strlen(defaults[i].name);
		if (slice_starts(name, defaults[i].name) &&
		    slice_eq_str(slice_from(name, len), "_template"))
			return true;
	}
	return false;
}

static void parse_line(struct reader *r, struct slice line)
{
	struct slice text = slice_trim(line, BLANKS);
	ptrdiff_t equal = slice_find(text, '=');
	if (text.len == 0 || text.ptr[0] == '#')
		return;
	struct slice name =
	    slice_trim(slice_first(text, equal < 0 ? text.len : (size_t)equal), BLANKS);
	struct slice value =
	    slice_trim(slice_from(text, equal < 0 ? text.len : (size_t)equal + 1), BLANKS);
	if (equal < 0 || name.len == 0) {
		complain(r, "missing '=' after template name: \"%.*s\"", SLICE_ARG(text));
		return;
	}
	if (!is_known(name))
		complain(
		    r, "unknown template name: %.*s -- ignoring this template", SLICE_ARG(name));
	struct strbuf document = STRBUF_INIT(NOTICE_TEMPLATE_FILE);
	strbuf_addstr(&document, "");
	if (slice_starts(value, "<<")) {
		take_document(r, slice_trim(slice_from(value, 2), BLANKS), &document);
	} else {
		strbuf_addslice(&document, value);
		strbuf_addch(&document, '\n');
	}
	add_template(r, name, strbuf_detach(&document));
}

void notice_template_parse(struct notice_template_file *file, struct slice text,
    void (*warn)(unsigned line, const char *text, void *arg), void *arg)
{
	struct reader r = { .file = file, .rest = text, .warn = warn, .arg = arg };
	struct slice line;
	*file = (struct notice_template_file){ .texts = { NULL } };
	for (size_t i = 0; i < NOTICE_TEMPLATES; i++)
		file->templates[i] = defaults[i];
	if (slice_has_nul(text)) {
		complain(&r, "NUL byte -- ignoring this file");
		return;
	}
	while (take_line(&r, &line))
		parse_line(&r, line);
}

void notice_template_release(struct notice_template_file *file)
{
	for (size_t i = 0; i < NOTICE_TEMPLATES; i++)
		free(file->texts[i]);
	*file = (struct notice_template_file){ .texts = { NULL } };
}
