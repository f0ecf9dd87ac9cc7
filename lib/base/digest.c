// SPDX-License-Identifier: BSD-2-Clause
/* What libcrypto does; a program that calls none of it does not load that (digest_plain.c). */

/* MD4 and the inner state of MD5 are to be had in the low-level interface only. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/md4.h>
#include <openssl/md5.h>
#include <stdlib.h>

#include "base/check.h"

_Static_assert(DIGEST_MAX_SIZE >= EVP_MAX_MD_SIZE, "results fit");

struct digest {
	EVP_MD_CTX *context;
};

struct digest *digest_new(const char *name)
{
	const EVP_MD *type = EVP_get_digestbyname(name);
	EVP_MD_CTX *context = type ? EVP_MD_CTX_new() : NULL;
	struct digest *d;

	if (!context)
		return NULL;
	/* Known by name and still refused: no provider that is loaded has it. */
	if (!EVP_DigestInit_ex(context, type, NULL)) {
		EVP_MD_CTX_free(context);
		return NULL;
	}
	d = xmalloc(sizeof(*d));
	d->context = context;
	return d;
}

void digest_update(struct digest *d, struct slice in)
{
	ASSERT(EVP_DigestUpdate(d->context, in.ptr, in.len));
}

size_t digest_final(struct digest *d, unsigned char out[DIGEST_MAX_SIZE])
{
	unsigned int size;

	ASSERT(EVP_DigestFinal_ex(d->context, out, &size));
	return size;
}

void digest_free(struct digest *d)
{
	if (d)
		EVP_MD_CTX_free(d->context);
	free(d);
}

size_t digest_bytes(const char *name, struct slice in, unsigned char out[DIGEST_MAX_SIZE])
{
	struct digest *d = digest_new(name);
	size_t size;

	if (!d)
		return 0;
	digest_update(d, in);
	size = digest_final(d, out);
	digest_free(d);
	return size;
}

size_t digest_hmac(
    const char *name, struct slice key, struct slice in, unsigned char out[DIGEST_MAX_SIZE])
{
	const EVP_MD *type = EVP_get_digestbyname(name);
	unsigned size = 0;

	if (!type || key.len > INT_MAX)
		return 0;
	/* Without a key the library takes the one of the call before. */
	if (!HMAC(type, key.len ? key.ptr : "", (int)key.len, (const unsigned char *)in.ptr, in.len,
		out, &size))
		return 0;
	return size;
}

bool digest_pbkdf2(const char *name, struct slice password, struct slice salt, unsigned rounds,
    unsigned char *out, size_t out_len)
{
	const EVP_MD *type = EVP_get_digestbyname(name);

	if (!type || password.len > INT_MAX || salt.len > INT_MAX || rounds > INT_MAX || !rounds)
		return false;
	return PKCS5_PBKDF2_HMAC(password.len ? password.ptr : "", (int)password.len,
		   (const unsigned char *)(salt.len ? salt.ptr : ""), (int)salt.len, (int)rounds,
		   type, (int)out_len, out) == 1;
}

void digest_md4(struct slice in, unsigned char out[16])
{
	MD4_CTX md4;

	ASSERT(MD4_Init(&md4) && MD4_Update(&md4, in.ptr, in.len) && MD4_Final(out, &md4));
}

void digest_md5_state(const unsigned char block[64], unsigned char out[16])
{
	MD5_CTX md5;

	ASSERT(MD5_Init(&md5));
	MD5_Transform(&md5, block);
	const uint32_t words[] = { md5.A, md5.B, md5.C, md5.D };

	for (size_t i = 0; i < 16; i++)
		out[i] = (unsigned char)(words[i / 4] >> (8 * (i % 4)));
	secret_clear(&md5, sizeof(md5));
}

bool secret_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (!a.len || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}
