// SPDX-License-Identifier: BSD-2-Clause
/* A server's context, put together from its parts. */
#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "log/log.h"

bool tls_refuse(struct reason *why, const char *format, ...)
{
	char text[500];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reason_set(why, TLS_DSN, "%s", text);
	return false;
}

void tls_report(bool log_errors, struct reason *why)
{
	char text[256], words[sizeof(why->text)];

	if (log_errors) {
		log_warning("%s: disabling TLS support", why->text);
		tls_log_library_errors();
	} else if (ERR_peek_error()) {
		tls_library_error(text, sizeof(text));
		snprintf(words, sizeof(words), "%s", why->text);
		reason_set(why, TLS_DSN, "%s: %s", words, text);
	}
}

/* Without this OpenSSL would prompt on the terminal. */
int tls_no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static bool load_keys(SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	if (config->chains)
		return tls_load_chains(ctx, config->chains, why);
	if ((!config->files || !config->files->cert) && !config->anonymous)
		return tls_refuse(why, "no TLS certificate is configured");
	return tls_load_files(ctx, config, why);
}

static bool set_ciphers(
    struct tls_context *context, const struct tls_server_config *config, struct reason *why)
{
	ERR_clear_error();
	if (config->suites && SSL_CTX_set_ciphersuites(context->ctx, config->suites) != 1)
		return tls_refuse(why, "cannot use the TLS 1.3 cipher suites %s", config->suites);
	if (!config->ciphers)
		return true;
	if (SSL_CTX_set_cipher_list(context->ctx, config->ciphers) != 1)
		return tls_refuse(why, "cannot use the TLS ciphers %s", config->ciphers);
	context->cipher_list = xstrdup(config->ciphers);
	return true;
}

