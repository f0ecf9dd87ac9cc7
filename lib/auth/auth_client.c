// SPDX-License-Identifier: BSD-2-Clause
/*
 * A connection serves one request at a time, so a request is straight blocking code and needs no
 * reader thread.  CPID must be unique among the connections to a login socket and says nothing else
 * to anybody, so each connection takes a random one.
 */
#include "auth/auth_client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "net/dns.h"
#include "net/stream.h"
#include "sys/socket.h"

#define ADDRESSES_MAX  8
#define IDLE_MAX       16
#define CONNECT_TRIES  3
#define HELLO_LINES    200
#define NUMBERED_MS    5000
#define STRAY_LINES    1000 /* lines of requests that were given up */
#define COOKIE_MAX     64
#define RESPONSE_LIMIT 12288 /* base64 of one SASL message */

struct connection {
	struct connection *next; /* in the client's idle list */
	struct stream *stream;
	uint32_t last_id;
	uint32_t pid;
	uint32_t server_pid, number; /* SPID and CUID */
	char cookie[COOKIE_MAX + 1];
};

struct auth_client {
	char *where; /* as given */
	char *host;  /* NULL: WHERE is a path */
	unsigned port;
	pthread_mutex_t mutex; /* over all that follows; never held over a wait */
	struct connection *idle;
	size_t idle_count;
	size_t mechanism_count;
	struct auth_mechanism mechanisms[AUTH_MECHANISMS_MAX];
	bool has_apop;
};

struct auth_request {
	struct auth_client *client;
	struct connection *connection; /* NULL after it failed */
	uint32_t id;
	bool finished; /* OK or FAIL came */
	struct arena arena;
	struct auth_fields fields; /* of the last line */
	struct slice challenge;
	const char *user, *code;
	struct reason why;
};

/* "HOST:PORT" */
static bool parse_inet(struct auth_client *client, struct slice text)
{
	ptrdiff_t colon = slice_rfind(text, ':');
	struct slice host = colon < 0 ? SLICE_NULL : slice_first(text, (size_t)colon);
	uint64_t port;

	if (slice_starts(host, "[") && slice_ends(host, "]"))
		host = slice_first(slice_from(host, 1), host.len - 2);
	if (!host.len || !slice_uint(slice_from(text, (size_t)colon + 1), 65535, &port) || !port)
		return false;
	client->host = xstrndup(host.ptr, host.len);
	client->port = (unsigned)port;
	return true;
}

struct auth_client *auth_client_new(const char *where)
{
	struct auth_client *client = xcalloc(1, sizeof(*client));

	client->where = xstrdup(where);
	pthread_mutex_init(&client->mutex, NULL);
	if (!slice_starts(slice_of(where), "inet:") ||
	    parse_inet(client, slice_from(slice_of(where), 5)))
		return client;
	auth_client_free(client);
	return NULL;
}

static void connection_free(struct connection *c)
{
	if (!c)
		return;
	stream_free(c->stream);
	free(c);
}

void auth_client_free(struct auth_client *client)
{
	if (!client)
		return;
	while (client->idle) {
		struct connection *c = client->idle;

		client->idle = c->next;
		connection_free(c);
	}
	pthread_mutex_destroy(&client->mutex);
	free(client->where);
	free(client->host);
	free(client);
}

/* --- connecting --- */

struct hello {
	struct auth_mechanism mechanisms[AUTH_MECHANISMS_MAX];
	size_t mechanism_count;
	bool saw_version, done, has_apop;
};

static void add_mechanism(struct hello *hello, const struct auth_fields *fields)
{
	struct auth_mechanism *m = &hello->mechanisms[hello->mechanism_count];
	unsigned flags = auth_mechanism_flags(fields, 2);

	if (auth_field_is(fields, 1, "APOP"))
		hello->has_apop = true;
	if (fields->count < 2 || (flags & AUTH_MECH_PRIVATE))
		return;
	if (hello->mechanism_count == AUTH_MECHANISMS_MAX)
		return;
	if (!fields->list[1].len || fields->list[1].len >= sizeof(m->name) ||
	    slice_has_nul(fields->list[1]))
		return;
	snprintf(m->name, sizeof(m->name), "%.*s", SLICE_ARG(fields->list[1]));
	m->flags = flags;
	hello->mechanism_count++;
}

static bool take_cookie(struct connection *c, const struct auth_fields *fields)
{
	if (fields->count < 2 || fields->list[1].len > COOKIE_MAX)
		return false;
	for (size_t i = 0; i < fields->list[1].len; i++)
		if (!ascii_isalnum(fields->list[1].ptr[i]))
			return false;
	snprintf(c->cookie, sizeof(c->cookie), "%.*s", SLICE_ARG(fields->list[1]));
	return true;
}

