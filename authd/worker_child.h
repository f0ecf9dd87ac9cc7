// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a driver may ask of the child that it works in.  One thread; one request at a time.
 */
#ifndef PC_AUTHD_WORKER_CHILD_H
#define PC_AUTHD_WORKER_CHILD_H

#include "authd/database.h"

/* The child ends after the answer to this request (a driver's max_requests). */
void worker_child_retire(void);

/* Whom programs run as that the service auth starts with the peer: its user. */
struct worker_identity {
	uid_t uid;
	gid_t gid;
	bool switches; /* we may become that one */
};
const struct worker_identity *worker_auth_identity(void);
/* Before the forks. */
void worker_child_prepare(const struct dovecot_source *source);

#endif
