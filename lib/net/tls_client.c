// SPDX-License-Identifier: BSD-2-Clause
/* A client's context, and its handshakes with Postfix's log lines. */
#include "net/tls_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "log/log.h"
#include "net/tls_context.h"
#include "net/transport.h"

#define HANDSHAKE_DSN "4.7.5"

bool tls_log_parts(const char *text, unsigned *parts)
{
	static const struct {
		const char *names[3];
		unsigned parts;
	} words[] = {
		{ { "0", "none" }, 0 },
		{ { "1", "routine", "summary" }, TLS_LOG_SUMMARY },
		{ { "2", "debug" },
		    TLS_LOG_SUMMARY | TLS_LOG_STEPS | TLS_LOG_CACHE | TLS_LOG_VERBOSE },
		{ { "3", "ssl-expert" },
		    TLS_LOG_SUMMARY | TLS_LOG_STEPS | TLS_LOG_CACHE | TLS_LOG_VERBOSE },
		{ { "4", "ssl-developer" },
		    TLS_LOG_SUMMARY | TLS_LOG_STEPS | TLS_LOG_CACHE | TLS_LOG_VERBOSE },
		{ { "ssl-debug" }, TLS_LOG_STEPS },
		{ { "ssl-handshake-packet-dump", "ssl-session-packet-dump" }, 0 },
		{ { "untrusted" }, TLS_LOG_UNTRUSTED },
		{ { "peercert" }, TLS_LOG_PEERCERT },
		{ { "certmatch" }, TLS_LOG_CERTMATCH },
		{ { "cache", "session-cache" }, TLS_LOG_CACHE },
		{ { "verbose" }, TLS_LOG_VERBOSE },
	};
	struct slice rest = slice_of(text), word;

	*parts = 0;
	while (slice_token(&rest, " \t\r\n,|", &word)) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_LEN(words) && !known; i++)
			for (size_t n = 0; n < 3 && words[i].names[n] && !known; n++) {
				known = slice_caseeq_str(word, words[i].names[n]);
				*parts |= known ? words[i].parts : 0;
			}
		if (!known)
			return false;
	}
	return true;
}

/* ---- the context ---- */

/* What the two sides have in common is configured in the server's form. */
static struct tls_server_config common_config(const struct tls_client_config *config)
{
	return (struct tls_server_config){
		.files = config->files,
		.chains = config->chains,
		.kinds = config->kinds,
		.ca_file = config->ca_file,
		.ca_path = config->ca_path,
		.default_cas = config->default_cas,
		.curves = config->curves,
		.groups = config->groups,
		.options = config->options,
		.workarounds_off = config->workarounds_off,
	};
}

static bool load_keys(SSL_CTX *ctx, const struct tls_server_config *common, struct reason *why)
{
	return common->chains ? tls_load_chains(ctx, common->chains, why)
			      : tls_load_files(ctx, common, why);
}

static bool set_digest(
    struct tls_context *context, const struct tls_client_config *config, struct reason *why)
{
	const char *name = config->digest ? config->digest : "SHA256";

	snprintf(context->digest, sizeof(context->digest), "%s", name);
	return tls_digest_is_known(name) ||
	       tls_refuse(why, "Digest algorithm \"%s\" not found", name);
}

/*
 * Security level 0: what is too weak by the library's lights is still better than the plain text
 * that opportunistic TLS would fall back to; who verifies gets level 1.
 */
static bool set_habits(
    struct tls_context *context, const struct tls_client_config *config, struct reason *why)
{
	SSL_CTX *ctx = context->ctx;

	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(
	    ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_default_passwd_cb(ctx, tls_no_password);
	context->verify_depth = config->verify_depth > 0 ? config->verify_depth : -1;
	if (context->verify_depth >= 0)
		SSL_CTX_set_verify_depth(ctx, context->verify_depth + 1);
	if (config->ciphers) {
		if (SSL_CTX_set_cipher_list(ctx, config->ciphers) != 1)
			return tls_refuse(why, "cannot use the TLS ciphers %s", config->ciphers);
		context->cipher_list = xstrdup(config->ciphers);
	}
	return true;
}

static bool set_up(
    struct tls_context *context, const struct tls_client_config *config, struct reason *why)
{
	struct tls_server_config common = common_config(config);
	SSL_CTX *ctx = context->ctx;

