// SPDX-License-Identifier: BSD-2-Clause
/*
 * One pass over the records: envelope up to M, then (by the size record) over the content to X, or
 * record by record when the whole file is verified, then the extracted section to E.  What belongs
 * to the next recipient (original address, DSN parameters) is gathered until that one comes.
 */
#include "queue/envelope.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "mail/dsn.h"

#define ENVELOPE_TEXT_MAX (64 * 1024)
#define CHECKSUM_NAME	  "postcote_crc32c"

static const char envelope_types[] = "MCTcFILSDRO/WVA>K<ionPp";
static const char content_types[] = "XLNwp";
static const char extracted_types[] = "EDRO/PreAFIL>K<ionp";

enum section { IN_ENVELOPE, IN_CONTENT, IN_EXTRACTED, AT_END };

struct reading {
	struct envelope *env;
	struct queue_reader records;
	struct reason *why;
	enum section section;
	bool verify, has_size, has_time, has_sender;
	off_t size, data_offset; /* as the size record has them */
	uint32_t crc;
	/* of the recipient to come */
	const char *original, *orcpt;
	unsigned notify;
	size_t recipients_alloc, attributes_alloc;
};

static bool damaged(struct reading *rd, const char *what)
{
	reason_set(rd->why, "5.3.0", "malformed queue file: %s", what);
	return false;
}

/* Envelope strings hold no control characters: they end up in protocols, logs and other files. */
static const char *take_text(struct reading *rd, struct slice s)
{
	if (s.len > ENVELOPE_TEXT_MAX) {
		damaged(rd, "text too long");
		return NULL;
	}
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '\0' || c == '\r' || c == '\n') {
			damaged(rd, "control character in the envelope");
			return NULL;
		}
	}
	return arena_slicedup(&rd->env->arena, s);
}

static bool take_into(struct reading *rd, struct slice s, const char **out)
{
	const char *text = take_text(rd, s);

	if (text)
		*out = text;
	return text != NULL;
}

/* Blanks before it are skipped; the number and one blank (or the end) are taken. */
static bool take_number(struct cursor *c, uint64_t *value)
{
	cursor_span(c, " ");
	return slice_uint(cursor_span(c, "0123456789"), INT64_MAX / 2, value) &&
	       (cursor_at_end(c) || cursor_peek(c) == ' ');
}

static bool on_size(struct reading *rd, struct slice data)
{
	struct cursor c = cursor_of(data);
	uint64_t n[6] = { 0 };
	size_t i;

	/* Older files have fewer numbers. */
	for (i = 0; i < ARRAY_LEN(n) && take_number(&c, &n[i]); i++)
		;
	if (i < 3 || rd->has_size)
		return damaged(rd, "size record");
	rd->has_size = true;
	rd->size = (off_t)n[0];
	rd->data_offset = (off_t)n[1];
	rd->env->sendopts = (unsigned)n[5];
	return true;
}

static bool on_time(struct reading *rd, struct slice data)
{
	struct cursor c = cursor_of(data);
	uint64_t s, us = 0;

	if (!take_number(&c, &s) || s > INT64_MAX / 4000000)
		return damaged(rd, "arrival time");
	if (!cursor_at_end(&c) && (!take_number(&c, &us) || us >= 1000000))
		return damaged(rd, "arrival time");
	rd->env->arrival_us = (int64_t)(s * 1000000 + us);
	rd->has_time = true;
	return true;
}

static void grow(void **list, size_t *alloc, size_t count, size_t size)
{
	if (count < *alloc)
		return;
	*alloc = *alloc ? 2 * *alloc : 4;
	*list = xreallocarray(*list, *alloc, size);
}

static bool on_recipient(struct reading *rd, const struct queue_record *record)
{
	struct envelope *env = rd->env;
	const char *address = take_text(rd, record->data);
	struct envelope_recipient *r;

	if (!address)
		return false;
	if (env->recipient_count >= ENVELOPE_MAX_RECIPIENTS)
		return damaged(rd, "too many recipients");
	grow((void **)&env->recipients, &rd->recipients_alloc, env->recipient_count, sizeof(*r));
	r = &env->recipients[env->recipient_count++];
	*r = (struct envelope_recipient){ .address = address,
		.original = rd->original && strcmp(rd->original, address) != 0 ? rd->original : "",
		.orcpt = rd->orcpt ? rd->orcpt : "",
		.notify = rd->notify,
		.offset = record->offset,
		.done = record->type != QR_RECIPIENT,
		.expanded = record->type == QR_CANCELLED };
	env->done_count += r->done;
	rd->original = rd->orcpt = NULL;
	rd->notify = 0;
	return true;
}

static void set_notify(struct reading *rd, struct slice value)
{
	uint64_t n;

	if (slice_uint(value, 15, &n))
		rd->notify = (unsigned)n;
}

/*
 * An alias that is only there for the report that it was expanded.  A real Postfix cancels
 * recipients with the same record, and asks for no report then.
 */
