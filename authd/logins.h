// SPDX-License-Identifier: BSD-2-Clause
/*
 * Logins that the databases accepted on a socket for pre-login halves and that a mailbox half has
 * not asked for yet.  An entry is given out once, to whoever names client, request and cookie, and
 * is gone with the connection that made it, or after AUTH_REQUEST_LIFE_MS.  Any thread may call.
 */
#ifndef PC_AUTHD_LOGINS_H
#define PC_AUTHD_LOGINS_H

#include "authd/subject.h"
#include "base/list.h"

#define LOGIN_COOKIE_SIZE 32 /* hex digits */

/* A connection of a pre-login half. */
struct login_client {
	struct list logins;
	uint32_t pid;
	char cookie[LOGIN_COOKIE_SIZE + 1];
};
/* False when another connection has this number. */
bool login_client_add(struct login_client *client, uint32_t pid);
/* Also when it was never added. */
void login_client_remove(struct login_client *client);

/* Keeps a copy of what matters in SUBJECT.  Many at a time are too many: false. */
bool login_keep(struct login_client *client, uint32_t id, const struct subject *subject);
/* Takes the entry out; a new subject in ARENA, or NULL. */
struct subject *login_take(
    uint32_t client_pid, uint32_t id, struct slice cookie, struct arena *arena);

#endif