	if (!set_digest(context, config, why) || !set_habits(context, config, why))
		return false;
	tls_set_options(ctx, &common);
	tls_set_groups(ctx, &common);
	if (!tls_load_cas(ctx, &common, why) || !load_keys(ctx, &common, why) ||
	    !tls_set_dane(ctx, config->dane_digests, why))
		return false;
	context->cache_name = xstrdup(config->cache_name ? config->cache_name : "memory");
	if (config->session_seconds > 0)
		context->sessions =
		    tls_sessions_new(ctx, config->session_seconds, config->session_max);
	else
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return true;
}

struct tls_context *tls_client_new(const struct tls_client_config *config, struct reason *why)
{
	struct tls_context *context = xcalloc(1, sizeof(*context));

	if (config->verbose)
		log_info("initializing the client-side TLS engine");
	ERR_clear_error();
	context->ctx = SSL_CTX_new(TLS_client_method());
	if (context->ctx ? set_up(context, config, why)
			 : tls_refuse(why, "cannot allocate client SSL_CTX")) {
		ERR_clear_error();
		return context;
	}
	tls_report(config->log_errors, why);
	ERR_clear_error();
	tls_context_free(context);
	return NULL;
}

/* ---- a handshake ---- */

static void hash_text(struct digest *d, const char *text)
{
	digest_update(d, slice_mem(text ? text : "", text ? strlen(text) + 1 : 1));
}

/*
 * A session stands for the handshake that it comes from: it may only be resumed where that one
 * would have had the same verdict.
 */
static void hash_wish(struct digest *d, const struct tls_client_wish *wish)
{
	unsigned char numbers[3] = { (unsigned char)wish->check, wish->one_label_wildcards,
		wish->anchors != NULL };

	digest_update(d, slice_mem(numbers, sizeof(numbers)));
	hash_text(d, wish->server_name);
	hash_text(d, wish->protocols);
	hash_text(d, wish->ciphers);
	for (size_t i = 0; wish->names && wish->names[i]; i++)
		hash_text(d, wish->names[i]);
	hash_text(d, wish->tlsa_base);
	for (size_t i = 0; i < wish->tlsa_count; i++) {
		const struct dns_tlsa *r = &wish->tlsa[i];
		unsigned char head[5] = { r->usage, r->selector, r->matching,
			(unsigned char)(r->len >> 8), (unsigned char)r->len };

		digest_update(d, slice_mem(head, sizeof(head)));
		digest_update(d, slice_mem(r->data, r->len));
	}
	for (size_t i = 0; wish->anchors && wish->anchors[i]; i++)
		digest_update(d, slice_mem(&wish->anchors[i], sizeof(wish->anchors[i])));
}

/* "KEY&DIGEST", as the peer's. */
static char *session_key(const struct tls_client_wish *wish)
{
	unsigned char bytes[DIGEST_MAX_SIZE];
	struct strbuf key = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct digest *d = digest_new("SHA256");
	size_t len;

	if (!d)
		return NULL;
	hash_wish(d, wish);
	len = digest_final(d, bytes);
	digest_free(d);
	strbuf_addf(&key, "%s&", wish->session_key);
	for (size_t i = 0; i < len; i++)
		strbuf_addf(&key, "%02X", bytes[i]);
	return strbuf_detach(&key);
}

static bool set_session(struct tls_connection *c, const struct tls_client_wish *wish)
{
	struct tls_sessions *sessions = c->ctx->sessions;
	bool found;

	if (!sessions || !wish->session_key)
		return false;
	c->session_key = session_key(wish);
	c->log_sessions = (wish->log & TLS_LOG_CACHE) != 0;
	if (!c->session_key)
		return false;
	if (c->log_sessions)
		log_info("looking for session %s in %s cache", c->session_key, c->ctx->cache_name);
	found = tls_sessions_use(sessions, c);
	if (found && c->log_sessions)
		log_info("reloaded session %s from %s cache", c->session_key, c->ctx->cache_name);
	return found;
}

static bool set_ciphers(
    struct tls_connection *c, const struct tls_client_wish *wish, struct reason *why)
{
	const char *usual = c->ctx->cipher_list;

	if (!wish->ciphers || (usual && strcmp(usual, wish->ciphers) == 0))
		return true;
	return SSL_set_cipher_list(c->ssl, wish->ciphers) == 1 ||
	       tls_refuse(why, "error setting cipher list \"%s\"", wish->ciphers);
}

/* A wish that cannot be met. */
static bool set_wish(
    struct tls_connection *c, const struct tls_client_wish *wish, struct reason *why)
{
	const char *ciphers = wish->ciphers ? wish->ciphers : c->ctx->cipher_list;

