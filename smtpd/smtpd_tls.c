// SPDX-License-Identifier: BSD-2-Clause
/* TLS of the SMTP server: certificates before the jail, handshakes and their log lines. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "smtpd/smtpd.h"

static bool is_set(const char *value)
{
	return value != NULL && value[0] != '\0' && strcmp(value, "none") != 0;
}

/* Key and chain in one file each; one of each kind of key is of use. */
#define FILES_MAX 8

static struct tls_context *open_context(
    const struct server_context *ctx, const struct tls_files *files)
{
	const struct postfix_params *p = ctx->params;
	struct reason why;

	struct tls_context *tls = tls_server_new(
	    &(struct tls_server_config){
		.files = files,
		.ca_file = is_set(p->smtpd_tls_CAfile) ? p->smtpd_tls_CAfile : NULL,
		.protocols = strcmp(p->smtpd_tls_security_level, "encrypt") == 0
				 ? p->smtpd_tls_mandatory_protocols
				 : p->smtpd_tls_protocols,
		.prefer_server_ciphers = p->tls_preempt_cipherlist,
		.ask_client_cert = p->smtpd_tls_ask_ccert,
		.service = ctx->service,
		.ticket_secret = slice_mem(ctx->secret, SERVER_SECRET_SIZE),
	    },
	    &why);

	/* As with the peer: mail goes on in clear, and the log says why. */
	if (tls == NULL)
		log_warning("%s: no TLS", why.text);
	return tls;
}

struct tls_context *smtpd_tls_open(const struct server_context *ctx)
{
	const struct postfix_params *p = ctx->params;
	struct tls_files files[FILES_MAX + 1] = { { NULL, NULL } };
	struct strbuf element = STRBUF_INIT(4096);
	const char *chains = p->smtpd_tls_chain_files;
	size_t count = 0;

	while (count < FILES_MAX && postfix_list_next(&chains, &element)) {
		files[count++] = (struct tls_files){ xstrdup(element.ptr), NULL };
		strbuf_reset(&element);
	}
	strbuf_release(&element);
	if (count > 0)
		return open_context(ctx, files);
	if (is_set(p->smtpd_tls_cert_file))
		files[count++] =
		    (struct tls_files){ p->smtpd_tls_cert_file, p->smtpd_tls_key_file };
	if (is_set(p->smtpd_tls_eccert_file))
		files[count++] =
		    (struct tls_files){ p->smtpd_tls_eccert_file, p->smtpd_tls_eckey_file };
	if (count > 0)
		return open_context(ctx, files);
	log_warning("TLS is asked for, but smtpd_tls_cert_file is not set: no TLS");
	return NULL;
}

static void add_signature(const struct tls_info *tls, struct strbuf *out)
{
	strbuf_addf(out, " server-signature %s", tls->signature);
	if (tls->signature_bits > 0)
		strbuf_addf(out, " (%d bits)", tls->signature_bits);
	if (tls->digest[0] != '\0')
		strbuf_addf(out, " server-digest %s", tls->digest);
}

void smtpd_tls_received(const struct smtpd *s, struct strbuf *out)
{
	struct tls_info tls;

	tls_connection_info(stream_tls(s->session.stream), &tls);
	strbuf_addf(out, "\n\t(using %s with cipher %s (%d/%d bits)", tls.protocol, tls.cipher,
	    tls.cipher_bits, tls.algorithm_bits);
	if (tls.key_exchange[0] != '\0') {
		strbuf_addf(out, "\n\t key-exchange %s", tls.key_exchange);
		if (tls.signature[0] != '\0')
			add_signature(&tls, out);
	}
	strbuf_addf(out, ")\n\t(%s)",
	    smtpd_server.params->smtpd_tls_ask_ccert ? "Client did not present a certificate"
						     : "No client certificate requested");
}

static void log_established(const struct smtpd *s)
{
	struct tls_info tls;
	struct strbuf line = STRBUF_INIT(1000);

	tls_connection_info(stream_tls(s->session.stream), &tls);
	strbuf_addf(&line,
	    "Anonymous TLS connection established from %s: %s with cipher %s (%d/%d bits)",
	    s->name_addr, tls.protocol, tls.cipher, tls.cipher_bits, tls.algorithm_bits);
	if (tls.key_exchange[0] != '\0')
		strbuf_addf(&line, " key-exchange %s", tls.key_exchange);
	if (tls.signature[0] != '\0')
		add_signature(&tls, &line);
	log_info("%s", line.ptr);
	strbuf_release(&line);
}

bool smtpd_tls_start(struct smtpd *s)
{
	const struct postfix_params *p = smtpd_server.params;

	stream_set_deadline(s->session.stream, deadline_in(p->smtpd_starttls_timeout * 1000));
	if (atoi(p->smtpd_tls_loglevel) >= 2)
		log_info("setting up TLS connection from %s", s->name_addr);
	if (smtpd_server.tls == NULL || !tls_accept(s->session.stream, smtpd_server.tls)) {
		log_info("SSL_accept error from %s: %s", s->name_addr,
		    smtpd_server.tls == NULL ? "no certificate"
					     : stream_error_text(s->session.stream));
		return false;
	}
	if (atoi(p->smtpd_tls_loglevel) >= 1)
		log_established(s);
	return true;
}

void smtpd_starttls(struct smtpd *s, struct slice args)
{
	(void)args;
	if (stream_tls(s->session.stream) != NULL) {
		smtpd_reply(s, 554, "5.5.1", "Error: TLS already active");
	} else if (!smtpd_server.tls_wanted) {
		smtpd_reply(s, 502, "5.5.1", "Error: command not implemented");
	} else if (smtpd_server.tls == NULL) {
		smtpd_reply(s, 454, "4.7.0", "TLS not available due to local problem");
	} else {
		smtpd_reply(s, 220, "2.0.0", "Ready to start TLS");
		/* RFC 3207 4.2: what was sent in clear, after the command too, is forgotten. */
		stream_discard_input(s->session.stream);
		smtpd_session_reset(s);
		if (!stream_flush(s->session.stream) || !smtpd_tls_start(s))
			s->closing = true;
	}
}
