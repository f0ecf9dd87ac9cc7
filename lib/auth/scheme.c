// SPDX-License-Identifier: BSD-2-Clause
/*
 * One row per scheme.  Three kinds of checks are behind them: the text itself, libxcrypt, and a
 * digest over password and salt.
 */
#include "auth/scheme.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/digest.h"

#define DATA_MAX 4096

struct scheme {
	const char *name;
	enum password_result (*verify)(const struct scheme *scheme, struct slice data,
	    struct slice password, struct reason *why);
	bool (*make)(const struct scheme *scheme, struct slice password, unsigned long rounds,
	    struct strbuf *out, struct reason *why);
	const char *detail; /* crypt: the prefix, NULL for any; digests: OpenSSL's name */
};

static enum password_result unusable(struct reason *why, const char *text)
{
	reason_set(why, "4.7.0", "%s", text);
	return PASSWORD_UNUSABLE;
}

static enum password_result verify_plain(
    const struct scheme *scheme, struct slice data, struct slice password, struct reason *why)
{
	(void)scheme;
	(void)why;
	return secret_equal(data, password) ? PASSWORD_MATCH : PASSWORD_MISMATCH;
}

static bool make_plain(const struct scheme *scheme, struct slice password, unsigned long rounds,
    struct strbuf *out, struct reason *why)
{
	(void)scheme;
	(void)rounds;
	if (slice_has_nul(password) || slice_find(password, '\n') >= 0) {
		reason_set(why, "5.7.0", "password with NUL or line feed");
		return false;
	}
	strbuf_addslice(out, password);
	return true;
}

/* crypt(3)'s working memory is too much for a small stack; it has seen the password. */
static bool run_crypt(struct slice password, const char *setting, char *out, size_t out_size)
{
	struct crypt_data *work = xcalloc(1, sizeof(*work));
	char *text = xstrndup(password.ptr, password.len);
	const char *hash = crypt_rn(text, setting, work, (int)sizeof(*work));
	bool good = hash && *hash != '*' && strlen(hash) < out_size;

	if (good)
		memcpy(out, hash, strlen(hash) + 1);
	secret_clear(text, password.len);
	secret_clear(work, sizeof(*work));
	free(text);
	free(work);
	return good;
}

static enum password_result verify_crypt(
    const struct scheme *scheme, struct slice data, struct slice password, struct reason *why)
{
	char setting[CRYPT_OUTPUT_SIZE], hash[CRYPT_OUTPUT_SIZE];

	if (!data.len || data.len >= sizeof(setting) || slice_has_nul(data))
		return unusable(why, "not a crypt(3) hash");
	if (scheme->detail && !slice_starts(data, scheme->detail))
		return unusable(why, "hash of another scheme");
	if (password.len > CRYPT_MAX_PASSPHRASE_SIZE - 1 || slice_has_nul(password))
		return PASSWORD_MISMATCH;
	memcpy(setting, data.ptr, data.len);
	setting[data.len] = '\0';
	if (!run_crypt(password, setting, hash, sizeof(hash)))
		return unusable(why, "crypt(3) does not know this hash");
	/* A stored text that is only a setting ("$6$salt") must not equal anything. */
	return secret_equal(slice_of(hash), data) ? PASSWORD_MATCH : PASSWORD_MISMATCH;
}

static bool make_crypt(const struct scheme *scheme, struct slice password, unsigned long rounds,
    struct strbuf *out, struct reason *why)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], hash[CRYPT_OUTPUT_SIZE];

	/* {CRYPT} and {BLF-CRYPT} make bcrypt of cost 5, as the peer's. */
	if (!scheme->detail || !strcmp(scheme->detail, "$2"))
		rounds = rounds ? rounds : 5;
	if (slice_has_nul(password) || password.len > CRYPT_MAX_PASSPHRASE_SIZE - 1) {
		reason_set(why, "5.7.0", "password too long or with NUL");
		return false;
	}
	if (!crypt_gensalt_rn(
		!scheme->detail || !strcmp(scheme->detail, "$2") ? "$2y$" : scheme->detail, rounds,
		NULL, 0, setting, sizeof(setting)) ||
	    !run_crypt(password, setting, hash, sizeof(hash))) {
		reason_set(why, "4.7.0", "crypt(3) failed: %s", strerror(errno));
		return false;
	}
	strbuf_addstr(out, hash);
	return true;
}

static size_t salted_digest(const struct scheme *scheme, struct slice password, struct slice salt,
    unsigned char out[DIGEST_MAX_SIZE])
{
	struct digest *digest = digest_new(scheme->detail);
	size_t size = 0;

	if (digest) {
		digest_update(digest, password);
		digest_update(digest, salt);
		size = digest_final(digest, out);
	}
	digest_free(digest);
	return size;
}

/* DATA is decoded already: the digest, then the salt. */
static enum password_result compare_digest(const struct scheme *scheme, struct slice data,
    struct slice password, bool salted, struct reason *why)
{
	unsigned char want[DIGEST_MAX_SIZE];
	size_t size = digest_bytes(scheme->detail, SLICE_NULL, want);

	if (!size || data.len < size || (!salted && data.len != size))
		return unusable(why, "digest of a wrong length");
	salted_digest(scheme, password, slice_from(data, size), want);
	return secret_equal(slice_first(data, size), slice_mem(want, size)) ? PASSWORD_MATCH
									    : PASSWORD_MISMATCH;
}

