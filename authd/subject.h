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
	const char *value; /* NULL or "": the bare name */
	bool hidden;	   /* for databases and variables, not for replies */
};
struct pairs {
	struct pair *first, *last;
};
void pairs_set(struct pairs *pairs, struct arena *arena, const char *name, const char *value);
/* "name=value", or a name alone, whose value is NULL then. */
void pairs_set_text(struct pairs *pairs, struct arena *arena, struct slice text);
/* Such texts with blanks between them. */
void pairs_set_words(struct pairs *pairs, struct arena *arena, const char *words);
void pairs_set_default(
    struct pairs *pairs, struct arena *arena, const char *name, const char *value);
/* As pairs_set, but not for replies. */
void pairs_set_hidden(
    struct pairs *pairs, struct arena *arena, const char *name, const char *value);
void pairs_remove(struct pairs *pairs, const char *name);
void pairs_copy(struct pairs *to, const struct pairs *from, struct arena *arena);
const struct pair *pairs_find(const struct pairs *pairs, const char *name);
/* For "name:protected" and "name:remove": the name without SUFFIX. */
bool pair_name_ends(const char *name, const char *suffix, struct arena *arena, const char **stem);
/* As fields of a reply line; without the hidden ones. */
void pairs_write(const struct pairs *pairs, struct strbuf *line);

struct subject {
	struct arena *arena;
	const char *user;	/* after the rules for names; NULL before */
	const char *login_user; /* as the client wrote it; of a master login the master's part */
	/*
	 * Whom a master user wants to be, until a passdb block has accepted the master; then USER
	 * is that name and master_user who it is that logs in for it.  NULL when there is none.
	 */
	const char *requested_login_user, *master_user;
	const char *service, *session, *mechanism;
	const char *local_ip, *remote_ip, *local_port, *remote_port, *local_name;
	/* Of the connection itself, where a proxy tells of the client; else as those above. */
	const char *real_local_ip, *real_remote_ip, *real_local_port, *real_remote_port;
	const char *cert_username, *client_id; /* "" when there is none */
	bool secured, valid_client_cert, no_penalty, debug;
	struct slice
	    password;	     /* that the client gave; ptr NULL before, and after a lookup without */
	struct pairs extra;  /* for the client, with OK */
	struct pairs userdb; /* what a passdb said about the user ("userdb_..."): for prefetch */
	struct pairs answer; /* what the userdb said: uid, gid, home, ... */
	const char *fail_reason; /* what the client is to be told when it is refused; or NULL */
	int64_t delay_until; /* time(2), "delay_until=": the answer waits so long; 0: does not */
	bool nodelay;
};

/* Takes "service=", "lip=", ... out of a request's fields. False without a service. */
bool subject_from_fields(
    struct subject *subject, struct arena *arena, const struct auth_fields *fields, size_t from);
/*
 * Sets the name by auth_default_realm, auth_username_chars, _translation and _format, and splits
 * "user*master" where auth_master_user_separator is set.  False with *ERROR (in the arena): nobody
 * has that name.
 */
bool subject_set_name(struct subject *subject, const struct dovecot_settings *settings,
    struct slice name, const char **error);
/* The same for lookups without a login (the master protocol): nothing is split. */
bool subject_set_lookup_name(struct subject *subject, const struct dovecot_settings *settings,
    struct slice name, const char **error);
/*
 * After subject_set_name: a SASL authorization identity.  The same name as the authentication's is
 * that login; another one makes it a master user's.  An empty one is none.
 */
bool subject_set_authzid(struct subject *subject, const struct dovecot_settings *settings,
    struct slice authzid, const char **error);
/* The user's name after a field "user", "username" or "domain"; NULL for other fields. */
const char *subject_renamed(const struct subject *subject, const char *field, const char *value);
/* Whether NAME fits a pattern with '*' and '?'. */
bool subject_name_matches(const char *name, struct slice pattern);
/*
 * What stands behind "OK id user=NAME" for this login: the extra fields, original_user, auth_user,
 * anonymous, and for a proxy (IS_LOGIN) the password and the master.
 */
void subject_write_fields(const struct subject *subject, const struct dovecot_settings *settings,
    bool is_login, struct strbuf *line);
/* The same behind "FAIL id user=NAME code=CODE": the names alone. */
void subject_write_fail_fields(const struct subject *subject, struct strbuf *line);
/* A variable's value; ptr NULL for an unknown name.  May be in the arena. */
struct slice subject_variable(const struct subject *subject, const char *name);
/* TEXT with variables replaced, in the arena; NULL with *ERROR in the arena. */
const char *subject_expand(const struct subject *subject, const char *text, const char **error);

/* The mechanism's name as log lines have it: "plain". */
const char *subject_mechanism(const struct subject *subject);
/* "DRIVER(user,ip,<session>): TEXT", as the peer writes it. */
void subject_log(const struct subject *subject, enum log_level level, const char *driver,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * For the program auth-worker: the lines of subject_log come from NAME (NULL: the process) and
 * begin with this text from now on.
 */
void subject_log_as(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
