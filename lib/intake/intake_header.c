// SPDX-License-Identifier: BSD-2-Clause
/*
 * The header of a message on its way in: what is rewritten, dropped, counted, and added at the end
 * when it is missing (cleanup(8)).
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "intake/intake_private.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/header.h"

static const struct {
	const char *name;
	unsigned seen;
} tracked[] = {
	{ "From", SEEN_FROM },
	{ "Date", SEEN_DATE },
	{ "Message-Id", SEEN_MESSAGE_ID },
	{ "To", SEEN_RECIPIENT },
	{ "Cc", SEEN_RECIPIENT },
	{ "Bcc", SEEN_RECIPIENT },
	{ "Resent-From", SEEN_RESENT | SEEN_RESENT_FROM },
	{ "Resent-Date", SEEN_RESENT | SEEN_RESENT_DATE },
	{ "Resent-Message-Id", SEEN_RESENT | SEEN_RESENT_MESSAGE_ID },
	{ "Resent-To", SEEN_RESENT | SEEN_RECIPIENT },
	{ "Resent-Cc", SEEN_RESENT | SEEN_RECIPIENT },
	{ "Resent-Bcc", SEEN_RESENT | SEEN_RECIPIENT },
};

static void note_message_id(struct intake *in, unsigned seen, struct slice value)
{
	/* The resent one is the message's name when there is one. */
	if (in->message_id != NULL && !(seen & SEEN_RESENT_MESSAGE_ID))
		return;
	free(in->message_id);
	struct strbuf text = STRBUF_INIT(4096);
	header_unfold(value, &text);
	struct slice id = slice_trim(strbuf_slice(&text), " \t");
	in->message_id = xstrndup(id.ptr != NULL ? id.ptr : "", id.len);
	strbuf_release(&text);
}

static void note_header(struct intake *in, struct slice name, struct slice value)
{
	for (size_t i = 0; i < ARRAY_LEN(tracked); i++)
		if (slice_caseeq_str(name, tracked[i].name)) {
			in->seen |= tracked[i].seen;
			if (tracked[i].seen & (SEEN_MESSAGE_ID | SEEN_RESENT_MESSAGE_ID))
				note_message_id(in, tracked[i].seen, value);
			return;
		}
}

/* message_drop_headers: names without case, separated by blanks or commas. */
static bool is_dropped(const struct intake *in, struct slice name)
{
	struct slice rest = slice_of(in->service->config.params->message_drop_headers), word;

	while (slice_token(&rest, " \t,", &word))
		if (slice_caseeq(slice_trim(word, ":"), name))
			return true;
	return false;
}

/* Addresses of one header on their way to their canonical form. */
struct mapping {
	struct intake *in;
	enum canonical_class class; /* 0: no maps */
	bool failed;
};

static bool map_one(const struct header_address *address, struct strbuf *out, void *arg)
{
	struct mapping *m = arg;
	const struct intake_service *service = m->in->service;
	struct strbuf complete = STRBUF_INIT(2 * ADDRESS_MAX);

	rewrite_address(service->rewriter, m->in->local_rewrite ? REWRITE_LOCAL : REWRITE_REMOTE,
	    address->internal, &complete);
	if (m->class == 0)
		strbuf_addslice(out, strbuf_slice(&complete));
	else if (!canonical_address(service->canonical, m->class, strbuf_slice(&complete),
		     service->log_name, m->in->id, out))
		m->failed = true;
	strbuf_release(&complete);
	return !m->failed;
}

static enum canonical_class mapped_class(const struct intake *in, enum header_address_class class)
{
	enum canonical_class wanted =
	    class == HEADER_SENDER ? CANONICAL_HEADER_SENDER : CANONICAL_HEADER_RECIPIENT;

	if ((in->overrides & INTAKE_NO_MAPPINGS) ||
	    !canonical_applies(in->service->canonical, wanted))
		return 0;
	return wanted;
}

/* What was not changed is passed on byte for byte. */
static bool write_header(
    struct intake *in, struct slice name, struct slice value, struct reason *why)
{
	struct strbuf out = STRBUF_INIT(2 * INTAKE_HEADER_BLOCK_MAX);
	enum header_address_class class = header_address_class(name, NULL);
	struct mapping mapping = { .in = in };
	bool changed = false;

