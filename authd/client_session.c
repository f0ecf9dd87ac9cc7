// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client protocol: SASL for MTAs (kind auth) and for pre-login halves (kind login).
 *
 * Requests of one connection are worked on one after the other, in the session's own thread, so a
 * slow hash holds up the other requests of this connection and nothing else.  The answer to a
 * failed request is kept in the request until auth_failure_delay has passed since the request
 * began, so that it tells nothing about how long the check took; meanwhile the session is parked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authd/authd.h"
#include "authd/database.h"
#include "authd/logins.h"
#include "authd/sasl_server.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"

#define REQUESTS_MAX 1000
#define RESPONSE_MAX AUTH_LINE_MAX

struct client_session {
	struct session session;
	struct list requests;
	size_t request_count;
	bool has_version, is_login;
	struct login_client login;
};

struct request {
	struct list node;
	struct client_session *client;
	uint32_t id;
	int64_t step_began; /* clock_ms */
	int64_t due;	    /* when it ends by itself, or when its answer is to be sent */
	const char *answer; /* the delayed FAIL line; NULL while the exchange goes on */
	struct arena arena;
	struct subject subject;
	struct sasl_exchange *exchange;
	enum db_result result;	/* after the check */
	const char *name_error; /* why nobody can have this name */
};

bool authd_read_line(struct stream *stream, const char *name, bool *has_version,
    struct arena *arena, struct auth_fields *fields)
{
	struct slice line;

	stream_set_deadline(stream, deadline_in(AUTHD_LINE_MS));
	switch (stream_read_line(stream, AUTH_LINE_MAX, &line)) {
	case STREAM_READ_FAILED:
		return false;
	case STREAM_READ_PARTIAL:
		log_error("%s: client sent a line that is too long", name);
		return false;
	case STREAM_READ_LINE:
		break;
	}
	if (!auth_fields_split(fields, slice_first(line, line.len - 1), arena)) {
		log_error("%s: client sent a malformed line", name);
		return false;
	}
	if (*has_version)
		return true;
	if (!auth_field_is(fields, 0, "VERSION") || !auth_field_is(fields, 1, "1")) {
		log_error("%s: client speaks another version of the protocol", name);
		return false;
	}
	*has_version = true;
	return true;
}

/* --- requests --- */

static void request_free(struct request *request)
{
	request->client->request_count--;
	list_del(&request->node);
	sasl_exchange_free(request->exchange);
	arena_release(&request->arena);
	free(request);
}

static struct request *find_request(struct client_session *client, uint32_t id)
{
	list_for_each(pos, &client->requests) {
		struct request *request = list_entry(pos, struct request, node);

		if (request->id == id)
			return request;
	}
	return NULL;
}

static struct request *request_new(struct client_session *client, uint32_t id)
{
	struct request *request = xcalloc(1, sizeof(*request));

	request->client = client;
	request->id = id;
	request->due = clock_ms() + AUTH_REQUEST_LIFE_MS;
	request->result = DB_MISMATCH;
	request->step_began = clock_ms();
	list_add_tail(&client->requests, &request->node);
	client->request_count++;
	return request;
}

/* What the mechanism wants to know. */
static bool check(void *arg, struct slice user, struct slice password)
{
	struct request *request = arg;
	struct subject *subject = &request->subject;
	const char *error;

	if (!subject_set_name(subject, server_context()->settings, user, &error)) {
		request->name_error = error;
		request->result = DB_UNKNOWN;
		return false;
	}
	request->result = passdb_verify(subject, password);
	return request->result == DB_OK;
}

static void log_name_error(const struct request *request)
{
	char driver[32];

	if (!request->name_error || !server_context()->settings->auth_verbose)
		return;
	snprintf(driver, sizeof(driver), "%s", request->subject.mechanism);
	ascii_tolower(driver, strlen(driver));
	subject_log(&request->subject, LOG_LEVEL_INFO, driver, "%s", request->name_error);
}

