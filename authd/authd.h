// SPDX-License-Identifier: BSD-2-Clause
/* The two kinds of connections that authd serves, and what they share. */
#ifndef PC_AUTHD_AUTHD_H
#define PC_AUTHD_AUTHD_H

#include "auth/auth_proto.h"
#include "net/stream.h"
#include "server/server.h"

/* The rest of a line that has begun must come within this time. */
#define AUTHD_LINE_MS (30 * 1000)
/* A connection on which nothing is asked is closed; clients make a new one when they need it. */
#define AUTHD_IDLE_MS (60 * 60 * 1000)

extern const struct session_class client_session_class; /* kinds auth and login */
extern const struct session_class master_session_class; /* kinds master and userdb */

/* After each listener is known: which sockets of kind userdb everybody may open. */
void master_session_setup(const struct server_context *ctx);

/*
 * Reads a line into FIELDS and checks VERSION when it is the first one.  False: the connection is
 * to be closed; what was wrong has been logged under NAME.
 */
bool authd_read_line(struct stream *stream, const char *name, bool *has_version,
    struct arena *arena, struct auth_fields *fields);

#endif
