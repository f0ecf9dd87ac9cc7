// SPDX-License-Identifier: BSD-2-Clause
/*
 * A connection serves one request at a time, so a request is straight blocking code and needs no
 * reader thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_connection.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "net/stream.h"

#define STRAY_LINES    1000  /* lines of requests that were given up */
#define RESPONSE_LIMIT 12288 /* base64 of one SASL message */

struct auth_request {
	struct auth_client *client;
	struct auth_connection *connection; /* NULL after it failed */
	uint32_t id;
	bool finished; /* OK or FAIL came */
	struct arena arena;
	struct auth_fields fields; /* of the last line */
	struct slice challenge;
	const char *user, *code;
	struct reason why;
};

static enum auth_status temporary(struct auth_request *request)
{
	auth_connection_free(request->connection);
	request->connection = NULL;
	return AUTH_TEMPORARY;
}

static const char *field_text(struct auth_request *request, const char *name)
{
	struct slice value;

	if (!auth_field_get(&request->fields, 2, name, &value))
		return "";
	return arena_slicedup(&request->arena, value);
}

/* The codes of a FAIL; servers before 2.3 wrote them as words of their own. */
static const char *fail_code(struct auth_request *request)
{
	static const struct {
		const char *word, *code;
	} old[] = { { "temp", "temp_fail" }, { "authz", "authz_fail" },
		{ "user_disabled", "user_disabled" }, { "pass_expired", "pass_expired" } };
	const char *code = field_text(request, "code");

	for (size_t i = 0; !*code && i < ARRAY_LEN(old); i++)
		for (size_t k = 2; k < request->fields.count; k++)
			if (auth_field_is(&request->fields, k, old[i].word))
				return old[i].code;
	return code;
}

static enum auth_status take_ok(struct auth_request *request)
{
	struct slice user;

	request->finished = true;
	if (!auth_field_get(&request->fields, 2, "user", &user) || !user.len ||
	    slice_has_nul(user)) {
		reason_set(&request->why, "4.7.0", "authentication server named no user");
		return temporary(request);
	}
	request->user = arena_slicedup(&request->arena, user);
	return AUTH_OK;
}

static enum auth_status take_fail(struct auth_request *request)
{
	request->finished = true;
	request->user = field_text(request, "user");
	request->code = fail_code(request);
	reason_set(&request->why, strcmp(request->code, "temp_fail") ? "5.7.8" : "4.7.0", "%s",
	    field_text(request, "reason"));
	return strcmp(request->code, "temp_fail") ? AUTH_FAILED : AUTH_TEMPORARY;
}

/* The next line that is for this request. */
static enum auth_status await_answer(struct auth_request *request)
{
	struct auth_fields *fields = &request->fields;
	uint32_t id;

	for (unsigned i = 0; i < STRAY_LINES; i++) {
		if (!auth_connection_read(
			request->connection, fields, &request->arena, &request->why))
			return temporary(request);
		if (!auth_field_id(fields, 1, &id) || id != request->id)
			continue;
		if (auth_field_is(fields, 0, "OK"))
			return take_ok(request);
		if (auth_field_is(fields, 0, "FAIL"))
			return take_fail(request);
		if (auth_field_is(fields, 0, "CONT")) {
			request->challenge = fields->count > 2 ? fields->list[2] : SLICE_NULL;
			return AUTH_CONTINUE;
		}
	}
	reason_set(&request->why, "4.7.0", "authentication server does not answer");
	return temporary(request);
}

static void add_text(struct strbuf *out, const char *name, const char *value)
{
	if (value && *value)
		auth_add_field(out, name, slice_of(value));
}

static void add_port(struct strbuf *out, const char *name, unsigned port)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", port);
	if (port)
		auth_add_field(out, name, slice_of(text));
}

static void add_flag(struct strbuf *out, const char *name, bool set)
{
	if (set)
		auth_add_field(out, name, SLICE_NULL);
}

/* "resp=" is the last one: old servers take all that follows it. */
static bool write_auth(struct auth_request *request, const struct auth_params *params)
{
	struct strbuf line = STRBUF_INIT(RESPONSE_LIMIT + 4096);
	bool good;

	strbuf_addf(&line, "AUTH\t%u\t", request->id);
	auth_escape(&line, slice_of(params->mechanism));
	auth_add_field(&line, "service", slice_of(params->service));
	add_text(&line, "session", params->session);
	add_text(&line, "lip", params->local_ip);
	add_text(&line, "rip", params->remote_ip);
	add_port(&line, "lport", params->local_port);
	add_port(&line, "rport", params->remote_port);
	add_text(&line, "local_name", params->local_name);
	add_text(&line, "real_lip", params->real_local_ip);
	add_text(&line, "real_rip", params->real_remote_ip);
	add_port(&line, "real_lport", params->real_local_port);
	add_port(&line, "real_rport", params->real_remote_port);
	add_text(&line, "client_id", params->client_id);
	add_text(&line, "forward_fields", params->forward_fields);
	add_text(&line, "cert_username", params->cert_username);
	add_flag(&line, "secured", params->secured);
	add_flag(&line, "valid-client-cert", params->valid_client_cert);
	add_flag(&line, "no-penalty", params->no_penalty);
	add_flag(&line, "nologin", params->nologin);
	add_flag(&line, "debug", params->debug);
	add_flag(&line, "final-resp-ok", params->final_resp_ok);
	if (params->initial.ptr)
		auth_add_field(&line, "resp", params->initial);
	strbuf_addch(&line, '\n');
	good = !line.overflow;
	if (good)
		stream_write(request->connection->stream, strbuf_slice(&line));
	secret_release(&line);
	return good;
}

