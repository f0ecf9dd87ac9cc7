// SPDX-License-Identifier: BSD-2-Clause
/*
 * The answer to a failed request is kept in the request until auth_failure_delay has passed since
 * the step began, so that it tells nothing about how long the check took, and goes out together
 * with other failures in the next tick of half a second; meanwhile the session is parked.  So it is
 * while an address with penalties has to wait.
 */
#include "authd/auth_request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "authd/penalty.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"

#define TICK_MS	     500
#define RESPONSE_MAX AUTH_LINE_MAX

static const struct dovecot_settings *settings; /* of the process */

static bool penalties_are_on;

/* "service anvil { unix_listener anvil-auth-penalty { mode = 0 } }" is the way to have none. */
void auth_request_setup(const struct server_context *ctx)
{
	const struct dovecot_block *anvil = dovecot_block_find(ctx->dovecot, "service", "anvil");

	settings = ctx->settings;
	penalties_are_on = true;
	for (size_t i = 0; anvil && i < dovecot_subblock_count(anvil, "unix_listener"); i++) {
		const struct dovecot_block *listener =
		    dovecot_subblock_at(anvil, "unix_listener", i);

		if (!strcmp(dovecot_block_label(listener), "anvil-auth-penalty") &&
		    dovecot_block_uint(listener, "mode") == 0)
			penalties_are_on = false;
	}
}

/* --- the life of a request --- */

void auth_request_free(struct auth_request *request)
{
	request->client->request_count--;
	list_del(&request->node);
	sasl_exchange_free(request->exchange);
	arena_wipe(&request->arena);
	arena_release(&request->arena);
	free(request);
}

struct auth_request *auth_request_find(struct client_session *client, uint32_t id)
{
	list_for_each(pos, &client->requests) {
		struct auth_request *request = list_entry(pos, struct auth_request, node);

		/* Its answer has been given, but for the sending. */
		if (request->id == id && request->state != AUTH_REQUEST_FAILED)
			return request;
	}
	return NULL;
}

/* "resp=" without a value is an empty response only in the protocol's newer versions. */
static void take_response(struct auth_request *request, const struct auth_fields *fields)
{
	struct slice text;

	if (!auth_field_get(fields, 3, "resp", &text) || (!text.len && request->client->minor < 2))
		return;
	request->has_response = true;
	request->response = slice_mem(arena_slicedup(&request->arena, text), text.len);
}

/* What a proxy in front passes on for those behind: TABs between them. */
static void take_forward_fields(struct auth_request *request, const struct auth_fields *fields)
{
	struct slice list, field;

	if (!auth_field_get(fields, 3, "forward_fields", &list) || slice_has_nul(list))
		return;
	while (slice_token(&list, "\t", &field))
		pairs_set_text(&request->subject.extra, &request->arena,
		    slice_of(arena_printf(&request->arena, "forward_%.*s", SLICE_ARG(field))));
}

struct auth_request *auth_request_new(struct client_session *client, uint32_t id,
    const struct sasl_mechanism *mechanism, const struct auth_fields *fields)
{
	struct auth_request *request = xcalloc(1, sizeof(*request));
	struct slice unused;

	request->client = client;
	request->id = id;
	request->mechanism = mechanism;
	request->result = DB_MISMATCH;
	request->step_began = clock_ms();
	request->due = request->step_began + AUTH_REQUEST_LIFE_MS;
	list_add_tail(&client->requests, &request->node);
	client->request_count++;
	if (!subject_from_fields(&request->subject, &request->arena, fields, 3)) {
		auth_request_free(request);
		return NULL;
	}
	request->subject.mechanism = mechanism->name;
	request->wants_last_word_with_ok = auth_field_get(fields, 3, "final-resp-ok", &unused);
	take_forward_fields(request, fields);
	take_response(request, fields);
	return request;
}

/* --- what the mechanism wants to know --- */

/* With auth_ssl_username_from_cert the certificate names the user, whatever the client says. */
static bool set_name(void *arg, struct slice user, struct slice authzid)
{
	struct auth_request *request = arg;
	struct subject *s = &request->subject;
	bool of_cert = settings->auth_ssl_username_from_cert && *s->cert_username;
	const char *said =
	    request->mechanism->says_name ? arena_slicedup(&request->arena, user) : "";
	const char *error = NULL;
	bool good;

	request->named = true;
	if (!subject_set_name(s, settings, of_cert ? slice_of(s->cert_username) : user, &error)) {
		request->why = error;
		/* A certificate's name that cannot be one is not told; the client's is, if any. */
		if (of_cert) {
			s->login_user = said;
			s->user = *said ? NULL : said;
		}
		return false;
	}
	good = subject_set_authzid(s, settings, authzid, &error);
	if (!good)
		request->why = error;
	/* EXTERNAL has no name but the certificate's. */
	if (of_cert)
		s->login_user = said;
	return good;
}

