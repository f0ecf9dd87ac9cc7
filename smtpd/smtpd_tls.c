// SPDX-License-Identifier: BSD-2-Clause
/* TLS of an SMTP session: handshakes, their log lines, what Received: says of them. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "smtpd/smtpd.h"
#include "smtpd/smtpd_keywords.h"
#include "smtpd/smtpd_limits.h"

static void add_signature(
    struct strbuf *out, const char *whose, const char *name, int bits, const char *digest)
{
	strbuf_addf(out, " %s-signature %s", whose, name);
	if (bits > 0)
		strbuf_addf(out, " (%d bits)", bits);
	if (digest[0] != '\0')
		strbuf_addf(out, " %s-digest %s", whose, digest);
}

/* The name in a comment may not end it (RFC 5322 3.2.2), whatever the client wrote there. */
static void add_comment_name(struct strbuf *out, const char *name)
{
	unsigned depth = 0;

	for (; *name != '\0'; name++) {
		char c = *name;

		if (!ascii_isprint(c) || c == '\\' || (c == ')' && depth == 0))
			c = '?';
		depth += c == '(';
		depth -= c == ')';
		strbuf_addch(out, c);
	}
	while (depth-- > 0)
		strbuf_addch(out, ')');
}

static void add_client(const struct tls_info *tls, struct strbuf *out)
{
	if (tls->client == TLS_NO_CLIENT_CERT) {
		strbuf_addf(out, "\n\t(%s)",
		    smtpd_server.params->smtpd_tls_ask_ccert
			? "Client did not present a certificate"
			: "No client certificate requested");
		return;
	}
	strbuf_addstr(out, "\n\t(Client CN \"");
	add_comment_name(out, tls->client_name);
	strbuf_addstr(out, "\", Issuer \"");
	add_comment_name(out, tls->client_issuer);
	strbuf_addf(
	    out, "\" (%s))", tls->client == TLS_CLIENT_TRUSTED ? "verified OK" : "not verified");
}

void smtpd_tls_received(const struct smtpd *s, struct strbuf *out)
{
	struct tls_info tls;

	tls_connection_info(stream_tls(s->session.stream), &tls);
	strbuf_addf(out, "\n\t(using %s with cipher %s (%d/%d bits)", tls.protocol, tls.cipher,
	    tls.cipher_bits, tls.algorithm_bits);
	if (tls.key_exchange[0] != '\0')
		strbuf_addf(out, "\n\t key-exchange %s", tls.key_exchange);
	if (tls.signature[0] != '\0')
		add_signature(out, "server", tls.signature, tls.signature_bits, tls.digest);
	if (tls.client_signature[0] != '\0') {
		strbuf_addstr(out, "\n\t");
		add_signature(out, "client", tls.client_signature, tls.client_signature_bits,
		    tls.client_digest);
	}
	strbuf_addch(out, ')');
	add_client(&tls, out);
}

static void log_established(const struct smtpd *s)
{
	static const char *const words[] = {
		[TLS_NO_CLIENT_CERT] = "Anonymous",
		[TLS_CLIENT_UNTRUSTED] = "Untrusted",
		[TLS_CLIENT_TRUSTED] = "Trusted",
	};
	struct tls_info tls;
	struct strbuf line = STRBUF_INIT(1500);

	tls_connection_info(stream_tls(s->session.stream), &tls);
	strbuf_addf(
	    &line, "%s TLS connection established from %s", words[tls.client], s->name_addr);
	if (tls.matched_name[0] != '\0')
		strbuf_addf(&line, " to %s", tls.matched_name);
	strbuf_addf(&line, ": %s with cipher %s (%d/%d bits)", tls.protocol, tls.cipher,
	    tls.cipher_bits, tls.algorithm_bits);
	if (tls.key_exchange[0] != '\0')
		strbuf_addf(&line, " key-exchange %s", tls.key_exchange);
	if (tls.signature[0] != '\0')
		add_signature(&line, "server", tls.signature, tls.signature_bits, tls.digest);
	if (tls.client_signature[0] != '\0')
		add_signature(&line, "client", tls.client_signature, tls.client_signature_bits,
		    tls.client_digest);
	log_info("%s", line.ptr);
	strbuf_release(&line);
}