static bool on_cancelled(struct reading *rd, const struct queue_record *record)
{
	if (rd->notify & DSN_NOTIFY_SUCCESS)
		return on_recipient(rd, record);
	rd->original = rd->orcpt = NULL;
	rd->notify = 0;
	return true;
}

/* Like the size it has one place and one length: it is overwritten with -1. */
static bool on_warn_time(struct reading *rd, const struct queue_record *record)
{
	struct cursor c = cursor_of(record->data);
	uint64_t s;

	rd->env->warn_s = 0;
	rd->env->warn_offset = record->next - (off_t)record->data.len;
	if (record->data.len == QUEUE_WARN_TIME_LEN && take_number(&c, &s) && cursor_at_end(&c))
		rd->env->warn_s = (int64_t)s;
	return true;
}

static void set_ret(struct reading *rd, struct slice value)
{
	uint64_t n;

	if (slice_uint(value, 3, &n))
		rd->env->ret = (unsigned)n;
}

static bool on_attribute(struct reading *rd, struct slice data)
{
	struct envelope *env = rd->env;
	ptrdiff_t eq = slice_find(data, '=');
	struct envelope_attribute *a;
	struct slice value;

	/* Attributes that cannot be read are no reason to hold mail up, unless they would lie. */
	if (eq <= 0)
		return true;
	if (env->attribute_count >= ENVELOPE_MAX_ATTRIBUTES && rd->section == IN_ENVELOPE)
		return damaged(rd, "too many attributes");
	value = slice_from(data, (size_t)eq + 1);
	data = slice_first(data, (size_t)eq);
	if (slice_eq_str(data, "dsn_orig_rcpt"))
		return take_into(rd, value, &rd->orcpt);
	if (slice_eq_str(data, "notify_flags"))
		return set_notify(rd, value), true;
	if (slice_eq_str(data, "ret_flags"))
		return set_ret(rd, value), true;
	if (slice_eq_str(data, "envelope_id"))
		return take_into(rd, value, &env->envelope_id);
	if (env->attribute_count >= ENVELOPE_MAX_ATTRIBUTES)
		return damaged(rd, "too many attributes");
	grow((void **)&env->attributes, &rd->attributes_alloc, env->attribute_count, sizeof(*a));
	a = &env->attributes[env->attribute_count];
	if (!take_into(rd, data, &a->name) || !take_into(rd, value, &a->value))
		return false;
	env->attribute_count++;
	return true;
}

/* Taken note of, and kept like any other attribute. */
static bool on_envelope_attribute(struct reading *rd, const struct queue_record *record)
{
	static const char name[] = "trace_flags=";
	uint64_t n;

	if (rd->section == IN_ENVELOPE && slice_starts(record->data, name) &&
	    slice_uint(slice_from(record->data, strlen(name)), UINT32_MAX, &n)) {
		rd->env->trace = (unsigned)n & (ENVELOPE_TRACE_PROBE | ENVELOPE_TRACE_RECORD);
		rd->env->trace_offset = record->offset;
	}
	return on_attribute(rd, record->data);
}

static bool on_message(struct reading *rd, const struct queue_record *record)
{
	rd->section = IN_CONTENT;
	rd->env->data_offset = record->next;
	if (!rd->has_size || !rd->has_time || !rd->has_sender)
		return damaged(rd, "incomplete envelope");
	if (rd->data_offset != record->next)
		return damaged(rd, "the size record points elsewhere");
	/* Over the content to its end. */
	if (!rd->verify)
		queue_reader_seek(&rd->records, rd->data_offset + rd->size);
	return true;
}

/* Envelope and extracted section; the types were checked. */
static bool on_envelope_record(struct reading *rd, const struct queue_record *record)
{
	struct envelope *env = rd->env;
	uint64_t n;

	switch (record->type) {
	case QR_SIZE:
		return on_size(rd, record->data);
	case QR_TIME:
		return on_time(rd, record->data);
	case QR_FULL_NAME:
		return take_into(rd, record->data, &env->full_name);
	case QR_FILTER:
		return take_into(rd, record->data, &env->filter);
	case QR_REDIRECT:
		return take_into(rd, record->data, &env->redirect);
	case QR_VERP:
		return env->verp[0] != '\0' || take_into(rd, record->data, &env->verp);
	case QR_SENDER:
		rd->has_sender = true;
		return take_into(rd, record->data, &env->sender);
	case QR_ORIGINAL:
		return take_into(rd, record->data, &rd->original);
	case QR_DSN_ORCPT:
		return take_into(rd, record->data, &rd->orcpt);
	case QR_DSN_NOTIFY:
		return set_notify(rd, record->data), true;
	case QR_DSN_ENVID:
		return take_into(rd, record->data, &env->envelope_id);
	case QR_DSN_RET:
		if (slice_uint(record->data, 3, &n))
			env->ret = (unsigned)n;
		return true;
	case QR_RECIPIENT:
	case QR_DONE:
		return on_recipient(rd, record);
	case QR_CANCELLED:
		return on_cancelled(rd, record);
	case QR_WARN_TIME:
		return on_warn_time(rd, record);
	case QR_ATTRIBUTE:
		return on_envelope_attribute(rd, record);
	case QR_MESSAGE:
		return on_message(rd, record);
	case QR_END:
		rd->section = AT_END;
		return true;
	default:
		return true;
	}
}

