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
void uid_workers_log_to(const int *fds, size_t count);
/* server.c: the descriptors of a LOG take their places. */
void server_log_to(const struct msg_in *in);
/*
 * In the front, drained itself: true when nothing is left with the workers.  Else they have been
 * asked to end with their sessions, and server_check_drained() is called when they have.
 */
bool uid_workers_finish(void);

/* In the front: what came with the parent's answer to a LINK. */
struct uid_given {
	int fd;	      /* the link's end, or -1; the asker's */
	pid_t worker; /* behind it */
	uint64_t own; /* for whom alone it works: suspect_key, or 0 */
};
/* uid_workers_request, which leaves the answer in GIVEN too. */
bool uid_workers_ask(struct msg_out *request, const int *fds, size_t fd_count, int64_t deadline,
    struct uid_given *given, struct reason *why);
/* The parent is to kill this worker, which hangs. */
void uid_workers_give_up(pid_t worker);
/* Who has a worker of his own, or NULL; the parent's list. */
const struct suspect_list *uid_workers_suspects(void);
/* The key in LIST of whoever of the two is there, or 0. */
uint64_t uid_key_in(const struct suspect_list *list, const char *user, const char *message);

/* uid_link.c, in the front: no call is under way, and none will come. */
void uid_links_close(void);

/* uid_serve.c, in the worker's loop thread: IN (taken over) is a LINK of the parent's.  ENDED runs
 * in the loop's thread some time after the link has. */
void uid_serve_link(struct msg_in *in, void (*ended)(void *arg));

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
#define UID_IDLE       "IDLE"  /* worker: "received" records; may I go? */
#define UID_LINK       "LINK"  /* to the parent: uid, gid, whose; to the worker: how, one end */
#define UID_CALL       "call"  /* attribute of calls: their number */
#define UID_STUCK      "STUCK" /* the worker "pid" is to be killed */
#define UID_LOG_TO     "LOG"
/* class.idle_ms, where it says nothing */
#define UID_IDLE_MS 60000
#define UID_FINISH  "FINISH" /* nothing more comes: end when the work and the sessions have */

#endif
