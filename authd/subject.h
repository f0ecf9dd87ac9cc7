// SPDX-License-Identifier: BSD-2-Clause
/*
 * The user that a request is about, with what is known of the client: what databases look up,
 * what variables expand from, and where the fields that they give are gathered.  It lives in the
 * arena that made it and belongs to one thread.
 */
#ifndef PC_AUTHD_SUBJECT_H
#define PC_AUTHD_SUBJECT_H

#include "auth/auth_proto.h"
#include "base/arena.h"
#include "base/strbuf.h"
#include "conf/dovecot_conf.h"
#include "log/log.h"

/* Named values in order, each name once. */
struct pair {
	struct pair *next;
	const char *name;
	const char *value; /* NULL: the bare name */
};
struct pairs {
	struct pair *first, *last;
};
void pairs_set(struct pairs *pairs, struct arena *arena, const char *name, const char *value);
void pairs_set_default(
    struct pairs *pairs, struct arena *arena, const char *name, const char *value);
const struct pair *pairs_find(const struct pairs *pairs, const char *name);
/* As fields of a reply line. */
void pairs_write(const struct pairs *pairs, struct strbuf *line);

struct subject {
	struct arena *arena;
	const char *user;	/* after the rules for names; NULL before */
	const char *login_user; /* as the client wrote it */
	const char *service, *session, *mechanism;
	const char *local_ip, *remote_ip, *local_port, *remote_port, *local_name;
	bool secured;
	struct pairs extra;  /* for the client, with OK */
	struct pairs userdb; /* what a passdb said about the user ("userdb_..."): for prefetch */
	struct pairs answer; /* what the userdb said: uid, gid, home, ... */
	bool nodelay;
};

/* Takes "service=", "lip=", ... out of a request's fields. False without a service. */
bool subject_from_fields(
    struct subject *subject, struct arena *arena, const struct auth_fields *fields, size_t from);
/*
 * Sets the name by auth_default_realm, auth_username_chars, _translation and _format.  False with
 * *ERROR (in the arena): nobody has that name.
 */
bool subject_set_name(struct subject *subject, const struct dovecot_settings *settings,
    struct slice name, const char **error);
/* TEXT with variables replaced, in the arena; NULL with *ERROR in the arena. */
const char *subject_expand(const struct subject *subject, const char *text, const char **error);

/* "DRIVER(user,ip,<session>): TEXT", as the peer writes it. */
void subject_log(const struct subject *subject, enum log_level level, const char *driver,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
