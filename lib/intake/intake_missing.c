// SPDX-License-Identifier: BSD-2-Clause
/* The end of a message's header: what is missing there is added (cleanup(8)). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "intake/intake_private.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/encoded_word.h"

static void add_message_id(struct intake *in, const char *prefix)
{
	const struct postfix_params *params = in->service->config.params;
	time_t when = (time_t)(in->arrival_us / 1000000);
	char stamp[32] = "", *id, *header;
	struct tm tm;

	/* A long queue id has the time in it, and never comes again. */
	if (!params->enable_long_queue_ids) {
		gmtime_r(&when, &tm);
		strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S.", &tm);
	}
	id = xasprintf("<%s%s@%s>", stamp, in->id, params->myhostname);
	header = xasprintf("%sMessage-Id: %s", prefix, id);
	intake_write_lines(in, slice_of(header));
	free(header);
	intake_log_message_id(in, prefix[0] != '\0' ? "resent-" : "", id);
	if (prefix[0] != '\0') {
		free(id);
		return;
	}
	free(in->message_id);
	in->message_id = id;
	in->seen |= SEEN_MESSAGE_ID;
}

static void add_date(struct intake *in, const char *prefix)
{
	char date[DATE_TEXT];
	char *header =
	    xasprintf("%sDate: %s", prefix, date_rfc5322((time_t)(in->arrival_us / 1000000), date));
	intake_write_lines(in, slice_of(header));
	free(header);
}

/* RFC 5322 3.2.5: a phrase of atoms as it is, anything else as a quoted string. */
static void add_phrase(struct strbuf *out, const char *name)
{
	bool plain = true;

	for (const char *p = name; *p != '\0'; p++)
		if (!ascii_isalnum(*p) && strchr("!#$%&'*+-/=?^_`{|}~ ", *p) == NULL)
			plain = false;
	if (plain) {
		strbuf_addstr(out, name);
		return;
	}
	strbuf_addch(out, '"');
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			strbuf_addch(out, '\\');
		strbuf_addch(out, *p);
	}
	strbuf_addch(out, '"');
}

/* header_from_format = obsolete: the name as a comment. */
static void add_comment(struct strbuf *out, const char *name)
{
	strbuf_addstr(out, " (");
	for (const char *p = name; *p != '\0'; p++) {
		if (strchr("()\\", *p) != NULL)
			strbuf_addch(out, '\\');
		strbuf_addch(out, *p);
	}
	strbuf_addch(out, ')');
}

/* RFC 2047, where the name has bytes that a header may not have. */
static char *encoded_name(const struct intake *in, const char *prefix)
{
	const char *charset = in->service->config.params->full_name_encoding_charset;
	struct strbuf out = STRBUF_INIT(8192);
	struct slice name = slice_of(in->full_name);

	if (in->smtputf8 || charset[0] == '\0' || !encoded_word_is_needed(name))
		return xstrdup(in->full_name);
	encoded_word_phrase(name, charset, strlen(prefix) + strlen("From: "), &out);
	return strbuf_detach(&out);
}

static void add_sender(struct intake *in, struct strbuf *header)
{
	if (in->sender[0] != '\0')
		address_external(slice_of(in->sender), header);
	else
		strbuf_addstr(header, "MAILER-DAEMON");
}

static void add_from(struct intake *in, const char *prefix)
{
	struct strbuf header = STRBUF_INIT(65536);
	bool obsolete = strcmp(in->service->config.params->header_from_format, "obsolete") == 0;
	char *name =
	    in->full_name != NULL && in->full_name[0] != '\0' ? encoded_name(in, prefix) : NULL;

	strbuf_addf(&header, "%sFrom: ", prefix);
	if (name == NULL || obsolete) {
		add_sender(in, &header);
		if (name != NULL)
			add_comment(&header, name);
	} else {
		if (slice_starts(slice_of(name), "=?"))
			strbuf_addstr(&header, name);
		else
			add_phrase(&header, name);
		strbuf_addstr(&header, " <");
		add_sender(in, &header);
		strbuf_addch(&header, '>');
	}
	intake_write_lines(in, strbuf_slice(&header));
	strbuf_release(&header);
	free(name);
}

static void add_missing(struct intake *in)
{
	const char *recipients = in->service->config.params->undisclosed_recipients_header;
	bool resent = in->seen & SEEN_RESENT;
	const char *prefix = resent ? "Resent-" : "";

	if (!(in->seen & (resent ? SEEN_RESENT_MESSAGE_ID : SEEN_MESSAGE_ID)))
		add_message_id(in, prefix);
	if (!(in->seen & SEEN_MESSAGE_ID))
		intake_log_message_id(in, "", "<>");
	if (!(in->seen & (resent ? SEEN_RESENT_DATE : SEEN_DATE)))
		add_date(in, prefix);
	if (!(in->seen & (resent ? SEEN_RESENT_FROM : SEEN_FROM)))
		add_from(in, prefix);
	if (!(in->seen & SEEN_RECIPIENT) && recipients[0] != '\0')
		intake_write_lines(in, slice_of(recipients));
}

bool intake_header_end(struct intake *in, struct reason *why)
{
	if (!intake_header_complete(in, why))
		return false;
	if (in->add_missing || in->service->config.params->always_add_missing_headers)
		add_missing(in);
	else if (!(in->seen & SEEN_MESSAGE_ID))
		intake_log_message_id(in, "", "<>");
	if (in->walk != NULL)
		mime_walk_end_header(in->walk);
	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	in->state = INTAKE_BODY;
	return true;
}
