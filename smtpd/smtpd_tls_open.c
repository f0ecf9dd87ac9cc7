// SPDX-License-Identifier: BSD-2-Clause
/*
 * What main.cf says about TLS, made into a context before the jail.  As with the peer a mistake
 * there costs TLS and not the service: the log says why, and STARTTLS gets 454.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "smtpd/smtpd.h"
#include "smtpd/smtpd_tls.h"

#define CHAINS_MAX 64

enum level { LEVEL_UNSET, LEVEL_NONE, LEVEL_MAY, LEVEL_ENCRYPT };

static enum level level_of(const char *word)
{
	static const char *const of_clients[] = { "fingerprint", "verify", "secure", "dane",
		"dane-only", "half-dane" };

	if (word[0] == '\0')
		return LEVEL_UNSET;
	if (strcasecmp(word, "none") == 0)
		return LEVEL_NONE;
	if (strcasecmp(word, "may") == 0)
		return LEVEL_MAY;
	if (strcasecmp(word, "encrypt") == 0)
		return LEVEL_ENCRYPT;
	for (size_t i = 0; i < ARRAY_LEN(of_clients); i++)
		if (strcasecmp(word, of_clients[i]) == 0) {
			log_warning("smtpd_tls_security_level: unsupported TLS level \"%s\", "
				    "using \"encrypt\"",
			    word);
			return LEVEL_ENCRYPT;
		}
	fatal("Invalid TLS level \"%s\"", word);
}

static bool is_set(const char *value)
{
	return value[0] != '\0' && strcasecmp(value, "none") != 0;
}

/* postconf(5) smtpd_tls_ciphers: a grade's list, less what is excluded; NULL: none is left. */
static char *cipher_list(const struct postfix_params *p, bool asks_clients)
{
	const char *grade =
	    smtpd_server.tls_required ? p->smtpd_tls_mandatory_ciphers : p->smtpd_tls_ciphers;
	const struct {
		const char *grade, *list;
	} grades[] = { { "high", p->tls_high_cipherlist }, { "medium", p->tls_medium_cipherlist },
		{ "low", p->tls_medium_cipherlist }, { "export", p->tls_medium_cipherlist },
		{ "null", p->tls_null_cipherlist } };
	const char *excluded[] = { p->smtpd_tls_exclude_ciphers,
		smtpd_server.tls_required ? p->smtpd_tls_mandatory_exclude_ciphers : "",
		asks_clients ? "aNULL" : "" };
	struct strbuf list = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct slice word;

	for (size_t i = 0; i < ARRAY_LEN(grades); i++)
		if (strcasecmp(grade, grades[i].grade) == 0)
			strbuf_addf(&list, "%s", grades[i].list);
	if (list.len == 0) {
		log_warning("invalid cipher grade: \"%s\": disabling TLS support", grade);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(excluded); i++) {
		struct slice rest = slice_of(excluded[i]);

		while (slice_token(&rest, " \t\r\n,:", &word)) {
			if (strchr("!+-@", word.ptr[0]) != NULL) {
				log_warning("invalid unary '!+-@' in cipher exclusion: %.*s: "
					    "disabling TLS support",
				    SLICE_ARG(word));
				strbuf_release(&list);
				return NULL;
			}
			strbuf_addf(&list, ":!%.*s", SLICE_ARG(word));
		}
	}
	return list.ptr;
}

/* Key and certificate of each kind, or files with several of them. */
struct certificates {
	struct tls_files files[4]; /* of each kind, "" for none */
	const char *chains[CHAINS_MAX + 1];
	size_t kind_count, chain_count;
	bool have_files;
};

static const char *const kinds[] = { "RSA", "DSA", "ECDSA" };

static void add_files(struct certificates *c, const char *cert, const char *key)
{
	c->files[c->kind_count++] = (struct tls_files){ is_set(cert) ? cert : "", key };
	c->have_files |= is_set(cert);
}

static void find_certificates(const struct postfix_params *p, struct certificates *c)
{
	struct strbuf name = STRBUF_INIT(4096);
	const char *chains = p->smtpd_tls_chain_files;

	memset(c, 0, sizeof(*c));
	while (c->chain_count < CHAINS_MAX && postfix_list_next(&chains, &name)) {
		c->chains[c->chain_count++] = xstrdup(name.ptr);
		strbuf_reset(&name);
	}
	strbuf_release(&name);
	add_files(c, p->smtpd_tls_cert_file, p->smtpd_tls_key_file);
	add_files(c, p->smtpd_tls_dcert_file, p->smtpd_tls_dkey_file);
	add_files(c, p->smtpd_tls_eccert_file, p->smtpd_tls_eckey_file);
	if (c->chain_count > 0 && c->have_files)
		log_warning("Both smtpd_tls_chain_files and one or more of the legacy "
			    "smtpd_tls_cert_file, smtpd_tls_eccert_file or smtpd_tls_dcert_file "
			    "are non-empty; the legacy parameters will be ignored");
}