static int refuse_name(SSL *ssl, const char *name, int *alert)
{
	(void)ssl, (void)name;
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* RFC 1123 2.1: labels of letters, digits and hyphens (and, as Postfix has it, underscores). */
static bool is_host_name(const char *name)
{
	size_t label = 0, len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (c == '.') {
			if (label == 0 || name[i - 1] == '-')
				return false;
			label = 0;
		} else if (ascii_isalnum(c) || c == '_' || (c == '-' && label > 0)) {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return len > 0 && len <= 255 && label > 0 && name[len - 1] != '-';
}

static enum tls_found find_chain(
    const struct tls_context *context, const char *name, struct strbuf *pem)
{
	enum tls_found found = TLS_NOT_FOUND;

	for (const char *part = name; part && found == TLS_NOT_FOUND; part = strchr(part + 1, '.'))
		found = context->find_chain(part, pem, context->find_arg);
	return found;
}

/* Finds and takes the certificates for NAME. */
static int use_chain(SSL *ssl, struct tls_connection *c, const char *name, int *alert)
{
	struct strbuf pem = STRBUF_INIT(1024 * 1024), source = STRBUF_INIT(300);
	const char *who = c->peer ? c->peer->name : "client";
	struct reason why;
	bool ok = true;

	switch (find_chain(c->ctx, name, &pem)) {
	case TLS_NOT_FOUND:
		log_info("TLS SNI %s from %s not matched, using default chain", name, who);
		strbuf_release(&pem);
		return SSL_TLSEXT_ERR_NOACK;
	case TLS_FIND_ERROR:
		log_warning("tls_server_sni_maps: %s map lookup problem", name);
		ok = false;
		break;
	case TLS_FOUND:
		strbuf_addf(&source, "SNI data for %s", name);
		ok = tls_load_text(ssl, strbuf_slice(&pem), source.ptr, &why);
		if (!ok) {
			log_warning("%s", why.text);
			log_warning("error loading private keys and certificates from: %s: "
				    "aborting TLS handshake",
			    source.ptr);
			tls_log_library_errors();
		}
	}
	secret_clear(pem.ptr, pem.ptr ? pem.len : 0);
	strbuf_release(&pem);
	strbuf_release(&source);
	if (!ok)
		return refuse_name(ssl, name, alert);
	c->matched_name = xstrdup(name);
	return SSL_TLSEXT_ERR_OK;
}

static void use_context(SSL *ssl, const struct tls_context *chosen)
{
	SSL_set_SSL_CTX(ssl, chosen->ctx);
	SSL_set_verify(
	    ssl, SSL_CTX_get_verify_mode(chosen->ctx), SSL_CTX_get_verify_callback(chosen->ctx));
	SSL_clear_options(ssl, SSL_get_options(ssl) & ~SSL_CTX_get_options(chosen->ctx));
	SSL_set_options(ssl, SSL_CTX_get_options(chosen->ctx));
}

/* OpenSSL keeps the name that a client asks for only when somebody acknowledges it. */
static int take_server_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct tls_connection *c = SSL_get_app_data(ssl);

	(void)arg;
	if (c->choose && name && *name) {
		const struct tls_context *chosen =
		    is_host_name(name) ? c->choose(name, c->choose_arg) : NULL;

		if (chosen)
			use_context(ssl, chosen);
		return SSL_TLSEXT_ERR_OK;
	}
	if (!c->ctx->find_chain)
		return SSL_TLSEXT_ERR_OK;
	if (!name || !*name)
		return SSL_TLSEXT_ERR_NOACK;
	if (!is_host_name(name)) {
		log_warning(
		    "TLS SNI from %s is invalid: %s", c->peer ? c->peer->name : "client", name);
		return SSL_TLSEXT_ERR_NOACK;
	}
	if (!c->matched_name)
		return use_chain(ssl, c, name, alert);
	/* RFC 8446 4.1.4: after a HelloRetryRequest the client asks again, for the same. */
	if (strcmp(c->matched_name, name) == 0)
		return SSL_TLSEXT_ERR_OK;
	log_warning("TLS SNI changed from %s initially %s, %s after hello retry",
	    c->peer ? c->peer->name : "client", c->matched_name, name);
	return SSL_TLSEXT_ERR_NOACK;
}

/*
 * Buffers of 34 KiB exist only while a record is under way.  An end without close_notify is an end:
 * mail's protocols mark theirs.
 */
static void set_habits(SSL_CTX *ctx, const struct tls_server_config *config)
{
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(
	    ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* Nothing is ever kept; the mode alone decides whether an id is sent. */
	SSL_CTX_set_session_cache_mode(ctx,
	    config->session_ids
		? SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR
		: SSL_SESS_CACHE_OFF);
	SSL_CTX_set_tlsext_servername_callback(ctx, take_server_name);
	if (config->old_security)
		SSL_CTX_set_security_level(ctx, 0);
}

/* Protocols and ciphers first: they decide which keys are too weak to load. */
static bool set_up(
    struct tls_context *context, const struct tls_server_config *config, struct reason *why)
{
	SSL_CTX *ctx = context->ctx;

	set_habits(ctx, config);
	SSL_CTX_set_default_passwd_cb(ctx, tls_no_password);
	tls_set_options(ctx, config);
	if (!tls_set_protocols(ctx, config, why) || !set_ciphers(context, config, why))
		return false;
	tls_set_groups(ctx, config);
	if (!tls_set_clients(context, config, why) || !load_keys(ctx, config, why))
		return false;
	context->tickets = tls_tickets_new(ctx, config, why);
	return context->tickets != NULL;
}

struct tls_context *tls_server_new(const struct tls_server_config *config, struct reason *why)
{
	struct tls_context *context = xcalloc(1, sizeof(*context));

	ERR_clear_error();
	context->find_chain = config->find_chain;
	context->find_arg = config->find_arg;
	context->whole_errors = config->whole_errors;
	context->ctx = SSL_CTX_new(TLS_server_method());
	if (context->ctx ? set_up(context, config, why)
			 : tls_refuse(why, "cannot allocate server SSL_CTX")) {
		ERR_clear_error();
		return context;
	}
	tls_report(config->log_errors, why);
	ERR_clear_error();
	tls_context_free(context);
	return NULL;
}

void tls_context_free(struct tls_context *ctx)
{
	if (!ctx)
		return;
	SSL_CTX_free(ctx->ctx);
	tls_tickets_free(ctx->tickets);
	tls_sessions_free(ctx->sessions);
	free(ctx->cache_name);
	free(ctx->cipher_list);
	free(ctx);
}

bool tls_library_open(const char *config_file, const char *config_name, struct reason *why)
{
	bool plain = strcmp(config_file, "default") == 0, none = strcmp(config_file, "none") == 0;
	OPENSSL_INIT_SETTINGS *settings;
	bool ok;

	if (plain && !*config_name)
		return true;
	if (!plain && !none && config_file[0] != '/')
		return tls_refuse(why,
		    "non-default tls_config_file = %s is not an absolute pathname", config_file);
	if (none)
		return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ||
		       tls_refuse(why, "error initializing the OpenSSL library");
	settings = OPENSSL_INIT_new();
	ok = settings && (plain || OPENSSL_INIT_set_config_filename(settings, config_file) == 1) &&
	     (!*config_name || OPENSSL_INIT_set_config_appname(settings, config_name) == 1);
	if (ok) {
		/* No flags: a file that is not there is an error. */
		OPENSSL_INIT_set_config_file_flags(settings, 0);
		ok = OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, settings) == 1;
	}
	OPENSSL_INIT_free(settings);
	return ok || tls_refuse(why,
			 "error loading the '%s' settings from the %s OpenSSL "
			 "configuration file",
			 *config_name ? config_name : "global", config_file);
}
