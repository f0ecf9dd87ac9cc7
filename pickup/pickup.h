// SPDX-License-Identifier: BSD-2-Clause
/*
 * pickup: takes what local users submitted (maildrop/) in through intake.  A file is removed after
 * its message was committed and not before; a file that is no submission is set aside with a
 * warning, never delivered in part.
 */
#ifndef PC_PICKUP_PICKUP_H
#define PC_PICKUP_PICKUP_H

#include <stdbool.h>

#include "conf/postfix_conf.h"
#include "intake/intake.h"
#include "rewrite/rewrite.h"

struct pickup {
	const struct postfix_params *params;
	struct intake_service *intake;
	struct rewriter *rewriter;
	int maildrop_fd, corrupt_fd;
};

/* Everything that lies in maildrop now.  One thread at a time. */
void pickup_scan(const struct pickup *pickup);

#endif
