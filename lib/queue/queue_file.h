// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writing a queue file: envelope, content, extracted section, end, in this order.  Nothing is
 * synced here, nothing named (queue/offer.h does that).  A file of less than 64 KiB is one write.
 *
 * Errors stick: after one every call is a no-op, and queue_writer_finish returns it.  What
 * envelope_read would refuse is one: NUL, CR or LF outside of the content (EINVAL), more than
 * ENVELOPE_MAX_RECIPIENTS recipients (EMSGSIZE).
 */
#ifndef PC_QUEUE_QUEUE_FILE_H
#define PC_QUEUE_QUEUE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/reason.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "queue/queue_record.h"

/* The mode of a complete queue file: the x bit says so (doc/QUEUE.md 3). */
#define QUEUE_FILE_MODE 0700

/* Extracted section: the message goes to hold, whoever finds it in incoming (doc/QUEUE.md 3). */
#define QUEUE_HOLD_ATTRIBUTE "postcote_hold"

/* What a message is allowed to ask for in the last field of the size record. */
enum queue_sendopts { QUEUE_SENDOPT_SMTPUTF8 = 1, QUEUE_SENDOPT_REQUIRETLS = 32 };

struct queue_writer {
	int fd; /* borrowed, at offset 0; -1: not opened yet */
	struct strbuf buf;
	off_t written;	   /* bytes of the file before buf */
	off_t data_offset; /* of the first content record; 0 before queue_writer_content */
	off_t data_end;	   /* of the X record; 0 before queue_writer_extracted */
	unsigned long recipient_count, recipient_records; /* the latter with those for reports */
	uint32_t crc;
	int error; /* errno of the first failure */
	bool whole;
	int (*open)(void *arg, bool whole);
	void *open_arg;
};
void queue_writer_init(struct queue_writer *w, int fd);
/*
 * The file is opened when there is something to write: OPEN returns its descriptor, or -1 with
 * errno.  WHOLE: all of it is written at once now, and it has less than 64 KiB.
 */
void queue_writer_init_late(struct queue_writer *w, int (*open)(void *arg, bool whole), void *arg);
void queue_writer_release(struct queue_writer *w);

/*
 * ARRIVAL_US: microseconds since the epoch.  SENDER is in internal form (empty: the null sender),
 * as all addresses in queue files are.
 * Writes C (a placeholder), T, A create_time=, and S.  Attributes that Postfix has before S
 * (rewrite_context, sasl_..., the full name) may be added afterwards as well: readers do not care.
 */
void queue_writer_begin(struct queue_writer *w, int64_t arrival_us, struct slice sender);
/* A record "A NAME=VALUE"; envelope or extracted section. */
void queue_writer_attribute(struct queue_writer *w, const char *name, struct slice value);
void queue_writer_attribute_str(struct queue_writer *w, const char *name, const char *value);
/* Any other envelope or extracted record (QR_FULL_NAME, QR_FILTER, QR_REDIRECT, ...). */
void queue_writer_record(struct queue_writer *w, int type, struct slice data);
/*
 * ORIGINAL: as it came in, before rewriting and aliases (empty: the same as ADDRESS).  ORCPT: the
 * "rfc822;..." text of dsn_orig_rcpt, decoded (empty: none).  NOTIFY: enum dsn_notify bits, 0: not
 * asked.  Envelope or extracted section.
 */
void queue_writer_recipient(struct queue_writer *w, struct slice address, struct slice original,
    struct slice orcpt, unsigned notify);
/*
 * A recipient that stands for others, which have records of their own: it gets no mail, and its
 * sender a report that it was expanded.
 */
void queue_writer_expanded(
    struct queue_writer *w, struct slice address, struct slice original, struct slice orcpt);
/* When the sender is to be told that the message is delayed, in seconds since the epoch. */
void queue_writer_warn_time(struct queue_writer *w, int64_t when_s);
/* The M record: content follows. */
void queue_writer_content(struct queue_writer *w);
/*
 * A line without its line end (COMPLETE), or a piece of one that goes on with the next call.
 * Pieces of more than 2,048 bytes are split.  Any bytes are taken.
 */
void queue_writer_line(struct queue_writer *w, struct slice line, bool complete);
/* The X record: attributes that were found out from the content (message_id, ...) follow. */
void queue_writer_extracted(struct queue_writer *w);
/*
 * Writes the checksum, E and the size record.  0, or the errno of the first failure: the file is
 * worth nothing then.
 */
int queue_writer_finish(struct queue_writer *w, unsigned sendopts);
/* Content so far, as size limits count it: every record with its head (what "size=" logs). */
off_t queue_writer_size(const struct queue_writer *w);

#endif
