// SPDX-License-Identifier: BSD-2-Clause
/* The table of schemes, and what is common to all: names, encodings, lengths. */
#include "auth/scheme.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "auth/scheme_row.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/digest.h"

/* A line of a password file is no longer. */
#define DATA_MAX (256 * 1024)

#define TEXT SCHEME_TEXT
#define HEX  SCHEME_HEX
#define B64  SCHEME_BASE64

static const struct scheme schemes[] = {
	{ "SHA1", B64, 20, NULL, scheme_make_digest, "SHA1", NULL },
	{ "SSHA512", B64, 0, scheme_verify_salted, scheme_make_salted, "SHA512", NULL },
	{ "SCRAM-SHA-256", TEXT, 0, scheme_verify_scram, scheme_make_scram, "SHA256",
	    scheme_is_always_slow },
	{ "BLF-CRYPT", TEXT, 0, scheme_verify_blowfish, scheme_make_blowfish, NULL,
	    scheme_crypt_is_slow },
	{ "PLAIN", TEXT, 0, NULL, scheme_make_text, NULL, NULL },
	{ "HMAC-MD5", HEX, 32, NULL, scheme_make_cram, NULL, NULL },
	{ "OTP", TEXT, 0, scheme_verify_otp, scheme_make_otp, NULL, NULL },
	{ "SHA512", B64, 64, NULL, scheme_make_digest, "SHA512", NULL },
	{ "SHA", B64, 20, NULL, scheme_make_digest, "SHA1", NULL },
	{ "DES-CRYPT", TEXT, 0, scheme_verify_crypt, scheme_make_crypt, "", scheme_crypt_is_slow },
	{ "CRYPT", TEXT, 0, scheme_verify_crypt, scheme_make_blowfish, NULL, scheme_crypt_is_slow },
	{ "SSHA", B64, 0, scheme_verify_salted, scheme_make_salted, "SHA1", NULL },
	{ "MD5-CRYPT", TEXT, 0, scheme_verify_crypt, scheme_make_crypt, "$1$",
	    scheme_crypt_is_slow },
	{ "PLAIN-MD4", HEX, 16, NULL, scheme_make_md4, NULL, NULL },
	{ "PLAIN-MD5", HEX, 16, NULL, scheme_make_digest, "MD5", NULL },
	{ "SCRAM-SHA-1", TEXT, 0, scheme_verify_scram, scheme_make_scram, "SHA1",
	    scheme_is_always_slow },
	{ "SHA512-CRYPT", TEXT, 0, scheme_verify_crypt, scheme_make_crypt, "$6$",
	    scheme_crypt_is_slow },
	{ "CLEAR", TEXT, 0, NULL, scheme_make_text, NULL, NULL },
	{ "CLEARTEXT", TEXT, 0, NULL, scheme_make_text, NULL, NULL },
	{ "ARGON2I", TEXT, 0, scheme_verify_argon2, scheme_make_argon2, "argon2i",
	    scheme_is_always_slow },
	{ "ARGON2ID", TEXT, 0, scheme_verify_argon2, scheme_make_argon2, "argon2id",
	    scheme_is_always_slow },
	{ "SSHA256", B64, 0, scheme_verify_salted, scheme_make_salted, "SHA256", NULL },
	{ "MD5", TEXT, 0, scheme_verify_md5, scheme_make_crypt, "$1$", NULL },
	{ "PBKDF2", TEXT, 0, scheme_verify_pbkdf2, scheme_make_pbkdf2, NULL,
	    scheme_is_always_slow },
	{ "SHA256", B64, 32, NULL, scheme_make_digest, "SHA256", NULL },
	{ "CRAM-MD5", HEX, 32, NULL, scheme_make_cram, NULL, NULL },
	{ "PLAIN-TRUNC", TEXT, 0, scheme_verify_trunc, scheme_make_text, NULL, NULL },
	{ "SHA256-CRYPT", TEXT, 0, scheme_verify_crypt, scheme_make_crypt, "$5$",
	    scheme_crypt_is_slow },
	{ "SMD5", B64, 0, scheme_verify_salted, scheme_make_salted, "MD5", NULL },
	{ "DIGEST-MD5", HEX, 16, NULL, scheme_make_digest_md5, NULL, NULL },
	{ "LDAP-MD5", B64, 16, NULL, scheme_make_digest, "MD5", NULL },
};

const char *password_scheme_name(size_t i)
{
	return i < ARRAY_LEN(schemes) ? schemes[i].name : NULL;
}

