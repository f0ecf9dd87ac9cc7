// SPDX-License-Identifier: BSD-2-Clause
/*
 * Enhanced status codes in texts (RFC 3463) and the parameters of RFC 3461.  struct reason
 * (base/reason.h) carries a code and its text.
 */
#ifndef PC_MAIL_DSN_H
#define PC_MAIL_DSN_H

#include <stdbool.h>

#include "base/slice.h"

#define DSN_CODE_TEXT 12 /* "5.123.456" and NUL, as in struct reason */

/*
 * Takes an enhanced status code that TEXT begins with (followed by a blank or the end) and the
 * blanks behind it; false leaves all alone.
 */
bool dsn_take(struct slice *text, char code[DSN_CODE_TEXT]);
/* CODE with the first digit of REPLY_CODE (450: "5.7.1" becomes "4.7.1"). */
void dsn_set_class(char code[DSN_CODE_TEXT], unsigned reply_code);

/* RFC 3461 4.1.  0: nothing was asked for. */
enum dsn_notify {
	DSN_NOTIFY_NEVER = 1,
	DSN_NOTIFY_SUCCESS = 2,
	DSN_NOTIFY_FAILURE = 4,
	DSN_NOTIFY_DELAY = 8
};
/* "SUCCESS,FAILURE", in any case; false: unknown word, empty, or NEVER beside another. */
bool dsn_notify_parse(struct slice text, unsigned *notify);

/* RFC 3461 4.3.  0: nothing was asked for. */
enum dsn_ret { DSN_RET_FULL = 1, DSN_RET_HDRS = 2 };
bool dsn_ret_parse(struct slice text, unsigned *ret);

#endif
