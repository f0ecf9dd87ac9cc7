// SPDX-License-Identifier: BSD-2-Clause
/* What the files behind server/server.h share with each other.  Not for daemons. */
#ifndef PC_SERVER_SERVER_INTERNAL_H
#define PC_SERVER_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "server/server.h"
#include "server/suspects.h"

/* The one process: what master said, and how far it is. */
struct server_process {
	const struct server *server;
	struct server_context ctx;
	struct channel *master;
	struct arena arena; /* strings and listeners of CTX */

	const char *program;
	const char *type; /* of the entry in master.cf */
	const char *facility, *log_timestamp;
	uint64_t log_files; /* bits, as in START */
	bool log_stderr, log_errors, debug;
	size_t service_limit;	   /* of sessions, over all processes; 0: none */
	size_t session_limit;	   /* this process's share of it */
	size_t max_processes;	   /* 0: no limit */
	size_t busy_sessions;	   /* with so many it asks for the other processes; 0: never */
	unsigned long serve_count; /* 0: no end */
	gid_t extra_gids[8];
	size_t extra_gid_count;

	const struct suspect_list *suspects;
	int64_t quarantine_ms;
	bool quarantine; /* the process of one client that was in deaths */

	/* Set by the loop's thread, which then looks whether it is drained; read by any. */
	atomic_bool draining, stopping;
};
extern struct server_process server_process;

/* takeover.c: reads START and fills in CTX; everything that is wrong is fatal(). */
void takeover(struct server_process *p);
/* Replaces the configuration by the sealed one in FD (closed); false when that is unusable. */
bool takeover_config(struct server_process *p, int fd);

/* Opens the log as NAME; again in a child. */
void takeover_log(const struct server_process *p, const char *name);

/* One more listener, at FD, that M describes; false when malformed. */
bool takeover_listener(struct server_process *p, const struct msg *m, int fd);

/* role.c: forgets the evaluated roles (they stay valid), since the configuration is a new one. */
void roles_reset(void);

/* accept.c: in the loop's thread. */
void accept_start(struct server_process *p);
void accept_from(struct server_process *p, const struct server_listener *listener);
void accept_end(struct server_process *p); /* closes the sockets that were accepted from */
void accept_session_closed(struct server_process *p);
/* In quarantine: the connection FD (taken over), accepted from LISTENER elsewhere. */
void accept_handed(struct server_process *p, struct slice listener, int fd);

/* server.c: begins to drain, or goes on from reload to stop. */
void server_drain(bool reload);
/* After a session or a hold ended: leaves the loop when the process drains and all are gone. */
void server_check_drained(void);
/* For workers: how many holds there are. */
long server_holds(void);

#endif
