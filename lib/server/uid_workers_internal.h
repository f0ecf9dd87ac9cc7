// SPDX-License-Identifier: BSD-2-Clause
/* uid_workers.c for server.c, and what its files share. */
#ifndef PC_SERVER_UID_WORKERS_INTERNAL_H
#define PC_SERVER_UID_WORKERS_INTERNAL_H

#include "server/server_internal.h"
#include "server/uid_workers.h"

/* In the front, one thread: returns there; the parent never returns from it. */
void uid_workers_fork_parent(struct server_process *p);
/* In the front, after the rights are gone: begins to take the parent's answers. */
void uid_workers_front_start(struct server_process *p);
/* In the front: parent and workers log to FD from now on.  No-op without workers. */
void uid_workers_log_to(int fd);
/*
 * In the front, drained itself: true when nothing is left with the workers.  Else they have been
 * asked to end with their sessions, and server_check_drained() is called when they have.
 */
bool uid_workers_finish(void);

/* uid_parent.c: the parent's life; CHANNEL leads to the front. */
_Noreturn void uid_parent_run(struct server_process *p, struct channel *front);
/* uid_worker.c: a worker's life; CHANNEL leads to the parent. */
_Noreturn void uid_worker_run(
    struct server_process *p, const struct uid_target *target, struct channel *parent);

/* Records between the three; SERVE is begun by the parent and written by RESOLVE. */
#define UID_REQUEST_ID "uid_request" /* attribute of requests and answers */
#define UID_ANSWER     "ANSWER"	     /* ok, dsn, text */
#define UID_WORK       "WORK"
#define UID_USER       "uid_user" /* attributes of work: whose it is */
#define UID_MESSAGE    "uid_message"
#define UID_IDLE       "IDLE" /* worker: "received" records; may I go? */
#define UID_LOG_TO     "LOG"
#define UID_FINISH     "FINISH" /* nothing more comes: end when the work and the sessions have */

#endif
