// SPDX-License-Identifier: BSD-2-Clause
/*
 * What stands behind MAIL, RCPT and BDAT: keyword, path, options (RFC 5321 4.1.1.2, 4.1.1.3).
 * Pure: what the site makes of it, and the replies, are the commands'.
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
	OPTION_RET,
	OPTION_ENVID,
	OPTION_SMTPUTF8,
	OPTION_XVERP,
	OPTION_NOTIFY,
	OPTION_ORCPT,
	OPTION_BAD_SIZE,  /* no number */
	OPTION_HUGE_SIZE, /* a number that no file has */
	OPTION_BAD_RET,
	OPTION_BAD_ENVID,
	OPTION_BAD_NOTIFY,
	OPTION_BAD_ORCPT,
	OPTION_UNKNOWN
};

/* What an option says: SIZE's number, RET's and NOTIFY's bits (mail/dsn.h), or a decoded text. */
struct smtpd_option_value {
	uint64_t number;
	struct strbuf text; /* AUTH as it is; ENVID decoded; ORCPT as "type;address", decoded */
};
#define SMTPD_OPTION_TEXT_MAX 2048

/*
 * One of MAIL's options (a word), RFC 1870, 4954, 6152, 3461, 6531.  VALUE->text is emptied first
 * and belongs to the caller.  A decoded text holds no control character.
 */
enum smtpd_option smtpd_args_mail_option(struct slice option, struct smtpd_option_value *value);
/* One of RCPT's, RFC 3461. */
enum smtpd_option smtpd_args_rcpt_option(struct slice option, struct smtpd_option_value *value);

/* BDAT's "count [LAST]", RFC 3030 2; false for anything else. */
bool smtpd_args_chunk(struct slice args, uint64_t *size, bool *last);

#endif