/*
 * Without the certificate that is required the next command, EHLO, is refused and all is over; in
 * wrapper mode the client waits for us.
 */
static bool has_required_cert(struct smtpd *s)
{
	struct tls_info tls;
	struct slice line;

	tls_connection_info(stream_tls(s->session.stream), &tls);
	if (!smtpd_server.tls_requires_clients || tls.client == TLS_CLIENT_TRUSTED)
		return true;
	const char *text = tls.client == TLS_NO_CLIENT_CERT ? "No client certificate presented"
							    : "Client certificate not trusted";

	log_info("NOQUEUE: abort: TLS from %s: %s", s->name_addr, text);
	if (!s->tls_wrapper) {
		smtpd_set_deadline(s);
		stream_read_line(s->session.stream, smtpd_server.line_max, &line);
	}
	/* Not by smtpd_reply: STARTTLS itself has been a success. */
	stream_printf(
	    s->session.stream, "421 4.7.1 %s Error: %s\r\n", smtpd_server.params->myhostname, text);
	s->where = NULL;
	return false;
}

bool smtpd_tls_start(struct smtpd *s)
{
	const struct postfix_params *p = smtpd_server.params;
	const struct tls_peer peer = {
		.name = s->name_addr,
		.verbose = atoi(p->smtpd_tls_loglevel) >= 2,
		.must_verify = smtpd_server.tls_requires_clients,
	};

	if (smtpd_server.tls == NULL) {
		log_warning("Wrapper-mode request dropped from %s for service %s. TLS context "
			    "initialization failed. For details see earlier warnings in your logs.",
		    s->name_addr, smtpd_server.ctx->service);
		return false;
	}
	stream_set_deadline(
	    s->session.stream, deadline_in(s->params->smtpd_starttls_timeout * 1000));
	if (!tls_accept_logged(s->session.stream, smtpd_server.tls, &peer))
		return false;
	if (atoi(p->smtpd_tls_loglevel) >= 1)
		log_established(s);
	return has_required_cert(s);
}

void smtpd_tls_facts(const struct smtpd *s, struct restrict_facts *facts)
{
	const struct tls_connection *c = stream_tls(s->session.stream);
	struct tls_info tls;

	facts->tls = c != NULL;
	facts->asks_client_certs = smtpd_server.tls_asks_clients;
	if (c == NULL)
		return;
	tls_connection_info(c, &tls);
	if (tls.client == TLS_NO_CLIENT_CERT)
		return;
	facts->cert_name = tls.client_name;
	facts->cert_fingerprint = tls.client_fingerprint;
	facts->cert_key_fingerprint = tls.client_key_fingerprint;
	facts->cert_trusted = tls.client == TLS_CLIENT_TRUSTED;
}

void smtpd_starttls(struct smtpd *s, struct slice args)
{
	(void)args;
	if (stream_tls(s->session.stream) != NULL) {
		smtpd_reply(s, 554, "5.5.1", "Error: TLS already active");
	} else if (!smtpd_server.tls_wanted || (smtpd_hidden_keywords(s) & KEYWORD_STARTTLS) != 0) {
		smtpd_reply(s, 502, "5.5.1", "Error: command not implemented");
	} else if (smtpd_server.tls == NULL) {
		smtpd_reply(s, 454, "4.7.0", "TLS not available due to local problem");
	} else if (!smtpd_limit_has_tls_left(s, "STARTTLS")) {
		smtpd_reply(
		    s, 454, "4.7.0", "Error: too many new TLS sessions from %s", s->name_addr);
	} else {
		smtpd_reply(s, 220, "2.0.0", "Ready to start TLS");
		/* RFC 3207 4.2: what was sent in clear, after the command too, is forgotten. */
		stream_discard_input(s->session.stream);
		smtpd_session_reset(s);
		if (!stream_flush(s->session.stream) || !smtpd_tls_start(s))
			s->closing = true;
		else
			(void)smtpd_limit_new_tls(s);
	}
}
