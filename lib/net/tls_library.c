// SPDX-License-Identifier: BSD-2-Clause
#include "net/tls_library.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>

#include "base/check.h"

const char *tls_library_compiled(void)
{
	return OPENSSL_VERSION_TEXT;
}

const char *tls_library_running(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

const char *tls_library_key_type(size_t i)
{
	static const struct {
		const char *name, *openssl;
	} types[] = { { "dsa", "DSA" }, { "ecdsa", "EC" }, { "rsa", "RSA" } };
	for (size_t t = 0; t < ARRAY_LEN(types); t++) {
		EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, types[t].openssl, NULL);
		if (ctx && i-- == 0) {
			EVP_PKEY_CTX_free(ctx);
			return types[t].name;
		}
		EVP_PKEY_CTX_free(ctx);
	}
	return NULL;
}
