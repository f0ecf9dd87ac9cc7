// SPDX-License-Identifier: BSD-2-Clause
/* Schemes that are one digest over the password and something else. */
#include <string.h>

#include "auth/scheme_row.h"
#include "base/check.h"
#include "base/digest.h"

#define SALT_SIZE 4
#define MD5_BLOCK 64

static bool add_digest(const struct scheme_use *use, struct slice salt, struct strbuf *out)
{
	unsigned char bytes[DIGEST_MAX_SIZE];
	struct digest *digest = digest_new(use->scheme->detail);

	if (!digest)
		return scheme_cannot_make(use, "%s is not available", use->scheme->detail);
	digest_update(digest, use->password);
	digest_update(digest, salt);
	strbuf_add(out, bytes, digest_final(digest, bytes));
	digest_free(digest);
	return true;
}

bool scheme_make_digest(const struct scheme_use *use, struct strbuf *out)
{
	return add_digest(use, SLICE_NULL, out);
}

bool scheme_make_md4(const struct scheme_use *use, struct strbuf *out)
{
	unsigned char bytes[16];

	digest_md4(use->password, bytes);
	strbuf_add(out, bytes, sizeof(bytes));
	return true;
}

bool scheme_make_salted(const struct scheme_use *use, struct strbuf *out)
{
	unsigned char salt[SALT_SIZE];

	random_bytes(salt, sizeof(salt));
	if (!add_digest(use, slice_mem(salt, sizeof(salt)), out))
		return false;
	strbuf_add(out, salt, sizeof(salt));
	return true;
}

/* The digest, then the salt, which may have any length but none. */
enum password_result scheme_verify_salted(const struct scheme_use *use, struct slice data)
{
	unsigned char unused[DIGEST_MAX_SIZE];
	struct strbuf want = STRBUF_INIT(DIGEST_MAX_SIZE);
	size_t size = digest_bytes(use->scheme->detail, SLICE_NULL, unused);
	enum password_result result;

	if (!size || data.len <= size)
		return scheme_unusable(use, "%s password is too short", use->scheme->name);
	if (!add_digest(use, slice_from(data, size), &want))
		return PASSWORD_UNUSABLE;
	result = scheme_compare(strbuf_slice(&want), slice_first(data, size));
	strbuf_release(&want);
	return result;
}

static void add_state(const unsigned char key[MD5_BLOCK], unsigned char pad, struct strbuf *out)
{
	unsigned char block[MD5_BLOCK], state[16];

	for (size_t i = 0; i < MD5_BLOCK; i++)
		block[i] = key[i] ^ pad;
	digest_md5_state(block, state);
	strbuf_add(out, state, sizeof(state));
	secret_clear(block, sizeof(block));
}

/* HMAC-MD5's two halves (RFC 2104), as far as they depend on the password alone. */
bool scheme_make_cram(const struct scheme_use *use, struct strbuf *out)
{
	unsigned char key[MD5_BLOCK] = { 0 }, digest[DIGEST_MAX_SIZE];

	if (use->password.len > MD5_BLOCK)
		memcpy(key, digest, digest_bytes("MD5", use->password, digest));
	else if (use->password.len)
		memcpy(key, use->password.ptr, use->password.len);
	add_state(key, 0x5c, out);
	add_state(key, 0x36, out);
	secret_clear(key, sizeof(key));
	return true;
}

/* RFC 2831 2.1.2.1; the realm is what follows the last @. */
bool scheme_make_digest_md5(const struct scheme_use *use, struct strbuf *out)
{
	struct slice user = slice_of(use->user);
	ptrdiff_t at = slice_rfind(user, '@');
	unsigned char bytes[DIGEST_MAX_SIZE];
	struct digest *md5;

	if (!use->user)
		return scheme_cannot_make(use, "digest_md5_generate(): username not given");
	md5 = digest_new("MD5");
	if (!md5)
		return scheme_cannot_make(use, "MD5 is not available");
	digest_update(md5, at < 0 ? user : slice_first(user, (size_t)at));
	digest_update(md5, SLICE_LIT(":"));
	digest_update(md5, at < 0 ? SLICE_NULL : slice_from(user, (size_t)at + 1));
	digest_update(md5, SLICE_LIT(":"));
	digest_update(md5, use->password);
	strbuf_add(out, bytes, digest_final(md5, bytes));
	digest_free(md5);
	return true;
}
