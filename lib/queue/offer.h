// SPDX-License-Identifier: BSD-2-Clause
/*
 * Intake's side of the offer (doc/QUEUE.md 2): how a complete queue file becomes an acknowledged
 * message.  smtpd, pickup and bounce use this, and only this.
 *
 * One struct offer_client per process, with as many connections to public/qmgr as there were offers
 *at a time; each belongs to one offer until that is over, and then to a later one.  Without a qmgr
 *one is tried once a second.  Any number of offers at a time, each used by one thread.  A qmgr that
 *is gone, slow or hung costs a message at most its time limit.
 *
 *	struct offer *o = offer_new(client, &request);
 *	if (offer_wait(o, deadline) == OFFER_DONE || offer_spool(o, &why))
 *		250
 *	else
 *		451 with why
 *	offer_free(o);
 */
#ifndef PC_QUEUE_OFFER_H
#define PC_QUEUE_OFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"
#include "queue/offer_state.h"
#include "queue/queue_id.h"
#include "sys/file.h"

struct offer_client;

struct offer_client_config {
	const char *service;	  /* our name, for qmgr's log: "smtpd" */
	const char *socket;	  /* path of public/qmgr, absolute or below the working directory */
	struct dirsync *incoming; /* of the incoming directory; borrowed */
	int proc_fd;		  /* /proc/self/fd */
};
/* Connects nothing yet; may be called before threads are started. */
struct offer_client *offer_client_new(const struct offer_client_config *config);
void offer_client_free(struct offer_client *client); /* no offer may be left */

enum offer_flags {
	OFFER_NEVER_WAIT = 1, /* SPOOL at once: commands, requested DSN reports, probes */
	OFFER_HOLD = 2	      /* goes to the hold queue (with NEVER_WAIT's meaning) */
};

struct offer_request {
	const char *id;
	struct tmpfile *file; /* written completely; stays the caller's, open until offer_free */
	off_t size;	      /* queue_writer_size */
	unsigned long recipient_count;
	unsigned flags;
};

enum offer_answer {
	OFFER_NONE, /* not yet */
	OFFER_DONE, /* acknowledged: every delivery is durable.  The file has no name. */
	OFFER_SPOOL /* offer_spool is next: qmgr said so, is gone, or the time is up */
};

struct offer;
/* Sends the OFFER.  Never NULL; without a qmgr the answer is OFFER_SPOOL right away. */
struct offer *offer_new(struct offer_client *client, const struct offer_request *request);
/*
 * Waits for an answer until DEADLINE (clock_ms); when that passes, the answer is OFFER_SPOOL (and
 * stays so).  A deadline in the past: OFFER_SPOOL without waiting, unless DONE is there already.
 */
enum offer_answer offer_wait(struct offer *offer, int64_t deadline);
/*
 * After OFFER_SPOOL (after OFFER_NONE too: the time is up then): links the file into incoming,
 * syncs file and directory, tells qmgr.  True: acknowledged.  False with WHY (4.3.0): the
 * message is refused.  Three system calls and a share of the directory's sync.
 *
 * When a DONE came in before the caller got here, it is taken: true, and no name is made.
 */
bool offer_spool(struct offer *offer, struct reason *why);
/* Gives a message up that was offered and not spooled (the client vanished): qmgr hands out no
 * more. */
void offer_abandon(struct offer *offer);
/* Ends it.  One that was neither DONE nor spooled nor abandoned is abandoned.  NULL is fine. */
void offer_free(struct offer *offer);

/*
 * The records, for both sides.  Kinds: OFFER, SPOOLING, SPOOLED, FAILED; DONE, SPOOL.  Attributes:
 * id; OFFER also seen, size, rcpts, flags.
 */
struct msg;
struct offer_record {
	enum {
		OFFER_R_OFFER,
		OFFER_R_SPOOLING,
		OFFER_R_SPOOLED,
		OFFER_R_FAILED,
		OFFER_R_DONE,
		OFFER_R_SPOOL
	} kind;
	char id[QUEUE_ID_SIZE];
	uint64_t seen, size, recipient_count;
	unsigned flags;
};
struct msg_out;
void offer_record_write(struct msg_out *m, const struct offer_record *record);
/* False when it is no such record, or something in it is missing or malformed. */
bool offer_record_parse(const struct msg *m, struct offer_record *record);

#endif
