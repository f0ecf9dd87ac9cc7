// SPDX-License-Identifier: BSD-2-Clause
/* What the drivers passwd and shadow make of the second field of an account. */
#ifndef PC_AUTHD_WORKER_HASH_H
#define PC_AUTHD_WORKER_HASH_H

#include "authd/database.h"

/*
 * NAME and HASH as the account has them, into ENTRY.  DB_DISABLED (logged, with the field itself
 * when SHOW) for a field that no password fits.
 */
enum db_result worker_take_hash(const struct database *db, struct subject *subject,
    const char *name, const char *hash, bool show, struct db_entry *entry);

#endif