static bool verify(void *arg, struct slice password)
{
	struct auth_request *request = arg;

	request->checksum = crc32c(crc32c(0, slice_of(request->subject.user)), password);
	request->result = passdb_verify(&request->subject, password);
	return request->result == DB_OK;
}

static enum db_result tell_credentials(void *arg, struct credentials *credentials)
{
	struct auth_request *request = arg;

	request->result = passdb_credentials(&request->subject, credentials);
	return request->result;
}

static bool let_in_anybody(void *arg, struct slice trace)
{
	struct auth_request *request = arg;
	struct subject *s = &request->subject;

	s->user = arena_slicedup(&request->arena, trace);
	if (settings->auth_verbose)
		subject_log(s, LOG_LEVEL_INFO, "anonymous", "login");
	s->user = s->login_user = settings->auth_anonymous_username;
	request->result = DB_OK;
	return true;
}

/* "<pid.connection.time." in hex, as a pre-login half makes it of our hello. */
static bool is_own_challenge(void *arg, struct slice challenge)
{
	const struct auth_request *request = arg;
	const unsigned long want[] = { (unsigned long)getpid(), request->client->connection };
	char text[128];
	const char *at = text;

	if (challenge.len >= sizeof(text))
		return false;
	memcpy(text, challenge.ptr, challenge.len);
	text[challenge.len] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(want) + 1; i++) {
		unsigned long number;
		char *end;

		if (*at++ != (i ? '.' : '<') || !isxdigit((unsigned char)*at))
			return false;
		number = strtoul(at, &end, 16);
		if (i < ARRAY_LEN(want) && number != want[i])
			return false;
		at = end;
	}
	return *at == '.';
}

static const struct sasl_asker asker = {
	.challenge = is_own_challenge,
	.name = set_name,
	.verify = verify,
	.credentials = tell_credentials,
	.anonymous = let_in_anybody,
};

/* --- answers --- */

/* A proxy's password is not for the log. */
static void log_answer(struct slice line)
{
	static const char field[] = "\tpass=";
	struct slice shown = line, rest = SLICE_LIT("");
	const char *at = memmem(line.ptr, line.len, field, strlen(field));

	if (at && !settings->auth_debug_passwords) {
		ptrdiff_t tab;

		shown = slice_first(line, (size_t)(at - line.ptr) + strlen(field));
		rest = slice_from(line, shown.len);
		tab = slice_find(rest, '\t');
		rest = tab < 0 ? SLICE_LIT("") : slice_from(rest, (size_t)tab);
	}
	log_debug("client passdb out: %.*s%s%.*s", SLICE_ARG(shown),
	    shown.len < line.len ? "<hidden>" : "", SLICE_ARG(rest));
}

void auth_client_send(struct client_session *client, struct slice line)
{
	stream_write(client->session.stream, line);
	if (log_debugs())
		log_answer(slice_first(line, line.len - 1));
}

static void send_line(struct client_session *client, const struct strbuf *line)
{
	auth_client_send(client, strbuf_slice(line));
}

void auth_client_fail(
    struct client_session *client, uint32_t id, const char *code, const char *reason)
{
	struct strbuf line = STRBUF_INIT(1000);

	strbuf_addf(&line, "FAIL\t%u", id);
	if (code)
		auth_add_field(&line, "code", slice_of(code));
	auth_add_field(&line, "reason", slice_of(reason));
	strbuf_addch(&line, '\n');
	send_line(client, &line);
	strbuf_release(&line);
}

static const char *fail_reason(const struct auth_request *request)
{
	if (request->reason)
		return request->reason;
	if (request->subject.fail_reason)
		return request->subject.fail_reason;
	return request->result == DB_EXPIRED ? "Password expired" : NULL;
}

/* "FAIL id" with the fields of the result. */
static const char *fail_line(struct auth_request *request)
{
	static const char *const codes[] = { [DB_DISABLED] = "user_disabled",
		[DB_EXPIRED] = "pass_expired",
		[DB_FAILED] = "temp_fail" };
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);
	const struct subject *s = &request->subject;
	const char *text;

	strbuf_addf(&line, "FAIL\t%u", request->id);
	if (request->named)
		auth_add_field(&line, "user", slice_of(s->user ? s->user : s->login_user));
	/* Who is a master and may not be this user. */
	if (s->master_user && request->result != DB_FAILED)
		auth_add_field(&line, "code", SLICE_LIT("authz_fail"));
	else if (request->result < (int)ARRAY_LEN(codes) && codes[request->result])
		auth_add_field(&line, "code", slice_of(codes[request->result]));
	if (fail_reason(request))
		auth_add_field(&line, "reason", slice_of(fail_reason(request)));
	if (request->named)
		subject_write_fail_fields(s, &line);
	strbuf_addch(&line, '\n');
	text = arena_slicedup(&request->arena, strbuf_slice(&line));
	strbuf_release(&line);
	return text;
}

