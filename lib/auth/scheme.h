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
 * What a mechanism in which no password comes over the line needs of the stored one, appended to
 * OUT as bytes.  WANTED is the scheme named like the mechanism:
 *   "PLAIN"          the text
 *   "CRAM-MD5"       32 bytes: MD5's state after the outer, then after the inner pad of
 *                    HMAC (RFC 2104), each four words, little-endian
 *   "DIGEST-MD5"     16 bytes: MD5(user:realm:password), RFC 2831 2.1.2.1
 *   "SCRAM-SHA-1", "SCRAM-SHA-256"   text for scram_secret_parse
 *   "OTP"            "algorithm sequence seed hex"
 * PASSWORD_MATCH; PASSWORD_UNUSABLE when the stored one is damaged or of a scheme from which WANTED
 * cannot be had (neither plain nor WANTED itself); PASSWORD_UNKNOWN_SCHEME.  WHY tells, as the
 * peer's log does.  Who releases OUT clears it before.
 */
enum password_result password_secret(const char *stored, const char *default_scheme,
    const char *wanted, const char *user, struct strbuf *out, struct reason *why);

#define SCRAM_KEY_MAX  32
#define SCRAM_SALT_MAX 64

/* RFC 5802 3: what a server keeps. */
struct scram_secret {
	unsigned iterations;
	unsigned char salt[SCRAM_SALT_MAX], stored_key[SCRAM_KEY_MAX], server_key[SCRAM_KEY_MAX];
	size_t salt_len, key_len;
};

/* "iterations,salt,StoredKey,ServerKey", the last three in base64.  DIGEST "SHA1" or "SHA256". */
bool scram_secret_parse(struct scram_secret *secret, const char *digest, struct slice text);

/* The i-th scheme's name, in the order in which the peer lists them; NULL: no more. */
const char *password_scheme_name(size_t i);
bool password_scheme_is_known(const char *name);

#endif
