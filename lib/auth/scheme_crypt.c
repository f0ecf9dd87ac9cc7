// SPDX-License-Identifier: BSD-2-Clause
/* What libxcrypt computes.  {CRYPT} takes every hash that it knows, as do the others but bcrypt. */
#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/scheme_row.h"
#include "base/check.h"
#include "base/digest.h"

/* What bcrypt reads of a password, and the length of its hashes. */
#define BLOWFISH_PASSWORD 72
#define BLOWFISH_HASH	  60

/* crypt(3)'s working memory is too much for a small stack; it has seen the password. */
static bool run_crypt(struct slice password, const char *setting, char *out, size_t out_size)
{
	struct crypt_data *work;
	const char *hash;
	char *text;
	bool good;

	if (!strncmp(setting, "$2", 2))
		password = slice_first(password, BLOWFISH_PASSWORD);
	if (password.len > CRYPT_MAX_PASSPHRASE_SIZE - 1 || slice_has_nul(password))
		return false;
	work = xcalloc(1, sizeof(*work));
	text = xstrndup(password.ptr ? password.ptr : "", password.len);
	hash = crypt_rn(text, setting, work, (int)sizeof(*work));
	good = hash && *hash != '*' && strlen(hash) < out_size;
	if (good)
		memcpy(out, hash, strlen(hash) + 1);
	secret_clear(text, password.len);
	secret_clear(work, sizeof(*work));
	free(text);
	free(work);
	return good;
}

/*
 * A text that crypt(3) does not know is nobody's password ("*", "!", "x" are how accounts are
 * locked), and so is one that is only a setting ("$6$salt").
 */
enum password_result scheme_verify_crypt(const struct scheme_use *use, struct slice data)
{
	char setting[CRYPT_OUTPUT_SIZE], hash[CRYPT_OUTPUT_SIZE];

	if (!data.len || data.len >= sizeof(setting) || slice_has_nul(data))
		return PASSWORD_MISMATCH;
	memcpy(setting, data.ptr, data.len);
	setting[data.len] = '\0';
	if (!run_crypt(use->password, setting, hash, sizeof(hash)))
		return PASSWORD_MISMATCH;
	return scheme_compare(slice_of(hash), data);
}

enum password_result scheme_verify_blowfish(const struct scheme_use *use, struct slice data)
{
	if (data.len && (!slice_starts(data, "$2") || data.len != BLOWFISH_HASH))
		return scheme_unusable(use, "Password is not blowfish password");
	return scheme_verify_crypt(use, data);
}

/* {MD5} has been used for two things. */
enum password_result scheme_verify_md5(const struct scheme_use *use, struct slice data)
{
	struct strbuf decoded = STRBUF_INIT(100);
	unsigned char digest[DIGEST_MAX_SIZE];
	struct reason unused;
	enum password_result result;

	if (slice_starts(data, "$1$"))
		return scheme_verify_crypt(use, data);
	if (!scheme_decode(
		data.len == 32 ? SCHEME_HEX : SCHEME_BASE64, 16, data, &decoded, &unused))
		result = scheme_unusable(use, "Not a valid MD5-CRYPT or PLAIN-MD5 password");
	else
		result = scheme_compare(strbuf_slice(&decoded),
		    slice_mem(digest, digest_bytes("MD5", use->password, digest)));
	strbuf_release(&decoded);
	return result;
}

static bool make_hash(
    const struct scheme_use *use, const char *prefix, unsigned long rounds, struct strbuf *out)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], hash[CRYPT_OUTPUT_SIZE];

	errno = 0;
	if (!crypt_gensalt_rn(prefix, rounds, NULL, 0, setting, sizeof(setting)))
		return scheme_cannot_make(use, "crypt(3) failed: %s", strerror(errno));
	if (!run_crypt(use->password, setting, hash, sizeof(hash)))
		return scheme_cannot_make(use, "password too long or with NUL");
	strbuf_addstr(out, hash);
	secret_clear(hash, sizeof(hash));
	return true;
}

/* Only the SHA ones know rounds; beyond their bounds they count as these. */
bool scheme_make_crypt(const struct scheme_use *use, struct strbuf *out)
{
	const char *prefix = use->scheme->detail;
	unsigned long rounds = use->rounds;

	if (strcmp(prefix, "$5$") != 0 && strcmp(prefix, "$6$") != 0)
		rounds = 0;
	if (rounds && rounds < 1000)
		rounds = 1000;
	if (rounds > 999999999)
		rounds = 999999999;
	return make_hash(use, prefix, rounds, out);
}

bool scheme_make_blowfish(const struct scheme_use *use, struct strbuf *out)
{
	unsigned long cost = use->rounds ? use->rounds : 5;

	if (cost < 4)
		cost = 4;
	return make_hash(use, "$2y$", cost < 31 ? cost : 31, out);
}

/* Traditional DES and MD5 take microseconds. */
bool scheme_crypt_is_slow(struct slice data)
{
	return !slice_starts(data, "$1$") && (slice_starts(data, "$") || slice_starts(data, "_"));
}
