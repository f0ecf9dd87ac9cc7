// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sessions resume by tickets only: there is no cache, so processes share nothing but a secret.  The
 * keys are derived from that secret, the service's name and the time, so that a ticket of one
 * service (with other rules for clients) is nothing to another, and so that a key ends: one
 * period of the sessions' lifetime it makes tickets, one more it opens them.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "net/tls_context.h"

#define NAME_SIZE	16 /* OpenSSL's */
#define KEY_SIZE	32
#define IV_SIZE		16
#define SESSION_ID	SSL_MAX_SID_CTX_LENGTH
#define SECRET_MIN	48
#define SECRET_SIZE	64
#define SESSION_SECONDS 3600

struct ticket_key {
	int64_t period; /* 0: none */
	unsigned char name[NAME_SIZE], mac[KEY_SIZE], cipher[KEY_SIZE];
};

struct tls_tickets {
	char *service;
	long seconds;
	EVP_CIPHER *cipher;
	unsigned char secret[SECRET_SIZE];
	size_t secret_len;
	pthread_mutex_t lock; /* of what follows */
	struct ticket_key keys[2];
};

/* RFC 5869 */
static bool hkdf(struct slice secret, struct slice info, unsigned char *out, size_t len)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		OSSL_PARAM_construct_octet_string("key", (void *)(uintptr_t)secret.ptr, secret.len),
		OSSL_PARAM_construct_octet_string("info", (void *)(uintptr_t)info.ptr, info.len),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	bool ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

static bool derive(
    const struct tls_tickets *t, const char *use, int64_t period, unsigned char *out, size_t len)
{
	struct strbuf info = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool ok;

	strbuf_addf(&info, "postcote tls %s %lld %s", use, (long long)period, t->service);
	ok = hkdf(slice_mem(t->secret, t->secret_len), strbuf_slice(&info), out, len);
	strbuf_release(&info);
	return ok;
}

static bool get_key(struct tls_tickets *t, int64_t period, struct ticket_key *out)
{
	struct ticket_key *key = &t->keys[period & 1];
	unsigned char all[NAME_SIZE + KEY_SIZE + KEY_SIZE];
	bool ok = true;

	pthread_mutex_lock(&t->lock);
	if (key->period != period) {
		ok = derive(t, "ticket", period, all, sizeof(all));
		memcpy(key->name, all, NAME_SIZE);
		memcpy(key->mac, all + NAME_SIZE, KEY_SIZE);
		memcpy(key->cipher, all + NAME_SIZE + KEY_SIZE, KEY_SIZE);
		key->period = ok ? period : 0;
		secret_clear(all, sizeof(all));
	}
	*out = *key;
	pthread_mutex_unlock(&t->lock);
	return ok;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, KEY_SIZE),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static void log_key(const struct tls_connection *c, const char *what, int64_t period)
{
	if (c->peer && c->peer->verbose)
		log_info("%s: %s session ticket, key expiration: %lld", c->peer->name, what,
		    (long long)((period + 1) * c->ctx->tickets->seconds));
}

/* The key of that NAME, this period's or the one before. */
static bool find_key(
    struct tls_tickets *t, int64_t now, const unsigned char *name, struct ticket_key *key)
{
	for (int64_t period = now; period >= now - 1; period--)
		if (get_key(t, period, key) && memcmp(name, key->name, NAME_SIZE) == 0)
			return true;
	return false;
}

/* 1: go on; 0: this ticket is not ours; 2: it is, and a newer one is to be sent; -1: failed. */
static int ticket_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int create)
{
	const struct tls_connection *c = SSL_get_app_data(ssl);
	struct tls_tickets *t = c->ctx->tickets;
	int64_t now = (int64_t)time(NULL) / t->seconds;
	struct ticket_key key;
	int result = -1;

	if (create) {
		random_bytes(iv, IV_SIZE);
		if (get_key(t, now, &key) && set_mac(mac, &key) &&
		    EVP_EncryptInit_ex(cipher, t->cipher, NULL, key.cipher, iv) == 1)
			result = 1;
		memcpy(name, key.name, NAME_SIZE);
		log_key(c, "Issuing", now);
		secret_clear(&key, sizeof(key));
		return result;
	}
	if (!find_key(t, now, name, &key)) {
		result = 0;
	} else if (set_mac(mac, &key) &&
		   EVP_DecryptInit_ex(cipher, t->cipher, NULL, key.cipher, iv) == 1) {
		result = key.period == now ? 1 : 2;
		log_key(c, "Decrypting", key.period);
	}
	secret_clear(&key, sizeof(key));
	return result;
}

/* The same demands as Postfix's: what the format of a ticket has room for. */
static EVP_CIPHER *find_cipher(const char *name)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);

	if (cipher && (EVP_CIPHER_get_mode(cipher) != EVP_CIPH_CBC_MODE ||
			  EVP_CIPHER_get_iv_length(cipher) != IV_SIZE ||
			  EVP_CIPHER_get_key_length(cipher) > KEY_SIZE)) {
		EVP_CIPHER_free(cipher);
		cipher = NULL;
	}
	ERR_clear_error();
	return cipher;
}

static struct tls_tickets *new_tickets(const struct tls_server_config *config)
{
	struct tls_tickets *t = xcalloc(1, sizeof(*t));
	struct slice secret = config->ticket_secret;

	/* Not ours to repair: a short secret would make tickets that anybody can open. */
	ASSERT(secret.len == 0 || secret.len >= SECRET_MIN);
	random_bytes(t->secret, sizeof(t->secret));
	t->secret_len = secret.len && secret.len < SECRET_SIZE ? secret.len : SECRET_SIZE;
	if (secret.len)
		memcpy(t->secret, secret.ptr, t->secret_len);
	t->service = xstrdup(config->service ? config->service : "");
	t->seconds = config->session_seconds > 0 ? config->session_seconds : SESSION_SECONDS;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void tls_tickets_free(struct tls_tickets *t)
{
	if (!t)
		return;
	EVP_CIPHER_free(t->cipher);
	pthread_mutex_destroy(&t->lock);
	free(t->service);
	secret_clear(t, sizeof(*t));
	free(t);
}

struct tls_tickets *tls_tickets_new(
    SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	const char *name = config->ticket_cipher ? config->ticket_cipher : "aes-256-cbc";
	struct tls_tickets *t = new_tickets(config);
	unsigned char id[SESSION_ID];

	if (!derive(t, "session", 0, id, sizeof(id)) ||
	    SSL_CTX_set_session_id_context(ctx, id, sizeof(id)) != 1) {
		tls_refuse(why, "cannot make TLS ticket keys for %s", t->service);
		tls_tickets_free(t);
		return NULL;
	}
	SSL_CTX_set_timeout(ctx, t->seconds);
	/* One is enough: a client that resumes gets the next. */
	SSL_CTX_set_num_tickets(ctx, 1);
	t->cipher = find_cipher(name);
	if (!t->cipher)
		log_warning(
		    "tls_session_ticket_cipher: invalid value: %s; session tickets disabled", name);
	if (!t->cipher || config->session_seconds < 0) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	} else {
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_callback);
	}
	return t;
}