enum password_result scheme_unusable(const struct scheme_use *use, const char *format, ...)
{
	va_list args;
	char text[200];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reason_set(use->why, "4.7.0", "%s", text);
	return PASSWORD_UNUSABLE;
}

bool scheme_cannot_make(const struct scheme_use *use, const char *format, ...)
{
	va_list args;
	char text[200];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reason_set(use->why, "5.7.0", "%s", text);
	return false;
}

enum password_result scheme_compare(struct slice want, struct slice got)
{
	return secret_equal(want, got) ? PASSWORD_MATCH : PASSWORD_MISMATCH;
}

bool scheme_is_always_slow(struct slice data)
{
	(void)data;
	return true;
}

/* --- names and encodings --- */

static bool find_encoding(struct slice name, enum scheme_encoding *encoding)
{
	if (slice_caseeq_str(name, "HEX"))
		*encoding = SCHEME_HEX;
	else if (slice_caseeq_str(name, "B64") || slice_caseeq_str(name, "BASE64"))
		*encoding = SCHEME_BASE64;
	else
		return false;
	return true;
}

/* "NAME" or "NAME.ENCODING"; NULL if there is no such one. */
static const struct scheme *find_scheme(
    struct slice name, enum scheme_encoding *encoding, bool *is_explicit)
{
	ptrdiff_t dot = slice_find(name, '.');

	*is_explicit = dot >= 0;
	if (*is_explicit && !find_encoding(slice_from(name, (size_t)dot + 1), encoding))
		return NULL;
	if (*is_explicit)
		name = slice_first(name, (size_t)dot);
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (!slice_caseeq_str(name, schemes[i].name))
			continue;
		if (!*is_explicit)
			*encoding = schemes[i].encoding;
		return &schemes[i];
	}
	return NULL;
}

bool password_scheme_is_known(const char *name)
{
	enum scheme_encoding encoding;
	bool is_explicit;

	return find_scheme(slice_of(name), &encoding, &is_explicit) != NULL;
}

bool scheme_decode(enum scheme_encoding encoding, size_t size, struct slice text,
    struct strbuf *out, struct reason *why)
{
	if (encoding == SCHEME_HEX && !hex_decode(out, text)) {
		reason_set(why, "4.7.0", "Input isn't valid HEX encoded data");
		return false;
	}
	/* Blanks at the end come from tools that wrap. */
	if (encoding == SCHEME_BASE64 && !base64_decode(out, slice_trim(text, " \t\r\n"))) {
		reason_set(why, "4.7.0", "Input isn't valid base64 encoded data");
		return false;
	}
	if (encoding == SCHEME_TEXT)
		strbuf_addslice(out, text);
	if (out->overflow || (size && out->len != size)) {
		reason_set(
		    why, "4.7.0", "Input length isn't valid (%zu instead of %zu)", out->len, size);
		return false;
	}
	return true;
}

/* What is stored, in its parts. */
struct stored {
	const struct scheme *scheme;
	enum scheme_encoding encoding;
	struct slice data;
};

/* "$1$salt$hash" alone is MD5's whatever the default is; what follows it does not count. */
static bool is_bare_md5_crypt(struct slice text, struct slice *hash)
{
	ptrdiff_t salt_end = slice_find(slice_from(text, 3), '$'), end;

	if (!slice_starts(text, "$1$") || salt_end < 0)
		return false;
	end = slice_find(slice_from(text, 3 + (size_t)salt_end + 1), '$');
	*hash = end < 0 ? text : slice_first(text, 3 + (size_t)salt_end + 1 + (size_t)end);
	return true;
}

static bool split(
    struct stored *out, const char *stored, const char *default_scheme, struct reason *why)
{
	struct slice text = slice_of(stored), name = slice_of(default_scheme);
	ptrdiff_t close = slice_starts(text, "{") ? slice_find(text, '}') : -1;
	bool is_explicit;

	out->data = text;
	if (close > 0) {
		name = slice_first(slice_from(text, 1), (size_t)close - 1);
		out->data = slice_from(text, (size_t)close + 1);
	} else if (is_bare_md5_crypt(text, &out->data)) {
		name = SLICE_LIT("MD5-CRYPT");
	}
	out->scheme = find_scheme(name, &out->encoding, &is_explicit);
	if (!out->scheme) {
		reason_set(why, "4.7.0", "Unknown scheme %.*s", SLICE_ARG(slice_first(name, 64)));
		return false;
	}
	if (is_explicit || !out->scheme->size)
		return true;
	/* The length tells. */
	if (out->data.len == 2 * out->scheme->size)
		out->encoding = SCHEME_HEX;
	else
		out->encoding = SCHEME_BASE64;
	return true;
}

