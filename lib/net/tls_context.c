// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sessions resume by tickets only: there is no cache, so processes share nothing but a secret.  The
 * keys of tickets and the id of sessions are derived from that secret and the service's name, so
 * that a ticket of one service (with other rules for clients) is nothing to another.
 */
#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/strbuf.h"
#include "net/tls.h"

#define TLS_DSN		"4.7.0"
#define TICKET_KEYS	80 /* name 16, HMAC 32, AES 32: what OpenSSL takes */
#define SESSION_ID	SSL_MAX_SID_CTX_LENGTH
#define SECRET_MIN	48
#define SESSION_SECONDS 3600

struct tls_context {
	SSL_CTX *ctx;
};

SSL *tls_context_ssl(const struct tls_context *ctx)
{
	return SSL_new(ctx->ctx);
}

void tls_library_error(char *text, size_t size)
{
	unsigned long error = ERR_get_error();
	const char *reason = error ? ERR_reason_error_string(error) : NULL;

	if (reason)
		snprintf(text, size, "%s", reason);
	else if (ERR_SYSTEM_ERROR(error))
		snprintf(text, size, "%s", strerror(ERR_GET_REASON(error)));
	else
		snprintf(text, size, "error %08lX", error);
	ERR_clear_error();
}

static bool refuse(struct reason *why, const char *what, const char *file)
{
	char text[256];

	tls_library_error(text, sizeof(text));
	reason_set(why, TLS_DSN, "%s %s: %s", what, file, text);
	return false;
}

/* A daemon has nobody to ask: without this OpenSSL would prompt on the terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static bool load_pair(SSL_CTX *ctx, const struct tls_files *files, struct reason *why)
{
	const char *key = files->key && *files->key ? files->key : files->cert;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, files->cert) != 1)
		return refuse(why, "cannot load certificate from", files->cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return refuse(why, "cannot load private key from", key);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return refuse(why, "private key does not match the certificate:", key);
	return true;
}

static bool load_pairs(SSL_CTX *ctx, const struct tls_files *files, struct reason *why)
{
	if (!files || !files->cert) {
		reason_set(why, TLS_DSN, "no TLS certificate is configured");
		return false;
	}
	for (; files->cert; files++)
		if (!load_pair(ctx, files, why))
			return false;
	return true;
}

/* Whether the client's certificate is good is for the session to judge, not for the handshake. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok, (void)store;
	return 1;
}

static bool set_clients(SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	const char *file = config->ca_file;
	STACK_OF(X509_NAME) * names;

	if (config->ask_client_cert)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, accept_any);
	if (!file || !*file)
		return true;
	ERR_clear_error();
	names = SSL_load_client_CA_file(file);
	if (!names || SSL_CTX_load_verify_file(ctx, file) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return refuse(why, "cannot load CA certificates from", file);
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	return true;
}

static const struct protocol {
	const char *name;
	int version;
	uint64_t off;
} protocols[] = { { "SSLv2", 0, 0 }, { "SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3 },
	{ "TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ "TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ "TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 } };

static const struct protocol *find_protocol(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (slice_caseeq_str(name, protocols[i].name))
			return &protocols[i];
	return NULL;
}

/* What a list of protocols says; limits are 0 when it has none. */
struct protocol_list {
	uint64_t named, excluded; /* SSL_OP_NO_ bits */
	int floor, ceiling;
};

/* Limits may be given as the number on the wire, for protocols that we do not know the name of. */
static bool parse_limit(struct slice text, int *limit)
{
	const struct protocol *p = find_protocol(text);
	char copy[16], *end;
	unsigned long number;

	if (p) {
		*limit = p->version;
		return true;
	}
	if (!slice_casestarts(text, "0x") || text.len < 3 || text.len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", SLICE_ARG(text));
	number = strtoul(copy + 2, &end, 16);
	if (*end || number > 0xffff)
		return false;
	*limit = (int)number;
	return true;
}

static bool parse_protocol(struct slice word, struct protocol_list *list)
{
	const struct protocol *p;

	if (slice_starts(word, ">="))
		return parse_limit(slice_from(word, 2), &list->floor);
	if (slice_starts(word, "<="))
		return parse_limit(slice_from(word, 2), &list->ceiling);
	p = find_protocol(slice_from(word, slice_starts(word, "!")));
	if (p && slice_starts(word, "!"))
		list->excluded |= p->off;
	else if (p)
		list->named |= p->off;
	return p != NULL;
}

static uint64_t all_protocols(void)
{
	uint64_t all = 0;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		all |= protocols[i].off;
	return all;
}

static bool any_left(const struct protocol_list *list)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		const struct protocol *p = &protocols[i];

		if (p->off && !(list->excluded & p->off) && p->version >= list->floor &&
		    (!list->ceiling || p->version <= list->ceiling))
			return true;
	}
	return false;
}