	if (class != HEADER_NO_ADDRESS && (in->local_rewrite || in->service->rewrites_remote)) {
		mapping.class = mapped_class(in, class);
		strbuf_addslice(&out, name);
		strbuf_addstr(&out, ": ");
		changed = header_rewrite_addresses(value, map_one, &mapping, &out);
	}
	intake_write_lines(
	    in, changed && !out.overflow ? strbuf_slice(&out) : strbuf_slice(&in->header));
	strbuf_release(&out);
	return !mapping.failed || intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
}

bool intake_header_complete(struct intake *in, struct reason *why)
{
	struct slice name, value;

	if (in->header.len == 0)
		return true;
	/* A header_size_limit smaller than the name leaves no header, only a line. */
	if (!header_split(strbuf_slice(&in->header), &name, &value))
		name = value = SLICE_NULL;
	note_header(in, name, value);
	if (slice_caseeq_str(name, "Received") &&
	    ++in->hops >= (unsigned)in->service->config.params->hopcount_limit)
		return intake_fail(in, why, "5.4.0", "too many hops");
	if (!is_dropped(in, name) && !write_header(in, name, value, why))
		return false;
	strbuf_reset(&in->header);
	in->header_cut = false;
	return true;
}

static void add_message_id(struct intake *in, const char *prefix)
{
	char stamp[32];
	struct tm tm;
	time_t when = (time_t)(in->arrival_us / 1000000);

	gmtime_r(&when, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
	free(in->message_id);
	in->message_id =
	    xasprintf("<%s.%s@%s>", stamp, in->id, in->service->config.params->myhostname);
	in->seen |= prefix[0] != '\0' ? SEEN_RESENT_MESSAGE_ID : SEEN_MESSAGE_ID;
	char *header = xasprintf("%sMessage-Id: %s", prefix, in->message_id);
	intake_write_lines(in, slice_of(header));
	free(header);
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

static void add_from(struct intake *in, const char *prefix)
{
	struct strbuf header = STRBUF_INIT(8192);
	struct slice sender = slice_of(in->sender);

	strbuf_addstr(&header, prefix);
	strbuf_addstr(&header, "From: ");
	if (in->full_name != NULL && in->full_name[0] != '\0' && sender.len > 0) {
		add_phrase(&header, in->full_name);
		strbuf_addstr(&header, " <");
		address_external(sender, &header);
		strbuf_addch(&header, '>');
	} else if (sender.len > 0) {
		address_external(sender, &header);
	} else {
		strbuf_addf(&header, "MAILER-DAEMON@%s", in->service->config.params->myorigin);
	}
	intake_write_lines(in, strbuf_slice(&header));
	strbuf_release(&header);
}

bool intake_header_end(struct intake *in, struct reason *why)
{
	const struct postfix_params *params = in->service->config.params;

	if (!intake_header_complete(in, why))
		return false;
	if (in->add_missing || params->always_add_missing_headers) {
		bool resent = in->seen & SEEN_RESENT;
		const char *prefix = resent ? "Resent-" : "";

		if (!(in->seen & (resent ? SEEN_RESENT_MESSAGE_ID : SEEN_MESSAGE_ID)))
			add_message_id(in, prefix);
		if (!(in->seen & (resent ? SEEN_RESENT_DATE : SEEN_DATE)))
			add_date(in, prefix);
		if (!(in->seen & (resent ? SEEN_RESENT_FROM : SEEN_FROM)))
			add_from(in, prefix);
		if (!(in->seen & SEEN_RECIPIENT) &&
		    params->undisclosed_recipients_header[0] != '\0')
			intake_write_lines(in, slice_of(params->undisclosed_recipients_header));
	}
	log_as(in->service->log_name, LOG_LEVEL_INFO, "%s: %smessage-id=%s", in->id,
	    in->seen & SEEN_RESENT_MESSAGE_ID ? "resent-" : "",
	    in->message_id != NULL ? in->message_id : "<>");
	in->state = INTAKE_BODY;
	return true;
}
