// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a client may do to us in a unit of time, and how often it may be connected
 * (smtpd_client_*_limit; counted by server/anvil.h).  Not for those in
 * smtpd_client_event_limit_exceptions, and not for those who may say XCLIENT: their sessions are
 * other clients'.
 */
#ifndef PC_SMTPD_SMTPD_LIMITS_H
#define PC_SMTPD_SMTPD_LIMITS_H

#include <stdbool.h>

#include "server/anvil.h"
#include "server/server.h"

struct smtpd;

/* Before the jail. */
void smtpd_limits_open(const struct server_context *ctx);

/*
 * The session's client is known now, or is another one (XCLIENT).  False: it is connected too often
 * or comes too often, and was told so; the session is closing.
 */
bool smtpd_limit_connection(struct smtpd *s);
/* The session ends. */
void smtpd_limits_close(struct smtpd *s);

/* The client does EVENT once more; false when that is too often, and the refusal was sent. */
bool smtpd_limit_event(struct smtpd *s, enum anvil_event event);

/* Has it had too many handshakes already?  Logs a WHAT ("STARTTLS"). */
bool smtpd_limit_has_tls_left(struct smtpd *s, const char *what);
/* A handshake was made, and was no resumption; as smtpd_limit_event. */
bool smtpd_limit_new_tls(struct smtpd *s);

#endif
