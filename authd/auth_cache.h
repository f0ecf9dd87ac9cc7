// SPDX-License-Identifier: BSD-2-Clause
/*
 * What databases said lately (auth_cache_size, auth_cache_ttl, auth_cache_negative_ttl).
 *
 * An entry is what a driver found, as it found it: fields are expanded, names changed and networks
 * compared anew for each login.  Its key is everything that the driver's search depended on: the
 * block and the *values* of all variables in database.cache_key, so that no user, and no client
 * that a variable tells apart from another, is answered with somebody else's entry.
 *
 * Bounded in bytes, the least lately used entry goes first.  Any thread may call.  Entries hold
 * passwords and are overwritten before they are freed.
 */
#ifndef PC_AUTHD_AUTH_CACHE_H
#define PC_AUTHD_AUTH_CACHE_H

#include "authd/database.h"

/* Before serving; SIZE 0 is no cache.  Times in seconds. */
void auth_cache_setup(uint64_t size, int64_t ttl, int64_t negative_ttl);
void auth_cache_setup_from(const struct dovecot_settings *settings);

/* The key for SUBJECT in DB, in its arena; ptr NULL when nothing is to be kept. */
struct slice auth_cache_key(const struct database *db, struct subject *subject);

/* What was kept; texts are copies in the subject's arena. */
struct cached_answer {
	enum { CACHED_NONE, CACHED_EXPIRED, CACHED_FRESH } state;
	enum db_result result; /* DB_OK or DB_UNKNOWN */
	struct db_entry entry;
	/* A password that does not match says that it was changed: the last one did match, or a
	 * wrong one has been answered from here for long enough. */
	bool is_trusted;
};
void auth_cache_get(struct subject *subject, struct slice key, struct cached_answer *answer);
/* Whether the password of the entry matched. */
void auth_cache_note(struct slice key, bool matched);
/* Results other than DB_OK and DB_UNKNOWN are not kept. */
void auth_cache_put(const struct subject *subject, struct slice key, enum db_result result,
    const struct db_entry *entry);
/* Drops the entries of a user (by the name after the rules), or all (NULL); how many those were. */
size_t auth_cache_flush(const char *user);
/* The lines that SIGUSR2 asks for: hit rates and fill. */
void auth_cache_log(void);

#endif
