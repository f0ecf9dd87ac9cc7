// SPDX-License-Identifier: BSD-2-Clause
/*
 * Inside of lib/auth/scheme*.c: what a scheme is.  scheme.c has the table and does what is common:
 * prefix, encoding, lengths.  The families know data and passwords only.
 */
#ifndef PC_AUTH_SCHEME_ROW_H
#define PC_AUTH_SCHEME_ROW_H

#include "auth/scheme.h"

/* What a check or a making is about; USER may be NULL. */
struct scheme_use {
	const struct scheme *scheme;
	const char *user;
	struct slice password;
	unsigned long rounds;
	struct reason *why;
};

enum scheme_encoding { SCHEME_TEXT, SCHEME_HEX, SCHEME_BASE64 };

struct scheme {
	const char *name;
	enum scheme_encoding encoding; /* of what is written without one */
	size_t size;		       /* of the data; 0: not always the same */
	/* NULL: makes it again and compares. */
	enum password_result (*verify)(const struct scheme_use *use, struct slice data);
	bool (*make)(const struct scheme_use *use, struct strbuf *out);
	const char *detail; /* crypt: the prefix, NULL for any; digests: OpenSSL's name */
	/* NULL: a check is a matter of microseconds. */
	bool (*is_slow)(struct slice data);
};

/* Sets WHY. */
enum password_result scheme_unusable(const struct scheme_use *use, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool scheme_cannot_make(const struct scheme_use *use, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum password_result scheme_compare(struct slice want, struct slice got);
bool scheme_is_always_slow(struct slice data);

/* SIZE is what must come out, 0: anything.  False with WHY. */
bool scheme_decode(enum scheme_encoding encoding, size_t size, struct slice text,
    struct strbuf *out, struct reason *why);

/* scheme_text.c */
enum password_result scheme_verify_trunc(const struct scheme_use *use, struct slice data);
bool scheme_make_text(const struct scheme_use *use, struct strbuf *out);

/* scheme_crypt.c */
enum password_result scheme_verify_crypt(const struct scheme_use *use, struct slice data);
enum password_result scheme_verify_blowfish(const struct scheme_use *use, struct slice data);
enum password_result scheme_verify_md5(const struct scheme_use *use, struct slice data);
bool scheme_make_crypt(const struct scheme_use *use, struct strbuf *out);
bool scheme_make_blowfish(const struct scheme_use *use, struct strbuf *out);
bool scheme_crypt_is_slow(struct slice data);

/* scheme_digest.c */
enum password_result scheme_verify_salted(const struct scheme_use *use, struct slice data);
bool scheme_make_salted(const struct scheme_use *use, struct strbuf *out);
bool scheme_make_digest(const struct scheme_use *use, struct strbuf *out);
bool scheme_make_md4(const struct scheme_use *use, struct strbuf *out);
bool scheme_make_cram(const struct scheme_use *use, struct strbuf *out);
bool scheme_make_digest_md5(const struct scheme_use *use, struct strbuf *out);

/* scheme_pbkdf2.c */
enum password_result scheme_verify_scram(const struct scheme_use *use, struct slice data);
bool scheme_make_scram(const struct scheme_use *use, struct strbuf *out);
enum password_result scheme_verify_pbkdf2(const struct scheme_use *use, struct slice data);
bool scheme_make_pbkdf2(const struct scheme_use *use, struct strbuf *out);

/* scheme_argon2.c */
enum password_result scheme_verify_argon2(const struct scheme_use *use, struct slice data);
bool scheme_make_argon2(const struct scheme_use *use, struct strbuf *out);

/* scheme_otp.c */
enum password_result scheme_verify_otp(const struct scheme_use *use, struct slice data);
bool scheme_make_otp(const struct scheme_use *use, struct strbuf *out);

#endif
