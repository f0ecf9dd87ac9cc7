// SPDX-License-Identifier: BSD-2-Clause
/*
 * One mutex per client guards all of its offers and connections.  What is decided under it is sent
 * under it, so that records leave in the order of the decisions: an OFFER whose `seen` covers a
 * DONE never overtakes the SPOOLING of the offer that did not take this DONE.  A send has a
 * short deadline; one that misses it ends the connection.
 *
 * A connection has one reader thread, which also frees it.  When it ends, its offers are DETACHED.
 */
#include "queue/offer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "ipc/channel.h"
#include "log/log.h"

#define CONNECT_LIMIT_MS 200
#define SEND_LIMIT_MS	 500
#define RECONNECT_MS	 1000
#define READER_STACK	 (128 * 1024)

struct connection {
	struct offer_client *client;
	struct channel *channel;
	struct list offers;
	uint64_t seen; /* DONEs that the reader has processed */
	bool dead;     /* nothing is sent any more */
};

struct offer_client {
	struct offer_client_config config;
	pthread_mutex_t lock;
	pthread_cond_t idle;	 /* the last reader has ended */
	struct connection *live; /* NULL: none */
	unsigned readers;
	int64_t next_attempt;
};

struct offer {
	struct offer_client *client;
	struct connection *connection; /* NULL when detached or over */
	struct list node;
	struct offer_request request;
	char id[QUEUE_ID_SIZE];
	enum intake_state state;
	bool told; /* no use in waiting any longer */
	bool over; /* over: acknowledged, refused or given up */
	pthread_cond_t changed;
};

struct offer_client *offer_client_new(const struct offer_client_config *config)
{
	struct offer_client *client = xcalloc(1, sizeof(*client));

	client->config = *config;
	client->config.service = xstrdup(config->service);
	client->config.socket = xstrdup(config->socket);
	pthread_mutex_init(&client->lock, NULL);
	pthread_cond_init(&client->idle, NULL);
	return client;
}

/* Under the lock.  The reader wakes up and cleans up. */
static void kill_connection(struct connection *conn)
{
	if (conn->dead)
		return;
	conn->dead = true;
	if (conn->client->live == conn)
		conn->client->live = NULL;
	shutdown(channel_fd(conn->channel), SHUT_RDWR);
}

void offer_client_free(struct offer_client *client)
{
	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	if (client->live)
		kill_connection(client->live);
	while (client->readers > 0)
		pthread_cond_wait(&client->idle, &client->lock);
	pthread_mutex_unlock(&client->lock);
	pthread_mutex_destroy(&client->lock);
	pthread_cond_destroy(&client->idle);
	free((char *)client->config.service);
	free((char *)client->config.socket);
	free(client);
}

/* Under the lock.  DURING: what is sent by an action of the table. */
static void send_record(struct offer *o, const struct offer_record *record, int fd)
{
	struct connection *conn = o->connection;
	struct msg_out m = { 0 };

	if (!conn || conn->dead)
		return;
	offer_record_write(&m, record);
	if (channel_send(conn->channel, &m, &fd, fd == -1 ? 0 : 1, deadline_in(SEND_LIMIT_MS)) ==
	    -1)
		kill_connection(conn);
	msg_release(&m);
}

/* Under the lock: one step of intake's table. */
static void step(struct offer *o, enum intake_event event)
{
	struct intake_step s = intake_step(o->state, event);
	struct offer_record record = { .kind = OFFER_R_FAILED };

	ASSERT(s.legal);
	o->state = s.next;
	if (s.action == INTAKE_NOTHING)
		return;
	if (s.action == INTAKE_SEND_SPOOLING)
		record.kind = OFFER_R_SPOOLING;
	else if (s.action == INTAKE_SEND_SPOOLED)
		record.kind = OFFER_R_SPOOLED;
	memcpy(record.id, o->id, sizeof(record.id));
	send_record(o, &record, -1);
}

