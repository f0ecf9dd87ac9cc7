// SPDX-License-Identifier: BSD-2-Clause
/*
 * Work under users' uids: one root parent, one front, one worker per uid.
 *
 * A service with a class of uid workers is three kinds of processes.  The *front* is a normal
 * server (sessions, listeners) under SERVER's user, and the process that master knows.  Before it
 * read a key or dropped its rights it forked the *parent*, which stays root, has one thread, holds
 * no listening socket, and reads records from the front only.  A *worker* is forked by the parent
 * without exec, drops to a uid and gid for good, raises its walls, and then has threads; it exits
 * after IDLE_MS without work.  A front that has no more to give (a reload, a used-up count) stays
 * until the workers' sessions have ended by themselves.  When it is gone before, or stops, the
 * workers drain, and the parent goes last.
 * When the parent is gone the front drains and exits, and master starts anew.
 *
 * The front sends a request (a record and descriptors); the parent's RESOLVE decides for which uid
 * it is and what the worker gets to read; the parent passes that record and the descriptors on to
 * the worker of that uid, and answers the front: accepted, or refused with a reason.  So the front
 * cannot choose a uid that RESOLVE does not allow, and what RESOLVE writes the front cannot forge.
 *
 * Where there is much work the parent would be in its way.  There the front asks the parent once
 * for a *link* to a uid's worker, a socket of records, and then talks to the worker alone:
 *
 *	front                         parent                         worker
 *	  |  LINK (uid, gid; whose) ->  |                              |
 *	  |                             |  RESOLVE: may it, and how    |
 *	  |                             |  (fork, when there is none)  |
 *	  |                             |  LINK (how) + one end ---->  |
 *	  |  <- ANSWER + other end      |                              |
 *	  |                                                            |
 *	  |  CALL (number, work) + descriptors --------------------->  |  a thread takes it
 *	  |  CALL ... -------------------------------------------->    |  another one
 *	  |  <--------------------------------------- number, answer   |
 *
 * What the administrator set still comes from the parent, once per link, and the worker has the
 * rights of one uid whatever it is told.  The front alone ends a link, when it has had no call for
 * IDLE_MS, so no call meets a worker that is about to go; a link that ends otherwise is a worker
 * that died, and its calls end with a reason.  Who is in quarantine stands in a list that the
 * parent shares with the front, and has a link (and a worker) of his own.
 *
 * Not started by root, only targets with our own uid and gid are possible; a worker then has
 * the walls only.
 */
#ifndef PC_SERVER_UID_WORKERS_H
#define PC_SERVER_UID_WORKERS_H

#include "base/list.h"
#include "base/reason.h"
#include "ipc/channel.h"
#include "server/running.h"
#include "server/server.h"

struct uid_target {
	uid_t uid;
	gid_t gid;
	gid_t extra[8]; /* supplementary groups */
	size_t extra_count;
	/* The target's mail is below it; NULL: not known.  Lives as long as the process. */
	const char *root;
	/*
	 * Whose work it is, "" where that is not known: for the list of who ran in a worker that
	 * died.  Who was in two deaths gets a worker that does nobody else's work.
	 */
	char user[RUNNING_USER], message[RUNNING_MESSAGE];
};

struct uid_work;

struct uid_workers_class {
	const char *name; /* for logs: "virtual", "pop3" */
	/*
	 * In the parent, blocking with a deadline of its own.  Fills in TARGET and writes the
	 * worker's record to OUT (begun already).  False with WHY to refuse.  uid 0 is refused by
	 * the caller, whatever RESOLVE says.
	 */
	bool (*resolve)(const struct msg *request, struct uid_target *target, struct msg_out *out,
	    struct reason *why);
	/* In the parent when it starts (opens the auth-master socket's path, say). */
	void (*parent_start)(const struct server_context *ctx);
	/* In a new worker, after the rights are gone, before threads.  NULL: a deny list and no
	 * socket of the network's families. */
	void (*worker_walls)(const struct uid_target *target, struct sandbox *walls);
	/* In a pool thread of the worker, for each record; takes the descriptors it needs from IN.
	 * NULL: there are links only. */
	void (*worker_serve)(struct msg_in *in);
	/*
	 * In a pool thread of the worker, for each call over a link: answers it, once or more often
	 * as front and worker agreed, with uid_work_answer.  HOW is what RESOLVE wrote; W->fds are
	 * closed by the caller, or before.  NULL: there are no links.
	 */
	void (*worker_call)(const struct msg *how, struct uid_work *w);
	int64_t idle_ms; /* a worker with no record in work exits after this time */
};

/*
 * In the front, from any thread: sends REQUEST with descriptors (they stay the caller's) and waits
 * for the answer until DEADLINE.  False with WHY (4.3.0 when the parent is gone).
 */
bool uid_workers_request(
    struct msg_out *request, const int *fds, size_t fd_count, int64_t deadline, struct reason *why);

/* ---- calls over links ---- */

/* Whose work it is: what RESOLVE reads from the record of a link. */
struct uid_owner {
	uid_t uid;
	gid_t gid;
	const char *user, *message; /* as in struct uid_target; "" */
};
#define UID_LINK_UID	 "uid"
#define UID_LINK_GID	 "gid"
#define UID_LINK_USER	 "user"
#define UID_LINK_MESSAGE "message"

/* A record with what the front adds to it, and an answer. */
#define UID_CALL_MAX   (128 * 1024)
#define UID_ANSWER_MAX 1024

enum uid_answered {
	UID_CALL_GOES_ON,
	UID_CALL_IS_OVER,
	UID_CALL_BROKEN /* no worker of ours says such things: the link is cut */
};

/* Embedded by its owner, who keeps it until ENDED. */
struct uid_call {
	/* Both in the link's one thread (the pool's), and never for one call at the same time. */
	enum uid_answered (*answered)(struct uid_call *call, struct slice answer);
	/* WHY is NULL after UID_CALL_IS_OVER; else the worker is gone, or hangs. */
	void (*ended)(struct uid_call *call, const struct reason *why);
	int64_t deadline; /* of the worker: one that has not ended the call by then is killed */

	struct list node; /* the rest is the link's */
	uint64_t number;
};

/* Is there a link for OWNER already?  Then uid_call_start waits for nobody. */
bool uid_call_has_link(const struct uid_owner *owner);
/*
 * In the front, from any thread: sends WORK (begun by the caller, completed here) with descriptors,
 * which stay the caller's.  Makes a link first where there is none, which blocks until DEADLINE.
 * False with WHY when there is no link: nothing was sent.  True: ENDED will be called, or was.
 */
bool uid_call_start(struct uid_call *call, const struct uid_owner *owner, struct msg_out *work,
    const int *fds, size_t fd_count, int64_t deadline, struct reason *why);

/* In the worker: a call's record and descriptors. */
struct uid_work {
	struct msg msg; /* valid until worker_call returns */
	struct arena arena;
	int fds[SOCKET_MAX_FDS];
	size_t fd_count;
	int link_fd;
	uint64_t number;
};
/* Closes the descriptors, for who wants that to happen before an answer. */
void uid_work_close(struct uid_work *w);
/* False when the front is gone: nobody would know of further work.  LEN: UID_ANSWER_MAX at most. */
bool uid_work_answer(const struct uid_work *w, const void *data, size_t len);

#endif
