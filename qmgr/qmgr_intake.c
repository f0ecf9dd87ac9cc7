// SPDX-License-Identifier: BSD-2-Clause
/*
 * public/qmgr: offers of intake, triggers of anybody, requests of the commands.  The first byte
 * tells: 0 begins a record, anything else is a trigger.
 *
 * A connection has two lists of offers: those that are open in some way, and those that were given
 * DONE, in the order of the DONEs, until an OFFER says that intake has seen it (doc/QUEUE.md 2.2).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "qmgr/qmgr.h"
#include "sys/file.h"

#define SEND_LIMIT_MS 1000
#define FIRST_BYTE_MS 10000
#define TRIGGERS_MAX  64

struct intake_connection {
	struct loop_watch watch;
	struct loop_timer timer; /* until the first byte has come */
	struct channel *channel; /* NULL before */
	int fd;			 /* before, -1 afterwards */
	bool trusted;		 /* root, or the mail owner: may offer */
	bool commander;		 /* root: may change what others put into the queue */
	struct list offers, given;
	uint64_t done_count;
	struct list controls; /* requests of a command that are not answered yet */
};

static void on_first_byte(struct loop_watch *watch, uint32_t events);

static void late(struct loop_timer *timer)
{
	struct intake_connection *conn = timer->arg;

	loop_unwatch(qm.loop, &conn->watch);
	close(conn->fd);
	free(conn);
}

void intake_accept(int fd)
{
	struct intake_connection *conn = xcalloc(1, sizeof(*conn));
	uid_t uid = (uid_t)-1;
	gid_t gid;
	pid_t pid;

	conn->fd = fd;
	list_init(&conn->offers);
	list_init(&conn->given);
	list_init(&conn->controls);
	conn->trusted = socket_peer(fd, &uid, &gid, &pid) == 0 && (uid == 0 || uid == geteuid());
	/* Every daemon that meets strangers has the mail owner's uid.  A private instance has one.
	 */
	conn->commander = conn->trusted && (uid == 0 || !qm.ctx->as_root);
	conn->watch = (struct loop_watch){ .fd = fd, .ready = on_first_byte, .arg = conn };
	conn->timer = (struct loop_timer){ .expired = late, .arg = conn };
	if (loop_watch(qm.loop, &conn->watch, EPOLLIN) == -1) {
		close(fd);
		free(conn);
		return;
	}
	loop_timer_set(qm.loop, &conn->timer, deadline_in(FIRST_BYTE_MS));
}

/* Every offer meets GONE; none of them asks for the connection afterwards. */
static void end_connection(struct intake_connection *conn)
{
	struct list *const lists[] = { &conn->offers, &conn->given };

	loop_unwatch(qm.loop, &conn->watch);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		while (!list_is_empty(lists[i])) {
			struct message *m =
			    list_entry(lists[i]->next, struct message, connection_node);

			message_offer_event(m, OWNER_GONE);
		}
	}
	control_forget_all(&conn->controls);
	channel_free(conn->channel);
	free(conn);
}

void intake_forget(struct message *m)
{
	list_del(&m->connection_node);
	m->connection = NULL;
}

void intake_violation(struct intake_connection *conn)
{
	/* The loop sees the end of it and cleans up. */
	shutdown(channel_fd(conn->channel), SHUT_RDWR);
}

static void send_answer(struct intake_connection *conn, const char *id, bool done)
{
	struct offer_record record = { .kind = done ? OFFER_R_DONE : OFFER_R_SPOOL };
	struct msg_out out = { 0 };

	memcpy(record.id, id, sizeof(record.id));
	offer_record_write(&out, &record);
	/* A failure shuts the channel down: GONE follows. */
	channel_send(conn->channel, &out, NULL, 0, deadline_in(SEND_LIMIT_MS));
	msg_release(&out);
}

void intake_answer(struct message *m, bool done)
{
	struct intake_connection *conn = m->connection;

	if (done) {
		m->done_number = ++conn->done_count;
		list_del(&m->connection_node);
		list_add_tail(&conn->given, &m->connection_node);
	}
	send_answer(conn, m->id, done);
}

static void on_seen(struct intake_connection *conn, uint64_t seen)
{
	while (!list_is_empty(&conn->given)) {
		struct message *m = list_entry(conn->given.next, struct message, connection_node);

		if (m->done_number > seen)
			return;
		message_offer_event(m, OWNER_SEEN);
	}
}

static bool on_offer(
    struct intake_connection *conn, const struct offer_record *record, struct msg_in *in)
{
	bool room = !qm.draining && qm.active < qm.active_limit;
	struct message *m;

