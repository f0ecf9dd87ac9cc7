// SPDX-License-Identifier: BSD-2-Clause
/*
 * The queue listing: what public/showq says (postfix.md 2.5), written by qmgr, read by postqueue
 * and by other people's exporters; and the same from the files, for when qmgr is down.
 *
 * The stream is name NUL value NUL ... ; an empty name ends a record.  The first record is
 * "protocol", an empty record ends the list.
 */
#ifndef PC_QUEUE_SHOWQ_H
#define PC_QUEUE_SHOWQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "queue/queue_id.h"
#include "queue/spool.h"

struct showq_recipient {
	const char *address, *original; /* external form; original "" when the same */
	const char *reason;		/* "": not known */
	bool failed;			/* the reason is why it bounced, not why it waits */
};

struct showq_message {
	char queue[16]; /* "deferred" */
	char id[QUEUE_ID_SIZE];
	int64_t arrival_s;
	int64_t size;
	bool forced_expire;
	const char *sender; /* external form; the stand-in for the null sender in its place */
	struct showq_recipient *recipients;
	size_t count;
};

void showq_begin(struct strbuf *out);
void showq_add(struct strbuf *out, const struct showq_message *message);
void showq_end(struct strbuf *out);

/*
 * Reads a queue file and its defer log.  Texts are in ARENA.  EMPTY stands for the null sender
 * ($empty_address_recipient).  False when it is gone or unreadable.
 */
bool showq_read_file(struct spool *spool, enum spool_queue queue, const char *id, const char *empty,
    struct arena *arena, struct showq_message *message);
/* An address of an envelope as it is shown; in ARENA. */
const char *showq_address(struct arena *arena, const char *internal);

/* Reading the stream: bytes are fed as they come. */
struct showq_reader {
	struct strbuf buf;
	bool greeted, ended, failed;
};
void showq_reader_init(struct showq_reader *r);
void showq_reader_release(struct showq_reader *r);
void showq_reader_feed(struct showq_reader *r, struct slice data);
/*
 * The next complete message, its texts in ARENA (false: none yet, or `ended`, or `failed`: this is
 * no such stream, or a message has more than SHOWQ_MESSAGE_MAX bytes).
 */
#define SHOWQ_MESSAGE_MAX (256 * 1024 * 1024)
bool showq_reader_next(struct showq_reader *r, struct arena *arena, struct showq_message *message);

#endif
