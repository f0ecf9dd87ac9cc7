// SPDX-License-Identifier: BSD-2-Clause
/*
 * What auth_client.c has for auth_client_request.c: connections that have said their hello.  Each
 * belongs to one request, or is idle.
 */
#ifndef PC_AUTH_AUTH_CONNECTION_H
#define PC_AUTH_AUTH_CONNECTION_H

#include "auth/auth_client.h"

#define AUTH_COOKIE_MAX 64

struct auth_connection {
	struct auth_connection *next; /* in the client's idle list */
	struct stream *stream;
	uint32_t last_id;
	uint32_t pid;
	uint32_t server_pid, number; /* SPID and CUID */
	char cookie[AUTH_COOKIE_MAX + 1];
};

/* An idle connection on which nothing waits (an end of input, as a rule), or NULL. */
struct auth_connection *auth_connection_take(struct auth_client *client);
/* The one of that number, which another request may have for a while.  NULL with WHY. */
struct auth_connection *auth_connection_take_numbered(
    struct auth_client *client, uint32_t number, int64_t deadline, struct reason *why);
/* NULL with WHY. */
struct auth_connection *auth_connection_new(
    struct auth_client *client, int64_t deadline, struct reason *why);
/* For the next request, or to its end when it failed or there are enough. */
void auth_connection_give_back(struct auth_client *client, struct auth_connection *c);
void auth_connection_free(struct auth_connection *c); /* NULL is fine */

/* A line; FIELDS point into ARENA.  False with WHY. */
bool auth_connection_read(
    struct auth_connection *c, struct auth_fields *fields, struct arena *arena, struct reason *why);

#endif
