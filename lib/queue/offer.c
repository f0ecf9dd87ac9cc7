// SPDX-License-Identifier: BSD-2-Clause
/*
 * An offer has a connection of its own while it is one, so that an answer wakes the thread that
 * waits for it and no other, and records leave in the order of that thread's decisions: an OFFER
 * whose `seen` covers a DONE never overtakes the SPOOLING of the offer that did not take this DONE.
 * The client's mutex guards nothing but the list of idle connections.
 *
 * What an idle connection still brings (an answer that came too late) is read by the next offer
 * that uses it.
 */
#include "queue/offer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "ipc/channel.h"
#include "log/log.h"

#define CONNECT_LIMIT_MS 200
#define SEND_LIMIT_MS	 500
#define RECONNECT_MS	 1000
/* Connections of one process; more offers than that wait for one to become idle. */
#define CONNECTIONS_MAX 128
#define IDLE_LIMIT_MS	30000

struct connection {
	struct list link; /* while idle */
	struct channel *channel;
	uint64_t seen; /* DONEs that were read */
	int64_t idle_since;
};

struct offer_client {
	struct offer_client_config config;
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	struct list idle; /* the one used last comes first */
	unsigned connections;
	int64_t next_attempt;
};

struct offer {
	struct offer_client *client;
	struct connection *connection; /* NULL when detached */
	struct offer_request request;
	char id[QUEUE_ID_SIZE];
	enum intake_state state;
	bool told; /* no use in waiting any longer */
	bool over; /* acknowledged, refused or given up */
};

struct offer_client *offer_client_new(const struct offer_client_config *config)
{
	struct offer_client *client = xcalloc(1, sizeof(*client));
	pthread_condattr_t attr;

	client->config = *config;
	client->config.service = xstrdup(config->service);
	client->config.socket = xstrdup(config->socket);
	list_init(&client->idle);
	pthread_mutex_init(&client->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&client->given_back, &attr);
	pthread_condattr_destroy(&attr);
	return client;
}

/* ---- connections ---- */

/* Under the lock. */
static void close_connection(struct offer_client *client, struct connection *conn)
{
	client->connections--;
	channel_free(conn->channel);
	free(conn);
}

/* Under the lock: those that nobody has used since then; NOW + IDLE_LIMIT_MS closes all. */
static void close_idle(struct offer_client *client, int64_t now)
{
	while (!list_is_empty(&client->idle)) {
		struct connection *oldest = list_entry(client->idle.prev, struct connection, link);

		if (now - oldest->idle_since < IDLE_LIMIT_MS)
			return;
		list_del(&oldest->link);
		close_connection(client, oldest);
	}
}

static void close_all_idle(struct offer_client *client)
{
	close_idle(client, INT64_MAX);
}

void offer_client_free(struct offer_client *client)
{
	if (!client)
		return;
	close_all_idle(client);
	ASSERT(client->connections == 0);
	pthread_mutex_destroy(&client->lock);
	pthread_cond_destroy(&client->given_back);
	free((char *)client->config.service);
	free((char *)client->config.socket);
	free(client);
}

static struct connection *connect_to_owner(const struct offer_client_config *config)
{
	struct connection *conn = xcalloc(1, sizeof(*conn));

	conn->channel =
	    channel_connect(config->socket, config->service, deadline_in(CONNECT_LIMIT_MS));
	if (conn->channel)
		return conn;
	log_warning("connect to %s: %s", config->socket, strerror(errno));
	free(conn);
	return NULL;
}

/* Under the lock: false when all connections are in use and none came back in time. */
static bool wait_for_room(struct offer_client *client)
{
	const int64_t deadline = deadline_in(CONNECT_LIMIT_MS);
	const struct timespec until = { .tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000 };

	while (list_is_empty(&client->idle) && client->connections >= CONNECTIONS_MAX)
		if (pthread_cond_timedwait(&client->given_back, &client->lock, &until) == ETIMEDOUT)
			return false;
	return true;
}

/* Under the lock, which is free while it connects; NULL when there is no qmgr. */
static struct connection *new_connection(struct offer_client *client)
{
	struct connection *conn;

