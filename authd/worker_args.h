// SPDX-License-Identifier: BSD-2-Clause
/*
 * The "args" of the blocks whose drivers work in a worker process, read by authd (which thus finds
 * what is wrong before it serves) and by the worker.
 */
#ifndef PC_AUTHD_WORKER_ARGS_H
#define PC_AUTHD_WORKER_ARGS_H

#include "authd/database.h"

/* db_driver.parse; the options are in db->fields by their names, the service of PAM as "service".
 */
void worker_parse_pam(struct database *db, struct arena *arena);
/* Of a userdb the fields that replace the entry's, with variables. */
void worker_parse_passwd(struct database *db, struct arena *arena);
void worker_parse_shadow(struct database *db, struct arena *arena);
void worker_parse_checkpassword(struct database *db, struct arena *arena);

/* An option's text, or "". */
const char *worker_option(const struct database *db, const char *name);

#endif