static bool is_checksum(const struct queue_record *record)
{
	return record->type == QR_ATTRIBUTE && slice_starts(record->data, CHECKSUM_NAME "=");
}

/* The attribute holds the checksum of all records before it. */
static bool on_checksum(struct reading *rd, struct slice data)
{
	char want[16];

	rd->env->ours = true;
	if (!rd->verify)
		return true;
	snprintf(want, sizeof(want), "%08" PRIx32, rd->crc);
	if (!slice_eq_str(slice_from(data, strlen(CHECKSUM_NAME "=")), want))
		return damaged(rd, "checksum");
	return true;
}

static bool is_legal(enum section section, int type)
{
	static const char *const legal[] = { [IN_ENVELOPE] = envelope_types,
		[IN_CONTENT] = content_types,
		[IN_EXTRACTED] = extracted_types };

	return strchr(legal[section], type) != NULL;
}

static bool on_record(struct reading *rd, const struct queue_record *record)
{
	if (!is_legal(rd->section, record->type))
		return damaged(rd, "record out of place");
	if (is_checksum(record))
		return on_checksum(rd, record->data);
	rd->crc = queue_record_crc(rd->crc, record->type, record->data);
	if (rd->section != IN_CONTENT)
		return on_envelope_record(rd, record);
	if (record->type == QR_EXTRACTED) {
		rd->section = IN_EXTRACTED;
		/* The content may have been edited by pointers: only ours lies in one piece. */
		rd->env->size = rd->size;
	}
	return true;
}

static bool read_all(struct reading *rd)
{
	while (rd->section != AT_END) {
		struct queue_record record;

		switch (queue_reader_next(&rd->records, &record)) {
		case QUEUE_READ_RECORD:
			if (!on_record(rd, &record))
				return false;
			break;
		case QUEUE_READ_EOF:
			return damaged(rd, "no end");
		case QUEUE_READ_DAMAGED:
			return damaged(rd, "bad record");
		case QUEUE_READ_IO:
			reason_set(rd->why, "4.3.0", "queue file read error: %s", strerror(errno));
			return false;
		}
	}
	return true;
}

struct envelope *envelope_read(
    int fd, const char *id, enum envelope_check check, struct reason *why)
{
	struct reading rd = { .why = why, .verify = check == ENVELOPE_VERIFY };
	bool ok;

	ASSERT(strlen(id) < QUEUE_ID_SIZE);
	rd.env = xcalloc(1, sizeof(*rd.env));
	*rd.env = (struct envelope){ .arena = ARENA_INIT };
	strcpy(rd.env->id, id);
	rd.env->sender = rd.env->full_name = rd.env->envelope_id = "";
	rd.env->filter = rd.env->redirect = rd.env->verp = "";
	queue_reader_init(&rd.records, fd, 0);
	ok = read_all(&rd);
	queue_reader_release(&rd.records);
	if (ok)
		return rd.env;
	envelope_free(rd.env);
	return NULL;
}

void envelope_free(struct envelope *env)
{
	if (!env)
		return;
	arena_release(&env->arena);
	free(env->recipients);
	free(env->attributes);
	free(env);
}

const char *envelope_attribute(const struct envelope *env, const char *name)
{
	for (size_t i = env->attribute_count; i-- > 0;)
		if (strcmp(env->attributes[i].name, name) == 0)
			return env->attributes[i].value;
	return NULL;
}

void content_reader_init(struct content_reader *c, int fd, off_t data_offset)
{
	*c = (struct content_reader){ .ended = false };
	queue_reader_init(&c->records, fd, data_offset);
}

void content_reader_release(struct content_reader *c)
{
	queue_reader_release(&c->records);
}

enum content_read content_reader_next(struct content_reader *c, struct slice *line, bool *whole)
{
	struct queue_record record;

	while (!c->ended) {
		switch (queue_reader_next(&c->records, &record)) {
		case QUEUE_READ_IO:
			return CONTENT_DAMAGED;
		case QUEUE_READ_EOF:
		case QUEUE_READ_DAMAGED:
			errno = 0;
			return CONTENT_DAMAGED;
		case QUEUE_READ_RECORD:
			break;
		}
		if (record.type == QR_LINE || record.type == QR_PARTIAL) {
			*line = record.data;
			*whole = record.type == QR_LINE;
			return CONTENT_LINE;
		}
		if (record.type != QR_EXTRACTED && record.type != QR_PADDING) {
			errno = 0;
			return CONTENT_DAMAGED;
		}
		c->ended = record.type == QR_EXTRACTED;
	}
	return CONTENT_END;
}