/* "FAIL id" with the fields of the result. */
static const char *fail_line(struct request *request)
{
	static const char *const codes[] = {
		[DB_DISABLED] = "user_disabled", [DB_FAILED] = "temp_fail"
	};
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);
	const struct subject *s = &request->subject;
	const char *text;

	strbuf_addf(&line, "FAIL\t%u", request->id);
	if (s->user)
		auth_add_field(&line, "user", slice_of(s->user));
	else if (*s->login_user)
		auth_add_field(&line, "user", slice_of(s->login_user));
	if (request->result < (int)ARRAY_LEN(codes) && codes[request->result])
		auth_add_field(&line, "code", slice_of(codes[request->result]));
	strbuf_addch(&line, '\n');
	text = arena_slicedup(&request->arena, strbuf_slice(&line));
	strbuf_release(&line);
	return text;
}

static void send_fail(struct request *request)
{
	int64_t delay = server_context()->settings->auth_failure_delay * 1000;

	log_name_error(request);
	request->answer = fail_line(request);
	sasl_exchange_free(request->exchange);
	request->exchange = NULL;
	request->due = request->step_began + (request->subject.nodelay ? 0 : delay);
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

static void send_ok(struct request *request)
{
	struct client_session *client = request->client;
	bool keep = client->is_login && !opens_no_mailbox(&request->subject);
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);

	strbuf_addf(&line, "OK\t%u", request->id);
	auth_add_field(&line, "user", slice_of(request->subject.user));
	pairs_write(&request->subject.extra, &line);
	strbuf_addch(&line, '\n');
	if (line.overflow ||
	    (keep && !login_keep(&client->login, request->id, &request->subject))) {
		subject_log(&request->subject, LOG_LEVEL_ERROR, "auth",
		    line.overflow ? "too many extra fields" : "too many logins wait");
		request->result = DB_FAILED;
		send_fail(request);
	} else {
		stream_write(client->session.stream, strbuf_slice(&line));
		request_free(request);
	}
	strbuf_release(&line);
}

static void send_challenge(const struct request *request, const struct strbuf *challenge)
{
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);

	strbuf_addf(&line, "CONT\t%u\t", request->id);
	base64_encode(&line, strbuf_slice(challenge));
	strbuf_addch(&line, '\n');
	stream_write(request->client->session.stream, strbuf_slice(&line));
	strbuf_release(&line);
}

static void take_step(struct request *request, bool first, struct slice response)
{
	struct strbuf out = STRBUF_INIT(AUTH_REPLY_MAX / 2);
	enum sasl_result result;

	request->step_began = clock_ms();
	result = first ? sasl_exchange_start(request->exchange, response, &out)
		       : sasl_exchange_step(request->exchange, response, &out);
	switch (result) {
	case SASL_RESULT_CONTINUE:
		send_challenge(request, &out);
		break;
	case SASL_RESULT_DONE:
		send_ok(request);
		break;
	case SASL_RESULT_FAILED:
		/* Content with the password and not with the rest: acting for somebody else. */
		if (request->result == DB_OK)
			request->result = DB_MISMATCH;
		send_fail(request);
		break;
	}
	strbuf_release(&out);
}

/* --- commands --- */

static void fail_now(
    struct client_session *client, uint32_t id, const char *code, const char *reason)
{
	struct strbuf line = STRBUF_INIT(1000);

	strbuf_addf(&line, "FAIL\t%u", id);
	if (code)
		auth_add_field(&line, "code", slice_of(code));
	auth_add_field(&line, "reason", slice_of(reason));
	strbuf_addch(&line, '\n');
	stream_write(client->session.stream, strbuf_slice(&line));
	strbuf_release(&line);
}

static bool refuse_line(const char *what)
{
	log_error("client: %s", what);
	return false;
}

/* The decoded response, in PLAIN; its pointer is never NULL. */
static bool decode(struct slice text, struct strbuf *plain, struct slice *response)
{
	/* "=" is how some write an empty response. */
	if (!slice_eq_str(text, "=") && !base64_decode(plain, text))
		return false;
	*response = strbuf_slice(plain);
	return true;
}

