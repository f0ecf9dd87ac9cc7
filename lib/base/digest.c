// SPDX-License-Identifier: BSD-2-Clause
/* What libcrypto does; a program that calls none of it does not load that (digest_plain.c). */
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
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

bool secret_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (!a.len || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void secret_clear(void *ptr, size_t len)
{
	if (len)
		explicit_bzero(ptr, len);
}
