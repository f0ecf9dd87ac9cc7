// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the three kinds of virtual's processes agree on.  The front looks recipients up and asks for
 * work; the parent checks the uid and adds what the administrator set; a worker delivers.
 *
 * A request has the read-only queue file as its first descriptor and the writing end of a pipe as
 * its second one.  The worker writes one struct virtual_result per recipient and closes the pipe:
 * what has no result by then was not delivered, as far as we know.
 */
#ifndef PC_VIRTUAL_VIRTUAL_H
#define PC_VIRTUAL_VIRTUAL_H

#include "base/reason.h"
#include "deliver/delivery.h"
#include "server/uid_workers.h"

/* Recipients of one request: few, so that many recipients run side by side. */
#define VIRTUAL_GROUP_MAX 8

/* Attributes; those of a recipient repeat, in the same order. */
#define VIRTUAL_ID    "id" /* the queue id */
#define VIRTUAL_UID   "uid"
#define VIRTUAL_GID   "gid"
#define VIRTUAL_DATA  "data_offset"
#define VIRTUAL_HEAD  "head"  /* of each recipient: the lines before the message */
#define VIRTUAL_PATH  "path"  /* of each recipient: what virtual_mailbox_maps says */
#define VIRTUAL_BASE  "base"  /* the parent's */
#define VIRTUAL_LIMIT "limit" /* the parent's */

/* Smaller than PIPE_BUF, so writes of one do not mix. */
struct virtual_result {
	uint32_t index; /* of the recipient in the request */
	uint32_t sent;	/* 1: durable */
	struct reason why;
};

/* virtual_front.c: in the front, before and after the jail. */
void virtual_front_prepare(struct server_context *ctx);
void virtual_front_walls(const struct server_context *ctx, struct sandbox *walls);
void virtual_front_deliver(struct delivery *d);

/* virtual_worker.c: in the parent, and in workers. */
extern const struct uid_workers_class virtual_workers;

#endif
