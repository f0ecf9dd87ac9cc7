// SPDX-License-Identifier: BSD-2-Clause
/*
 * The passdb and userdb blocks, in their order, and the drivers behind them.
 *
 * database_load reads the configuration before the process serves; from then on everything here is
 * immutable, and any thread may ask.  A lookup may read a file and compute a slow hash.  A failure
 * of a database is never "no such user".
 */
#ifndef PC_AUTHD_DATABASE_H
#define PC_AUTHD_DATABASE_H

#include "authd/subject.h"

enum db_result {
	DB_OK,
	DB_MISMATCH, /* wrong password */
	DB_UNKNOWN,  /* no such user */
	DB_DISABLED, /* the user exists and is refused */
	DB_FAILED    /* temporary */
};

/* What a block's result means for the chain. */
enum db_rule {
	DB_RETURN_OK,
	DB_RETURN,
	DB_RETURN_FAIL,
	DB_CONTINUE,
	DB_CONTINUE_OK,
	DB_CONTINUE_FAIL
};

struct db_driver;

/* One block. */
struct database {
	const struct db_driver *driver;
	const char *driver_name; /* as written, also of a driver that we lack */
	const char *path;	 /* passwd-file: with variables */
	const char *username_format;
	const char *scheme; /* of passwords that name none */
	struct pairs args;  /* static: with variables */
	struct pairs defaults, overrides;
	bool is_userdb, deny, verbose, allow_all_users;
	enum { DB_SKIP_NEVER, DB_SKIP_AUTHENTICATED, DB_SKIP_UNAUTHENTICATED } skip;
	const char *mechanisms, *username_filter;
	enum db_rule on_success, on_failure, on_internal_failure;
	struct database *next;
};

/* What a driver found; texts in the subject's arena. */
struct db_entry {
	const char *password; /* "" when there is none */
	const char *scheme;
	struct pairs fields;
};

struct db_driver {
	const char *name;
	/* DB_OK with ENTRY, DB_UNKNOWN, or DB_FAILED (logged). */
	enum db_result (*find_password)(
	    const struct database *db, struct subject *subject, struct db_entry *entry);
	/* Adds to subject->answer. */
	enum db_result (*find_user)(
	    const struct database *db, struct subject *subject, bool logged_in);
	/* False when it cannot, or failed (logged).  NULL: it cannot. */
	bool (*each)(
	    const struct database *db, void (*each)(const char *name, void *arg), void *arg);
};
extern const struct db_driver passwd_file_driver, static_driver, prefetch_driver;

/* Reads the blocks; fatal() when one makes no sense. */
void database_load(const struct dovecot_source *source, const struct dovecot_settings *settings);

/*
 * Directories in which the files are, by name and with links followed, as far as they have no
 * variables; NULL: no more.
 */
const char *database_directory(size_t i);

/* Whether PASSWORD is SUBJECT's: asks the passdb blocks.  Fields go to subject->extra. */
enum db_result passdb_verify(struct subject *subject, struct slice password);
/* Whether the passdb blocks know the user: DB_OK, DB_UNKNOWN, DB_DISABLED, DB_FAILED. */
enum db_result passdb_lookup(struct subject *subject);
/*
 * Who the user is, into subject->answer: DB_OK, DB_UNKNOWN, DB_FAILED.  LOGGED_IN: the passdb
 * blocks have just accepted the user, so that the static driver need not ask whether there is one.
 */
enum db_result userdb_lookup(struct subject *subject, bool logged_in);
/* All names; false when not all could be listed. */
bool userdb_each(void (*each)(const char *name, void *arg), void *arg);

/* A user or group of /etc/passwd or /etc/group, or a number; false when there is none. */
bool local_user_id(const char *name, unsigned *uid);
bool local_group_id(const char *name, unsigned *gid);

#endif
