// SPDX-License-Identifier: BSD-2-Clause
/* One block that is asked for one login: what passdb.c and passdb_fields.c share. */
#ifndef PC_AUTHD_PASSDB_ATTEMPT_H
#define PC_AUTHD_PASSDB_ATTEMPT_H

#include "authd/database_list.h"

struct attempt {
	const struct database *db;
	struct subject *subject;
	struct db_entry entry;
	const char *password; /* NULL: the block tells of none */
	const char *scheme;
	bool nopassword, noauthenticate;
	bool refused;	/* a field said so, whatever the password is */
	bool is_cached; /* ENTRY comes from the cache */
	bool quiet;	/* a wrong password is not the last word: nothing is logged of it */
	bool renamed;	/* one field of a block may rename, the first one */
};

/* Puts the fields where they belong; EXPAND: their values hold variables.  False: failed, logged.
 */
bool attempt_take(struct attempt *a, const struct pairs *pairs, bool expand);

#endif
