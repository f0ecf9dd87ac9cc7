// SPDX-License-Identifier: BSD-2-Clause
/* SMTP replies as text (RFC 5321 4.2, RFC 2034), both ways.  Pure. */
#ifndef PC_MAIL_SMTP_REPLY_H
#define PC_MAIL_SMTP_REPLY_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/dsn.h"

#define SMTP_REPLY_LINE_MAX 510 /* RFC 5321 4.5.3.1.5, without CRLF */

/*
 * Appends a whole reply, "250 2.1.0 Ok\r\n".  DSN may be NULL or empty.  Each LF in TEXT (CRLF too)
 * begins a further line, with code and enhanced code on every one ("554-5.7.1 ...\r\n554 5.7.1
 * ...").  A line is cut at SMTP_REPLY_LINE_MAX octets, never inside of a UTF-8 character.  Control
 * characters become '?', so foreign text cannot begin a line.
 */
void smtp_reply_add(struct strbuf *out, unsigned code, const char *dsn, struct slice text);

/*
 * Splits the text of a reply such as an access map or a policy server gives: "554 5.7.1 text",
 * "554 text".  A missing enhanced code becomes "5.0.0" or DEFAULT_DSN when given, with the class of
 * the reply code.  False when it does not begin with a code 2xx to 5xx and a blank or the end.
 */
bool smtp_reply_split(struct slice reply, const char *default_dsn, unsigned *code,
    char dsn[DSN_CODE_TEXT], struct slice *text);

/* soft_bounce: 5xx and 5.y.z become 4xx and 4.y.z. */
void smtp_reply_soften(unsigned *code, char dsn[DSN_CODE_TEXT]);

#endif
