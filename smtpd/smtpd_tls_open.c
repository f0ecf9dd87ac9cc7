// SPDX-License-Identifier: BSD-2-Clause
/*
 * What main.cf says about TLS, made into a context before the jail.  As with the peer a mistake
 * there costs TLS and not the service: the log says why, and STARTTLS gets 454.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "server/tls_params.h"
#include "smtpd/smtpd.h"
#include "smtpd/smtpd_tls.h"

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

/* A grade's list, less what is excluded; NULL: none is left. */
static char *cipher_list(const struct postfix_params *p, bool asks_clients)
{
	const char *grade =
	    smtpd_server.tls_required ? p->smtpd_tls_mandatory_ciphers : p->smtpd_tls_ciphers;
	const char *excluded[] = { p->smtpd_tls_exclude_ciphers,
		smtpd_server.tls_required ? p->smtpd_tls_mandatory_exclude_ciphers : "",
		asks_clients ? "aNULL" : "" };
	struct reason why;
	char *list = tls_cipher_list(p, grade, excluded, ARRAY_LEN(excluded), &why);

	if (list == NULL)
		log_warning("%s: disabling TLS support", why.text);
	return list;
}

static void find_certificates(const struct postfix_params *p, struct tls_certificates *certs)
{
	tls_certificates_find(certs,
	    &(struct tls_certificate_params){
		.prefix = "smtpd",
		.chain_files = p->smtpd_tls_chain_files,
		.cert = { p->smtpd_tls_cert_file, p->smtpd_tls_dcert_file,
		    p->smtpd_tls_eccert_file },
		.key = { p->smtpd_tls_key_file, p->smtpd_tls_dkey_file, p->smtpd_tls_eckey_file },
	    });
}

/* Whether there is something to serve TLS with; says what is odd. */
static bool can_serve(const struct postfix_params *p, const struct tls_certificates *c, bool asks)
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

static struct tls_context *open_context(const struct server_context *ctx,
    const struct tls_certificates *c, const char *ciphers, bool asks)
{
	const struct postfix_params *p = ctx->params;
	struct sni_table *names = smtpd_sni_open(p->tls_server_sni_maps);
	struct reason why;

	return tls_server_new(
	    &(struct tls_server_config){
		.files = c->files,
		.kinds = tls_certificate_kinds,
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

void smtpd_tls_open(const struct server_context *ctx)
{
	const struct postfix_params *p = ctx->params;
	enum level level = level_of(p->smtpd_tls_security_level);
	bool required = level == LEVEL_ENCRYPT || (level == LEVEL_UNSET && p->smtpd_enforce_tls);
	bool asks = p->smtpd_tls_ask_ccert || (required && p->smtpd_tls_req_ccert);
	struct tls_certificates certs;
	char *ciphers;

	smtpd_server.tls_required = required;
	smtpd_server.tls_asks_clients = asks;
	smtpd_server.tls_requires_clients = required && p->smtpd_tls_req_ccert;
	smtpd_server.tls_wanted = required || level == LEVEL_MAY ||
				  (level == LEVEL_UNSET && p->smtpd_use_tls) ||
				  p->smtpd_tls_wrappermode;
	if (!smtpd_server.tls_wanted || !tls_params_open_library(p))
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
	tls_certificates_release(&certs);
}