	if (clock_ms() < client->next_attempt)
		return NULL;
	client->connections++;
	pthread_mutex_unlock(&client->lock);
	conn = connect_to_owner(&client->config);
	pthread_mutex_lock(&client->lock);
	if (conn)
		return conn;
	client->connections--;
	client->next_attempt = deadline_in(RECONNECT_MS);
	return NULL;
}

static struct connection *take_connection(struct offer_client *client)
{
	struct connection *conn = NULL;

	pthread_mutex_lock(&client->lock);
	if (!wait_for_room(client)) {
		/* NULL */
	} else if (!list_is_empty(&client->idle)) {
		conn = list_entry(client->idle.next, struct connection, link);
		list_del(&conn->link);
	} else {
		conn = new_connection(client);
	}
	pthread_mutex_unlock(&client->lock);
	return conn;
}

static void give_back(struct offer_client *client, struct connection *conn)
{
	pthread_mutex_lock(&client->lock);
	conn->idle_since = clock_ms();
	list_add_head(&client->idle, &conn->link);
	close_idle(client, conn->idle_since);
	if (client->connections >= CONNECTIONS_MAX)
		pthread_cond_signal(&client->given_back);
	pthread_mutex_unlock(&client->lock);
}

/* One that is broken; its owner may be gone, and then all are. */
static void drop_connection(struct offer_client *client, struct connection *conn)
{
	pthread_mutex_lock(&client->lock);
	close_connection(client, conn);
	close_all_idle(client);
	pthread_cond_broadcast(&client->given_back);
	pthread_mutex_unlock(&client->lock);
}

/* ---- records ---- */

static bool send_record(struct connection *conn, const struct offer_record *record, int fd)
{
	struct msg_out m = { 0 };
	bool sent;

	offer_record_write(&m, record);
	sent =
	    channel_send(conn->channel, &m, &fd, fd == -1 ? 0 : 1, deadline_in(SEND_LIMIT_MS)) == 0;
	msg_release(&m);
	return sent;
}

static void step(struct offer *o, enum intake_event event);

static void gone(struct offer *o)
{
	drop_connection(o->client, o->connection);
	o->connection = NULL;
	step(o, INTAKE_GONE);
}

/* One step of intake's table. */
static void step(struct offer *o, enum intake_event event)
{
	struct intake_step s = intake_step(o->state, event);
	struct offer_record record = { .kind = OFFER_R_FAILED };

	ASSERT(s.legal);
	o->state = s.next;
	if (s.action == INTAKE_NOTHING || !o->connection)
		return;
	if (s.action == INTAKE_SEND_SPOOLING)
		record.kind = OFFER_R_SPOOLING;
	else if (s.action == INTAKE_SEND_SPOOLED)
		record.kind = OFFER_R_SPOOLED;
	memcpy(record.id, o->id, sizeof(record.id));
	if (!send_record(o->connection, &record, -1))
		gone(o);
}

/* An answer; those for earlier offers of the connection come too late. */
static void on_answer(struct offer *o, const struct offer_record *record)
{
	bool done = record->kind == OFFER_R_DONE;

	o->connection->seen += done;
	if (strcmp(o->id, record->id) != 0)
		return;
	if (done || o->state != INTAKE_OFFERED)
		step(o, done ? INTAKE_DONE : INTAKE_SPOOL);
	else
		o->told = true; /* the table's step follows in offer_spool */
}

/* False when nothing came before DEADLINE (0: does not wait). */
static bool read_answer(struct offer *o, int64_t deadline)
{
	struct offer_record record;
	struct msg_in in;
	bool good;

	switch (channel_recv(o->connection->channel, &in, deadline)) {
	case CHANNEL_NOTHING:
		return false;
	case CHANNEL_CLOSED:
		gone(o);
		return true;
	case CHANNEL_RECORD:
		break;
	}
	good = offer_record_parse(&in.msg, &record) &&
	       (record.kind == OFFER_R_DONE || record.kind == OFFER_R_SPOOL);
	msg_in_release(&in);
	if (good) {
		on_answer(o, &record);
	} else {
		log_warning("malformed record from qmgr");
		gone(o);
	}
	return true;
}

/* ---- offers ---- */

static bool may_wait(const struct offer_request *request)
{
	return !(request->flags & (OFFER_NEVER_WAIT | OFFER_HOLD));
}