static void tell(struct offer *o)
{
	pthread_cond_signal(&o->changed);
	if (o->request.answered)
		o->request.answered(o->request.arg);
}

/* An answer for one of our offers; others are over. */
static void on_answer(struct connection *conn, const struct offer_record *record)
{
	bool done = record->kind == OFFER_R_DONE;

	conn->seen += done;
	list_for_each(pos, &conn->offers) {
		struct offer *o = list_entry(pos, struct offer, node);

		if (strcmp(o->id, record->id) != 0)
			continue;
		if (o->state != INTAKE_OFFERED)
			step(o, done ? INTAKE_DONE : INTAKE_SPOOL); /* comes too late */
		else if (done)
			step(o, INTAKE_DONE);
		else
			o->told = true; /* the table's step follows in offer_spool */
		tell(o);
		return;
	}
}

static void on_gone(struct connection *conn)
{
	kill_connection(conn);
	list_for_each_safe(pos, tmp, &conn->offers) {
		struct offer *o = list_entry(pos, struct offer, node);

		list_del(pos);
		o->connection = NULL;
		step(o, INTAKE_GONE);
		tell(o);
	}
}

static bool read_answer(struct connection *conn)
{
	struct offer_record record;
	struct msg_in in;
	bool good;

	if (channel_recv(conn->channel, &in, DEADLINE_NEVER) != CHANNEL_RECORD)
		return false;
	good = offer_record_parse(&in.msg, &record) &&
	       (record.kind == OFFER_R_DONE || record.kind == OFFER_R_SPOOL);
	msg_in_release(&in);
	if (!good) {
		log_warning("malformed record from qmgr");
		return false;
	}
	pthread_mutex_lock(&conn->client->lock);
	on_answer(conn, &record);
	pthread_mutex_unlock(&conn->client->lock);
	return true;
}

static void *reader(void *arg)
{
	struct connection *conn = arg;
	struct offer_client *client = conn->client;

	while (read_answer(conn))
		;
	pthread_mutex_lock(&client->lock);
	on_gone(conn);
	channel_free(conn->channel);
	free(conn);
	if (--client->readers == 0)
		pthread_cond_broadcast(&client->idle);
	pthread_mutex_unlock(&client->lock);
	return NULL;
}

static int start_reader(struct connection *conn)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, READER_STACK);
	error = pthread_create(&thread, &attr, reader, conn);
	pthread_attr_destroy(&attr);
	return error;
}

/* Under the lock: the connection, made when there is none; NULL when there is no qmgr. */
static struct connection *live_connection(struct offer_client *client)
{
	struct connection *conn;

	if (client->live || clock_ms() < client->next_attempt)
		return client->live;
	client->next_attempt = deadline_in(RECONNECT_MS);
	conn = xcalloc(1, sizeof(*conn));
	conn->client = client;
	list_init(&conn->offers);
	conn->channel = channel_connect(
	    client->config.socket, client->config.service, deadline_in(CONNECT_LIMIT_MS));
	if (!conn->channel) {
		log_warning("connect to %s: %s", client->config.socket, strerror(errno));
		goto free_conn;
	}
	client->readers++;
	if (start_reader(conn) != 0)
		goto free_channel;
	client->live = conn;
	return conn;

free_channel:
	client->readers--;
	channel_free(conn->channel);
free_conn:
	free(conn);
	return NULL;
}

static bool may_wait(const struct offer_request *request)
{
	return !(request->flags & (OFFER_NEVER_WAIT | OFFER_HOLD));
}

/* Under the lock. */
static void send_offer(struct offer *o)
{
	struct offer_record record = { .kind = OFFER_R_OFFER,
		.seen = o->connection->seen,
		.size = (uint64_t)o->request.size,
		.recipient_count = o->request.recipient_count,
		.flags = o->request.flags };
	int fd;

	memcpy(record.id, o->id, sizeof(record.id));
	if (o->told)
		record.flags |= OFFER_NEVER_WAIT;
	fd = file_reopen_readonly(o->client->config.proc_fd, o->request.file->fd);
	if (fd == -1) {
		/* Cannot be shown to qmgr: it finds the name later. */
		list_del(&o->node);
		o->connection = NULL;
		step(o, INTAKE_GONE);
		return;
	}
	send_record(o, &record, fd);
	close(fd);
}

