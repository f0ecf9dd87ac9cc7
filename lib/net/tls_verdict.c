// SPDX-License-Identifier: BSD-2-Clause
/*
 * A server's certificate against what its client wants: names (RFC 6125), TLSA records (RFC 6698,
 * 7671, 7672) and trust anchors are OpenSSL's to check, fingerprints ours.  The handshake goes on
 * with any certificate; the verdict comes after it.
 */
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "net/tls_client.h"
#include "net/tls_context.h"

#define NOT_VERIFIED "Server certificate not verified"
#define USAGE_TA     2 /* RFC 7218 */
#define USAGE_EE     3
#define HEX_SHOWN    32 /* bytes of a record at each end in the log */

struct anchor {
	uint8_t selector; /* RFC 7218: 0 certificate, 1 public key */
	unsigned char *der;
	size_t len;
};

struct tls_anchors {
	struct anchor *list;
	size_t count;
};

#define ANCHORS_MAX 1000

void tls_anchors_free(struct tls_anchors *anchors)
{
	if (!anchors)
		return;
	for (size_t i = 0; i < anchors->count; i++)
		OPENSSL_free(anchors->list[i].der);
	free(anchors->list);
	free(anchors);
}

/* True: DER is the list's now. */
static bool add_anchor(struct tls_anchors *anchors, const char *type, unsigned char *der, long len)
{
	const unsigned char *end = der;
	bool is_key = strcmp(type, PEM_STRING_PUBLIC) == 0;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;

	if (is_key)
		key = d2i_PUBKEY(NULL, &end, len);
	else if (strcmp(type, PEM_STRING_X509) == 0 || strcmp(type, PEM_STRING_X509_OLD) == 0)
		cert = d2i_X509(NULL, &end, len);
	if ((!key && !cert) || end != der + len || anchors->count == ANCHORS_MAX) {
		EVP_PKEY_free(key);
		X509_free(cert);
		return false;
	}
	EVP_PKEY_free(key);
	X509_free(cert);
	anchors->list = xreallocarray(anchors->list, anchors->count + 1, sizeof(anchors->list[0]));
	anchors->list[anchors->count++] = (struct anchor){ is_key, der, (size_t)len };
	return true;
}

