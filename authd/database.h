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
	DB_MISMATCH,	   /* wrong password */
	DB_UNKNOWN,	   /* no such user */
	DB_DISABLED,	   /* the user exists and is refused */
	DB_EXPIRED,	   /* the password is right and out of date */
	DB_FAILED,	   /* temporary */
	DB_NO_CREDENTIALS, /* of lookups: no block tells a password of the wanted kind */
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
	size_t position;	 /* among the passdb or the userdb blocks of the file, from 0 */
	const char *args;	 /* as written */
	const char *path;	 /* passwd-file: with variables */
	const char *username_format;
	const char *scheme;  /* of passwords that name none */
	struct pairs fields; /* static: with variables */
	/*
	 * What a lookup depends on, beside the block: any text in which those variables stand.
	 * NULL: the results are not kept in the cache.
	 */
	const char *cache_key;
	struct pairs defaults, overrides;
	bool is_userdb, is_master, deny, verbose, allow_all_users;
	bool has_ids; /* passwd-file: a userdb reads the same file, so users and groups must be
			 right */
	enum { DB_SKIP_NEVER, DB_SKIP_AUTHENTICATED, DB_SKIP_UNAUTHENTICATED } skip;
	const char *mechanisms, *username_filter;
	enum db_rule on_success, on_failure, on_internal_failure;
	struct database *next;
};

/* What a driver found; texts in the subject's arena. */
struct db_entry {
	const char *password; /* "" when there is none; NULL when the driver does not tell */
	const char *scheme;   /* of a password that names none */
	struct pairs fields;  /* "userdb_..." among them */
	const char
	    *field_word; /* what log lines call such a field: "extra field"; NULL: "template" */
	bool expand;	 /* the fields' values hold variables; "password" may be among them */
};

/* Each function may block and is called from any thread. */
struct db_driver {
	const char *name;
	/*
	 * DB_OK with ENTRY, DB_UNKNOWN, DB_DISABLED, or DB_FAILED (logged).  NULL: the driver never
	 * tells a password, VERIFY is asked.
	 */
	enum db_result (*find_password)(
	    const struct database *db, struct subject *subject, struct db_entry *entry);
	/*
	 * Whether PASSWORD is the user's: DB_OK, or any other result.
	 * The driver logs why not.  Fields for the client go to ENTRY.  It is preferred to
	 * find_password where the client gave a password.  Or NULL.
	 */
	enum db_result (*verify)(const struct database *db, struct subject *subject,
	    struct slice password, struct db_entry *entry);
	/* Adds to subject->answer with userdb_set.  NULL: no userdb. */
	enum db_result (*find_user)(
	    const struct database *db, struct subject *subject, bool logged_in);
	/* False when it cannot, or failed (logged).  NULL: it cannot. */
	bool (*each)(
	    const struct database *db, void (*each)(const char *name, void *arg), void *arg);
	/* Before serving: reads db->args; texts in ARENA; fatal() when they make no sense.  Or
	 * NULL. */
	void (*parse)(struct database *db, struct arena *arena);
};
extern const struct db_driver passwd_file_driver, static_driver, prefetch_driver;
/* What blocks: in authd they ask a worker process, in the program auth-worker they do the work. */
extern const struct db_driver pam_driver, passwd_driver, shadow_driver, checkpassword_driver;

/* Reads the blocks; fatal() when one makes no sense. */
void database_load(const struct dovecot_source *source, const struct dovecot_settings *settings);

/*
 * Directories in which the files are, by name and with links followed, as far as they have no
 * variables; NULL: no more.
 */
const char *database_directory(size_t i);

/* Whether PASSWORD is SUBJECT's: asks the passdb blocks.  Fields go to subject->extra. */
enum db_result passdb_verify(struct subject *subject, struct slice password);
/*
 * What the passdb blocks tell of the password, for mechanisms in which it never comes over the line
 * (CRAM-MD5, SCRAM, ...).  The chain runs as for passdb_lookup; DB_OK only with a password.  Texts
 * in the subject's arena, to be wiped by whoever releases it (arena_wipe).
 */
struct credentials {
	/* In: the scheme that is of use beside plain text, or NULL for any.  A block with a
	 * password in another one counts as one that failed. */
	const char *wanted;
	const char *password;
	const char *scheme; /* explicit "{X}" taken off, else the block's default */
};
enum db_result passdb_credentials(struct subject *subject, struct credentials *credentials);
/* Whether the passdb blocks know the user. */
enum db_result passdb_lookup(struct subject *subject);
/*
 * Who the user is, into subject->answer: DB_OK, DB_UNKNOWN, DB_FAILED.  LOGGED_IN: the passdb
 * blocks have just accepted the user, so that the static driver need not ask whether there is one.
 */
enum db_result userdb_lookup(struct subject *subject, bool logged_in);
/*
 * For drivers' find_user: one field of the answer, by the rules for its name ("uid" may be a name,
 * "user" renames the subject, "tempfail" fails the lookup).  False: DB_FAILED (logged).
 */
bool userdb_set(
    const struct database *db, struct subject *subject, const char *name, const char *value);
/* The same for a passdb's "userdb_NAME", into subject->userdb. */
void userdb_set_prefetch(
    const struct database *db, struct subject *subject, const char *name, const char *value);
/* All names; false when not all could be listed. */
bool userdb_each(void (*each)(const char *name, void *arg), void *arg);

/* A user or group of /etc/passwd or /etc/group, or a number; false when there is none. */
bool local_user_id(const char *name, unsigned *uid);
bool local_group_id(const char *name, unsigned *gid);

#endif
