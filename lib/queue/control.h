// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the commands ask of qmgr over public/qmgr, beside Postfix's one-byte triggers.
 *
 *   command -> qmgr   CONTROL     op=flush id=ID          (anybody who may connect)
 *                                 op=delete, hold or release; id=ID or all=1; queue=NAME ...  (root, mail owner)
 *   qmgr -> command   CONTROLLED  id=ID ..., one for each message that it applied to; end=1 in the last
 */
#ifndef PC_QUEUE_CONTROL_H
#define PC_QUEUE_CONTROL_H

#include <stdbool.h>

#include "ipc/msg.h"
#include "queue/queue_id.h"
#include "queue/spool.h"

enum control_op { CONTROL_FLUSH, CONTROL_DELETE, CONTROL_HOLD, CONTROL_RELEASE, CONTROL_OPS };

struct control_request {
	enum control_op op;
	char id[QUEUE_ID_SIZE]; /* "": all */
	bool queues[SPOOL_QUEUES]; /* only messages that are in one of these */
};
void control_request_write(struct msg_out *m, const struct control_request *request);
bool control_request_parse(const struct msg *m, struct control_request *request);

/* The triggers of Postfix (postfix.md 6.5). */
enum control_trigger {
	TRIGGER_SCAN_DEFERRED = 'D',
	TRIGGER_SCAN_INCOMING = 'I',
	TRIGGER_SCAN_ALL = 'A', /* ignore the time of the next attempt */
	TRIGGER_FLUSH = 'F',	/* forget about dead transports and destinations */
	TRIGGER_WAKEUP = 'W'
};

#endif
