// SPDX-License-Identifier: BSD-2-Clause
/* The log line of a refused password, in which auth_verbose_passwords may show it. */
#ifndef PC_AUTHD_MISMATCH_H
#define PC_AUTHD_MISMATCH_H

#include "authd/database.h"

/*
 * Logs TEXT ("Password mismatch", "unknown user") when the block is verbose.  PASSWORD is what the
 * client gave; ptr NULL when it gave none.
 */
void mismatch_log(const struct subject *subject, const struct database *db, struct slice password,
    const char *text);

#endif
