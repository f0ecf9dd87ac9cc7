// SPDX-License-Identifier: BSD-2-Clause
/*
 * Everything gathers in one buffer, which goes out when it has 64 KiB and at the end; the size
 * record at its head is filled in in the buffer when that was never written.
 */
#include "queue/queue_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "mail/dsn.h"
#include "queue/envelope.h"
#include "sys/file.h"

#define BUFFER_FULL   (64 * 1024)
#define LINE_PIECE    2048
#define SIZE_DATA_LEN (6 * 15 + 5)
#define SIZE_FORMAT   "%15lld %15lld %15lu %15d %15lld %15u"

void queue_writer_init(struct queue_writer *w, int fd)
{
	*w = (struct queue_writer){ .fd = fd };
	strbuf_init(&w->buf, BUFFER_FULL + 2 * QUEUE_RECORD_MAX);
}

void queue_writer_init_late(struct queue_writer *w, int (*open)(void *arg, bool whole), void *arg)
{
	queue_writer_init(w, -1);
	w->open = open;
	w->open_arg = arg;
}

void queue_writer_release(struct queue_writer *w)
{
	strbuf_release(&w->buf);
}

static off_t position(const struct queue_writer *w)
{
	return w->written + (off_t)w->buf.len;
}

static void flush(struct queue_writer *w)
{
	if (!w->error && w->fd == -1) {
		w->fd = w->open(w->open_arg, w->whole);
		w->error = w->fd == -1 ? errno : 0;
	}
	if (!w->error && file_pwrite_all(w->fd, strbuf_slice(&w->buf), w->written) == -1)
		w->error = errno;
	w->written += (off_t)w->buf.len;
	strbuf_reset(&w->buf);
}

/* What the reader takes for damage may not get into a file: better no message than a corrupt one.
 */
static bool is_envelope_text(struct slice data)
{
	for (size_t i = 0; i < data.len; i++)
		if (data.ptr[i] == '\0' || data.ptr[i] == '\r' || data.ptr[i] == '\n')
			return false;
	return true;
}

static bool is_in_content(const struct queue_writer *w)
{
	return w->data_offset > 0 && w->data_end == 0;
}

static void put(struct queue_writer *w, int type, struct slice data)
{
	if (w->error)
		return;
	if (data.len > QUEUE_RECORD_MAX)
		w->error = EMSGSIZE;
	else if (!is_in_content(w) && !is_envelope_text(data))
		w->error = EINVAL;
	if (w->error)
		return;
	queue_record_add(&w->buf, type, data);
	w->crc = queue_record_crc(w->crc, type, data);
	if (w->buf.len >= BUFFER_FULL)
		flush(w);
}

static void put_size(struct queue_writer *w, unsigned sendopts, char text[SIZE_DATA_LEN + 1])
{
	/* A number that does not fit would move everything behind it: impossible below 10^15. */
	int len = snprintf(text, SIZE_DATA_LEN + 1, SIZE_FORMAT,
	    (long long)(w->data_end - w->data_offset), (long long)w->data_offset,
	    w->recipient_count, 0, (long long)(w->data_end - w->data_offset), sendopts);

	ASSERT(len == SIZE_DATA_LEN);
}

void queue_writer_begin(struct queue_writer *w, int64_t arrival_us, struct slice sender)
{
	char text[SIZE_DATA_LEN + 1];

	memset(text, ' ', SIZE_DATA_LEN);
	put(w, QR_SIZE, slice_mem(text, SIZE_DATA_LEN));
	snprintf(
	    text, sizeof(text), "%" PRId64 " %" PRId64, arrival_us / 1000000, arrival_us % 1000000);
	put(w, QR_TIME, slice_of(text));
	snprintf(text, sizeof(text), "%" PRId64, arrival_us / 1000000);
	queue_writer_attribute_str(w, "create_time", text);
	put(w, QR_SENDER, sender);
}