static bool send_offer(struct offer *o, int fd)
{
	struct offer_record record = { .kind = OFFER_R_OFFER,
		.seen = o->connection->seen,
		.size = (uint64_t)o->request.size,
		.recipient_count = o->request.recipient_count,
		.flags = o->request.flags };

	memcpy(record.id, o->id, sizeof(record.id));
	if (o->told)
		record.flags |= OFFER_NEVER_WAIT;
	return send_record(o->connection, &record, fd);
}

/*
 * An idle connection may have lost its other end meanwhile: then all idle ones are closed, and the
 * next is new.
 */
static void connect_and_offer(struct offer *o, int fd)
{
	for (int i = 0; i < 2; i++) {
		o->connection = take_connection(o->client);
		if (!o->connection || send_offer(o, fd))
			return;
		drop_connection(o->client, o->connection);
		o->connection = NULL;
	}
}

struct offer *offer_new(struct offer_client *client, const struct offer_request *request)
{
	struct offer *o = xcalloc(1, sizeof(*o));
	int fd;

	ASSERT(queue_id_is_valid(slice_of(request->id)));
	o->client = client;
	o->request = *request;
	o->told = !may_wait(request);
	strcpy(o->id, request->id);
	o->request.id = o->id;
	/* One that cannot be shown to qmgr is found by its name later. */
	fd = file_reopen_readonly(client->config.proc_fd, request->file->fd);
	if (fd != -1) {
		connect_and_offer(o, fd);
		close(fd);
	}
	/* An offer that never waits begins on both sides as if SPOOLING had been sent. */
	o->state = !o->connection ? INTAKE_DETACHED : o->told ? INTAKE_SPOOLING : INTAKE_OFFERED;
	return o;
}

static enum offer_answer answer_of(const struct offer *o)
{
	if (o->state == INTAKE_ACCEPTED)
		return OFFER_DONE;
	return o->told || o->state != INTAKE_OFFERED ? OFFER_SPOOL : OFFER_NONE;
}

enum offer_answer offer_wait(struct offer *o, int64_t deadline)
{
	while (answer_of(o) == OFFER_NONE)
		if (!read_answer(o, deadline_left(deadline) == 0 ? 0 : deadline))
			o->told = true;
	return answer_of(o);
}

/* True: the message shall have a name now.  False: it was acknowledged meanwhile. */
static bool begin_spooling(struct offer *o)
{
	while (o->state == INTAKE_OFFERED && o->connection && read_answer(o, 0))
		;
	if (o->state == INTAKE_OFFERED)
		step(o, o->told ? INTAKE_SPOOL : INTAKE_TIMEOUT);
	ASSERT(o->state == INTAKE_SPOOLING || o->state == INTAKE_DETACHED ||
	       o->state == INTAKE_ACCEPTED);
	return o->state != INTAKE_ACCEPTED;
}

/* doc/QUEUE.md 3, D0 to D2. */
static int give_name(struct offer *o)
{
	struct offer_client *client = o->client;
	struct dirsync *incoming = client->config.incoming;

	if (tmpfile_link(o->request.file, client->config.proc_fd, dirsync_fd(incoming), o->id) ==
	    -1)
		return -1;
	if (file_sync(o->request.file->fd) == -1)
		return -1;
	return dirsync_wait(incoming);
}

bool offer_spool(struct offer *o, struct reason *why)
{
	bool synced;

	o->over = true;
	if (!begin_spooling(o))
		return true;
	synced = give_name(o) == 0;
	if (!synced) {
		reason_set(why, "4.3.0", "queue file write error");
		log_warning("%s: incoming/%s: %s", o->id, o->id, strerror(errno));
	}
	step(o, synced ? INTAKE_SYNCED : INTAKE_BROKEN);
	return synced;
}

void offer_abandon(struct offer *o)
{
	if (o->state != INTAKE_ACCEPTED && o->state != INTAKE_REFUSED)
		step(o, INTAKE_BROKEN);
	o->over = true;
}

void offer_free(struct offer *o)
{
	if (!o)
		return;
	if (!o->over)
		offer_abandon(o);
	if (o->connection)
		give_back(o->client, o->connection);
	free(o);
}
