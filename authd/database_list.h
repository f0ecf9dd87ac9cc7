// SPDX-License-Identifier: BSD-2-Clause
/* What database.c, passdb.c and userdb.c share. */
#ifndef PC_AUTHD_DATABASE_LIST_H
#define PC_AUTHD_DATABASE_LIST_H

#include "authd/database.h"

/* Blocks for users, blocks for master users, and those that tell who a user is. */
extern struct database *passdb_list, *masterdb_list, *userdb_list;
extern const struct dovecot_settings *database_settings;

/* The block's rule for a result of its own. */
enum db_rule database_rule(const struct database *db, enum db_result result);

#endif
