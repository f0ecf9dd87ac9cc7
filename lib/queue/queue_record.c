// SPDX-License-Identifier: BSD-2-Clause
/*
 * The reader keeps a window of the file in memory: small records come out of it, a large one makes
 * it grow.  Nothing that the file says is believed before it was compared with what is there.
 */
#include "queue/queue_record.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/digest.h"

#define WINDOW_SIZE	  8191 /* with a NUL a power of two, which buffers grow in */
#define HEAD_MAX	  6    /* type and five bytes of length */
#define MAX_BACKWARD	  10000
#define POINTER_MAX_CHARS 32

/* As postcat prints them; by type, for this is asked for every record. */
static const char *const names[UCHAR_MAX + 1] = {
	[QR_SIZE] = "message_size",
	[QR_TIME] = "message_arrival_time",
	[QR_CREATE_TIME] = "queue_file_create_time",
	[QR_FULL_NAME] = "sender_fullname",
	[QR_INSPECTOR] = "content_inspector",
	[QR_FILTER] = "content_filter",
	[QR_SENDER] = "sender",
	[QR_ATTRIBUTE] = "named_attribute",
	[QR_VERP] = "verp_delimiters",
	[QR_WARN_TIME] = "warning_message_time",
	[QR_REDIRECT] = "redirect_to",
	[QR_KILLED] = "killed_record",
	[QR_DONE] = "done_recipient",
	[QR_RECIPIENT] = "recipient",
	[QR_ORIGINAL] = "original_recipient",
	[QR_CANCELLED] = "canceled_recipient",
	[QR_PRIORITY] = "priority",
	[QR_DSN_RET] = "dsn_return_flags",
	[QR_DSN_ENVID] = "dsn_envelope_id",
	[QR_DSN_ORCPT] = "dsn_original_recipient",
	[QR_DSN_NOTIFY] = "dsn_notify_flags",
	[QR_MESSAGE] = "message_content",
	[QR_LINE] = "regular_text",
	[QR_PADDING] = "padding",
	[QR_EXTRACTED] = "message_extracted",
	[QR_RETURN_RECEIPT] = "return_receipt",
	[QR_ERRORS_TO] = "errors_to",
	[QR_POINTER] = "pointer_record",
	[QR_END] = "message_end",
};

const char *queue_record_name(int type)
{
	return type >= 0 && type <= UCHAR_MAX ? names[type] : NULL;
}

static size_t write_head(unsigned char head[HEAD_MAX], int type, size_t len)
{
	size_t n = 0;

	head[n++] = (unsigned char)type;
	do {
		head[n++] = (unsigned char)((len & 0x7f) | (len > 0x7f ? 0x80 : 0));
		len >>= 7;
	} while (len);
	return n;
}

void queue_record_add(struct strbuf *out, int type, struct slice data)
{
	unsigned char head[HEAD_MAX];

	ASSERT(data.len <= QUEUE_RECORD_MAX);
	strbuf_add(out, head, write_head(head, type, data.len));
	strbuf_addslice(out, data);
}

uint32_t queue_record_crc(uint32_t crc, int type, struct slice data)
{
	unsigned char head[HEAD_MAX];
	size_t len;

	if (type == QR_SIZE || type == QR_WARN_TIME)
		return crc;
	if (type == QR_DONE || type == QR_CANCELLED)
		type = QR_RECIPIENT;
	if (type == QR_KILLED)
		type = QR_ATTRIBUTE;
	len = write_head(head, type, data.len);
	return crc32c(crc32c(crc, slice_mem(head, len)), data);
}

void queue_reader_init(struct queue_reader *r, int fd, off_t at)
{
	*r = (struct queue_reader){ .fd = fd, .at = at };
	strbuf_init(&r->window, QUEUE_RECORD_MAX + HEAD_MAX + WINDOW_SIZE);
}

void queue_reader_release(struct queue_reader *r)
{
	strbuf_release(&r->window);
}

void queue_reader_seek(struct queue_reader *r, off_t at)
{
	r->at = at;
}

/* What the window holds from AT on. */
static struct slice window_from(const struct queue_reader *r, off_t at)
{
	if (at < r->window_at || at > r->window_at + (off_t)r->window.len)
		return SLICE_NULL;
	return slice_from(strbuf_slice(&r->window), (size_t)(at - r->window_at));
}

