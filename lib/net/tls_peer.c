// SPDX-License-Identifier: BSD-2-Clause
/*
 * The other side's certificate.  The handshake takes any; whether it is good enough is judged
 * afterwards: of a client's by the session, of a server's by tls_verdict.c.
 */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/digest.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "net/tls_context.h"

#define NAME_LINE 256 /* Postfix's, for a whole distinguished name */
#define CN_MAX	  256

/* ---- what may verify them ---- */

bool tls_load_cas(SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	const char *file = config->ca_file && *config->ca_file ? config->ca_file : NULL;
	const char *path = config->ca_path && *config->ca_path ? config->ca_path : NULL;

	if ((file || path) && SSL_CTX_load_verify_locations(ctx, file, path) != 1)
		return tls_refuse(why, "cannot load Certification Authority data, %s%s%s%s%s%s",
		    file ? "CAfile=\"" : "", file ? file : "", file ? "\"" : "",
		    path ? file ? ", CApath=\"" : "CApath=\"" : "", path ? path : "",
		    path ? "\"" : "");
	if (config->default_cas && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return tls_refuse(why, "cannot set default OpenSSL certificate verification paths");
	return true;
}

bool tls_digest_is_known(const char *name)
{
	unsigned char digest[DIGEST_MAX_SIZE];

	return digest_bytes(name, SLICE_NULL, digest) > 0;
}

bool tls_set_clients(
    struct tls_context *context, const struct tls_server_config *config, struct reason *why)
{
	SSL_CTX *ctx = context->ctx;
	STACK_OF(X509_NAME) * names;

	ERR_clear_error();
	if (!tls_load_cas(ctx, config, why))
		return false;
	snprintf(context->digest, sizeof(context->digest), "%s",
	    config->digest ? config->digest : "SHA256");
	if (!tls_digest_is_known(context->digest))
		return tls_refuse(why, "Digest algorithm \"%s\" not found", context->digest);
	context->verify_depth = config->verify_depth > 0 ? config->verify_depth : -1;
	context->trust_server_certs = config->trust_server_certs;
	if (config->ask_client_cert)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, tls_verify);
	if (config->check_crls)
		X509_STORE_set_flags(
		    SSL_CTX_get_cert_store(ctx), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	if (context->verify_depth >= 0)
		SSL_CTX_set_verify_depth(ctx, context->verify_depth + 1);
	if (!config->ca_file || !*config->ca_file || !config->ask_client_cert)
		return true;
	names = SSL_load_client_CA_file(config->ca_file);
	if (!names)
		return tls_refuse(why, "error loading client CA names from: %s", config->ca_file);
	SSL_CTX_set_client_CA_list(ctx, names);
	return true;
}

/* Control characters become '?', as in every text of a stranger's that is logged. */
static void printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void name_line(X509_NAME *name, char *out)
{
	X509_NAME_oneline(name, out, NAME_LINE);
	printable(out);
}

/* The one nearest to the client's own certificate tells most. */
static void note_error(struct tls_connection *c, X509 *cert, int error, int depth)
{
	char issuer[NAME_LINE] = "";

	c->chain_failed = c->chain_failed || error != X509_V_ERR_HOSTNAME_MISMATCH;
	if (c->verify_error != X509_V_OK && c->verify_error_depth <= depth)
		return;
	if (cert)
		name_line(X509_get_issuer_name(cert), issuer);
	c->verify_error = error;
	c->verify_error_depth = depth;
	free(c->verify_issuer);
	c->verify_issuer = xstrdup(issuer);
}

static void log_verify(const struct tls_connection *c, X509 *cert, int depth, int ok)
{
	char subject[NAME_LINE] = "";

	if (cert)
		name_line(X509_get_subject_name(cert), subject);
	if (cert)
		log_info("%s: depth=%d verify=%d subject=%s", c->peer->name, depth, ok, subject);
	else
		log_info("%s: depth=%d verify=%d", c->peer->name, depth, ok);
}

int tls_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_connection *c = SSL_get_app_data(ssl);
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	int depth = X509_STORE_CTX_get_error_depth(store);
	int error = X509_STORE_CTX_get_error(store);

	if (!ok && error == X509_V_ERR_INVALID_PURPOSE && depth == 0 && cert &&
	    c->ctx->trust_server_certs &&
	    X509_check_purpose(cert, X509_PURPOSE_SSL_SERVER, 0) == 1) {
		/* This is forgiven, and not what was wrong before it: an issuer whom nobody knows.
		 */
		X509_STORE_CTX_set_error(store, c->verify_error);
		return 1;
	}
	if (c->ctx->verify_depth >= 0 && depth > c->ctx->verify_depth) {
		ok = 0;
		error = X509_V_ERR_CERT_CHAIN_TOO_LONG;
		X509_STORE_CTX_set_error(store, error);
	}
	if (!ok)
		note_error(c, cert, error, depth);
	if (c->peer && c->peer->verbose)
		log_verify(c, cert, depth, ok);
	return 1;
}

