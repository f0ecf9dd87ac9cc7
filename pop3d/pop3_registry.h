// SPDX-License-Identifier: BSD-2-Clause
/*
 * The front's list of sessions: for limits, and for doveadm who and kick.  A session is on it from
 * before its login is passed on until the worker's end of its control socket is closed, whatever
 * became of the worker.
 *
 * Over a session's control socket the worker sends struct pop3_answer, once; the front sends one
 * byte to end the session.  Any thread.
 */
#ifndef PC_POP3D_POP3_REGISTRY_H
#define PC_POP3D_POP3_REGISTRY_H

#include "base/reason.h"
#include "net/stream.h"
#include "server/server.h"

struct pop3_entry;

struct pop3_who {
	char user[256], rip[64], session[64];
};

/* In the front, before sessions. */
void pop3_registry_open(const struct server_context *ctx);
/*
 * Waits until DEADLINE for the service to have room.  NULL with WHY: it has none, or (*LIMIT then)
 * the user has as many sessions from that address as he may.
 */
struct pop3_entry *pop3_registry_add(
    const struct pop3_who *who, int64_t deadline, bool *limit, struct reason *why);
/* The session runs: FD is the front's end of its control socket, the registry's from now on. */
void pop3_registry_started(struct pop3_entry *entry, int fd, long pid);
/* It does not. */
void pop3_registry_remove(struct pop3_entry *entry);

/* Connections to who-pop3. */
extern const struct session_class pop3_who_class;

#endif
