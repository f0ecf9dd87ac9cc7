// SPDX-License-Identifier: BSD-2-Clause
/*
 * A queue file begins with its size and its time; one in maildrop with the sender, and its time is
 * the file's.  A file that does not come to its end is still being written, or is damaged: it does
 * not count.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cmd/qshape.h"
#include "queue/queue_record.h"

struct found {
	struct queue_reader reader;
	struct queue_record record;
	time_t arrived;
	bool has_size;
	uint64_t content; /* bytes, when it HAS_SIZE */
	bool has_sender;
	struct strbuf sender;	  /* with a NUL */
	struct strbuf recipients; /* each with a NUL */
	size_t recipient_count;
};

/* False: no further record. */
static bool next(struct found *f)
{
	return queue_reader_next(&f->reader, &f->record) == QUEUE_READ_RECORD;
}

static bool take_word(struct slice *rest, uint64_t max, uint64_t *value)
{
	struct slice word;

	return slice_token(rest, " \t", &word) && slice_uint(word, max, value);
}

static void take_sender(struct found *f)
{
	strbuf_reset(&f->sender);
	strbuf_addslice(&f->sender, f->record.data);
	f->has_sender = true;
}

/* What tells a queue file from others: its first records. */
static bool take_head(struct found *f, time_t written)
{
	struct slice rest;
	uint64_t time;

	if (!next(f))
		return false;
	if (f->record.type == QR_SIZE) {
		rest = f->record.data;
		f->has_size = take_word(&rest, INT64_MAX / 2, &f->content);
		if (!f->has_size || !next(f) || f->record.type != QR_TIME)
			return false;
		rest = f->record.data;
		if (!take_word(&rest, INT64_MAX / 2, &time))
			return false;
		f->arrived = (time_t)time;
		return true;
	}
	f->arrived = written;
	if (f->record.type == QR_FULL_NAME && !next(f))
		return false;
	if (f->record.type != QR_SENDER)
		return false;
	take_sender(f);
	return true;
}

/* True: the record that ends the content is the next one's. */
static bool skip_content(struct found *f)
{
	if (f->has_size) {
		queue_reader_seek(&f->reader, f->record.next + (off_t)f->content);
		return next(f) && f->record.type == QR_EXTRACTED;
	}
	while (next(f))
		if (f->record.type != QR_LINE && f->record.type != QR_PARTIAL)
			return f->record.type == QR_EXTRACTED;
	return false;
}

static void take_recipient(struct found *f)
{
	strbuf_addslice(&f->recipients, f->record.data);
	strbuf_addch(&f->recipients, '\0');
	f->recipient_count++;
}

/* True: the whole file is read. */
static bool take_rest(struct found *f)
{
	while (next(f)) {
		switch (f->record.type) {
		case QR_SENDER:
			take_sender(f);
			break;
		case QR_RECIPIENT:
			take_recipient(f);
			break;
		case QR_MESSAGE:
			if (!f->has_sender || !skip_content(f))
				return false;
			break;
		case QR_END:
			return f->has_sender && f->recipient_count > 0;
		default:
			break;
		}
	}
	return false;
}

static void tell(const struct found *f, qshape_address *each)
{
	struct slice rest = strbuf_slice(&f->recipients);

	if (qshape.senders) {
		each(f->arrived, strbuf_slice(&f->sender));
		return;
	}
	for (size_t i = 0; i < f->recipient_count; i++) {
		size_t len = (size_t)slice_find(rest, '\0');

		each(f->arrived, slice_first(rest, len));
		rest = slice_from(rest, len + 1);
	}
}

/* Six letters and digits or more, whole and not being written: executable by its owner alone. */
static bool is_queue_file(int dirfd, const char *name, struct stat *st)
{
	size_t len = 0;

	while (ascii_isalnum(name[len]))
		len++;
	return len >= 6 && !name[len] && fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st->st_mode) && (st->st_mode & 0733) == 0700;
}

bool qshape_file(int dirfd, const char *name, qshape_address *each)
{
	struct found f = { .sender = STRBUF_INIT(QUEUE_RECORD_MAX),
		.recipients = STRBUF_INIT(STRBUF_NO_LIMIT) };
	struct stat st;
	bool ok;
	int fd;

	if (!is_queue_file(dirfd, name, &st))
		return false;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return false;
	queue_reader_init(&f.reader, fd, 0);
	ok = take_head(&f, st.st_mtime) && take_rest(&f);
	if (ok)
		tell(&f, each);
	queue_reader_release(&f.reader);
	strbuf_release(&f.sender);
	strbuf_release(&f.recipients);
	close(fd);
	return ok;
}
