// SPDX-License-Identifier: BSD-2-Clause
/* A server's chain of certificates as text. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/tls_client.h"
#include "net/tls_context.h"

static char *pem_of(X509 *cert)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *data, *text = NULL;
	long len;

	if (out && PEM_write_bio_X509(out, cert) == 1 && (len = BIO_get_mem_data(out, &data)) > 0)
		text = xstrndup(data, (size_t)len);
	BIO_free(out);
	return text ? text : xstrdup("");
}

static void one_line(X509_NAME *name, char *out, size_t size)
{
	X509_NAME_oneline(name, out, (int)size);
	for (; *out; out++)
		if ((unsigned char)*out < 0x20 || *out == 0x7f)
			*out = '?';
}

bool tls_connection_chain(const struct tls_connection *c, size_t i, struct tls_chain_cert *cert)
{
	STACK_OF(X509) *chain = NULL;
	X509 *x;

	if (SSL_get_verify_result(c->ssl) == X509_V_OK)
		chain = SSL_get0_verified_chain(c->ssl);
	if (!chain)
		chain = SSL_get_peer_cert_chain(c->ssl);
	if (!chain || i >= (size_t)sk_X509_num(chain))
		return false;
	x = sk_X509_value(chain, (int)i);
	one_line(X509_get_subject_name(x), cert->subject, sizeof(cert->subject));
	one_line(X509_get_issuer_name(x), cert->issuer, sizeof(cert->issuer));
	cert->fingerprint = tls_cert_fingerprint(c->ctx->digest, x);
	cert->key_fingerprint = tls_key_fingerprint(c->ctx->digest, x);
	cert->pem = pem_of(x);
	ERR_clear_error();
	return true;
}

void tls_chain_cert_release(struct tls_chain_cert *cert)
{
	free(cert->fingerprint);
	free(cert->key_fingerprint);
	free(cert->pem);
}