/* Anything but base64 could smuggle a field or a line in, and no server would take it. */
static bool is_base64(struct slice text)
{
	struct strbuf plain = STRBUF_INIT(RESPONSE_LIMIT);
	bool good = text.len <= RESPONSE_LIMIT && base64_decode(&plain, text);

	secret_release(&plain);
	return good;
}

static enum auth_status refuse_base64(struct auth_request *request, const char *where)
{
	request->code = "invalid_base64";
	reason_set(&request->why, "5.5.2", "Invalid base64 data in %s response", where);
	return AUTH_FAILED;
}

static enum auth_status run_on(struct auth_request *request, struct auth_connection *c,
    const struct auth_params *params, int64_t deadline)
{
	request->connection = c;
	stream_set_deadline(c->stream, deadline);
	request->id = ++c->last_id;
	if (!write_auth(request, params)) {
		reason_set(&request->why, "4.7.0", "authentication request is too long");
		return temporary(request);
	}
	return await_answer(request);
}

struct auth_request *auth_request_start(struct auth_client *client,
    const struct auth_params *params, int64_t deadline, enum auth_status *status)
{
	struct auth_request *request = xcalloc(1, sizeof(*request));
	struct auth_connection *c;

	request->client = client;
	request->user = "";
	request->code = "";
	if (params->initial.len && !is_base64(params->initial)) {
		*status = refuse_base64(request, "initial");
		return request;
	}
	if (params->connection != 0) {
		c = auth_connection_take_numbered(
		    client, params->connection, deadline, &request->why);
		*status = c ? run_on(request, c, params, deadline) : AUTH_TEMPORARY;
		return request;
	}
	c = auth_connection_take(client);
	if (c) {
		*status = run_on(request, c, params, deadline);
		/* No connection any more means that no answer came: it was a dead one. */
		if (*status != AUTH_TEMPORARY || request->connection ||
		    deadline_left(deadline) == 0)
			return request;
		request->finished = false;
	}
	c = auth_connection_new(client, deadline, &request->why);
	*status = c ? run_on(request, c, params, deadline) : AUTH_TEMPORARY;
	return request;
}

enum auth_status auth_request_continue(
    struct auth_request *request, struct slice response, int64_t deadline)
{
	ASSERT(!request->finished);
	if (!request->connection)
		return AUTH_TEMPORARY;
	if (!is_base64(response))
		return refuse_base64(request, "continued");
	stream_set_deadline(request->connection->stream, deadline);
	stream_printf(request->connection->stream, "CONT\t%u\t", request->id);
	stream_write(request->connection->stream, response);
	stream_puts(request->connection->stream, "\n");
	return await_answer(request);
}

void auth_request_free(struct auth_request *request)
{
	if (!request)
		return;
	/* The end of a connection cancels what is unfinished on it; a word before looks better. */
	if (request->connection && !request->finished &&
	    stream_error(request->connection->stream) == STREAM_OK) {
		stream_printf(request->connection->stream, "CANCEL\t%u\n", request->id);
		(void)stream_flush(request->connection->stream);
	}
	if (request->connection && request->finished)
		auth_connection_give_back(request->client, request->connection);
	else
		auth_connection_free(request->connection);
	arena_release(&request->arena);
	free(request);
}

struct slice auth_request_challenge(const struct auth_request *request)
{
	return request->challenge;
}

const char *auth_request_user(const struct auth_request *request)
{
	return request->user;
}

bool auth_request_field(const struct auth_request *request, const char *name, struct slice *value)
{
	return request->finished && auth_field_get(&request->fields, 2, name, value);
}

bool auth_request_nth(const struct auth_request *request, size_t i, struct slice *text)
{
	if (!request->finished || i + 2 >= request->fields.count)
		return false;
	*text = request->fields.list[i + 2];
	return true;
}

const char *auth_request_reason(const struct auth_request *request)
{
	return request->why.text;
}

const char *auth_request_code(const struct auth_request *request)
{
	return request->code;
}

uint32_t auth_request_id(const struct auth_request *request)
{
	return request->id;
}

uint32_t auth_request_client_pid(const struct auth_request *request)
{
	return request->connection ? request->connection->pid : 0;
}

const char *auth_request_cookie(const struct auth_request *request)
{
	return request->connection ? request->connection->cookie : "";
}
