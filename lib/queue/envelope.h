// SPDX-License-Identifier: BSD-2-Clause
/*
 * A queue file read: who sent it, to whom, and what its content is.  The reader is strict and
 * believes nothing: lengths, types per section, addresses without control characters, pointers
 * without loops, all within limits.  Files of a real Postfix and ours alike.
 *
 * An envelope is immutable, but for what its one owner does with `recipients[i].done`.
 */
#ifndef PC_QUEUE_ENVELOPE_H
#define PC_QUEUE_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/reason.h"
#include "base/slice.h"
#include "queue/queue_id.h"
#include "queue/queue_record.h"

#define ENVELOPE_MAX_RECIPIENTS 1000000
#define ENVELOPE_MAX_ATTRIBUTES 1000

struct envelope_recipient {
	const char *address;  /* internal form, as the file has it */
	const char *original; /* "" when the same */
	const char *orcpt;    /* "rfc822;...", or "" */
	unsigned notify;      /* enum dsn_notify bits; 0: not asked */
	off_t offset;	      /* of its record: the type byte there says R or D, or / */
	bool done;
	bool expanded; /* done: an alias, and a report that it was expanded is due */
};

struct envelope_attribute {
	const char *name, *value;
};

/* The peer's bits, as trace_flags has them. */
enum envelope_trace {
	ENVELOPE_TRACE_MTA_PROBE = 256,	 /* for verify(8): the sender is told nothing */
	ENVELOPE_TRACE_USER_PROBE = 512, /* nothing is delivered (sendmail -bv) */
	ENVELOPE_TRACE_PROBE = ENVELOPE_TRACE_MTA_PROBE | ENVELOPE_TRACE_USER_PROBE,
	ENVELOPE_TRACE_RECORD = 1024 /* sendmail -v */
};

struct envelope {
	struct arena arena;
	char id[QUEUE_ID_SIZE];
	const char *sender; /* internal form; "": the null sender */
	const char *full_name;
	const char *envelope_id; /* ENVID, decoded; "" */
	unsigned ret;		 /* enum dsn_ret; 0: not asked */
	int64_t arrival_us;
	off_t size;	   /* of the content as logged (records with their heads) */
	off_t data_offset; /* of the first content record */
	unsigned sendopts;
	const char *verp;     /* delimiters, as they are there, or "" (mail/verp.h) */
	const char *filter;   /* content filter, "transport:destination", or "" */
	const char *redirect; /* all recipients become this one, or "" */
	int64_t warn_s;	      /* when the sender is told of a delay; 0: never, or he was */
	off_t warn_offset;    /* of that time's digits (spool_mark_warned) */
	unsigned trace;	      /* enum envelope_trace: what its sender is to be told of an attempt */
	off_t trace_offset;   /* of that record (spool_mark_traced) */
	struct envelope_recipient *recipients;
	size_t recipient_count, done_count;
	struct envelope_attribute *attributes; /* in order, as they are */
	size_t attribute_count;
	bool ours; /* carries our checksum */
};

enum envelope_check {
	ENVELOPE_TRUST, /* reads head and recipients only */
	ENVELOPE_VERIFY /* also reads all of the content: final E, checksum when it is ours */
};

/*
 * NULL with WHY: 5.x.y for a damaged file ("5.3.0", it goes to corrupt), 4.x.y for errors of the
 * system (errno's text).  FD is only read with pread.
 */
struct envelope *envelope_read(
    int fd, const char *id, enum envelope_check check, struct reason *why);
void envelope_free(struct envelope *env);
/* The last value of that name, or NULL. */
const char *envelope_attribute(const struct envelope *env, const char *name);

/*
 * The content as the agents want it: lines.  *WHOLE is false for a piece of a line that goes on.
 * The slice is valid until the next call.
 */
struct content_reader {
	struct queue_reader records;
	bool ended;
};
enum content_read {
	CONTENT_LINE,
	CONTENT_END,
	CONTENT_DAMAGED, /* the delivery is deferred; errno 0, or the kernel's */
};
void content_reader_init(struct content_reader *c, int fd, off_t data_offset);
void content_reader_release(struct content_reader *c);
enum content_read content_reader_next(struct content_reader *c, struct slice *line, bool *whole);

#endif