/* --- what is offered --- */

static bool is_same(const struct scheme *a, const struct scheme *b)
{
	if (a->make != b->make || a->verify != b->verify)
		return false;
	return !a->detail || !b->detail ? a->detail == b->detail : !strcmp(a->detail, b->detail);
}

/* Schemes that can be made in one way only. */
static enum password_result verify_again(const struct scheme_use *use, struct slice data)
{
	struct strbuf want = STRBUF_INIT(DATA_MAX);
	enum password_result result = PASSWORD_UNUSABLE;

	if (use->scheme->make == scheme_make_text)
		return scheme_compare(use->password, data);
	if (use->scheme->make(use, &want))
		result = scheme_compare(strbuf_slice(&want), data);
	secret_release(&want);
	return result;
}

enum password_result password_verify(const char *stored, const char *default_scheme,
    const char *user, struct slice password, struct reason *why)
{
	struct strbuf data = STRBUF_INIT(DATA_MAX);
	struct stored parts;
	struct scheme_use use = { .user = user, .password = password, .why = why };
	enum password_result result;

	if (!split(&parts, stored, default_scheme, why))
		return PASSWORD_UNKNOWN_SCHEME;
	use.scheme = parts.scheme;
	if (!scheme_decode(parts.encoding, parts.scheme->size, parts.data, &data, why))
		result = PASSWORD_UNUSABLE;
	else if (parts.scheme->verify)
		result = parts.scheme->verify(&use, strbuf_slice(&data));
	else
		result = verify_again(&use, strbuf_slice(&data));
	secret_release(&data);
	return result;
}

static void add_encoded(enum scheme_encoding encoding, struct slice data, struct strbuf *out)
{
	if (encoding == SCHEME_HEX)
		hex_encode(out, data);
	else if (encoding == SCHEME_BASE64)
		base64_encode(out, data);
	else
		strbuf_addslice(out, data);
}

bool password_make(const char *name, const char *user, struct slice password, unsigned long rounds,
    struct strbuf *out, struct reason *why)
{
	struct strbuf data = STRBUF_INIT(DATA_MAX);
	enum scheme_encoding encoding;
	bool is_explicit, good;
	const struct scheme *scheme = find_scheme(slice_of(name), &encoding, &is_explicit);
	const struct scheme_use use = { scheme, user, password, rounds, why };

	if (!scheme) {
		reason_set(why, "5.7.0", "Unknown scheme: %s", name);
		return false;
	}
	good = scheme->make(&use, &data);
	strbuf_addf(out, "{%s", scheme->name);
	for (const char *c = is_explicit ? strchr(name, '.') : ""; *c; c++)
		strbuf_addch(out, ascii_upper(*c));
	strbuf_addch(out, '}');
	if (good)
		add_encoded(encoding, strbuf_slice(&data), out);
	secret_release(&data);
	return good;
}

bool password_scheme_is_slow(const char *stored, const char *default_scheme)
{
	struct stored parts;
	struct reason unused;

	/* Encoded twice, only decoding would tell. */
	return split(&parts, stored, default_scheme, &unused) && parts.scheme->is_slow &&
	       (parts.encoding != parts.scheme->encoding || parts.scheme->is_slow(parts.data));
}

enum password_result password_credentials(const char *stored, const char *default_scheme,
    const char *wanted, const char **scheme, struct strbuf *out, struct reason *why)
{
	enum scheme_encoding encoding;
	bool is_explicit;
	const struct scheme *target = find_scheme(slice_of(wanted), &encoding, &is_explicit);
	struct strbuf data = STRBUF_INIT(DATA_MAX);
	struct stored parts;
	enum password_result result = PASSWORD_UNUSABLE;
	bool is_plain;

	if (!split(&parts, stored, default_scheme, why))
		return PASSWORD_UNKNOWN_SCHEME;
	is_plain = parts.scheme->make == scheme_make_text && !parts.scheme->verify;
	if (!is_plain && (!target || !is_same(parts.scheme, target))) {
		reason_set(why, "4.7.0", "Requested %s scheme, but we have only %s", wanted,
		    parts.scheme->name);
	} else if (scheme_decode(parts.encoding, parts.scheme->size, parts.data, &data, why)) {
		*scheme = is_plain ? "PLAIN" : target->name;
		add_encoded(is_plain ? SCHEME_TEXT : encoding, strbuf_slice(&data), out);
		result = PASSWORD_MATCH;
	}
	secret_release(&data);
	return result;
}
