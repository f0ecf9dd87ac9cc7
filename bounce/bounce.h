// SPDX-License-Identifier: BSD-2-Clause
/*
 * bounce: makes notices to senders (RFC 3461 6, RFC 3464) for qmgr (deliver/notice.h).  Whatever it
 * says about a recipient came in the request; of the original it reads content only.
 */
#ifndef PC_BOUNCE_BOUNCE_H
#define PC_BOUNCE_BOUNCE_H

#include <stdbool.h>

#include "conf/postfix_conf.h"
#include "deliver/notice.h"
#include "intake/intake.h"

/* One part of the notice after the other into IN, which has its recipient already. */
bool notice_write(struct intake *in, const struct postfix_params *params,
    const struct notice_request *request, int fd, struct reason *why);

#endif