static bool read_anchors(struct tls_anchors *anchors, BIO *in)
{
	unsigned char *der;
	char *type, *header;
	bool ok = true;
	long len;

	while (ok && PEM_read_bio(in, &type, &header, &der, &len) == 1) {
		ok = add_anchor(anchors, type, der, len);
		if (!ok)
			OPENSSL_free(der);
		OPENSSL_free(type);
		OPENSSL_free(header);
	}
	return ok && anchors->count > 0 &&
	       ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

struct tls_anchors *tls_anchors_load(const char *path, struct reason *why)
{
	struct tls_anchors *anchors;
	FILE *file = fopen(path, "re");
	BIO *in = file ? BIO_new_fp(file, BIO_CLOSE) : NULL;
	bool ok;

	if (!in) {
		tls_refuse(why, "error opening trust anchor file: %s: %m", path);
		if (file)
			fclose(file);
		return NULL;
	}
	ERR_clear_error();
	anchors = xcalloc(1, sizeof(*anchors));
	ok = read_anchors(anchors, in);
	BIO_free(in);
	ERR_clear_error();
	if (ok)
		return anchors;
	tls_anchors_free(anchors);
	tls_refuse(why, "error reading: %s: malformed trust-anchor", path);
	return NULL;
}

/* ---- before the handshake ---- */

struct digest_name {
	const char *name;
	uint8_t matching; /* RFC 7218 */
};

static const struct digest_name dane_digests[] = { { "sha256", 1 }, { "sha512", 2 } };

/* "sha512", or "NAME=NUMBER" for one of private use. */
static bool set_digest(SSL_CTX *ctx, struct slice word, uint8_t rank, struct reason *why)
{
	char name[TLS_DIGEST_NAME];
	const EVP_MD *digest;
	char *number, *end;
	unsigned long matching = 0;

	snprintf(name, sizeof(name), "%.*s", SLICE_ARG(word));
	number = strchr(name, '=');
	if (number) {
		*number++ = '\0';
		matching = strtoul(number, &end, 10);
		if (*number == '\0' || *end != '\0')
			matching = 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(dane_digests); i++)
		if (strcasecmp(name, dane_digests[i].name) == 0 && !number)
			matching = dane_digests[i].matching;
	digest = EVP_get_digestbyname(name);
	if (digest && matching >= 1 && matching <= 254 &&
	    SSL_CTX_dane_mtype_set(ctx, digest, (uint8_t)matching, rank) == 1)
		return true;
	return tls_refuse(why, "unsupported digest in tls_dane_digests: %.*s", SLICE_ARG(word));
}

/* postconf(5) tls_dane_digests: the first is the strongest; others are not used. */
bool tls_set_dane(SSL_CTX *ctx, const char *digests, struct reason *why)
{
	struct slice rest = slice_of(digests ? digests : "sha512 sha256"), word;
	uint8_t rank = 200;

	if (SSL_CTX_dane_enable(ctx) <= 0)
		return tls_refuse(why, "OpenSSL DANE initialization failed");
	SSL_CTX_dane_set_flags(ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (size_t i = 0; i < ARRAY_LEN(dane_digests); i++)
		SSL_CTX_dane_mtype_set(ctx, NULL, dane_digests[i].matching, 0);
	while (slice_token(&rest, " \t\r\n,", &word))
		if (rank == 1 || !set_digest(ctx, word, rank--, why))
			return false;
	return true;
}

static void add_hex(struct strbuf *out, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		strbuf_addf(out, "%02X", data[i]);
}

static void hex_text(struct strbuf *out, const uint8_t *data, size_t len)
{
	if (len <= 2 * HEX_SHOWN) {
		add_hex(out, data, len);
		return;
	}
	add_hex(out, data, HEX_SHOWN);
	strbuf_addstr(out, "...");
	add_hex(out, data + len - HEX_SHOWN, HEX_SHOWN);
}

static void log_record(const struct tls_client_wish *wish, const struct dns_tlsa *r)
{
	struct strbuf hex = STRBUF_INIT(1000);

	hex_text(&hex, r->data, r->len);
	log_warning("%s: unusable TLSA RR: %u %u %u %s", wish->peer, r->usage, r->selector,
	    r->matching, hex.ptr);
	strbuf_release(&hex);
}

/* RFC 7672 3.1.3: a mail client has no use for PKIX-TA and PKIX-EE. */
static bool add_record(SSL *ssl, const struct dns_tlsa *r)
{
	bool ok = (r->usage == USAGE_TA || r->usage == USAGE_EE) &&
		  SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching, r->data, r->len) > 0;

	ERR_clear_error();
	return ok;
}

bool tls_tlsa_is_usable(const struct tls_context *ctx, const struct dns_tlsa *r)
{
	SSL *ssl = SSL_new(ctx->ctx);
	bool ok = ssl && SSL_dane_enable(ssl, NULL) > 0 && add_record(ssl, r);

	SSL_free(ssl);
	ERR_clear_error();
	return ok;
}

static bool set_dane(struct tls_connection *c, const struct tls_client_wish *wish)
{
	bool any = false;

	if (SSL_dane_enable(c->ssl, wish->tlsa_base) <= 0)
		return false;
	for (size_t i = 0; i < wish->tlsa_count; i++) {
		if (add_record(c->ssl, &wish->tlsa[i]))
			any = true;
		else
			log_record(wish, &wish->tlsa[i]);
	}
	return any;
}

static bool set_anchors(struct tls_connection *c, const struct tls_anchors *const *anchors)
{
	bool ok = SSL_dane_enable(c->ssl, NULL) > 0;

	for (; ok && *anchors; anchors++)
		for (size_t i = 0; ok && i < (*anchors)->count; i++) {
			const struct anchor *a = &(*anchors)->list[i];

			ok =
			    SSL_dane_tlsa_add(c->ssl, USAGE_TA, a->selector, 0, a->der, a->len) > 0;
		}
	return ok;
}

static bool set_names(SSL *ssl, const struct tls_client_wish *wish)
{
	unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
	bool any = false;

	if (!wish->one_label_wildcards)
		flags |= X509_CHECK_FLAG_MULTI_LABEL_WILDCARDS;
	SSL_set_hostflags(ssl, flags);
	for (size_t i = 0; wish->names && wish->names[i]; i++) {
		if (SSL_add1_host(ssl, wish->names[i]) == 1)
			any = true;
		else
			log_warning(
			    "%s: error loading match name: \"%s\"", wish->peer, wish->names[i]);
	}
	ERR_clear_error();
	return any;
}

bool tls_set_check(struct tls_connection *c, const struct tls_client_wish *wish, struct reason *why)
{
	bool ok = true;

	ERR_clear_error();
	SSL_set_verify(c->ssl, SSL_VERIFY_NONE, tls_verify);
	if (wish->check == TLS_CHECK_DANE && !set_dane(c, wish))
		return tls_refuse(why, "error enabling DANE-based certificate validation");
	if (wish->check == TLS_CHECK_NAMES && wish->anchors && *wish->anchors)
		ok = set_anchors(c, wish->anchors);
	if (!ok)
		return tls_refuse(why, "error enabling trust anchors");
	/* With no name at all any certificate of a known CA would do: none does. */
	if (wish->check == TLS_CHECK_NAMES && !set_names(c->ssl, wish)) {
		log_warning("%s: could not configure peer name checks", wish->peer);
		c->nothing_matches = true;
	}
	if (wish->check == TLS_CHECK_DANE)
		set_names(c->ssl, wish);
	/* A good certificate with a key that anybody can break is none. */
	if (wish->check != TLS_CHECK_NOTHING)
		SSL_set_security_level(c->ssl, 1);
	return true;
}

/* ---- after it ---- */

/* The colons may be left out. */
static bool same_fingerprint(const char *wanted, const char *found)
{
	bool any = false;

	for (;; wanted++, found++) {
		wanted += *wanted == ':';
		found += *found == ':';
		if (*wanted == '\0' || *found == '\0')
			return any && *wanted == *found;
		if (strncasecmp(wanted, found, 1) != 0)
			return false;
		any = true;
	}
}

static const char *matched_fingerprint(const struct tls_connection *c, const char *const *wanted)
{
	for (; wanted && *wanted; wanted++)
		if (**wanted && (same_fingerprint(*wanted, c->client->fingerprint) ||
				    same_fingerprint(*wanted, c->client->key_fingerprint)))
			return *wanted;
	return NULL;
}

static void judge_fingerprint(struct tls_connection *c, const struct tls_client_wish *wish)
{
	const char *match = c->client ? matched_fingerprint(c, wish->names) : NULL;
	struct strbuf hex = STRBUF_INIT(200);

	c->chain_failed = match == NULL;
	c->verify_error = match ? X509_V_OK : X509_V_ERR_DANE_NO_MATCH;
	if (!match || !(wish->log & (TLS_LOG_CERTMATCH | TLS_LOG_VERBOSE)))
		return;
	for (; *match; match++)
		if (*match != ':')
			strbuf_addch(&hex, *match);
	log_info("%s: Matched fingerprint: %s", wish->peer, hex.ptr);
	strbuf_release(&hex);
}

static void log_dane(const struct tls_connection *c, const struct tls_client_wish *wish)
{
	uint8_t usage, selector, matching;
	const unsigned char *data;
	EVP_PKEY *key = NULL;
	struct strbuf hex = STRBUF_INIT(1000);
	size_t len;
	int depth = SSL_get0_dane_authority(c->ssl, NULL, &key);

	if (depth < 0)
		return;
	if (wish->check == TLS_CHECK_NAMES) {
		log_info("%s: Matched trust anchor at depth %d", wish->peer, depth);
		return;
	}
	if (SSL_get0_dane_tlsa(c->ssl, &usage, &selector, &matching, &data, &len) != depth)
		return;
	hex_text(&hex, data, len);
	log_info("%s: Matched DANE %s at depth %d: %u %u %u %s", wish->peer,
	    key		? "TA public key verified certificate"
	    : depth > 0 ? "TA certificate"
			: "EE certificate",
	    depth, usage, selector, matching, hex.ptr);
	strbuf_release(&hex);
}

static void log_match(const struct tls_connection *c, const struct tls_client_wish *wish)
{
	const char *name = SSL_get0_peername(c->ssl);

	if (!(wish->log & (TLS_LOG_CERTMATCH | TLS_LOG_VERBOSE)))
		return;
	if (name)
		log_info("%s: matched peername: %s", wish->peer, name);
	if (!SSL_session_reused(c->ssl))
		log_dane(c, wish);
}

/* The library's last word; a resumed session has brought it along. */
static void note_result(struct tls_connection *c)
{
	long error = SSL_get_verify_result(c->ssl);

	if (c->nothing_matches && error == X509_V_OK)
		error = X509_V_ERR_UNSPECIFIED;
	if (c->verify_error != X509_V_OK || error == X509_V_OK)
		return;
	c->verify_error = (int)error;
	c->chain_failed = error != X509_V_ERR_HOSTNAME_MISMATCH;
}

static void log_mistrust(const struct tls_connection *c, const struct tls_client_wish *wish)
{
	/* Asked for, or of interest as the mail does not go out because of it. */
	if (!(wish->log & TLS_LOG_UNTRUSTED) && wish->check == TLS_CHECK_NOTHING)
		return;
	if (wish->external_failure)
		log_info("certificate verification failed for %s: external policy failure (%s)",
		    wish->peer, wish->external_failure);
	else if (SSL_session_reused(c->ssl))
		log_info("%s: re-using session with untrusted certificate, look for details "
			 "earlier in the log",
		    wish->peer);
	else
		tls_log_verify_error(c);
}

static enum tls_client_trust trust_of(
    const struct tls_connection *c, const struct tls_client_wish *wish)
{
	if (!c->client)
		return TLS_PEER_ANONYMOUS;
	if (c->verify_error == X509_V_OK && wish->check != TLS_CHECK_NOTHING &&
	    !wish->forged_perhaps)
		return TLS_PEER_VERIFIED;
	return c->verify_error == X509_V_OK || !c->chain_failed ? TLS_PEER_TRUSTED
								: TLS_PEER_UNTRUSTED;
}

void tls_judge(
    struct tls_connection *c, const struct tls_client_wish *wish, struct tls_client_result *result)
{
	bool has_cert = tls_note_cert(c);

	if (wish->check == TLS_CHECK_FINGERPRINT)
		judge_fingerprint(c, wish);
	else
		note_result(c);
	if (wish->external_failure) {
		c->verify_error = X509_V_ERR_UNSPECIFIED;
		c->chain_failed = true;
	}
	result->trust = trust_of(c, wish);
	result->matched =
	    wish->check == TLS_CHECK_NOTHING || (has_cert && c->verify_error == X509_V_OK);
	if (!result->matched)
		reason_set(&result->why, "4.7.5", NOT_VERIFIED);
	if (!has_cert)
		return;
	if ((wish->check == TLS_CHECK_NAMES || wish->check == TLS_CHECK_DANE) && result->matched)
		log_match(c, wish);
	if (c->verify_error != X509_V_OK)
		log_mistrust(c, wish);
	if (wish->log & (TLS_LOG_CERTMATCH | TLS_LOG_VERBOSE | TLS_LOG_PEERCERT))
		tls_log_cert(c);
}