void tls_log_verify_error(const struct tls_connection *c)
{
	const char *name = c->peer->name;
	const char *role = SSL_is_server(c->ssl) ? "client" : "server";

	switch (c->verify_error) {
	case X509_V_ERR_CERT_UNTRUSTED:
		log_info("certificate verification failed for %s: not trusted by local or TLSA "
			 "policy",
		    name);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		log_info("certificate verification failed for %s: self-signed certificate", name);
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
		log_info("certificate verification failed for %s: untrusted issuer %s", name,
		    c->verify_issuer);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
		log_info("%s certificate verification failed for %s: certificate not yet valid",
		    role, name);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
		log_info("%s certificate verification failed for %s: certificate has expired", role,
		    name);
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		log_info("certificate verification failed for %s: not designated for use as a "
			 "%s certificate",
		    name, role);
		break;
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		log_info("certificate verification failed for %s: certificate chain longer than "
			 "limit(%d)",
		    name, c->ctx->verify_depth);
		break;
	default:
		log_info("%s certificate verification failed for %s: num=%d:%s", role, name,
		    c->verify_error, X509_verify_cert_error_string(c->verify_error));
	}
}

/* ---- what they say ---- */

/* A name that another program would read as something else is none. */
static bool is_good_text(const struct tls_connection *c, struct slice text, const char *label)
{
	const char *name = c->peer ? c->peer->name : "peer";

	if (slice_has_nul(text)) {
		log_warning("%s: NULL character in peer %s", name, label);
		return false;
	}
	if (text.len >= CN_MAX) {
		log_warning("%s: peer %s too long: %zu", name, label, text.len);
		return false;
	}
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) {
			log_warning("%s: non-printable content in peer %s", name, label);
			return false;
		}
	return utf8_is_valid(text);
}

/* The first NID of NAME in UTF-8; NULL when there is none, or no good one. */
static char *name_text(const struct tls_connection *c, X509_NAME *name, int nid, const char *label)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1);
	X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(name, at) : NULL;
	unsigned char *utf8 = NULL;
	char *text = NULL;
	int len;

	if (!entry)
		return NULL;
	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
	if (len > 0 && is_good_text(c, slice_mem(utf8, (size_t)len), label))
		text = xstrndup((const char *)utf8, (size_t)len);
	OPENSSL_free(utf8);
	return text;
}

static char *fingerprint(const char *digest, unsigned char *der, int len)
{
	unsigned char bytes[DIGEST_MAX_SIZE];
	struct strbuf text = STRBUF_INIT(3 * DIGEST_MAX_SIZE + 1);
	size_t size = len > 0 ? digest_bytes(digest, slice_mem(der, (size_t)len), bytes) : 0;
	char *copy;

	for (size_t i = 0; i < size; i++)
		strbuf_addf(&text, "%s%02X", i ? ":" : "", bytes[i]);
	copy = xstrdup(size ? text.ptr : "");
	strbuf_release(&text);
	OPENSSL_free(der);
	return copy;
}

void tls_signature_name(const EVP_PKEY *key, char *out, size_t size, int *bits)
{
	char curve[32] = "";
	int type = EVP_PKEY_get_base_id(key);

	*bits = 0;
	if (type == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1) {
		snprintf(out, size, "ECDSA (%.14s)", curve);
	} else if (type == EVP_PKEY_RSA) {
		/* TLS 1.3 signs with RSA in no other way (RFC 8446 4.4.3). */
		snprintf(out, size, "RSA-PSS");
		*bits = EVP_PKEY_get_bits(key);
	} else {
		snprintf(out, size, "%s", OBJ_nid2sn(type));
	}
}

