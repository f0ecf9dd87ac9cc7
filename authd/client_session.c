// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client protocol: SASL for MTAs (kind auth) and for pre-login halves (kind login).
 *
 * Requests of one connection are worked on one after the other, in the session's own thread, so a
 * slow hash holds up the other requests of this connection and nothing else.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "authd/auth_request.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"

#define REQUESTS_MAX  1000
#define COMMAND_SHOWN 80 /* bytes in the log */

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

/* --- commands --- */

/* The peer's words; what goes wrong here is another program's mistake, not a user's. */
__attribute__((format(printf, 2, 3))) static bool refuse_line(
    const struct client_session *client, const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("BUG: Authentication client %u %s", client->login.pid, text);
	return false;
}

static bool refuse_broken(const char *what)
{
	log_error("BUG: Authentication client sent broken %s", what);
	return false;
}

static bool handle_auth(struct client_session *client, const struct auth_fields *fields)
{
	const struct sasl_mechanism *mechanism;
	struct auth_request *request;
	uint32_t id;

	if (!auth_field_id(fields, 1, &id) || fields->count < 3)
		return refuse_line(client, "sent broken AUTH request");
	mechanism = sasl_mechanism_find(fields->list[2]);
	if (!mechanism)
		return refuse_line(client, "requested unsupported authentication mechanism %.*s",
		    SLICE_ARG(slice_first(fields->list[2], COMMAND_SHOWN)));
	if (auth_request_find(client, id))
		return refuse_line(client, "sent a duplicate ID %u", id);
	if (client->request_count >= REQUESTS_MAX)
		return refuse_line(client, "has too many requests at a time");
	for (size_t i = 3; i + 1 < fields->count; i++)
		if (slice_starts(fields->list[i], "resp="))
			return refuse_line(client, "sent AUTH parameters after 'resp'");
	request = auth_request_new(client, id, mechanism, fields);
	if (!request)
		return refuse_line(client, "didn't specify service in request");
	auth_request_start(request);
	return true;
}

/* A number that no request can have is one that has no request. */
static bool handle_cont(struct client_session *client, const struct auth_fields *fields)
{
	struct auth_request *request;
	uint64_t id;

	if (fields->count < 2 || !slice_uint(fields->list[1], UINT32_MAX, &id))
		return refuse_broken("CONT request");
	request = auth_request_find(client, (uint32_t)id);
	if (request)
		auth_request_continue(request, fields->count > 2 ? fields->list[2] : SLICE_LIT(""));
	else
		auth_client_fail(client, (uint32_t)id, NULL, "Authentication request timed out");
	return true;
}

static bool handle_cancel(struct client_session *client, const struct auth_fields *fields)
{
	struct auth_request *request;
	uint32_t id;

	if (!auth_field_id(fields, 1, &id))
		return refuse_broken("CANCEL");
	request = auth_request_find(client, id);
	if (request)
		auth_request_free(request);
	return true;
}

static bool handle_cpid(struct client_session *client, const struct auth_fields *fields)
{
	uint32_t pid;

	if (!auth_field_id(fields, 1, &pid))
		return refuse_line(client, "said its PID is %.*s",
		    SLICE_ARG(fields->count > 1 ? slice_first(fields->list[1], COMMAND_SHOWN)
						: SLICE_LIT("nothing")));
	if (client->is_login && !login_client_add(&client->login, pid))
		return refuse_line(client, "gave a PID %u of existing connection", pid);
	client->has_cpid = true;
	return true;
}

/* That it is one of ours authd_read_line has seen. */
static bool handle_version(struct client_session *client, const struct auth_fields *fields)
{
	uint64_t minor;

	if (fields->count > 2 && slice_uint(fields->list[2], UINT32_MAX, &minor))
		client->minor = (uint32_t)minor;
	client->said_version = true;
	return true;
}

static const struct {
	const char *word;
	/* VERSION is the first line, CPID the second one. */
	enum { AT_VERSION, AT_CPID, AFTERWARDS } when;
	bool (*handle)(struct client_session *client, const struct auth_fields *fields);
} commands[] = {
	{ "VERSION", AT_VERSION, handle_version },
	{ "CPID", AT_CPID, handle_cpid },
	{ "AUTH", AFTERWARDS, handle_auth },
	{ "CONT", AFTERWARDS, handle_cont },
	{ "CANCEL", AFTERWARDS, handle_cancel },
};

