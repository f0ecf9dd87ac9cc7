// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client side of Dovecot's master protocol (auth-master, auth-userdb): who is this user, and is
 * this login, which a pre-login half tells us about, one that auth itself approved?
 *
 * Each call makes a connection of its own and blocks until DEADLINE (clock_ms).
 */
#ifndef PC_AUTH_MASTER_CLIENT_H
#define PC_AUTH_MASTER_CLIENT_H

#include <stdint.h>

#include "auth/auth_proto.h"
#include "base/reason.h"

enum auth_user_result {
	AUTH_USER_FOUND,
	AUTH_USER_UNKNOWN,
	AUTH_USER_FAILED /* temporarily; WHY tells */
};

struct auth_user {
	struct arena arena;
	const char *name;	   /* as the user database spells it */
	struct auth_fields fields; /* "uid=5000", "home=/...", ... */
};
void auth_user_release(struct auth_user *user);
/* A field's value; NULL when it is not there (or holds a NUL). */
const char *auth_user_field(struct auth_user *user, const char *name);

/* USER is initialised by the calls and must be released whatever they return. */
enum auth_user_result auth_master_user(const char *path, const char *name, const char *service,
    int64_t deadline, struct auth_user *user, struct reason *why);
/*
 * The same for administrators: with PARAMS, "name=value" texts that end with NULL, instead of a
 * service; or what the passdb has to say of the user without a password (PASS).
 */
enum auth_user_result auth_master_ask(const char *path, const char *verb, const char *name,
    const char *const params[], int64_t deadline, struct auth_user *user, struct reason *why);
/* Forgets what is cached of USERS (ends with NULL; none: everybody).  False with WHY. */
bool auth_master_flush(
    const char *path, char *const users[], int64_t deadline, uint32_t *flushed, struct reason *why);
/* The arguments after PATH come from the pre-login half, that is, from nobody we trust. */
enum auth_user_result auth_master_request(const char *path, uint32_t client_pid, uint32_t auth_id,
    struct slice cookie, int64_t deadline, struct auth_user *user, struct reason *why);

/* Gives each name that fits MASK ("*", "a?c*") to EACH.  False with WHY. */
bool auth_master_list(const char *path, const char *mask, int64_t deadline,
    void (*each)(const char *name, void *arg), void *arg, struct reason *why);

#endif