/* One line of the server's hello; false when it is not one. Unknown words are passed over. */
static bool take_hello(struct connection *c, struct hello *hello, const struct auth_fields *fields)
{
	if (auth_field_is(fields, 0, "VERSION")) {
		hello->saw_version = true;
		return auth_field_is(fields, 1, "1");
	}
	if (auth_field_is(fields, 0, "MECH"))
		add_mechanism(hello, fields);
	else if (auth_field_is(fields, 0, "COOKIE"))
		return take_cookie(c, fields);
	else if (auth_field_is(fields, 0, "SPID"))
		(void)auth_field_id(fields, 1, &c->server_pid);
	else if (auth_field_is(fields, 0, "CUID"))
		(void)auth_field_id(fields, 1, &c->number);
	else if (auth_field_is(fields, 0, "DONE"))
		hello->done = true;
	return true;
}

static bool say(struct reason *why, const char *what, const char *detail)
{
	reason_set(why, "4.7.0", "%s%s%s", what, *detail ? ": " : "", detail);
	return false;
}

/* A line of fields in ARENA. */
static bool read_fields(
    struct connection *c, struct auth_fields *fields, struct arena *arena, struct reason *why)
{
	struct slice line;

	switch (stream_read_line(c->stream, AUTH_REPLY_MAX, &line)) {
	case STREAM_READ_LINE:
		break;
	case STREAM_READ_PARTIAL:
		return say(why, "authentication server sent a line that is too long", "");
	case STREAM_READ_FAILED:
		return say(why, "authentication server", stream_error_text(c->stream));
	}
	if (!auth_fields_split(fields, slice_first(line, line.len - 1), arena))
		return say(why, "authentication server sent a malformed line", "");
	return true;
}

/* We speak first and at once: 2.4 waits for it, 2.3 does not mind. */
static bool exchange_hello(struct connection *c, struct hello *hello, struct reason *why)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	bool good = true;

	stream_printf(c->stream, "VERSION\t%d\t%d\nCPID\t%u\n", AUTH_PROTOCOL_MAJOR,
	    AUTH_CLIENT_MINOR, c->pid);
	for (unsigned i = 0; good && !hello->done; i++) {
		good = read_fields(c, &fields, &arena, why);
		if (good && (i == HELLO_LINES || !take_hello(c, hello, &fields)))
			good = say(why, "authentication server speaks another protocol", "");
		arena_release(&arena);
	}
	arena_release(&arena);
	if (good && !hello->saw_version)
		good = say(why, "authentication server told no protocol version", "");
	return good;
}

static void remember_mechanisms(struct auth_client *client, const struct hello *hello)
{
	pthread_mutex_lock(&client->mutex);
	memcpy(client->mechanisms, hello->mechanisms, sizeof(client->mechanisms));
	client->mechanism_count = hello->mechanism_count;
	client->has_apop = hello->has_apop;
	pthread_mutex_unlock(&client->mutex);
}

static void set_port(struct net_addr *addr, unsigned port)
{
	char text[NET_ADDR_TEXT];

	net_addr_parse(slice_of(net_addr_text(addr, text)), port, addr);
}

static int connect_inet(const struct auth_client *client, int64_t deadline)
{
	struct net_addr addrs[ADDRESSES_MAX];
	enum dns_result result = DNS_FOUND;
	size_t count = 1;
	int fd = -1;

	errno = EHOSTUNREACH;
	if (!net_addr_parse(slice_of(client->host), 0, &addrs[0]))
		count = dns_addresses_of(
		    client->host, AF_UNSPEC, deadline, addrs, ADDRESSES_MAX, &result);
	for (size_t i = 0; i < count && fd < 0; i++) {
		set_port(&addrs[i], client->port);
		fd = socket_connect((struct sockaddr *)&addrs[i].ss, addrs[i].len, deadline);
	}
	if (fd >= 0)
		socket_nodelay(fd);
	return fd;
}

/* *LOST: the server closed the connection before it had said who it is. */
static struct connection *connect_once(
    struct auth_client *client, int64_t deadline, struct reason *why, bool *lost)
{
	struct connection *c;
	struct hello hello = { .mechanism_count = 0 };
	int fd = client->host ? connect_inet(client, deadline)
			      : socket_unix_connect(client->where, deadline);

	*lost = false;
	if (fd < 0) {
		reason_set(
		    why, "4.7.0", "cannot connect to %s: %s", client->where, strerror(errno));
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->stream = stream_new(fd);
	c->pid = 1 + random_below(INT32_MAX);
	stream_set_deadline(c->stream, deadline);
	if (!exchange_hello(c, &hello, why)) {
		*lost =
		    stream_error(c->stream) == STREAM_EOF || stream_error(c->stream) == STREAM_IO;
		connection_free(c);
		return NULL;
	}
	remember_mechanisms(client, &hello);
	return c;
}

/* A server that is being replaced may take a connection and end; the next one gets to another. */
static struct connection *connect_new(
    struct auth_client *client, int64_t deadline, struct reason *why)
{
	struct connection *c = NULL;
	bool lost = true;

