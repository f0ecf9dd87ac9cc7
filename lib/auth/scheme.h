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

/*
 * Compares in a time that does not depend on where the two differ.  USER is the name as the client
 * gave it, with its domain; DIGEST-MD5 has it in the digest.
 */
enum password_result password_verify(const char *stored, const char *default_scheme,
    const char *user, struct slice password, struct reason *why);

/*
 * Appends "{SCHEME}data" for a new password of USER; the encoding may be asked for ("SHA256.HEX").
 * ROUNDS 0 is the scheme's default.  False with WHY for an unknown scheme, a password that it
 * cannot take, or an absent user where it needs one (USER NULL).
 */
bool password_make(const char *scheme, const char *user, struct slice password,
    unsigned long rounds, struct strbuf *out, struct reason *why);

/* Whether a check takes milliseconds on purpose (crypt(3) but DES and MD5, PBKDF2, Argon2). */
bool password_scheme_is_slow(const char *stored, const char *default_scheme);

/*
 * What a mechanism in which no password comes over the line can use of the stored one: appends to
 * OUT the password itself, with *SCHEME "PLAIN", or the data of WANTED ("CRAM-MD5", "DIGEST-MD5",
 * "SCRAM-SHA-1", ...) as WANTED writes it when no encoding is named, with *SCHEME WANTED's name.
 * Encodings and other names of the same scheme are gone then.
 * PASSWORD_MATCH; PASSWORD_UNUSABLE when it is neither or damaged; PASSWORD_UNKNOWN_SCHEME.  WHY is
 * as the peer logs it.  Who releases OUT clears it before.
 */
enum password_result password_credentials(const char *stored, const char *default_scheme,
    const char *wanted, const char **scheme, struct strbuf *out, struct reason *why);

/* The i-th scheme's name, in the order in which the peer lists them; NULL: no more. */
const char *password_scheme_name(size_t i);
bool password_scheme_is_known(const char *name);

#endif
