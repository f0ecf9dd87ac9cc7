// SPDX-License-Identifier: BSD-2-Clause
/* What database.c, passdb.c and userdb.c share. */
#ifndef PC_AUTHD_DATABASE_LIST_H
#define PC_AUTHD_DATABASE_LIST_H

#include "authd/database.h"

extern struct database *passdb_list, *userdb_list;
extern const struct dovecot_settings *database_settings;

#endif
