// SPDX-License-Identifier: BSD-2-Clause
/* AUTH of the client (RFC 4954): passwords from tables, mechanisms from Cyrus SASL. */
#ifndef PC_SMTP_SMTP_SASL_H
#define PC_SMTP_SMTP_SASL_H

#include "smtp/smtp_session.h"

/* Before the jail; fatal for a type that is not "cyrus", as with the peer. */
void smtp_sasl_prepare(const struct postfix_params *params);

/* A file that a login reads, for the walls; NULL: no more. */
const char *smtp_sasl_reads(size_t i);

/*
 * What a delivery for SENDER (external form) logs in with at TARGET: "" for nothing, else a text
 * that is different for each name and password (a digest, no secret).  False with FAILURE: the
 * table failed.
 */
bool smtp_sasl_key(const struct smtp_target *target, const char *sender, struct arena *arena,
    const char **key, struct smtp_failure *failure);

/*
 * After EHLO (in TLS, when there is TLS): logs in where there is a password for this server, and
 * nothing otherwise.  Sets logged_in and login_key.  False with FAILURE ("SASL authentication
 * failed; server NAME said: ..."): another host may be tried.
 */
bool smtp_sasl_login(
    struct smtp_session *session, const char *sender, struct smtp_failure *failure);

#endif