static void init_changed(struct offer *o)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->changed, &attr);
	pthread_condattr_destroy(&attr);
}

struct offer *offer_new(struct offer_client *client, const struct offer_request *request)
{
	struct offer *o = xcalloc(1, sizeof(*o));

	ASSERT(queue_id_is_valid(slice_of(request->id)));
	o->client = client;
	o->request = *request;
	o->told = !may_wait(request);
	strcpy(o->id, request->id);
	o->request.id = o->id;
	list_init(&o->node);
	init_changed(o);
	pthread_mutex_lock(&client->lock);
	o->connection = live_connection(client);
	/* An offer that never waits begins on both sides as if SPOOLING had been sent. */
	o->state = !o->connection ? INTAKE_DETACHED : o->told ? INTAKE_SPOOLING : INTAKE_OFFERED;
	if (o->connection) {
		list_add_tail(&o->connection->offers, &o->node);
		send_offer(o);
	}
	pthread_mutex_unlock(&client->lock);
	return o;
}

static enum offer_answer answer_of(const struct offer *o)
{
	if (o->state == INTAKE_ACCEPTED)
		return OFFER_DONE;
	return o->told || o->state != INTAKE_OFFERED ? OFFER_SPOOL : OFFER_NONE;
}

enum offer_answer offer_answer(struct offer *o)
{
	enum offer_answer answer;

	pthread_mutex_lock(&o->client->lock);
	answer = answer_of(o);
	pthread_mutex_unlock(&o->client->lock);
	return answer;
}

enum offer_answer offer_wait(struct offer *o, int64_t deadline)
{
	const struct timespec until = { .tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000 };
	enum offer_answer answer;

	pthread_mutex_lock(&o->client->lock);
	while (answer_of(o) == OFFER_NONE) {
		if (deadline == DEADLINE_NEVER)
			pthread_cond_wait(&o->changed, &o->client->lock);
		else if (clock_ms() >= deadline ||
			 pthread_cond_timedwait(&o->changed, &o->client->lock, &until) == ETIMEDOUT)
			o->told |= answer_of(o) == OFFER_NONE;
	}
	answer = answer_of(o);
	pthread_mutex_unlock(&o->client->lock);
	return answer;
}

/* True: the message shall have a name now.  False: it was acknowledged meanwhile. */
static bool begin_spooling(struct offer *o)
{
	bool go;

	pthread_mutex_lock(&o->client->lock);
	if (o->state == INTAKE_OFFERED)
		step(o, o->told ? INTAKE_SPOOL : INTAKE_TIMEOUT);
	go = o->state == INTAKE_SPOOLING || o->state == INTAKE_DETACHED;
	ASSERT(go || o->state == INTAKE_ACCEPTED);
	pthread_mutex_unlock(&o->client->lock);
	return go;
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
	pthread_mutex_lock(&o->client->lock);
	step(o, synced ? INTAKE_SYNCED : INTAKE_BROKEN);
	pthread_mutex_unlock(&o->client->lock);
	return synced;
}

void offer_abandon(struct offer *o)
{
	pthread_mutex_lock(&o->client->lock);
	if (o->state != INTAKE_ACCEPTED && o->state != INTAKE_REFUSED)
		step(o, INTAKE_BROKEN);
	o->over = true;
	pthread_mutex_unlock(&o->client->lock);
}

void offer_free(struct offer *o)
{
	if (!o)
		return;
	if (!o->over)
		offer_abandon(o);
	pthread_mutex_lock(&o->client->lock);
	list_del(&o->node);
	pthread_mutex_unlock(&o->client->lock);
	pthread_cond_destroy(&o->changed);
	free(o);
}
