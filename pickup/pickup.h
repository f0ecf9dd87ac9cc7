// SPDX-License-Identifier: BSD-2-Clause
/*
 * pickup: takes what local users submitted (maildrop/) in through intake.  A file is removed after
 * its message was committed and not before; a file that is no submission is set aside with a
 * warning, never delivered in part.
 */
#ifndef PC_PICKUP_PICKUP_H
#define PC_PICKUP_PICKUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/map.h"
#include "conf/postfix_conf.h"
#include "intake/intake.h"
#include "queue/envelope.h"
#include "rewrite/rewrite.h"

struct pickup {
	const struct postfix_params *params;
	struct intake_service *intake;
	struct rewriter *rewriter;
	int maildrop_fd, corrupt_fd;
	struct map taken; /* names that were taken in, and then could not be removed */
};

/* Everything that lies in maildrop now.  One thread at a time. */
void pickup_scan(struct pickup *pickup);

/* One submission, as it was read. */
struct submission_recipient {
	struct slice address; /* internal form, as given */
	/* Of a message that was there before; empty otherwise. */
	struct slice original, orcpt;
	unsigned notify; /* enum dsn_notify */
};
struct submission {
	struct arena arena;
	const char *name; /* of the file */
	int fd;
	uid_t uid;
	int64_t arrival_us;
	struct slice sender; /* internal form */
	bool has_sender, remote_rewrite;
	const char *full_name, *encoding;
	struct slice envelope_id;
	unsigned sendopts;    /* enum queue_sendopts */
	unsigned trace;	      /* enum envelope_trace */
	const char *verp;     /* delimiters of VERP, or NULL */
	unsigned ret, notify; /* enum dsn_ret; NOTIFY of the recipient that follows */
	struct submission_recipient *recipients;
	size_t recipient_count, recipient_alloc;
	off_t content, size;	   /* offset of the first content record; of the file */
	struct envelope *requeued; /* a message that was put back; NULL: a submission */
};
enum submission_verdict { SUBMISSION_GOOD, SUBMISSION_BAD, SUBMISSION_LATER };
/*
 * Reads all of SUB->fd (with pread): is it whole, and who is to get it?  The rest of SUB is zero.
 * LATER: it could not be read.
 */
enum submission_verdict submission_read(struct submission *sub);
void submission_release(struct submission *sub);

/* Is FD a message that postsuper put back? */
bool requeue_is_one(int fd);
/* As submission_read; what SUB refers to is in SUB->requeued. */
enum submission_verdict requeue_read(struct submission *sub);
/* What else is known about it, and its content. */
void requeue_attributes(const struct submission *sub, struct intake *in);
bool requeue_content(const struct submission *sub, struct intake *in, struct reason *why);

/*
 * The intake refused SUB, as message ID, for good: WHY.  GOOD: its sender was told, and that notice
 * is safe.  BAD: there is nobody to tell.  LATER: the bounce service failed.
 */
enum submission_verdict pickup_tell_sender(const struct pickup *pickup,
    const struct submission *sub, const char *id, const struct reason *why);

#endif
