// SPDX-License-Identifier: BSD-2-Clause
/*
 * AUTH (RFC 4954): the exchange is between the client and the auth service, smtpd carries the
 * base64 lines.  What the server could not decide is 454, never 535 and never a success.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "smtpd/smtpd.h"
#include "smtpd/smtpd_limits.h"

/* The peer's waiting time for an auth server. */
#define AUTH_SERVER_TIMEOUT_MS (155 * 1000)

static const struct {
	const char *word;
	unsigned flag;
	bool required; /* the mechanism must have it, rather than must not */
} options[] = {
	{ "noanonymous", AUTH_MECH_ANONYMOUS, false },
	{ "noplaintext", AUTH_MECH_PLAINTEXT, false },
	{ "noactive", AUTH_MECH_ACTIVE, false },
	{ "nodictionary", AUTH_MECH_DICTIONARY, false },
	{ "forward_secrecy", AUTH_MECH_FORWARD_SECRECY, true },
	{ "mutual_auth", AUTH_MECH_MUTUAL_AUTH, true },
};

/* smtpd_sasl_security_options and its sister for TLS sessions. */
static bool is_permitted(const struct smtpd *s, const struct auth_mechanism *mechanism)
{
	const struct postfix_params *p = smtpd_server.params;
	struct slice rest =
	    slice_of(stream_tls(s->session.stream) != NULL ? p->smtpd_sasl_tls_security_options
							   : p->smtpd_sasl_security_options);
	struct slice word;

	if (match_list_string(smtpd_server.sasl_filter, slice_of(mechanism->name)) != MATCH_YES)
		return false;
	while (slice_token(&rest, " \t,", &word))
		for (size_t i = 0; i < ARRAY_LEN(options); i++)
			if (slice_caseeq_str(word, options[i].word) &&
			    !(mechanism->flags & options[i].flag) == options[i].required)
				return false;
	return true;
}

bool smtpd_auth_allowed(const struct smtpd *s)
{
	if (smtpd_server.auth == NULL)
		return false;
	if (smtpd_server.params->smtpd_tls_auth_only && stream_tls(s->session.stream) == NULL)
		return false;
	return match_list_client(smtpd_server.sasl_exceptions, slice_of(s->client_name),
		   &s->session.peer) == MATCH_NO;
}

void smtpd_auth_mechanisms(const struct smtpd *s, struct strbuf *out)
{
	struct auth_mechanism list[AUTH_MECHANISMS_MAX];
	struct reason why;
	size_t count;

	if (!auth_service_mechanisms(
		smtpd_server.auth, deadline_in(AUTH_SERVER_TIMEOUT_MS), list, &count, &why))
		return;
	for (size_t i = 0; i < count; i++)
		if (is_permitted(s, &list[i]))
			strbuf_addf(out, "%s%s", out->len > 0 ? " " : "", list[i].name);
}

static bool is_offered(const struct smtpd *s, const char *name, struct reason *why)
{
	struct auth_mechanism list[AUTH_MECHANISMS_MAX];
	size_t count;

	if (!auth_service_mechanisms(
		smtpd_server.auth, deadline_in(AUTH_SERVER_TIMEOUT_MS), list, &count, why))
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(list[i].name, name) == 0 && is_permitted(s, &list[i]))
			return true;
	auth_service_refusal(smtpd_server.auth, name, why);
	return false;
}

static void say_failed(
    struct smtpd *s, const char *mechanism, bool temporary, const char *text, const char *user)
{
	if (text[0] == '\0')
		text = "(reason unavailable)";
	log_warning("%s: SASL %s authentication failed: %s, sasl_username=%s", s->name_addr,
	    mechanism, text, user[0] != '\0' ? user : "(unavailable)");
	if (temporary)
		smtpd_reply(s, 454, "4.7.0", "Temporary authentication failure: %s", text);
	else
		smtpd_reply(s, 535, "5.7.8", "Error: authentication failed: %s", text);
}

/* The client's next line; false when there is none or it gave up (said already). */
static bool read_response(struct smtpd *s, const char *mechanism, struct strbuf *response)
{
	const struct postfix_params *p = smtpd_server.params;
	size_t limit = (size_t)p->smtpd_sasl_response_limit;
	struct slice line;

	strbuf_reset(response);
	stream_set_deadline(s->session.stream, deadline_in(s->params->smtpd_timeout * 1000));
	switch (stream_read_line(s->session.stream, limit + 2 < 65536 ? limit + 2 : 65536, &line)) {
	case STREAM_READ_FAILED:
		return false;
	case STREAM_READ_PARTIAL:
		log_warning("%s: request longer than %zu: %.*s...", s->name_addr, limit,
		    SLICE_ARG(slice_first(line, 30)));
		if (smtpd_skip_line(s))
			smtpd_reply(s, 500, "5.5.6", "SASL response limit exceeded");
		return false;
	case STREAM_READ_LINE:
		break;
	}
	strbuf_addslice(response, slice_trim(line, " \t\r\n"));
	if (!slice_eq_str(strbuf_slice(response), "*"))
		return true;
	log_warning("%s: SASL %s authentication aborted", s->name_addr, mechanism);
	smtpd_reply(s, 501, "5.7.0", "Authentication aborted");
	return false;
}

