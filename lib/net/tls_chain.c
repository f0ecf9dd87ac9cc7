// SPDX-License-Identifier: BSD-2-Clause
/*
 * Keys and certificates.  Two forms: a pair of files of one kind of key each, and texts in which
 * each key stands before its chain, any number of them (postconf(5) smtpd_tls_chain_files).
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#include "log/log.h"
#include "net/tls_context.h"

/* More than that in one text is no configuration. */
#define PEM_OBJECTS_MAX 1000

/* One of the two is where what was read goes. */
struct chain_reader {
	SSL_CTX *ctx;
	SSL *ssl;
	const char *source;
	struct reason *why;
	int objects, key_at; /* numbers of PEM objects, from 1 */
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) * rest;
};

/* Postfix's words where there is a KIND. */
static bool load_pair(
    SSL_CTX *ctx, const struct tls_files *files, const char *kind, struct reason *why)
{
	const char *key = files->key && *files->key ? files->key : files->cert;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, files->cert) != 1)
		return kind ? tls_refuse(why, "cannot get %s certificate from file \"%s\"", kind,
				  files->cert)
			    : tls_refuse(why, "cannot load certificate from %s", files->cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return kind ? tls_refuse(
				  why, "cannot get %s private key from file \"%s\"", kind, key)
			    : tls_refuse(why, "cannot load private key from %s", key);
	if (SSL_CTX_check_private_key(ctx) == 1)
		return true;
	ERR_clear_error();
	return kind ? tls_refuse(why, "%s private key in %s does not match public key in %s", kind,
			  key, files->cert)
		    : tls_refuse(why, "private key does not match the certificate: %s", key);
}

bool tls_load_files(SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	for (size_t i = 0; config->files && config->files[i].cert; i++)
		if (*config->files[i].cert && !load_pair(ctx, &config->files[i],
						  config->kinds ? config->kinds[i] : NULL, why))
			return false;
	return true;
}

static void forget_pair(struct chain_reader *r)
{
	EVP_PKEY_free(r->key);
	X509_free(r->cert);
	sk_X509_pop_free(r->rest, X509_free);
	r->key = NULL;
	r->cert = NULL;
	r->rest = NULL;
}

/* The key that was read, with the certificates behind it, is complete. */
static bool use_pair(struct chain_reader *r)
{
	int ok;

	if (!r->key)
		return true;
	if (!r->cert)
		return tls_refuse(r->why,
		    "error loading certificate chain: key at index %d in %s not followed by a "
		    "certificate",
		    r->key_at, r->source);
	if (r->ctx)
		ok = SSL_CTX_use_cert_and_key(r->ctx, r->cert, r->key, r->rest, 1);
	else
		ok = SSL_use_cert_and_key(r->ssl, r->cert, r->key, r->rest, 1);
	forget_pair(r);
	return ok == 1 ||
	       tls_refuse(r->why, "key at index %d in %s does not match next certificate",
		   r->key_at, r->source);
}

static bool take_key(struct chain_reader *r, const char *type, const unsigned char *der, long len)
{
	bool pkcs8 = strcmp(type, PEM_STRING_PKCS8INF) == 0;

	if (r->key && !r->cert) {
		log_warning("ignoring 2nd key at index %d in %s after 1st at %d", r->objects,
		    r->source, r->key_at);
		return true;
	}
	if (!use_pair(r))
		return false;
	r->key_at = r->objects;
	if (pkcs8)
		r->key = d2i_AutoPrivateKey(NULL, &der, len);
	else
		r->key = d2i_PrivateKey(strcmp(type, PEM_STRING_RSA) == 0	     ? EVP_PKEY_RSA
					: strcmp(type, PEM_STRING_ECPRIVATEKEY) == 0 ? EVP_PKEY_EC
										     : EVP_PKEY_DSA,
		    NULL, &der, len);
	return r->key != NULL ||
	       tls_refuse(r->why, "error loading private key (PEM object number %d) from %s",
		   r->objects, r->source);
}

static bool take_cert(struct chain_reader *r, const unsigned char *der, long len)
{
	X509 *cert;

	if (!r->key)
		return tls_refuse(r->why, "error loading chain from %s: key not first", r->source);
	cert = d2i_X509(NULL, &der, len);
	if (!cert)
		return tls_refuse(r->why,
		    "error loading certificate (PEM object number %d) from %s", r->objects,
		    r->source);
	if (!r->cert) {
		r->cert = cert;
		return true;
	}
	if (!r->rest)
		r->rest = sk_X509_new_null();
	if (r->rest && sk_X509_push(r->rest, cert) > 0)
		return true;
	X509_free(cert);
	return tls_refuse(r->why, "error loading chain from %s", r->source);
}

static bool take_object(
    struct chain_reader *r, const char *type, const unsigned char *der, long len)
{
	if (strcmp(type, PEM_STRING_X509) == 0 || strcmp(type, PEM_STRING_X509_OLD) == 0)
		return take_cert(r, der, len);
	if (strcmp(type, PEM_STRING_PKCS8INF) == 0 || strcmp(type, PEM_STRING_RSA) == 0 ||
	    strcmp(type, PEM_STRING_ECPRIVATEKEY) == 0 || strcmp(type, PEM_STRING_DSA) == 0)
		return take_key(r, type, der, len);
	/* "openssl ecparam -genkey" writes these in front of the key. */
	if (strcmp(type, PEM_STRING_ECPARAMETERS) != 0 && strcmp(type, PEM_STRING_DHPARAMS) != 0)
		log_warning("loading %s: ignoring PEM type: %s", r->source, type);
	return true;
}

static bool read_objects(struct chain_reader *r, BIO *in)
{
	unsigned char *der;
	char *type, *header;
	bool ok = true;
	long len;

	ERR_clear_error();
	while (ok && r->objects < PEM_OBJECTS_MAX &&
	       PEM_read_bio(in, &type, &header, &der, &len) == 1) {
		r->objects++;
		ok = take_object(r, type, der, len);
		OPENSSL_free(type);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)len);
	}
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ERR_clear_error();
	else if (ok && ERR_peek_error())
		ok = tls_refuse(r->why, "error loading chain from %s", r->source);
	if (ok && r->objects == 0)
		ok = tls_refuse(r->why, "No PEM data in %s", r->source);
	ok = ok && use_pair(r);
	if (ok && r->key_at == 0)
		ok = tls_refuse(r->why, "No private key found in %s", r->source);
	forget_pair(r);
	return ok;
}

bool tls_load_chains(SSL_CTX *ctx, const char *const *names, struct reason *why)
{
	for (; *names; names++) {
		struct chain_reader r = { .ctx = ctx, .source = *names, .why = why };
		BIO *in = BIO_new_file(*names, "r");
		bool ok;

		if (!in) {
			int errnum = errno;

			ERR_clear_error();
			return tls_refuse(
			    why, "error opening chain file: %s: %s", *names, strerror(errnum));
		}
		ok = read_objects(&r, in);
		BIO_free(in);
		if (!ok)
			return false;
	}
	return true;
}

bool tls_load_text(SSL *ssl, struct slice pem, const char *source, struct reason *why)
{
	struct chain_reader r = { .ssl = ssl, .source = source, .why = why };
	BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	bool ok;

	SSL_certs_clear(ssl);
	ok = in && read_objects(&r, in);
	BIO_free(in);
	return ok;
}
