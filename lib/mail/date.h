// SPDX-License-Identifier: BSD-2-Clause
/* Dates in the forms that mail has. The time zone is the process's (TZ, /etc/localtime). */
#ifndef PC_MAIL_DATE_H
#define PC_MAIL_DATE_H

#include <stdbool.h>
#include <time.h>

#include "base/slice.h"

#define DATE_TEXT 96

/* RFC 5322 3.3, as the peer writes it: "Fri, 20 Nov 2026 07:31:48 +0000 (UTC)".  Returns OUT. */
const char *date_rfc5322(time_t when, char out[DATE_TEXT]);
/* RFC 3164: "Nov 20 07:31:48", "Nov  2 07:31:48". */
const char *date_syslog(time_t when, char out[DATE_TEXT]);
/*
 * Reads an RFC 5322 date, obsolete forms too (two-digit years, zone names; comments are skipped).
 * False when it is none or does not fit (years 1970 to 9999).
 */
bool date_parse(struct slice text, time_t *when);

#endif
