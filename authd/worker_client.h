// SPDX-License-Identifier: BSD-2-Clause
/*
 * authd's side of the worker processes: drivers that ask one.
 *
 * What may block without a deadline (PAM, NSS, programs) runs in the service auth-worker, in a
 * process for each connection, which master's sibling of that name kills when the connection ends.
 * So whatever happens in there, the caller has an answer after WORKER_CALL_MS at the latest, and a
 * process that died or hangs is DB_FAILED, never a wrong password and never a right one.
 *
 * There are at most auth_worker_max_count connections.  Who finds all in use waits for his turn, at
 * most WORKER_QUEUE_MS.  A connection that nobody needs is closed after WORKER_IDLE_MS.
 */
#ifndef PC_AUTHD_WORKER_CLIENT_H
#define PC_AUTHD_WORKER_CLIENT_H

#include "authd/database.h"

#define WORKER_CALL_MS	(60 * 1000)
#define WORKER_QUEUE_MS (60 * 1000)
#define WORKER_IDLE_MS	(60 * 1000)
/* Who waited this long has it logged, once in WORKER_WARN_EVERY_MS. */
#define WORKER_WARN_MS	     (3 * 1000)
#define WORKER_WARN_EVERY_MS (300 * 1000)

#endif