	if (wish->protocols && !tls_set_connection_protocols(c->ssl, wish->protocols, why))
		return false;
	if (!set_ciphers(c, wish, why) || !tls_set_check(c, wish, why))
		return false;
	if ((wish->log & TLS_LOG_VERBOSE) && ciphers)
		log_info("%s: TLS cipher list \"%s\"", wish->peer, ciphers);
	if (wish->server_name && *wish->server_name &&
	    SSL_set_tlsext_host_name(c->ssl, wish->server_name) != 1)
		return tls_refuse(why, "cannot send the name %s", wish->server_name);
	if (wish->log & TLS_LOG_STEPS)
		tls_log_steps(c->ssl);
	return true;
}

static void add_signature(
    struct strbuf *line, const char *side, const char *signature, int bits, const char *digest)
{
	if (!*signature)
		return;
	strbuf_addf(line, " %s-signature %s", side, signature);
	if (bits > 0)
		strbuf_addf(line, " (%d bits)", bits);
	if (*digest)
		strbuf_addf(line, " %s-digest %s", side, digest);
}

/* What the stream's user may look at: tls.h has it for smtpd, too. */
static void log_summary(
    const struct tls_connection *c, const struct tls_client_wish *wish, enum tls_client_trust trust)
{
	static const char *const words[] = { "Anonymous", "Untrusted", "Trusted", "Verified" };
	struct strbuf line = STRBUF_INIT(1000);
	struct tls_info info;

	tls_connection_info(c, &info);
	strbuf_addf(&line, "%s TLS connection established to %s: %s with cipher %s (%d/%d bits)",
	    words[trust], wish->peer, info.protocol, info.cipher, info.cipher_bits,
	    info.algorithm_bits);
	if (*info.key_exchange)
		strbuf_addf(&line, " key-exchange %s", info.key_exchange);
	add_signature(
	    &line, "server", info.client_signature, info.client_signature_bits, info.client_digest);
	add_signature(&line, "client", info.signature, info.signature_bits, info.digest);
	log_info("%s", line.ptr);
	strbuf_release(&line);
}

/* The server did as was asked; what there is to say about it. */
static bool finish(struct stream *s, struct tls_connection *c, const struct tls_client_wish *wish,
    struct tls_client_result *result)
{
	tls_note_details(c);
	if ((wish->log & (TLS_LOG_VERBOSE | TLS_LOG_CACHE)) && SSL_session_reused(c->ssl))
		log_info("%s: Reusing old session", wish->peer);
	tls_judge(c, wish, result);
	if (wish->log & TLS_LOG_SUMMARY)
		log_summary(c, wish, result->trust);
	if (result->matched || !wish->required)
		return true;
	free(c->text);
	c->text = xstrdup(result->why.text);
	return stream_settle(s, TRANSPORT_TLS);
}

/* A session that the server chokes on would make it choke each time. */
static void fail(struct stream *s, struct tls_connection *c, const struct tls_client_wish *wish,
    bool resuming, struct tls_client_result *result)
{
	tls_log_failure(s, "SSL_connect error to", wish->peer);
	if (resuming)
		tls_sessions_forget(c->ctx->sessions, c->session_key);
	reason_set(&result->why, HANDSHAKE_DSN, "Cannot start TLS: handshake failure");
}

static bool connect_with(struct stream *s, struct tls_connection *c,
    const struct tls_client_wish *wish, struct tls_client_result *result)
{
	struct tls_peer peer = { .name = wish->peer,
		.verbose = (wish->log & TLS_LOG_VERBOSE) != 0 };
	bool done = false, resuming;

	c->logs = true;
	c->peer = &peer;
	ERR_clear_error();
	if (!set_wish(c, wish, &result->why)) {
		log_warning("%s: %s: aborting TLS session", wish->peer, result->why.text);
		tls_log_library_errors();
		stream_settle(s, TRANSPORT_TLS);
	} else {
		resuming = set_session(c, wish);
		if (tls_handshake(s, c))
			done = finish(s, c, wish, result);
		else
			fail(s, c, wish, resuming, result);
	}
	c->peer = NULL;
	ERR_clear_error();
	return done;
}

bool tls_connect(struct stream *s, struct tls_context *ctx, const struct tls_client_wish *wish,
    struct tls_client_result *result)
{
	struct tls_connection *c = tls_connection_new(ctx, stream_fd(s));

	memset(result, 0, sizeof(*result));
	reason_set(&result->why, HANDSHAKE_DSN, "Cannot start TLS: handshake failure");
	if (wish->log & TLS_LOG_VERBOSE)
		log_info("setting up TLS connection to %s", wish->peer);
	if (!stream_begin_tls(s, &tls_transport, c)) {
		tls_log_failure(s, "SSL_connect error to", wish->peer);
		return false;
	}
	if (!c->ssl) {
		log_warning("Could not allocate a TLS connection");
		tls_log_library_errors();
		return stream_settle(s, TRANSPORT_TLS);
	}
	return connect_with(s, c, wish, result);
}
