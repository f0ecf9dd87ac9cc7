// SPDX-License-Identifier: BSD-2-Clause
/* What another server says of the client that it speaks for: XCLIENT, XFORWARD. */
#ifndef PC_SMTPD_SMTPD_XCLIENT_H
#define PC_SMTPD_SMTPD_XCLIENT_H

#include "base/strbuf.h"

struct smtpd;
struct intake_origin;
struct intake_logged;

/* What XFORWARD said of the next message is forgotten. */
void smtpd_forget_forwarded(struct smtpd *s);
/* ", orig_queue_id=..., orig_client=..." as far as it was said. */
void smtpd_log_forwarded(const struct smtpd *s, struct strbuf *line);
/*
 * LOGGED, and what of it is ORIGIN's, from what was said; nothing where nothing was said.  TEXT
 * gets what LOGGED points to.
 */
void smtpd_forwarded_origin(const struct smtpd *s, struct intake_origin *origin,
    struct intake_logged *logged, struct strbuf *text);

#endif