/* Failures of all connections are answered at the same instants. */
static int64_t answer_time(const struct auth_request *request)
{
	int64_t delay = settings->auth_failure_delay * 1000;
	int64_t due = request->step_began + delay;

	if (!delay || request->subject.nodelay)
		return request->step_began;
	return (due + TICK_MS - 1) / TICK_MS * TICK_MS;
}

static void log_why(const struct auth_request *request)
{
	char driver[32];

	if (!request->why || !settings->auth_verbose)
		return;
	snprintf(driver, sizeof(driver), "%s", request->mechanism->name);
	ascii_tolower(driver, strlen(driver));
	subject_log(&request->subject, LOG_LEVEL_INFO, driver, "%s", request->why);
}

static bool has_penalty(const struct auth_request *request)
{
	/* Without an address there is nobody to have it. */
	return penalties_are_on && !request->subject.no_penalty && *request->subject.remote_ip;
}

/* A database that is down is not the client's fault. */
static void punish(const struct auth_request *request)
{
	if (has_penalty(request) && !request->subject.nodelay && request->result != DB_FAILED)
		penalty_add(
		    request->subject.remote_ip, request->penalty, request->checksum, clock_ms());
}

static void fail(struct auth_request *request)
{
	log_why(request);
	punish(request);
	request->answer = fail_line(request);
	sasl_exchange_free(request->exchange);
	request->exchange = NULL;
	request->state = AUTH_REQUEST_FAILED;
	request->due = answer_time(request);
}

/* Whose mailbox is not to be opened here: the client is told, and no REQUEST may be made of it. */
static bool opens_no_mailbox(const struct subject *subject)
{
	static const char *const fields[] = { "nologin", "proxy", "proxy_maybe" };

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (pairs_find(&subject->extra, fields[i]))
			return true;
	return false;
}

/* LAST_WORD is the mechanism's, to go with it. */
static void send_ok(struct auth_request *request, struct slice last_word)
{
	struct client_session *client = request->client;
	bool keep = client->is_login && !opens_no_mailbox(&request->subject);
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);

	strbuf_addf(&line, "OK\t%u", request->id);
	auth_add_field(&line, "user", slice_of(request->subject.user));
	subject_write_fields(&request->subject, settings, client->is_login, &line);
	if (last_word.len) {
		strbuf_addstr(&line, "\tresp=");
		base64_encode(&line, last_word);
	}
	strbuf_addch(&line, '\n');
	if (line.overflow ||
	    (keep && !login_keep(&client->login, request->id, &request->subject))) {
		subject_log(&request->subject, LOG_LEVEL_ERROR, "auth",
		    line.overflow ? "too many extra fields" : "too many logins wait");
		request->result = DB_FAILED;
		fail(request);
	} else {
		if (request->penalty)
			penalty_forgive(request->subject.remote_ip);
		send_line(client, &line);
		auth_request_free(request);
	}
	secret_release(&line);
}

/* A passdb may have the login wait ("delay_until="). */
static void succeed(struct auth_request *request, struct slice last_word)
{
	int64_t seconds = request->subject.delay_until - time(NULL);

	if (seconds <= 0) {
		send_ok(request, last_word);
		return;
	}
	request->state = AUTH_REQUEST_DELAYED;
	request->response = slice_mem(arena_slicedup(&request->arena, last_word), last_word.len);
	request->due = clock_ms() + seconds * 1000;
}

static void challenge(const struct auth_request *request, struct slice text)
{
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);

	strbuf_addf(&line, "CONT\t%u\t", request->id);
	base64_encode(&line, text);
	strbuf_addch(&line, '\n');
	send_line(request->client, &line);
	strbuf_release(&line);
}

static void take_result(
    struct auth_request *request, enum sasl_result result, const struct strbuf *said)
{
	struct slice out = strbuf_slice(said);

