// SPDX-License-Identifier: BSD-2-Clause
/*
 * Connections: making them, and those that lie idle until the next request.  CPID must be unique
 * among the connections to a login socket and says nothing else to anybody, so each connection
 * takes a random one.
 */
#include "auth/auth_connection.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "net/dns.h"
#include "net/stream.h"
#include "sys/socket.h"

#define ADDRESSES_MAX 8
#define IDLE_MAX      16
#define CONNECT_TRIES 3
#define HELLO_LINES   200
#define NUMBERED_MS   5000

struct auth_client {
	char *where; /* as given */
	char *host;  /* NULL: WHERE is a path */
	unsigned port;
	pthread_mutex_t mutex; /* over all that follows; never held over a wait */
	struct auth_connection *idle;
	size_t idle_count;
	size_t mechanism_count;
	struct auth_mechanism mechanisms[AUTH_MECHANISMS_MAX];
	bool has_apop;
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

void auth_connection_free(struct auth_connection *c)
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
		struct auth_connection *c = client->idle;

		client->idle = c->next;
		auth_connection_free(c);
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

static bool take_cookie(struct auth_connection *c, const struct auth_fields *fields)
{
	if (fields->count < 2 || fields->list[1].len > AUTH_COOKIE_MAX)
		return false;
	for (size_t i = 0; i < fields->list[1].len; i++)
		if (!ascii_isalnum(fields->list[1].ptr[i]))
			return false;
	snprintf(c->cookie, sizeof(c->cookie), "%.*s", SLICE_ARG(fields->list[1]));
	return true;
}

/* One line of the server's hello; false when it is not one. Unknown words are passed over. */
static bool take_hello(
    struct auth_connection *c, struct hello *hello, const struct auth_fields *fields)
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

bool auth_connection_read(
    struct auth_connection *c, struct auth_fields *fields, struct arena *arena, struct reason *why)
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
static bool exchange_hello(struct auth_connection *c, struct hello *hello, struct reason *why)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	bool good = true;

	stream_printf(c->stream, "VERSION\t%d\t%d\nCPID\t%u\n", AUTH_PROTOCOL_MAJOR,
	    AUTH_CLIENT_MINOR, c->pid);
	for (unsigned i = 0; good && !hello->done; i++) {
		good = auth_connection_read(c, &fields, &arena, why);
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
static struct auth_connection *connect_once(
    struct auth_client *client, int64_t deadline, struct reason *why, bool *lost)
{
	struct auth_connection *c;
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
		auth_connection_free(c);
		return NULL;
	}
	remember_mechanisms(client, &hello);
	return c;
}

/* A server that is being replaced may take a connection and end; the next one gets to another. */
struct auth_connection *auth_connection_new(
    struct auth_client *client, int64_t deadline, struct reason *why)
{
	struct auth_connection *c = NULL;
	bool lost = true;

	for (int i = 0; lost && i < CONNECT_TRIES; i++)
		c = connect_once(client, deadline, why, &lost);
	return c;
}

struct auth_connection *auth_connection_take(struct auth_client *client)
{
	for (;;) {
		struct auth_connection *c;

		pthread_mutex_lock(&client->mutex);
		c = client->idle;
		if (c) {
			client->idle = c->next;
			client->idle_count--;
		}
		pthread_mutex_unlock(&client->mutex);
		if (!c || !stream_poll_input(c->stream))
			return c;
		auth_connection_free(c);
	}
}

void auth_connection_give_back(struct auth_client *client, struct auth_connection *c)
{
	pthread_mutex_lock(&client->mutex);
	if (client->idle_count < IDLE_MAX && stream_error(c->stream) == STREAM_OK) {
		c->next = client->idle;
		client->idle = c;
		client->idle_count++;
		c = NULL;
	}
	pthread_mutex_unlock(&client->mutex);
	auth_connection_free(c);
}

bool auth_client_mechanisms(struct auth_client *client, int64_t deadline,
    struct auth_mechanism *list, size_t *count, struct reason *why)
{
	/* One that still stands vouches for what its hello said. */
	struct auth_connection *c = auth_connection_take(client);

	if (!c)
		c = auth_connection_new(client, deadline, why);
	if (!c)
		return false;
	auth_connection_give_back(client, c);
	pthread_mutex_lock(&client->mutex);
	memcpy(list, client->mechanisms, client->mechanism_count * sizeof(list[0]));
	*count = client->mechanism_count;
	pthread_mutex_unlock(&client->mutex);
	return true;
}

bool auth_client_apop(
    struct auth_client *client, int64_t deadline, uint32_t *server_pid, uint32_t *connection)
{
	struct auth_connection *c = auth_connection_take(client);
	struct reason why;
	bool has_apop;

	if (!c)
		c = auth_connection_new(client, deadline, &why);
	if (!c)
		return false;
	*server_pid = c->server_pid;
	*connection = c->number;
	auth_connection_give_back(client, c);
	pthread_mutex_lock(&client->mutex);
	has_apop = client->has_apop;
	pthread_mutex_unlock(&client->mutex);
	return has_apop && *connection != 0;
}

static struct auth_connection *take_numbered(struct auth_client *client, uint32_t number)
{
	struct auth_connection *c, **at;

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
struct auth_connection *auth_connection_take_numbered(
    struct auth_client *client, uint32_t number, int64_t deadline, struct reason *why)
{
	struct auth_connection *c = take_numbered(client, number);
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