/* The line as it was; what is a response comes last and is hidden unless that is wanted. */
static void log_fields(const struct auth_fields *fields)
{
	bool shows = server_context()->settings->auth_debug_passwords, has_response = false;
	struct strbuf line = STRBUF_INIT(2 * AUTH_LINE_MAX);

	for (size_t i = 0; i < fields->count; i++) {
		bool is_response = slice_starts(fields->list[i], "resp=");

		has_response |= is_response;
		if (i)
			strbuf_addch(&line, '\t');
		if (is_response && !shows)
			strbuf_addstr(&line, "resp=<hidden>");
		else
			auth_escape(&line, fields->list[i]);
	}
	if (auth_field_is(fields, 0, "CONT") && !shows)
		log_debug("client in: CONT<hidden>");
	else
		log_debug("client in: %s%s", line.ptr,
		    has_response && shows ? " (previous base64 data may contain sensitive data)"
					  : "");
	secret_release(&line);
}

static bool handle_fields(struct client_session *client, const struct auth_fields *fields)
{
	struct slice word = SLICE_LIT("");
	unsigned now = client->has_cpid ? AFTERWARDS : client->said_version ? AT_CPID : AT_VERSION;

	if (now == AFTERWARDS && log_debugs())
		log_fields(fields);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].when == now && auth_field_is(fields, 0, commands[i].word))
			return commands[i].handle(client, fields);
	if (fields->count)
		word = slice_first(fields->list[0], COMMAND_SHOWN);
	log_error("BUG: Authentication client sent unknown %scommand: %.*s",
	    now == AFTERWARDS ? "" : "handshake ", SLICE_ARG(word));
	return false;
}

static bool handle_line(struct client_session *client)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	bool good = authd_read_line(client->session.stream, "Authentication client",
			&client->has_version, &arena, &fields) &&
		    handle_fields(client, &fields);

	arena_wipe(&arena);
	arena_release(&arena);
	return good;
}

/* --- the session --- */

static void make_cookie(char cookie[LOGIN_COOKIE_SIZE + 1])
{
	unsigned char random[LOGIN_COOKIE_SIZE / 2];
	struct strbuf text = STRBUF_INIT(LOGIN_COOKIE_SIZE);

	random_bytes(random, sizeof(random));
	hex_encode(&text, slice_mem(random, sizeof(random)));
	memcpy(cookie, text.ptr, LOGIN_COOKIE_SIZE + 1);
	strbuf_release(&text);
}

/* All at once and unasked: some clients wait for it, none minds. */
static void send_hello(struct client_session *client)
{
	struct stream *out = client->session.stream;
	static unsigned connections;

	list_init(&client->requests);
	list_init(&client->login.logins);
	client->is_login = !strcmp(client->session.listener->kind, "login");
	client->connection = __atomic_add_fetch(&connections, 1, __ATOMIC_RELAXED);
	make_cookie(client->login.cookie);
	log_debug("auth client connected (pid=0)");
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
	    client->connection, client->login.cookie);
}

/* Those that are due, in random order: which of them came first is nobody's business. */
static void expire_due(struct client_session *client, int64_t now)
{
	for (;;) {
		struct auth_request *chosen = NULL;
		uint32_t count = 0;

		list_for_each(pos, &client->requests) {
			struct auth_request *request = list_entry(pos, struct auth_request, node);

			if (request->due <= now && random_below(++count) == 0)
				chosen = request;
		}
		if (!chosen)
			return;
		auth_request_expire(chosen);
	}
}

/* Sends what is due and returns when the next thing is. */
static int64_t work_off(struct client_session *client)
{
	int64_t now = clock_ms(), next = now + AUTHD_IDLE_MS;

	expire_due(client, now);
	list_for_each(pos, &client->requests) {
		const struct auth_request *request = list_entry(pos, struct auth_request, node);

		if (request->due < next)
			next = request->due;
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

/* Requests whose answer is not merely held back. */
static void log_pending(const struct client_session *client)
{
	unsigned count = 0;

	list_for_each(pos, &client->requests)
		count += list_entry(pos, struct auth_request, node)->state != AUTH_REQUEST_FAILED;
	if (count && stream_error(client->session.stream) != STREAM_OK)
		log_error("auth client %u disconnected with %u pending requests: %s",
		    client->login.pid, count,
		    stream_error(client->session.stream) == STREAM_EOF
			? "EOF"
			: stream_error_text(client->session.stream));
}

static void close_session(struct session *session)
{
	struct client_session *client = (struct client_session *)session;

	/* A session that was never served has no lists. */
	if (!client->requests.next)
		return;
	log_pending(client);
	while (!list_is_empty(&client->requests))
		auth_request_free(list_entry(client->requests.next, struct auth_request, node));
	if (client->is_login)
		login_client_remove(&client->login);
}

const struct session_class client_session_class = {
	.name = "auth client",
	.size = sizeof(struct client_session),
	.serve = serve,
	.close = close_session,
};
