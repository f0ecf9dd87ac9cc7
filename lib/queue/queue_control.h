// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the commands ask of qmgr over public/qmgr, beside Postfix's one-byte triggers.
 *
 *   command -> qmgr   CONTROL     op=flush id=ID          (anybody who may connect)
 *                                 op=delete, hold or release; id=ID or all=1; queue=NAME ... (root,
 * mail owner) qmgr -> command   CONTROLLED  id=ID ..., one for each message that it applied to;
 * end=1 in the last
 */
#ifndef PC_QUEUE_QUEUE_CONTROL_H
#define PC_QUEUE_QUEUE_CONTROL_H

#include <stdbool.h>

#include "ipc/msg.h"
#include "queue/queue_id.h"
#include "queue/spool.h"

enum queue_control_op {
	QUEUE_CONTROL_FLUSH,
	QUEUE_CONTROL_DELETE,
	QUEUE_CONTROL_HOLD,
	QUEUE_CONTROL_RELEASE,
	QUEUE_CONTROL_OPS
};

struct queue_control {
	enum queue_control_op op;
	char id[QUEUE_ID_SIZE];	   /* "": all */
	bool queues[SPOOL_QUEUES]; /* only messages that are in one of these */
};
void queue_control_write(struct msg_out *m, const struct queue_control *request);
bool queue_control_parse(const struct msg *m, struct queue_control *request);

/* The triggers of Postfix (postfix.md 6.5). */
enum queue_trigger {
	QUEUE_TRIGGER_SCAN_DEFERRED = 'D',
	QUEUE_TRIGGER_SCAN_INCOMING = 'I',
	QUEUE_TRIGGER_SCAN_ALL = 'A', /* ignore the time of the next attempt */
	QUEUE_TRIGGER_FLUSH = 'F',    /* forget about dead transports and destinations */
	QUEUE_TRIGGER_WAKEUP = 'W'
};

#endif
