// SPDX-License-Identifier: BSD-2-Clause
/*
 * Asks saslauthd(8) about a password, with a deadline, which Cyrus SASL's own client has not.  Any
 * thread may call.
 */
#ifndef PC_AUTH_SASLAUTHD_CLIENT_H
#define PC_AUTH_SASLAUTHD_CLIENT_H

#include <stdint.h>

#include "base/reason.h"
#include "base/slice.h"

enum saslauthd_answer { SASLAUTHD_YES, SASLAUTHD_NO, SASLAUTHD_UNAVAILABLE /* WHY tells */ };

struct saslauthd_question {
	struct slice user, password, service, realm;
};

/* What follows the last @ of the user's name takes the place of REALM. */
enum saslauthd_answer saslauthd_ask(const char *path, const struct saslauthd_question *question,
    int64_t deadline, struct reason *why);

#endif
