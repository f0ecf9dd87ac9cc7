// SPDX-License-Identifier: BSD-2-Clause
/* What the parts of a session share among themselves: smtp_session.c, _ehlo, _hear, _xforward,
 * _sasl_dialogue. */
#ifndef PC_SMTP_SMTP_HANDSHAKE_H
#define PC_SMTP_SMTP_HANDSHAKE_H

#include "smtp/smtp_session.h"

/* A delivery's way to MAIL. */
struct smtp_handshake {
	struct smtp_session *session;
	const struct delivery *delivery;
	struct smtp_reply reply; /* the last one, LF between its lines */
	struct smtp_failure *failure;
	bool violated; /* TLS was required and not to be had */
};

/* smtp_session.c: QUIT without a wait for anything; frees it. */
void smtp_session_drop(struct smtp_session *session);

/* smtp_hear.c: as smtp_hear, but with LF between the lines of REPLY. */
bool smtp_hear_lines(struct smtp_session *session, int64_t seconds, const char *while_what,
    struct smtp_reply *reply, struct smtp_failure *failure);
void smtp_hear_prepare(const struct postfix_params *params);
/* smtp_helo_timeout, lmtp_lhlo_timeout: for each reply up to the end of AUTH. */
int64_t smtp_helo_timeout(void);
/* What smtp_hear is told of EHLO, LHLO and AUTH, for its failures. */
const char *smtp_while_ehlo(void);
/* LF becomes a blank. */
void smtp_reply_join(struct smtp_reply *reply);
/* The host will not do, DSN and text say why. */
void smtp_handshake_fail(struct smtp_handshake *h, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * "INTROhost NAME VERB: REPLY" with the reply's code, which is not final when SOFT.
 */
void smtp_handshake_refused(
    struct smtp_handshake *h, const char *intro, const char *verb, bool soft);

/* smtp_ehlo.c: EHLO or HELO or LHLO.  False: failure. */
bool smtp_ehlo(struct smtp_handshake *h);
/* What the greeting says of it: features before EHLO (ESMTP, PIX). */
void smtp_ehlo_greeted(struct smtp_handshake *h);
void smtp_ehlo_prepare(const struct postfix_params *params);

#endif
