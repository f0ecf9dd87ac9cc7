// SPDX-License-Identifier: BSD-2-Clause
/*
 * What stands behind MAIL and RCPT: keyword, path, options (RFC 5321 4.1.1.2, 4.1.1.3).  Pure: what
 * the site makes of it, and the replies, are smtpd_mail.c's.
 */
#ifndef PC_SMTPD_SMTPD_ARGS_H
#define PC_SMTPD_SMTPD_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "mail/address.h"

/* Takes "FROM:" or "TO:" (KEYWORD is without the colon) and the blanks that clients put behind. */
bool smtpd_args_keyword(struct slice *args, const char *keyword);

/*
 * Takes a path; OUT gets its internal form, empty for the sender <> only.  FLAGS as in
 * address_take_path, ADDRESS_ALLOW_EMPTY for a sender.  ARGS is at a blank or at its end then.
 */
enum address_status smtpd_args_path(struct slice *args, unsigned flags, struct strbuf *out);

enum smtpd_option {
	OPTION_SIZE,
	OPTION_AUTH,
	OPTION_BODY_7BIT,
	OPTION_BODY_8BIT,
	OPTION_BAD_SIZE,  /* no number */
	OPTION_HUGE_SIZE, /* a number that no file has */
	OPTION_BAD_AUTH,
	OPTION_UNKNOWN
};
/* One of MAIL's options (a word).  Fills in *SIZE, or AUTH with the decoded mailbox. */
enum smtpd_option smtpd_args_option(struct slice option, uint64_t *size, struct strbuf *auth);

#endif
