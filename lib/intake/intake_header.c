// SPDX-License-Identifier: BSD-2-Clause
/*
 * The header of a message on its way in: what is counted, checked, noted, dropped and rewritten
 * (cleanup(8)).
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "intake/intake_private.h"
#include "log/log.h"
#include "mail/address.h"
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
	{ "Resent-From", SEEN_RESENT | SEEN_RESENT_FROM },
	{ "Resent-Date", SEEN_RESENT | SEEN_RESENT_DATE },
	{ "Resent-Message-Id", SEEN_RESENT | SEEN_RESENT_MESSAGE_ID },
	{ "Resent-To", SEEN_RESENT | SEEN_RECIPIENT },
	{ "Resent-Cc", SEEN_RESENT | SEEN_RECIPIENT },
	{ "Resent-Bcc", SEEN_RESENT },
	{ "Resent-Sender", SEEN_RESENT },
	{ "Resent-Reply-To", SEEN_RESENT },
	{ "Content-Transfer-Encoding", SEEN_ENCODING },
};

/* Each is logged; the last Message-Id is the message's name. */
void intake_log_message_id(struct intake *in, const char *prefix, const char *id)
{
	log_as(in->service->log_name, LOG_LEVEL_INFO, "%s: %smessage-id=%s", in->id, prefix, id);
}

static void note_message_id(struct intake *in, unsigned seen, struct slice value)
{
	struct strbuf text = STRBUF_INIT(4096);
	header_unfold(value, &text);
	struct slice id = slice_trim(strbuf_slice(&text), " \t");
	char *copy = xstrndup(id.ptr != NULL ? id.ptr : "", id.len);

	strbuf_release(&text);
	if (seen & SEEN_RESENT_MESSAGE_ID) {
		intake_log_message_id(in, "resent-", copy);
		free(copy);
		return;
	}
	intake_log_message_id(in, "", copy);
	free(in->message_id);
	in->message_id = copy;
}

/* detect_8bit_encoding_header: what the client did not say, its message may. */
static void note_encoding(struct intake *in, struct slice value)
{
	if (!in->service->config.params->detect_8bit_encoding_header)
		return;
	value = slice_trim(value, " \t\r\n");
	in->is_8bit |= slice_caseeq_str(value, "8bit") || slice_caseeq_str(value, "binary");
}

static void note_header(struct intake *in, struct slice name, struct slice value)
{
	for (size_t i = 0; i < ARRAY_LEN(tracked); i++)
		if (slice_caseeq_str(name, tracked[i].name)) {
			in->seen |= tracked[i].seen;
			if (tracked[i].seen & (SEEN_MESSAGE_ID | SEEN_RESENT_MESSAGE_ID))
				note_message_id(in, tracked[i].seen, value);
			if (tracked[i].seen & SEEN_ENCODING)
				note_encoding(in, value);
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
		value = slice_first(
		    value, header_address_extent(value,
			       (size_t)in->service->config.params->header_address_token_limit));
		strbuf_addslice(&out, name);
		strbuf_addstr(&out, ": ");
		changed = header_rewrite_addresses(value, map_one, &mapping, &out);
	}
	intake_write_lines(
	    in, changed && !out.overflow ? strbuf_slice(&out) : strbuf_slice(&in->header));
	strbuf_release(&out);
	return !mapping.failed || intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
}

/* What header_checks makes of in->header; false: there is nothing left of it. */
static bool check_header(struct intake *in, struct slice name)
{
	const struct checks *checks = in->service->checks;
	struct strbuf replacement = STRBUF_INIT(TABLE_VALUE_MAX);
	enum intake_found found =
	    intake_check(in, mime_is_mime_field(name) ? checks->mime : checks->header,
		INTAKE_HEADER_CONTEXT, strbuf_slice(&in->header), &replacement);

	if (found == INTAKE_REPLACE) {
		strbuf_reset(&in->header);
		strbuf_addslice(&in->header, strbuf_slice(&replacement));
	}
	strbuf_release(&replacement);
	return found != INTAKE_DROP && in->state != INTAKE_FAILED;
}

/* RFC 5321 6.3; a header that a table dropped does not count. */
static bool count_hop(struct intake *in, struct slice name, struct reason *why)
{
	if (!slice_caseeq_str(name, "Received") ||
	    ++in->hops < (unsigned)in->service->config.params->hopcount_limit)
		return true;
	log_as(in->service->log_name, LOG_LEVEL_WARNING, "%s: message rejected: hopcount exceeded",
	    in->id);
	return intake_fail(in, why, "5.4.0", "too many hops");
}

static bool take_header(struct intake *in, struct reason *why)
{
	const struct intake_service *service = in->service;
	struct slice name, value;

	/* A header_size_limit smaller than the name leaves no header, only a line. */
	if (!header_split(strbuf_slice(&in->header), &name, &value))
		name = value = SLICE_NULL;
	if (in->walk != NULL)
		mime_walk_field(in->walk, strbuf_slice(&in->header));
	if (service->checks->any && !in->checks_over) {
		if (!check_header(in, name))
			return true;
		if (!header_split(strbuf_slice(&in->header), &name, &value))
			name = value = SLICE_NULL;
	}
	if (!count_hop(in, name, why))
		return false;
	note_header(in, name, value);
	return is_dropped(in, name) || write_header(in, name, value, why);
}

bool intake_header_complete(struct intake *in, struct reason *why)
{
	if (in->header.len == 0)
		return true;
	if (!take_header(in, why))
		return false;
	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	strbuf_reset(&in->header);
	in->header_cut = false;
	return true;
}