static enum password_result verify_digest(
    const struct scheme *scheme, struct slice data, struct slice password, struct reason *why)
{
	return compare_digest(scheme, data, password, false, why);
}

static enum password_result verify_salted(
    const struct scheme *scheme, struct slice data, struct slice password, struct reason *why)
{
	return compare_digest(scheme, data, password, true, why);
}

static bool make_digest(const struct scheme *scheme, struct slice password, unsigned long rounds,
    struct strbuf *out, struct reason *why)
{
	unsigned char bytes[DIGEST_MAX_SIZE + 4];
	bool salted = scheme->verify == verify_salted;
	unsigned char salt[4];
	size_t size;

	(void)rounds;
	random_bytes(salt, sizeof(salt));
	size = salted_digest(
	    scheme, password, salted ? slice_mem(salt, sizeof(salt)) : SLICE_NULL, bytes);
	if (!size) {
		reason_set(why, "4.7.0", "%s is not available", scheme->detail);
		return false;
	}
	if (salted) {
		memcpy(bytes + size, salt, sizeof(salt));
		size += sizeof(salt);
	}
	base64_encode(out, slice_mem(bytes, size));
	return true;
}

static const struct scheme schemes[] = {
	{ "PLAIN", verify_plain, make_plain, NULL },
	{ "CLEAR", verify_plain, make_plain, NULL },
	{ "CLEARTEXT", verify_plain, make_plain, NULL },
	{ "CRYPT", verify_crypt, make_crypt, NULL },
	{ "SHA512-CRYPT", verify_crypt, make_crypt, "$6$" },
	{ "SHA256-CRYPT", verify_crypt, make_crypt, "$5$" },
	{ "BLF-CRYPT", verify_crypt, make_crypt, "$2" },
	{ "MD5-CRYPT", verify_crypt, make_crypt, "$1$" },
	{ "SHA", verify_digest, make_digest, "SHA1" },
	{ "SHA1", verify_digest, make_digest, "SHA1" },
	{ "SHA256", verify_digest, make_digest, "SHA256" },
	{ "SHA512", verify_digest, make_digest, "SHA512" },
	{ "SSHA", verify_salted, make_digest, "SHA1" },
	{ "SSHA256", verify_salted, make_digest, "SHA256" },
	{ "SSHA512", verify_salted, make_digest, "SHA512" },
};

static const struct scheme *find_scheme(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (slice_caseeq_str(name, schemes[i].name))
			return &schemes[i];
	return NULL;
}

const char *password_scheme_name(size_t i)
{
	return i < ARRAY_LEN(schemes) ? schemes[i].name : NULL;
}

bool password_scheme_is_known(const char *name)
{
	return find_scheme(slice_of(name)) != NULL;
}

/* Digests are base64 when nothing is said, and hex when they have the length of that. */
static bool decode_data(
    const struct scheme *scheme, struct slice encoding, struct slice data, struct strbuf *out)
{
	bool is_digest = scheme->verify == verify_digest || scheme->verify == verify_salted;
	unsigned char unused[DIGEST_MAX_SIZE];

	if (slice_caseeq_str(encoding, "HEX"))
		return hex_decode(out, data);
	if (slice_caseeq_str(encoding, "B64") || slice_caseeq_str(encoding, "BASE64"))
		return base64_decode(out, data);
	if (encoding.len)
		return false;
	if (is_digest && scheme->verify == verify_digest &&
	    data.len == 2 * digest_bytes(scheme->detail, SLICE_NULL, unused))
		return hex_decode(out, data);
	if (is_digest)
		return base64_decode(out, data);
	strbuf_addslice(out, data);
	return !out->overflow;
}

enum password_result password_verify(
    const char *stored, const char *default_scheme, struct slice password, struct reason *why)
{
	struct slice data = slice_of(stored), name = slice_of(default_scheme),
		     encoding = SLICE_NULL;
	struct strbuf decoded = STRBUF_INIT(DATA_MAX);
	const struct scheme *scheme;
	enum password_result result;
	ptrdiff_t close = *stored == '{' ? slice_find(data, '}') : -1, dot;

	if (close > 0) {
		name = slice_first(slice_from(data, 1), (size_t)close - 1);
		data = slice_from(data, (size_t)close + 1);
	}
	dot = slice_find(name, '.');
	if (dot >= 0) {
		encoding = slice_from(name, (size_t)dot + 1);
		name = slice_first(name, (size_t)dot);
	}
	scheme = find_scheme(name);
	if (!scheme) {
		reason_set(why, "4.7.0", "Unknown scheme %.*s", SLICE_ARG(slice_first(name, 64)));
		return PASSWORD_UNKNOWN_SCHEME;
	}
	if (!decode_data(scheme, encoding, data, &decoded))
		result = unusable(why, "password data is not encoded as its scheme says");
	else
		result = scheme->verify(scheme, strbuf_slice(&decoded), password, why);
	secret_clear(decoded.alloc ? decoded.ptr : NULL, decoded.alloc);
	strbuf_release(&decoded);
	return result;
}

bool password_make(const char *name, struct slice password, unsigned long rounds,
    struct strbuf *out, struct reason *why)
{
	const struct scheme *scheme = find_scheme(slice_of(name));

	if (!scheme) {
		reason_set(why, "5.7.0", "Unknown scheme: %s", name);
		return false;
	}
	strbuf_addf(out, "{%s}", scheme->name);
	return scheme->make(scheme, password, rounds, out, why);
}