/* Challenges and responses until the server has decided; false when the client is done with. */
static bool converse(struct smtpd *s, const char *mechanism, struct auth_exchange *exchange,
    enum auth_status *status)
{
	struct strbuf response = STRBUF_INIT(65536);
	bool alive = true;

	while (alive && *status == AUTH_CONTINUE) {
		struct strbuf challenge = STRBUF_INIT(65536);

		strbuf_addf(&challenge, "334 %.*s\r\n", SLICE_ARG(exchange->challenge));
		stream_write(s->session.stream, strbuf_slice(&challenge));
		strbuf_release(&challenge);
		alive = read_response(s, mechanism, &response);
		if (alive)
			*status = auth_exchange_continue(
			    exchange, strbuf_slice(&response), deadline_in(AUTH_SERVER_TIMEOUT_MS));
	}
	strbuf_release(&response);
	return alive;
}

static void authenticate(struct smtpd *s, const char *mechanism, struct slice initial)
{
	struct auth_params params = {
		.mechanism = mechanism,
		.service = smtpd_server.params->smtpd_sasl_service,
		.local_ip = s->server_address,
		.remote_ip = s->client_address,
		.secured = stream_tls(s->session.stream) != NULL,
		.nologin = true,
		.initial = initial,
	};
	enum auth_status status;
	struct auth_exchange *exchange = auth_service_start(
	    smtpd_server.auth, &params, deadline_in(AUTH_SERVER_TIMEOUT_MS), &status);

	if (!converse(s, mechanism, exchange, &status)) {
		/* said already */
	} else if (status == AUTH_OK) {
		s->sasl_method = arena_strdup(&s->arena, mechanism);
		char *user = arena_strdup(&s->arena, exchange->user);
		smtpd_neuter(user, "");
		s->sasl_username = user;
		s->session.user = user;
		smtpd_reply(s, 235, "2.7.0", "Authentication successful");
	} else {
		say_failed(
		    s, mechanism, status == AUTH_TEMPORARY, exchange->reason, exchange->user);
	}
	auth_exchange_free(exchange);
}

/* A mechanism, and an initial response or nothing. */
static bool take_words(struct slice args, struct slice *mechanism, struct slice *initial)
{
	if (!slice_token(&args, " \t", mechanism))
		return false;
	if (!slice_token(&args, " \t", initial))
		*initial = SLICE_NULL;
	return slice_trim(args, " \t").len == 0;
}

void smtpd_auth(struct smtpd *s, struct slice args)
{
	struct slice mechanism, initial;
	struct reason why;
	struct strbuf name = STRBUF_INIT(31);

	if (!smtpd_limit_event(s, ANVIL_AUTH)) {
		/* said already */
	} else if (smtpd_server.auth == NULL) {
		smtpd_reply(s, 503, "5.5.1", "Error: authentication not enabled");
	} else if (s->transaction != NULL) {
		smtpd_reply(s, 503, "5.5.1", "Error: MAIL transaction in progress");
	} else if (s->sasl_username != NULL) {
		smtpd_reply(s, 503, "5.5.1", "Error: already authenticated");
	} else if (smtpd_server.params->smtpd_tls_auth_only &&
		   stream_tls(s->session.stream) == NULL) {
		smtpd_reply(
		    s, 504, "5.5.4", "Encryption required for requested authentication mechanism");
	} else if (!smtpd_auth_allowed(s)) {
		smtpd_reply(s, 503, "5.5.1", "Error: authentication not enabled");
	} else if (!take_words(args, &mechanism, &initial)) {
		smtpd_reply(s, 501, "5.5.4", "Syntax: AUTH mechanism");
	} else {
		strbuf_addslice(&name, mechanism);
		for (size_t i = 0; i < name.len; i++)
			name.ptr[i] = ascii_upper(name.ptr[i]);
		if (slice_eq_str(initial, "=")) /* RFC 4954 4: an empty initial response */
			initial = (struct slice){ "", 0 };
		if (name.overflow || !is_offered(s, name.ptr, &why))
			say_failed(s, name.overflow ? "?" : name.ptr,
			    !name.overflow && !reason_is_permanent(&why),
			    name.overflow ? "Invalid authentication mechanism" : why.text, "");
		else
			authenticate(s, name.ptr, initial);
	}
	strbuf_release(&name);
}