	for (int i = 0; lost && i < CONNECT_TRIES; i++)
		c = connect_once(client, deadline, why, &lost);
	return c;
}

/* An idle connection on which nothing waits (an end of input, as a rule), or NULL. */
static struct connection *take_idle(struct auth_client *client)
{
	for (;;) {
		struct connection *c;

		pthread_mutex_lock(&client->mutex);
		c = client->idle;
		if (c) {
			client->idle = c->next;
			client->idle_count--;
		}
		pthread_mutex_unlock(&client->mutex);
		if (!c || !stream_poll_input(c->stream))
			return c;
		connection_free(c);
	}
}

static void give_back(struct auth_client *client, struct connection *c)
{
	pthread_mutex_lock(&client->mutex);
	if (client->idle_count < IDLE_MAX && stream_error(c->stream) == STREAM_OK) {
		c->next = client->idle;
		client->idle = c;
		client->idle_count++;
		c = NULL;
	}
	pthread_mutex_unlock(&client->mutex);
	connection_free(c);
}

bool auth_client_mechanisms(struct auth_client *client, int64_t deadline,
    struct auth_mechanism *list, size_t *count, struct reason *why)
{
	/* One that still stands vouches for what its hello said. */
	struct connection *c = take_idle(client);

	if (!c)
		c = connect_new(client, deadline, why);
	if (!c)
		return false;
	give_back(client, c);
	pthread_mutex_lock(&client->mutex);
	memcpy(list, client->mechanisms, client->mechanism_count * sizeof(list[0]));
	*count = client->mechanism_count;
	pthread_mutex_unlock(&client->mutex);
	return true;
}

bool auth_client_apop(
    struct auth_client *client, int64_t deadline, uint32_t *server_pid, uint32_t *connection)
{
	struct connection *c = take_idle(client);
	struct reason why;
	bool has_apop;

	if (!c)
		c = connect_new(client, deadline, &why);
	if (!c)
		return false;
	*server_pid = c->server_pid;
	*connection = c->number;
	give_back(client, c);
	pthread_mutex_lock(&client->mutex);
	has_apop = client->has_apop;
	pthread_mutex_unlock(&client->mutex);
	return has_apop && *connection != 0;
}

static struct connection *take_numbered(struct auth_client *client, uint32_t number)
{
	struct connection *c, **at;

	pthread_mutex_lock(&client->mutex);
	for (at = &client->idle; *at && (*at)->number != number; at = &(*at)->next)
		continue;
	c = *at;
	if (c) {
		*at = c->next;
		client->idle_count--;
	}
	pthread_mutex_unlock(&client->mutex);
	return c;
}

/* Another request has it, or it is gone: some patience tells which. */
static struct connection *await_numbered(
    struct auth_client *client, uint32_t number, int64_t deadline, struct reason *why)
{
	struct connection *c = take_numbered(client, number);
	int64_t until = deadline_in(NUMBERED_MS);

	if (until > deadline)
		until = deadline;
	while (!c && deadline_left(until) > 0) {
		(void)poll(NULL, 0, 20);
		c = take_numbered(client, number);
	}
	if (!c)
		say(why, "Reconnected to auth server, can't do APOP", "");
	return c;
}

/* --- requests --- */

static enum auth_status temporary(struct auth_request *request)
{
	connection_free(request->connection);
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
		say(&request->why, "authentication server named no user", "");
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
		if (!read_fields(request->connection, fields, &request->arena, &request->why))
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
	say(&request->why, "authentication server does not answer", "");
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

static enum auth_status run_on(struct auth_request *request, struct connection *c,
    const struct auth_params *params, int64_t deadline)
{
	request->connection = c;
	stream_set_deadline(c->stream, deadline);
	request->id = ++c->last_id;
	if (!write_auth(request, params)) {
		say(&request->why, "authentication request is too long", "");
		return temporary(request);
	}
	return await_answer(request);
}

struct auth_request *auth_request_start(struct auth_client *client,
    const struct auth_params *params, int64_t deadline, enum auth_status *status)
{
	struct auth_request *request = xcalloc(1, sizeof(*request));
	struct connection *c;

	request->client = client;
	request->user = "";
	request->code = "";
	if (params->initial.len && !is_base64(params->initial)) {
		*status = refuse_base64(request, "initial");
		return request;
	}
	if (params->connection != 0) {
		c = await_numbered(client, params->connection, deadline, &request->why);
		*status = c ? run_on(request, c, params, deadline) : AUTH_TEMPORARY;
		return request;
	}
	c = take_idle(client);
	if (c) {
		*status = run_on(request, c, params, deadline);
		/* No connection any more means that no answer came: it was a dead one. */
		if (*status != AUTH_TEMPORARY || request->connection ||
		    deadline_left(deadline) == 0)
			return request;
		request->finished = false;
	}
	c = connect_new(client, deadline, &request->why);
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
		give_back(request->client, request->connection);
	else
		connection_free(request->connection);
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