static bool begin(struct client_session *client, uint32_t id,
    const struct sasl_mechanism *mechanism, const struct auth_fields *fields)
{
	struct request *request = request_new(client, id);
	struct strbuf plain = STRBUF_INIT(RESPONSE_MAX);
	struct slice text, response = SLICE_NULL;

	if (!subject_from_fields(&request->subject, &request->arena, fields, 3)) {
		request_free(request);
		return refuse_line("AUTH without service");
	}
	request->subject.mechanism = mechanism->name;
	request->exchange = sasl_exchange_new(mechanism, check, request);
	if (auth_field_get(fields, 3, "resp", &text) && !decode(text, &plain, &response)) {
		fail_now(client, id, "invalid_base64", "Invalid base64 data in initial response");
		request_free(request);
	} else if (!request->exchange) {
		request->result = DB_FAILED;
		send_fail(request);
	} else {
		take_step(request, true, response);
	}
	secret_clear(plain.alloc ? plain.ptr : NULL, plain.alloc);
	strbuf_release(&plain);
	return true;
}

static bool handle_auth(struct client_session *client, const struct auth_fields *fields)
{
	const struct sasl_mechanism *mechanism;
	uint32_t id;

	if (client->is_login && !client->login.pid)
		return refuse_line("AUTH before CPID");
	if (!auth_field_id(fields, 1, &id) || fields->count < 3)
		return refuse_line("AUTH without a number or a mechanism");
	if (find_request(client, id))
		return refuse_line("AUTH with a number that is in use");
	if (client->request_count >= REQUESTS_MAX)
		return refuse_line("too many requests at a time");
	mechanism = sasl_mechanism_find(fields->list[2]);
	if (!mechanism)
		return refuse_line("AUTH with a mechanism that is not offered");
	return begin(client, id, mechanism, fields);
}

static bool handle_cont(struct client_session *client, const struct auth_fields *fields)
{
	struct strbuf plain = STRBUF_INIT(RESPONSE_MAX);
	struct slice response;
	struct request *request;
	uint32_t id;

	if (!auth_field_id(fields, 1, &id))
		return refuse_line("CONT without a number");
	request = find_request(client, id);
	if (!request) {
		fail_now(client, id, NULL, "Authentication request timed out");
	} else if (request->answer) {
		fail_now(client, id, NULL, "Unexpected continuation");
		request_free(request);
	} else if (!decode(fields->count > 2 ? fields->list[2] : SLICE_NULL, &plain, &response)) {
		fail_now(client, id, "invalid_base64", "Invalid base64 data in continued response");
		request_free(request);
	} else {
		take_step(request, false, response);
	}
	secret_clear(plain.alloc ? plain.ptr : NULL, plain.alloc);
	strbuf_release(&plain);
	return true;
}

static bool handle_cancel(struct client_session *client, const struct auth_fields *fields)
{
	struct request *request;
	uint32_t id;

	if (!auth_field_id(fields, 1, &id))
		return refuse_line("CANCEL without a number");
	request = find_request(client, id);
	if (request)
		request_free(request);
	return true;
}

static bool handle_cpid(struct client_session *client, const struct auth_fields *fields)
{
	uint32_t pid;

	if (!auth_field_id(fields, 1, &pid))
		return refuse_line("CPID without a number");
	if (client->is_login && !login_client_add(&client->login, pid))
		return refuse_line("CPID that another connection has");
	return true;
}

static bool handle_version(struct client_session *client, const struct auth_fields *fields)
{
	(void)client;
	(void)fields;
	return true; /* authd_read_line has looked at it */
}

static const struct {
	const char *word;
	bool (*handle)(struct client_session *client, const struct auth_fields *fields);
} commands[] = {
	{ "VERSION", handle_version },
	{ "CPID", handle_cpid },
	{ "AUTH", handle_auth },
	{ "CONT", handle_cont },
	{ "CANCEL", handle_cancel },
};

