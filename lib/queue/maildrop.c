// SPDX-License-Identifier: BSD-2-Clause
/* One string of types per section, and the text rule for all but content. */
#include <errno.h>
#include <string.h>

#include "mail/address.h"
#include "queue/maildrop.h"
#include "queue/queue_record.h"

static const struct {
	const char *types;
	int last; /* the type that ends the section */
} sections[] = {
	[MAILDROP_ENVELOPE] = { "TcCFSVAinRM", QR_MESSAGE },
	[MAILDROP_CONTENT] = { "NLX", QR_EXTRACTED },
	[MAILDROP_EXTRACTED] = { "ARE", QR_END },
	[MAILDROP_END] = { "", -1 },
};

/* A control character could begin another record, log line or command somewhere else. */
static bool is_text(struct slice data)
{
	for (size_t i = 0; i < data.len; i++)
		if ((unsigned char)data.ptr[i] < 0x20 || data.ptr[i] == 0x7f)
			return false;
	return true;
}

bool maildrop_accept(enum maildrop_section *section, int type, struct slice data)
{
	if (type <= 0 || type > 0x7f || strchr(sections[*section].types, type) == NULL)
		return false;
	if (*section != MAILDROP_CONTENT && !is_text(data))
		return false;
	if (type == sections[*section].last)
		(*section)++;
	return true;
}

struct check {
	enum maildrop_section section;
	bool has_sender;
	unsigned recipients;
	long long content, content_max;
	struct reason *why;
};

static bool bad(struct check *c, const char *what)
{
	reason_set(c->why, "5.6.0", "malformed submission: %s", what);
	return false;
}

static bool is_address(struct slice text, unsigned flags)
{
	struct strbuf internal = STRBUF_INIT(ADDRESS_MAX);
	bool ok = address_internal(text, ADDRESS_UTF8 | flags, &internal) == ADDRESS_OK;

	strbuf_release(&internal);
	return ok;
}

/* NOTIFY, ENVID and RET; true for any other record. */
static bool is_dsn_option(const struct queue_record *record)
{
	static const char ret[] = "ret_flags=";
	uint64_t n;

	if (record->type == QR_DSN_NOTIFY)
		return slice_uint(record->data, 15, &n);
	if (record->type == QR_DSN_ENVID)
		return record->data.len <= MAILDROP_ENVELOPE_ID_MAX;
	if (record->type == QR_ATTRIBUTE && slice_starts(record->data, ret))
		return slice_uint(slice_from(record->data, strlen(ret)), 3, &n);
	return true;
}

static bool check_record(struct check *c, const struct queue_record *record)
{
	if (c->section == MAILDROP_END)
		return bad(c, "more behind its end");
	if (c->section == MAILDROP_CONTENT) {
		c->content += (long long)record->data.len + (record->type == QR_LINE ? 2 : 0);
		if (c->content_max > 0 && c->content > c->content_max) {
			reason_set(c->why, "5.3.4", "message file too big");
			return false;
		}
	} else if (record->type == QR_SENDER) {
		c->has_sender =
		    record->data.len == 0 || is_address(record->data, ADDRESS_ALLOW_EMPTY);
		if (!c->has_sender)
			return bad(c, "bad sender address syntax");
	} else if (record->type == QR_RECIPIENT) {
		if (!is_address(record->data, 0))
			return bad(c, "bad recipient address syntax");
		if (++c->recipients > MAILDROP_RECIPIENTS_MAX)
			return bad(c, "too many recipients");
	} else if (record->type == QR_VERP && record->data.len != 2) {
		return bad(c, "bad VERP delimiters");
	} else if (!is_dsn_option(record)) {
		return bad(c, "bad delivery status notification option");
	}
	return maildrop_accept(&c->section, record->type, record->data) ||
	       bad(c, "record of a wrong type or with control characters");
}

bool maildrop_check(int fd, long long content_max, struct reason *why)
{
	struct check c = { .content_max = content_max, .why = why };
	struct queue_reader reader;
	struct queue_record record;
	enum queue_read result;
	bool ok = true;

	queue_reader_init(&reader, fd, 0);
	reader.raw = true;
	while (ok && (result = queue_reader_next(&reader, &record)) != QUEUE_READ_EOF) {
		if (result == QUEUE_READ_RECORD) {
			ok = check_record(&c, &record);
		} else if (result == QUEUE_READ_IO) {
			reason_set(why, "4.3.0", "read submission: %s", strerror(errno));
			ok = false;
		} else {
			ok = bad(&c, "damaged record");
		}
	}
	queue_reader_release(&reader);
	if (ok && c.section != MAILDROP_END)
		return bad(&c, "it ends too early");
	if (ok && !c.has_sender)
		return bad(&c, "no sender");
	if (ok && c.recipients == 0)
		return bad(&c, "no recipients");
	return ok;
}
