// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the three kinds of virtual's processes agree on.  The front looks recipients up and calls
 * the worker of their uid over a link (server/uid_workers.h); the parent checked that uid, and
 * added what the administrator set, when the link was made; a worker delivers.
 *
 * A call has the read-only queue file as its descriptor.  The worker answers with one struct
 * virtual_result per recipient, perhaps with another one before it: what has none when the worker
 * is gone was not delivered, as far as we know.
 */
#ifndef PC_VIRTUAL_VIRTUAL_H
#define PC_VIRTUAL_VIRTUAL_H

#include "base/reason.h"
#include "deliver/delivery.h"
#include "server/uid_workers.h"

/* Recipients of one request: few, so that many recipients run side by side. */
#define VIRTUAL_GROUP_MAX 8

/* Attributes of a call; those of a recipient repeat, in the same order. */
#define VIRTUAL_DATA "data_offset"
#define VIRTUAL_HEAD "head" /* of each recipient: the lines before the message */
#define VIRTUAL_PATH "path" /* of each recipient: what virtual_mailbox_maps says */
/* Of a link. */
#define VIRTUAL_BASE  "base"
#define VIRTUAL_LIMIT "limit"

/* A path from a table, and the lines before the message: a call of a full group fits. */
#define VIRTUAL_PATH_MAX 4096
#define VIRTUAL_HEAD_MAX 8000

enum virtual_state {
	VIRTUAL_FAILED,
	VIRTUAL_SENT,  /* durable */
	VIRTUAL_STORED /* no result yet: only a slow sync is missing, which deliveries share */
};

struct virtual_result {
	uint32_t index; /* of the recipient in the request */
	uint32_t state;
	struct reason why;
};

/* virtual_front.c: in the front, before and after the jail. */
void virtual_front_prepare(struct server_context *ctx);
void virtual_front_walls(const struct server_context *ctx, struct sandbox *walls);
void virtual_front_deliver(struct delivery *d);
/* agent_class.run: here, or in another thread when a lookup may take long. */
void virtual_front_run(void (*fn)(void *), void *arg);

/* virtual_worker.c: in the parent, and in workers. */
extern const struct uid_workers_class virtual_workers;

#endif
