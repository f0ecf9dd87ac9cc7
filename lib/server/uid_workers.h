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
 * Not started by root, only targets with our own uid and gid are possible; a worker then has
 * the walls only.
 */
#ifndef PC_SERVER_UID_WORKERS_H
#define PC_SERVER_UID_WORKERS_H

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
	 */
	void (*worker_serve)(struct msg_in *in);
	int64_t idle_ms; /* a worker with no record in work exits after this time */
};

/*
 * In the front, from any thread: sends REQUEST with descriptors (they stay the caller's) and waits
 * for the answer until DEADLINE.  False with WHY (4.3.0 when the parent is gone).
 */
bool uid_workers_request(
    struct msg_out *request, const int *fds, size_t fd_count, int64_t deadline, struct reason *why);

#endif