/* Whether there is something to serve TLS with; says what is odd. */
static bool can_serve(const struct postfix_params *p, const struct certificates *c, bool asks)
{
	bool have = c->chain_count > 0 || c->have_files;

	if (!have && asks)
		log_warning("Need a server cert to request client certs");
	if (!smtpd_server.tls_required && p->smtpd_tls_req_ccert)
		log_warning("Can't require client certs unless TLS is required");
	if (have || (strcasecmp(p->smtpd_tls_cert_file, "none") == 0 && !asks))
		return true;
	log_warning("No server certs available. TLS won't be enabled");
	return false;
}

static struct tls_context *open_context(
    const struct server_context *ctx, const struct certificates *c, const char *ciphers, bool asks)
{
	const struct postfix_params *p = ctx->params;
	struct sni_table *names = smtpd_sni_open(p->tls_server_sni_maps);
	struct reason why;

	return tls_server_new(
	    &(struct tls_server_config){
		.files = c->files,
		.kinds = kinds,
		.chains = c->chain_count > 0 ? c->chains : NULL,
		.anonymous = true,
		.find_chain = names != NULL ? smtpd_sni_find : NULL,
		.find_arg = names,
		.ca_file = p->smtpd_tls_CAfile,
		.ca_path = p->smtpd_tls_CApath,
		.default_cas = p->tls_append_default_CA,
		.ask_client_cert = asks,
		.verify_depth = (int)p->smtpd_tls_ccert_verifydepth,
		.trust_server_certs = p->tls_trust_server_ccerts,
		.digest = p->smtpd_tls_fingerprint_digest,
		.protocols = smtpd_server.tls_required ? p->smtpd_tls_mandatory_protocols
						       : p->smtpd_tls_protocols,
		.ciphers = ciphers,
		.prefer_server_ciphers = p->tls_preempt_cipherlist,
		.old_security = true,
		.curves = p->tls_eecdh_auto_curves,
		.groups = p->tls_ffdhe_auto_groups,
		.dh_file = p->smtpd_tls_dh1024_param_file,
		.options = p->tls_ssl_options,
		.workarounds_off = p->tls_disable_workarounds,
		.session_ids = p->smtpd_tls_always_issue_session_ids,
		.service = ctx->service,
		.ticket_secret = slice_mem(ctx->secret, SERVER_SECRET_SIZE),
		.session_seconds = p->smtpd_tls_session_cache_timeout > 0
				       ? (long)p->smtpd_tls_session_cache_timeout
				       : -1,
		.ticket_cipher = p->tls_session_ticket_cipher,
		.log_errors = true,
	    },
	    &why);
}

static bool open_library(const struct postfix_params *p)
{
	struct reason why;

	if (tls_library_open(p->tls_config_file, p->tls_config_name, &why))
		return true;
	log_warning("%s, disabling TLS support", why.text);
	return false;
}

void smtpd_tls_open(const struct server_context *ctx)
{
	const struct postfix_params *p = ctx->params;
	enum level level = level_of(p->smtpd_tls_security_level);
	bool required = level == LEVEL_ENCRYPT || (level == LEVEL_UNSET && p->smtpd_enforce_tls);
	bool asks = p->smtpd_tls_ask_ccert || (required && p->smtpd_tls_req_ccert);
	struct certificates certs;
	char *ciphers;

	smtpd_server.tls_required = required;
	smtpd_server.tls_asks_clients = asks;
	smtpd_server.tls_requires_clients = required && p->smtpd_tls_req_ccert;
	smtpd_server.tls_wanted = required || level == LEVEL_MAY ||
				  (level == LEVEL_UNSET && p->smtpd_use_tls) ||
				  p->smtpd_tls_wrappermode;
	if (!smtpd_server.tls_wanted || !open_library(p))
		return;
	find_certificates(p, &certs);
	if (!can_serve(p, &certs, asks))
		return;
	if (atoi(p->smtpd_tls_loglevel) >= 2)
		log_info("initializing the server-side TLS engine");
	ciphers = cipher_list(p, asks);
	if (ciphers != NULL)
		smtpd_server.tls = open_context(ctx, &certs, ciphers, asks);
	free(ciphers);
	for (size_t i = 0; i < certs.chain_count; i++)
		free((char *)(uintptr_t)certs.chains[i]);
}