	/* It is handed on to agents; what else it can be might block whoever reads, or have no end.
	 */
	if (in->fd_count != 1 || !file_is_read_only(in->fds[0]))
		return false;
	on_seen(conn, record->seen);
	if (entry_find(record->id)) {
		send_answer(conn, record->id, false);
		return true;
	}
	m = message_offered(record->id, in->fds[0], room);
	in->fds[0] = -1;
	m->connection = conn;
	list_add_tail(&conn->offers, &m->connection_node);
	m->never_wait = (record->flags & (OFFER_NEVER_WAIT | OFFER_HOLD)) != 0;
	m->hold_asked = (record->flags & OFFER_HOLD) != 0;
	if (m->never_wait)
		message_offer_event(m, OWNER_R_SPOOLING);
	else if (!room)
		message_offer_event(m, OWNER_WAIT);
	return true;
}

static bool on_offer_record(struct intake_connection *conn, struct msg_in *in)
{
	static const enum owner_event events[] = { [OFFER_R_SPOOLING] = OWNER_R_SPOOLING,
		[OFFER_R_SPOOLED] = OWNER_R_SPOOLED,
		[OFFER_R_FAILED] = OWNER_R_FAILED };
	struct offer_record record;
	struct message *m;

	if (!conn->trusted || !offer_record_parse(&in->msg, &record) ||
	    record.kind == OFFER_R_DONE || record.kind == OFFER_R_SPOOL)
		return false;
	if (record.kind == OFFER_R_OFFER)
		return on_offer(conn, &record, in);
	m = message_find(record.id);
	/* Not ours: the answer to its OFFER was SPOOL because the id was known. */
	if (!m || m->connection != conn)
		return true;
	if (m->offer == OWNER_GIVEN && record.kind == OFFER_R_SPOOLING) {
		list_del(&m->connection_node);
		list_add_tail(&conn->offers, &m->connection_node);
	}
	message_offer_event(m, events[record.kind]);
	return true;
}

static void on_record(struct loop_watch *watch, uint32_t events)
{
	struct intake_connection *conn = watch->arg;
	enum channel_result result;
	struct msg_in in;

	(void)events;
	while ((result = channel_recv(conn->channel, &in, 0)) == CHANNEL_RECORD) {
		bool good =
		    msg_is(&in.msg, "CONTROL")
			? control_begin(&conn->controls, conn->channel, conn->commander, &in.msg)
			: on_offer_record(conn, &in);

		msg_in_release(&in);
		if (!good) {
			log_warning("malformed record from %s", channel_peer(conn->channel));
			result = CHANNEL_CLOSED;
			break;
		}
	}
	if (result == CHANNEL_CLOSED)
		end_connection(conn);
}

/* ---- triggers ---- */

/* Postfix's one-byte triggers. */
static void take_triggers(const char *bytes, size_t count)
{
	bool flush_all = false;

	for (size_t i = 0; i < count; i++) {
		switch (bytes[i]) {
		case QUEUE_TRIGGER_FLUSH:
			transport_forgive();
			break;
		case QUEUE_TRIGGER_SCAN_ALL:
			flush_all = true;
			break;
		case QUEUE_TRIGGER_SCAN_INCOMING:
		case QUEUE_TRIGGER_SCAN_DEFERRED:
			walk_now();
			break;
		default: /* a wake-up: the heap knows what is due */
			break;
		}
	}
	if (flush_all)
		message_flush(NULL);
	message_pump();
}

static void on_first_byte(struct loop_watch *watch, uint32_t events)
{
	struct intake_connection *conn = watch->arg;
	char bytes[TRIGGERS_MAX];
	ssize_t got = recv(conn->fd, bytes, 1, MSG_PEEK | MSG_DONTWAIT);

	(void)events;
	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_timer_cancel(qm.loop, &conn->timer);
	loop_unwatch(qm.loop, watch);
	if (got == 1 && bytes[0] == '\0') {
		conn->channel = channel_new(conn->fd, "qmgr");
		conn->fd = -1;
		conn->watch = (struct loop_watch){
			.fd = channel_fd(conn->channel), .ready = on_record, .arg = conn
		};
		if (loop_watch(qm.loop, &conn->watch, EPOLLIN) == -1)
			end_connection(conn);
		return;
	}
	if (got == 1)
		got = recv(conn->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	close(conn->fd);
	free(conn);
	if (got > 0)
		take_triggers(bytes, (size_t)got);
}