/* Makes the window begin at r->at with at least WANT bytes, if the file has them; -1 with errno. */
static int fill(struct queue_reader *r, size_t want)
{
	struct slice have = window_from(r, r->at);
	ssize_t got;

	if (have.len >= want || (r->end > 0 && r->at + (off_t)have.len >= r->end))
		return 0;
	if (have.len > 0)
		strbuf_consume(&r->window, (size_t)(r->at - r->window_at));
	else
		strbuf_truncate(&r->window, 0);
	r->window_at = r->at;
	while (r->window.len < want) {
		size_t room =
		    want - r->window.len < WINDOW_SIZE ? WINDOW_SIZE : want - r->window.len;

		if (!strbuf_reserve(&r->window, room)) {
			errno = EFBIG;
			return -1;
		}
		do
			got = pread(r->fd, r->window.ptr + r->window.len, room,
			    r->window_at + (off_t)r->window.len);
		while (got == -1 && errno == EINTR);
		if (got == -1)
			return -1;
		r->window.len += (size_t)got;
		r->window.ptr[r->window.len] = '\0';
		/* Complete files do not grow: a short read has seen the end. */
		if ((size_t)got < room) {
			r->end = r->window_at + (off_t)r->window.len;
			return 0;
		}
	}
	return 0;
}

/* The length after the type byte; false when it is not complete, too long or padded with zeros. */
static bool take_length(struct cursor *c, size_t *len)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 7 * (HEAD_MAX - 1); shift += 7) {
		unsigned byte = cursor_u8(c);

		if (c->failed)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*len = (size_t)value;
			return value <= QUEUE_RECORD_MAX && (byte != 0 || shift == 0);
		}
	}
	return false;
}

/* One record as it lies there. */
static enum queue_read next_raw(struct queue_reader *r, struct queue_record *record)
{
	struct cursor c;
	size_t len, head;

	if (fill(r, HEAD_MAX) == -1)
		return QUEUE_READ_IO;
	c = cursor_of(window_from(r, r->at));
	if (cursor_at_end(&c))
		return QUEUE_READ_EOF;
	record->type = cursor_next(&c);
	if (!queue_record_name(record->type) || !take_length(&c, &len))
		return QUEUE_READ_DAMAGED;
	head = c.at;
	if (fill(r, head + len) == -1)
		return QUEUE_READ_IO;
	record->data = slice_first(slice_from(window_from(r, r->at), head), len);
	if (record->data.len != len)
		return QUEUE_READ_DAMAGED;
	record->offset = r->at;
	record->next = r->at + (off_t)(head + len);
	r->at = record->next;
	return QUEUE_READ_RECORD;
}

/* "%15ld": blanks, digits.  0 is no pointer. */
static bool follow(struct queue_reader *r, struct slice data)
{
	uint64_t to;

	if (data.len > POINTER_MAX_CHARS || !slice_uint(slice_trim(data, " "), INT64_MAX / 2, &to))
		return false;
	if (to == 0)
		return true;
	if ((off_t)to <= r->at && ++r->backward > MAX_BACKWARD)
		return false;
	r->at = (off_t)to;
	return true;
}

/* A line of a message, as nearly all records are, that is in the window: the same, quickly. */
static bool next_line(struct queue_reader *r, struct queue_record *record)
{
	struct slice have = window_from(r, r->at);
	size_t len;

	if (have.len < 2 || have.ptr[0] != QR_LINE || (have.ptr[1] & 0x80))
		return false;
	len = (unsigned char)have.ptr[1];
	if (len > have.len - 2)
		return false;
	record->type = QR_LINE;
	record->data = slice_mem(have.ptr + 2, len);
	record->offset = r->at;
	r->at += (off_t)(2 + len);
	record->next = r->at;
	return true;
}

enum queue_read queue_reader_next(struct queue_reader *r, struct queue_record *record)
{
	if (next_line(r, record))
		return QUEUE_READ_RECORD;
	for (;;) {
		enum queue_read result = next_raw(r, record);

		if (result != QUEUE_READ_RECORD || r->raw || record->type != QR_POINTER)
			return result;
		if (!follow(r, record->data))
			return QUEUE_READ_DAMAGED;
	}
}