static void note_signature(struct tls_connection *c, struct tls_client_cert *client, X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	int nid;

	if (!key || SSL_version(c->ssl) < TLS1_3_VERSION || SSL_session_reused(c->ssl))
		return;
	tls_signature_name(
	    key, client->signature, sizeof(client->signature), &client->signature_bits);
	if (SSL_get_peer_signature_nid(c->ssl, &nid) == 1 && nid != NID_undef)
		client->digest = OBJ_nid2sn(nid);
}

void tls_log_cert(const struct tls_connection *c)
{
	const struct tls_client_cert *cert = c->client;

	log_info("%s: subject_CN=%s, issuer=%s, cert fingerprint=%s, pkey fingerprint=%s",
	    c->peer->name, cert->subject, cert->issuer, cert->fingerprint, cert->key_fingerprint);
}

static void log_names(X509 *cert)
{
	char line[NAME_LINE];

	name_line(X509_get_subject_name(cert), line);
	log_info("subject=%s", line);
	name_line(X509_get_issuer_name(cert), line);
	log_info("issuer=%s", line);
}

char *tls_cert_fingerprint(const char *digest, X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);

	return fingerprint(digest, der, len);
}

char *tls_key_fingerprint(const char *digest, X509 *cert)
{
	unsigned char *der = NULL;
	/* As it stands there: to encode the key anew would look for an encoder each time. */
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	return fingerprint(digest, der, len);
}

static char *or_nothing(char *text)
{
	return text ? text : xstrdup("");
}

static void note_cert(struct tls_connection *c, X509 *cert)
{
	struct tls_client_cert *client = xcalloc(1, sizeof(*client));
	X509_NAME *issuer = X509_get_issuer_name(cert);

	c->client = client;
	client->trusted =
	    SSL_get_verify_result(c->ssl) == X509_V_OK && c->verify_error == X509_V_OK;
	client->subject =
	    or_nothing(name_text(c, X509_get_subject_name(cert), NID_commonName, "subject CN"));
	client->issuer = name_text(c, issuer, NID_commonName, "issuer CN");
	if (!client->issuer)
		client->issuer =
		    or_nothing(name_text(c, issuer, NID_organizationName, "issuer Organization"));
	client->fingerprint = tls_cert_fingerprint(c->ctx->digest, cert);
	client->key_fingerprint = tls_key_fingerprint(c->ctx->digest, cert);
	client->digest = "";
	note_signature(c, client, cert);
}

bool tls_note_cert(struct tls_connection *c)
{
	X509 *cert = SSL_get0_peer_certificate(c->ssl);

	if (cert)
		note_cert(c, cert);
	return cert != NULL;
}

void tls_note_client(struct tls_connection *c)
{
	const struct tls_peer *peer = c->peer;

	if (!tls_note_cert(c))
		return;
	if (peer && peer->verbose) {
		log_names(SSL_get0_peer_certificate(c->ssl));
		tls_log_cert(c);
	}
	if (c->client->trusted || !peer || !peer->must_verify)
		return;
	if (SSL_session_reused(c->ssl))
		log_info("%s: re-using session with untrusted peer credential, look for details "
			 "earlier in the log",
		    peer->name);
	else
		tls_log_verify_error(c);
}

void tls_client_free(struct tls_client_cert *client)
{
	if (!client)
		return;
	free(client->subject);
	free(client->issuer);
	free(client->fingerprint);
	free(client->key_fingerprint);
	free(client);
}

bool tls_client_field(const struct tls_connection *c, const char *field, struct strbuf *out)
{
	X509 *cert = SSL_get0_peer_certificate(c->ssl);
	int nid = OBJ_txt2nid(field), at;
	unsigned char *text = NULL;
	X509_NAME *subject;
	int len;

	if (!cert || nid == NID_undef)
		return false;
	subject = X509_get_subject_name(cert);
	at = X509_NAME_get_index_by_NID(subject, nid, -1);
	if (at < 0)
		return false;
	len =
	    ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (len > 0)
		strbuf_add(out, text, (size_t)len);
	OPENSSL_free(text);
	ERR_clear_error();
	return len > 0;
}