	switch (result) {
	case SASL_RESULT_CONTINUE:
		challenge(request, out);
		break;
	case SASL_RESULT_DONE:
		if (!out.len || request->wants_last_word_with_ok) {
			succeed(request, out);
		} else {
			request->state = AUTH_REQUEST_LAST;
			challenge(request, out);
		}
		break;
	case SASL_RESULT_FAILED:
		/* The stored password was there, and the response was not made with it. */
		if (request->result == DB_OK) {
			request->result = DB_MISMATCH;
			request->why = "Password mismatch";
		} else if (!request->why && !request->subject.user) {
			request->why = "invalid input";
		}
		fail(request);
		break;
	}
}

/* --- steps --- */

/* "=" is how some write an empty initial response; the result's pointer is never NULL. */
static bool decode(struct slice text, bool initial, struct strbuf *plain)
{
	return (initial && slice_eq_str(text, "=")) || base64_decode(plain, text);
}

static void refuse_base64(struct auth_request *request, const char *text)
{
	request->why = text;
	log_why(request);
	auth_client_fail(request->client, request->id, "invalid_base64", text);
	auth_request_free(request);
}

/* A certificate that names nobody would leave the name to the client (CVE-2019-3814). */
static bool lacks_certificate(struct auth_request *request)
{
	const struct subject *s = &request->subject;

	if (!settings->auth_ssl_require_client_cert)
		return false;
	if (!s->valid_client_cert)
		request->reason = "Client didn't present valid SSL certificate";
	else if (settings->auth_ssl_username_from_cert && !*s->cert_username)
		request->reason = "SSL certificate didn't contain username";
	else
		return false;
	request->why = request->reason;
	fail(request);
	return true;
}

static void begin(struct auth_request *request, struct slice response)
{
	struct strbuf out = STRBUF_INIT(AUTH_REPLY_MAX / 2);
	struct sasl_client client = { .service = request->subject.service,
		.cert_user =
		    settings->auth_ssl_username_from_cert ? request->subject.cert_username : "" };

	request->exchange = sasl_exchange_new(request->mechanism, &asker, request, &client);
	if (!request->exchange) {
		request->result = DB_FAILED;
		fail(request);
	} else {
		take_result(request, sasl_exchange_start(request->exchange, response, &out), &out);
	}
	secret_release(&out);
}

static void run(struct auth_request *request)
{
	struct strbuf plain = STRBUF_INIT(RESPONSE_MAX);

	request->state = AUTH_REQUEST_OPEN;
	request->step_began = clock_ms();
	request->due = request->step_began + AUTH_REQUEST_LIFE_MS;
	if (lacks_certificate(request))
		;
	else if (!request->has_response)
		begin(request, SLICE_NULL);
	else if (decode(request->response, true, &plain))
		begin(request, strbuf_slice(&plain));
	else
		refuse_base64(request, "Invalid base64 data in initial response");
	secret_release(&plain);
}

void auth_request_start(struct auth_request *request)
{
	if (has_penalty(request))
		request->penalty = penalty_level(request->subject.remote_ip, request->step_began);
	if (request->penalty == 0) {
		run(request);
		return;
	}
	request->state = AUTH_REQUEST_PENALTY;
	request->due = request->step_began + penalty_wait_ms(request->penalty);
}

static void step(struct auth_request *request, struct slice response)
{
	struct strbuf out = STRBUF_INIT(AUTH_REPLY_MAX / 2);

	request->step_began = clock_ms();
	if (request->state == AUTH_REQUEST_LAST)
		succeed(request, SLICE_NULL);
	else
		take_result(request, sasl_exchange_step(request->exchange, response, &out), &out);
	strbuf_release(&out);
}

void auth_request_continue(struct auth_request *request, struct slice base64)
{
	struct strbuf plain = STRBUF_INIT(RESPONSE_MAX);

	if (request->state == AUTH_REQUEST_PENALTY || request->state == AUTH_REQUEST_DELAYED) {
		auth_client_fail(request->client, request->id, NULL, "Unexpected continuation");
		auth_request_free(request);
	} else if (!decode(base64, false, &plain)) {
		refuse_base64(request, "Invalid base64 data in continued response");
	} else {
		step(request, strbuf_slice(&plain));
	}
	secret_release(&plain);
}

void auth_request_expire(struct auth_request *request)
{
	switch (request->state) {
	case AUTH_REQUEST_PENALTY:
		run(request);
		return;
	case AUTH_REQUEST_DELAYED:
		send_ok(request, request->response);
		return;
	case AUTH_REQUEST_FAILED:
		auth_client_send(request->client, slice_of(request->answer));
		break;
	case AUTH_REQUEST_OPEN:
	case AUTH_REQUEST_LAST:
		auth_client_fail(
		    request->client, request->id, NULL, "Authentication request timed out");
		break;
	}
	auth_request_free(request);
}