void queue_writer_attribute(struct queue_writer *w, const char *name, struct slice value)
{
	struct strbuf text = STRBUF_INIT(QUEUE_RECORD_MAX);

	strbuf_addstr(&text, name);
	strbuf_addch(&text, '=');
	strbuf_addslice(&text, value);
	if (text.overflow && !w->error)
		w->error = EMSGSIZE;
	put(w, QR_ATTRIBUTE, strbuf_slice(&text));
	strbuf_release(&text);
}

void queue_writer_attribute_str(struct queue_writer *w, const char *name, const char *value)
{
	queue_writer_attribute(w, name, slice_of(value));
}

void queue_writer_record(struct queue_writer *w, int type, struct slice data)
{
	put(w, type, data);
}

static void put_recipient(struct queue_writer *w, int type, struct slice address,
    struct slice original, struct slice orcpt, unsigned notify)
{
	char text[16];

	if (++w->recipient_records > ENVELOPE_MAX_RECIPIENTS && !w->error)
		w->error = EMSGSIZE;
	if (orcpt.len > 0)
		queue_writer_attribute(w, "dsn_orig_rcpt", orcpt);
	if (notify) {
		snprintf(text, sizeof(text), "%u", notify);
		queue_writer_attribute_str(w, "notify_flags", text);
	}
	put(w, QR_ORIGINAL, original.len > 0 ? original : address);
	put(w, type, address);
}

void queue_writer_recipient(struct queue_writer *w, struct slice address, struct slice original,
    struct slice orcpt, unsigned notify)
{
	put_recipient(w, QR_RECIPIENT, address, original, orcpt, notify);
	w->recipient_count++;
}

void queue_writer_expanded(
    struct queue_writer *w, struct slice address, struct slice original, struct slice orcpt)
{
	put_recipient(w, QR_CANCELLED, address, original, orcpt, DSN_NOTIFY_SUCCESS);
}

void queue_writer_warn_time(struct queue_writer *w, int64_t when_s)
{
	char text[QUEUE_WARN_TIME_LEN + 1];

	snprintf(text, sizeof(text), "%*" PRId64, QUEUE_WARN_TIME_LEN, when_s);
	put(w, QR_WARN_TIME, slice_of(text));
}

void queue_writer_content(struct queue_writer *w)
{
	ASSERT(w->data_offset == 0);
	put(w, QR_MESSAGE, SLICE_NULL);
	w->data_offset = position(w);
}

void queue_writer_line(struct queue_writer *w, struct slice line, bool complete)
{
	ASSERT(w->data_offset > 0 && w->data_end == 0);
	while (line.len > LINE_PIECE) {
		put(w, QR_PARTIAL, slice_first(line, LINE_PIECE));
		line = slice_from(line, LINE_PIECE);
	}
	if (complete)
		put(w, QR_LINE, line);
	else if (line.len > 0)
		put(w, QR_PARTIAL, line);
}

void queue_writer_extracted(struct queue_writer *w)
{
	ASSERT(w->data_offset > 0 && w->data_end == 0);
	w->data_end = position(w);
	put(w, QR_EXTRACTED, SLICE_NULL);
}

/* The finished size record over its placeholder. */
static void patch_size(struct queue_writer *w, unsigned sendopts)
{
	char text[SIZE_DATA_LEN + 1];
	const off_t at = 2; /* behind type and length */

	put_size(w, sendopts, text);
	if (w->written == 0)
		memcpy(w->buf.ptr + at, text, SIZE_DATA_LEN);
	else if (file_pwrite_all(w->fd, slice_mem(text, SIZE_DATA_LEN), at) == -1)
		w->error = errno;
}

int queue_writer_finish(struct queue_writer *w, unsigned sendopts)
{
	char text[16];

	ASSERT(w->data_end > 0);
	snprintf(text, sizeof(text), "%08" PRIx32, w->crc);
	queue_writer_attribute_str(w, "postcote_crc32c", text);
	put(w, QR_END, SLICE_NULL);
	if (!w->error)
		patch_size(w, sendopts);
	w->whole = w->written == 0;
	flush(w);
	return w->error;
}

off_t queue_writer_size(const struct queue_writer *w)
{
	if (w->data_offset == 0)
		return 0;
	return (w->data_end ? w->data_end : position(w)) - w->data_offset;
}
