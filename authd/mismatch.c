// SPDX-License-Identifier: BSD-2-Clause
#include "authd/mismatch.h"

void mismatch_log(const struct subject *subject, const struct database *db, struct slice password,
    const char *text)
{
	(void)password;
	if (db->verbose)
		subject_log(subject, LOG_LEVEL_INFO, db->driver_name, "%s", text);
}