/* postconf(5) smtpd_tls_protocols: naming one excludes those that are not named. */
static bool set_protocol_list(SSL_CTX *ctx, struct slice text, struct reason *why)
{
	struct protocol_list list = { 0 };
	struct slice rest = text, word;

	while (slice_token(&rest, " \t\r\n,:", &word))
		if (!parse_protocol(word, &list)) {
			reason_set(why, TLS_DSN, "unknown TLS protocol: %.*s", SLICE_ARG(word));
			return false;
		}
	if (list.named)
		list.excluded |= all_protocols() & ~list.named;
	if (!any_left(&list)) {
		reason_set(why, TLS_DSN, "no TLS protocol is left: %.*s", SLICE_ARG(text));
		return false;
	}
	SSL_CTX_set_options(ctx, list.excluded);
	if ((list.floor && SSL_CTX_set_min_proto_version(ctx, list.floor) != 1) ||
	    (list.ceiling && SSL_CTX_set_max_proto_version(ctx, list.ceiling) != 1)) {
		reason_set(why, TLS_DSN, "unsupported TLS protocol: %.*s", SLICE_ARG(text));
		return false;
	}
	return true;
}

/* Dovecot's ssl_min_protocol, which has two more words. */
static bool set_min_protocol(SSL_CTX *ctx, const char *name, struct reason *why)
{
	const struct protocol *p = find_protocol(slice_of(name));
	int version = p ? p->version : 0;

	if (slice_caseeq_str(slice_of(name), "LATEST"))
		version = TLS1_3_VERSION;
	else if (!p && !slice_caseeq_str(slice_of(name), "ANY"))
		version = -1;
	if (version != -1 && SSL_CTX_set_min_proto_version(ctx, version) == 1)
		return true;
	reason_set(why, TLS_DSN, "unknown TLS protocol: %s", name);
	return false;
}

static bool set_protocols(SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	if (config->protocols)
		return set_protocol_list(ctx, slice_of(config->protocols), why);
	if (config->min_protocol)
		return set_min_protocol(ctx, config->min_protocol, why);
	return true;
}

static bool set_ciphers(SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	if (config->prefer_server_ciphers)
		SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	ERR_clear_error();
	if (config->ciphers && SSL_CTX_set_cipher_list(ctx, config->ciphers) != 1)
		return refuse(why, "cannot use the TLS ciphers", config->ciphers);
	return true;
}

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
    struct slice secret, const char *use, const char *service, unsigned char *out, size_t len)
{
	struct strbuf info = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool ok;

	strbuf_addf(&info, "postcote tls %s %s", use, service);
	ok = hkdf(secret, strbuf_slice(&info), out, len);
	strbuf_release(&info);
	return ok;
}

static bool set_tickets(SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	const char *service = config->service ? config->service : "";
	unsigned char keys[TICKET_KEYS], id[SESSION_ID], own[SECRET_MIN];
	struct slice secret = config->ticket_secret;
	bool ok;

	/* Not ours to repair: a short secret would make tickets that anybody can open. */
	ASSERT(secret.len == 0 || secret.len >= SECRET_MIN);
	random_bytes(own, sizeof(own));
	if (!secret.len)
		secret = slice_mem(own, sizeof(own));
	ok = derive(secret, "ticket", service, keys, sizeof(keys)) &&
	     derive(secret, "session", service, id, sizeof(id)) &&
	     SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof(keys)) == 1 &&
	     SSL_CTX_set_session_id_context(ctx, id, sizeof(id)) == 1;
	secret_clear(keys, sizeof(keys));
	secret_clear(own, sizeof(own));
	return ok || refuse(why, "cannot make TLS ticket keys for", service);
}

/* OpenSSL keeps the name that a client asks for only when somebody acknowledges it. */
static int take_server_name(SSL *ssl, int *alert, void *arg)
{
	(void)ssl, (void)alert, (void)arg;
	return SSL_TLSEXT_ERR_OK;
}

/*
 * Buffers of 34 KiB exist only while a record is under way.  One ticket is enough: a client that
 * resumes gets the next.  An end without close_notify is an end: mail's protocols mark theirs.
 */
static void set_habits(SSL_CTX *ctx)
{
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(
	    ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	SSL_CTX_set_tlsext_servername_callback(ctx, take_server_name);
}

struct tls_context *tls_server_new(const struct tls_server_config *config, struct reason *why)
{
	struct tls_context *context;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx) {
		refuse(why, "cannot use", "OpenSSL");
		return NULL;
	}
	set_habits(ctx);
	/* Protocols and ciphers first: they decide which keys are too weak to load. */
	if (!set_protocols(ctx, config, why) || !set_ciphers(ctx, config, why) ||
	    !load_pairs(ctx, config->files, why) || !set_clients(ctx, config, why) ||
	    !set_tickets(ctx, config, why)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	context = xcalloc(1, sizeof(*context));
	context->ctx = ctx;
	return context;
}

void tls_context_free(struct tls_context *ctx)
{
	if (!ctx)
		return;
	SSL_CTX_free(ctx->ctx);
	free(ctx);
}
