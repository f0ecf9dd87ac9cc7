// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the commands (and ETRN) ask of qmgr over public/qmgr, beside Postfix's one-byte triggers.
 *
 *   asker -> qmgr   CONTROL     op=flush id=ID              (anybody who may connect)
 *                               op=flush-site site=DOMAIN   (likewise)
 *                               op=delete, hold, release, expire, expire-release, requeue;
 *                               id=ID or all=1; queue=NAME ...          (root, mail owner)
 *                               op=structure; queue=NAME ...            (root, mail owner)
 *   qmgr -> asker   CONTROLLED  id=ID ..., one for each message that it applied to;
 *                               released=ID ..., those that it released from hold beside that
 *                               (expire-release); end=1 in the last
 *
 * An answer says that the change is on the disk; only a message that is being delivered is changed
 * when its agents are through with it.
 */
#ifndef PC_QUEUE_QUEUE_CONTROL_H
#define PC_QUEUE_QUEUE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/msg.h"
#include "queue/queue_id.h"
#include "queue/spool.h"

enum queue_control_op {
	QUEUE_CONTROL_FLUSH,
	QUEUE_CONTROL_FLUSH_SITE,
	QUEUE_CONTROL_DELETE,
	QUEUE_CONTROL_HOLD,
	QUEUE_CONTROL_RELEASE,
	QUEUE_CONTROL_EXPIRE,	      /* returned to the sender at the next attempt */
	QUEUE_CONTROL_EXPIRE_RELEASE, /* the same, and released when it is on hold */
	QUEUE_CONTROL_REQUEUE,	      /* through intake once more, by maildrop and pickup */
	QUEUE_CONTROL_STRUCTURE,      /* files go to the directories that hashing asks for */
	QUEUE_CONTROL_OPS
};

#define QUEUE_SITE_SIZE 256 /* a domain name with its NUL */

struct queue_control {
	enum queue_control_op op;
	char id[QUEUE_ID_SIZE];	    /* "": all */
	char site[QUEUE_SITE_SIZE]; /* of FLUSH_SITE: the domain of recipients, "[1.2.3.4]" too */
	bool queues[SPOOL_QUEUES];  /* only messages that are in one of these; none: in any */
};
void queue_control_write(struct msg_out *m, const struct queue_control *request);
bool queue_control_parse(const struct msg *m, struct queue_control *request);

/*
 * ETRN, postqueue -s: mail that waits for recipients in SITE is tried now.  SOCKET is the path of
 * public/qmgr.  The caller has looked whether SITE is in $fast_flush_domains.  False: qmgr is down,
 * or did not answer before DEADLINE (clock_ms).
 */
bool queue_control_flush_site(const char *socket, const char *site, int64_t deadline);

/*
 * Postfix's triggers: BYTES to a daemon's socket, or FIFO, at PATH.  -1 with errno; who is woken is
 * not waited for.
 */
int queue_trigger(const char *path, struct slice bytes, int64_t deadline);

/* The triggers of Postfix (postfix.md 6.5). */
enum queue_trigger {
	QUEUE_TRIGGER_SCAN_DEFERRED = 'D',
	QUEUE_TRIGGER_SCAN_INCOMING = 'I',
	QUEUE_TRIGGER_SCAN_ALL = 'A', /* ignore the time of the next attempt */
	QUEUE_TRIGGER_FLUSH = 'F',    /* forget about dead transports and destinations */
	QUEUE_TRIGGER_WAKEUP = 'W'
};

#endif