/* False: close. Unknown commands are passed over. */
static bool handle_line(struct client_session *client)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	bool good = authd_read_line(
	    client->session.stream, "client", &client->has_version, &arena, &fields);

	for (size_t i = 0; good && i < ARRAY_LEN(commands); i++) {
		if (auth_field_is(&fields, 0, commands[i].word)) {
			good = commands[i].handle(client, &fields);
			break;
		}
	}
	arena_release(&arena);
	return good;
}

/* --- the session --- */

/* All at once and unasked: some clients wait for it, none minds. */
static void send_hello(struct client_session *client)
{
	struct stream *out = client->session.stream;
	static unsigned connections; /* CUID; a race costs nobody anything */
	unsigned char random[LOGIN_COOKIE_SIZE / 2];
	struct strbuf cookie = STRBUF_INIT(LOGIN_COOKIE_SIZE);

	list_init(&client->requests);
	list_init(&client->login.logins);
	client->is_login = !strcmp(client->session.listener->kind, "login");
	random_bytes(random, sizeof(random));
	hex_encode(&cookie, slice_mem(random, sizeof(random)));
	memcpy(client->login.cookie, cookie.ptr, LOGIN_COOKIE_SIZE + 1);
	strbuf_release(&cookie);
	stream_printf(out, "VERSION\t%d\t%d\n", AUTH_PROTOCOL_MAJOR, AUTH_CLIENT_MINOR);
	for (size_t i = 0; i < sasl_mechanism_count(); i++) {
		const struct sasl_mechanism *m = sasl_mechanism_at(i);

		stream_printf(out, "MECH\t%s", m->name);
		for (unsigned flag = 1; auth_mechanism_flag_word(flag); flag <<= 1)
			if (m->flags & flag)
				stream_printf(out, "\t%s", auth_mechanism_flag_word(flag));
		stream_puts(out, "\n");
	}
	stream_printf(out, "SPID\t%ld\nCUID\t%u\nCOOKIE\t%s\nDONE\n", (long)getpid(),
	    __atomic_add_fetch(&connections, 1, __ATOMIC_RELAXED), client->login.cookie);
}

/* Sends what is due and returns when the next thing is. */
static int64_t work_off(struct client_session *client)
{
	int64_t now = clock_ms(), next = now + AUTHD_IDLE_MS;

	list_for_each_safe(pos, tmp, &client->requests) {
		struct request *request = list_entry(pos, struct request, node);

		if (request->due > now) {
			if (request->due < next)
				next = request->due;
			continue;
		}
		if (request->answer)
			stream_puts(client->session.stream, request->answer);
		else
			fail_now(client, request->id, NULL, "Authentication request timed out");
		request_free(request);
	}
	return next;
}

static enum session_next serve(struct session *session, enum session_wake why)
{
	struct client_session *client = (struct client_session *)session;
	bool is_idle = why == SESSION_EXPIRED;

	if (why == SESSION_OPENED)
		send_hello(client);
	if (is_idle && !client->request_count && list_is_empty(&client->login.logins))
		return SESSION_CLOSE;
	if (why == SESSION_HAS_INPUT) {
		do {
			if (!handle_line(client))
				return SESSION_CLOSE;
		} while (stream_has_input(session->stream));
	}
	stream_set_deadline(session->stream, deadline_in(AUTHD_LINE_MS));
	session->deadline = work_off(client);
	/* At a reload clients connect to the new process; answers that are owed are still given. */
	if (session_draining(session) && !client->request_count)
		return SESSION_CLOSE;
	return SESSION_INPUT;
}

static void close_session(struct session *session)
{
	struct client_session *client = (struct client_session *)session;

	/* A session that was never served has no lists. */
	if (!client->requests.next)
		return;
	while (!list_is_empty(&client->requests))
		request_free(list_entry(client->requests.next, struct request, node));
	login_client_remove(&client->login);
}

const struct session_class client_session_class = {
	.name = "auth client",
	.size = sizeof(struct client_session),
	.serve = serve,
	.close = close_session,
};
