// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stored passwords: "{SCHEME}data", or data alone in a default scheme.  The names are Dovecot's,
 * in any letter case, with an optional ".HEX", ".B64" or ".BASE64" for how the data is written.
 *
 * Any thread may call.  Checking a hash takes as long as its maker wanted: tens of milliseconds are
 * common, so never in a thread that others wait for.
 */
#ifndef PC_AUTH_SCHEME_H
#define PC_AUTH_SCHEME_H

#include "base/reason.h"
#include "base/slice.h"
#include "base/strbuf.h"

enum password_result {
	PASSWORD_MATCH,
	PASSWORD_MISMATCH,
	PASSWORD_UNUSABLE,	/* data that the scheme never makes, such as "*"; WHY tells */
	PASSWORD_UNKNOWN_SCHEME /* WHY tells */
};

/* Compares in a time that does not depend on where the two differ. */
enum password_result password_verify(
    const char *stored, const char *default_scheme, struct slice password, struct reason *why);

/*
 * Appends "{SCHEME}data" for a new password; ROUNDS 0 is the scheme's default.  False with WHY for
 * an unknown scheme or a password that it cannot take.
 */
bool password_make(const char *scheme, struct slice password, unsigned long rounds,
    struct strbuf *out, struct reason *why);

/* The i-th scheme's name, or NULL. */
const char *password_scheme_name(size_t i);
bool password_scheme_is_known(const char *name);

#endif
