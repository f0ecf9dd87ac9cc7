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

#define SEND_LIMIT_MS  1000
#define FIRST_BYTE_MS  10000
#define TRIGGERS_MAX   64
#define CONTROLLED_IDS 1000 /* in one answer */

struct intake_connection {
	struct loop_watch watch;
	struct loop_timer timer; /* until the first byte has come */
	struct channel *channel; /* NULL before */
	int fd;			 /* before, -1 afterwards */
	bool trusted;		 /* root, or the mail owner: may offer */
	bool commander;		 /* root: may change what others put into the queue */
	struct list offers, given;
	uint64_t done_count;
	struct hold_job *hold_job; /* of a command that waits for it */
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

static void forget_connection(struct hold_job *job);

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
	if (conn->hold_job)
		forget_connection(conn->hold_job);
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

/*
 * A file that can be read, by a descriptor that cannot write it: it is handed on to agents.  What
 * else a descriptor can be might block whoever reads it, or have no end.
 */
static bool is_queue_file(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & (O_ACCMODE | O_DIRECT)) == O_RDONLY && file_is_regular(fd);
}

static bool on_offer(
    struct intake_connection *conn, const struct offer_record *record, struct msg_in *in)
{
	bool room = !qm.draining && qm.active < qm.active_limit;
	struct message *m;

	if (in->fd_count != 1 || !is_queue_file(in->fds[0]))
		return false;
	on_seen(conn, record->seen);
	if (message_find(record->id)) {
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

/* ---- commands ---- */

static bool send_controlled(struct intake_connection *conn, struct msg_out *out, bool end)
{
	bool sent;

	if (end)
		msg_add_u64(out, "end", 1);
	sent = channel_send(conn->channel, out, NULL, 0, deadline_in(SEND_LIMIT_MS)) == 0;
	msg_begin(out, "CONTROLLED");
	return sent;
}

static bool applies(const struct queue_control *request, const struct message *m)
{
	bool any = false;
	enum spool_queue shown = m->state == MESSAGE_WAITING ? m->queue : SPOOL_ACTIVE;

	for (int i = 0; i < SPOOL_QUEUES; i++)
		any |= request->queues[i];
	return m->named && (!any || request->queues[shown] || request->queues[m->queue]);
}

static bool control_one(const struct queue_control *request, struct message *m)
{
	if (!applies(request, m))
		return false;
	return request->op == QUEUE_CONTROL_DELETE ? message_delete(m) : message_hold(m);
}

static char **all_ids(size_t *count)
{
	char **ids = xcalloc(qm.messages.count + 1, sizeof(*ids));

	*count = 0;
	for (struct map_entry *e = map_next(&qm.messages, NULL); e; e = map_next(&qm.messages, e))
		ids[(*count)++] = xstrdup(e->key);
	return ids;
}

static void control_all(
    struct intake_connection *conn, const struct queue_control *request, struct msg_out *out)
{
	size_t count, told = 0;
	char **ids = all_ids(&count);

	for (size_t i = 0; i < count; i++) {
		struct message *m = message_find(ids[i]);

		if (m && control_one(request, m)) {
			msg_add_str(out, "id", ids[i]);
			if (++told % CONTROLLED_IDS == 0)
				send_controlled(conn, out, false);
		}
		free(ids[i]);
	}
	free(ids);
}

/* The hold queue is not in memory: a worker does it. */
struct hold_job {
	struct disk_job job;
	struct intake_connection *conn; /* NULL: gone meanwhile */
	struct queue_control request;
	struct msg_out out; /* the answer as far as it goes */
	char **ids;
	size_t count;
};

static void forget_connection(struct hold_job *job)
{
	job->conn = NULL;
}

static bool apply_to_held(const struct queue_control *request, const char *id)
{
	int result =
	    request->op == QUEUE_CONTROL_DELETE
		? spool_unlink(qm.spool, SPOOL_HOLD, id)
		: spool_move(qm.spool, id, SPOOL_HOLD, SPOOL_DEFERRED, clock_wall_us() / 1000000);

	if (result == -1 && errno != ENOENT)
		log_warning("%s: hold queue: %s", id, strerror(errno));
	if (result == 0 && request->op == QUEUE_CONTROL_DELETE) {
		spool_unlink(qm.spool, SPOOL_DEFER, id);
		log_info("%s: removed", id);
	}
	return result == 0;
}

static bool add_held(const char *id, int dirfd, void *arg)
{
	struct hold_job *job = arg;

	(void)dirfd;
	job->ids = xreallocarray(job->ids, job->count + 1, sizeof(*job->ids));
	job->ids[job->count++] = xstrdup(id);
	return true;
}

static void hold_work(struct disk_job *base)
{
	struct hold_job *job = (struct hold_job *)base;
	size_t kept = 0;

	if (job->request.id[0])
		add_held(job->request.id, -1, job);
	else if (spool_scan(qm.spool, SPOOL_HOLD, add_held, job) == -1)
		log_warning("scan hold: %s", strerror(errno));
	for (size_t i = 0; i < job->count; i++) {
		if (apply_to_held(&job->request, job->ids[i]))
			job->ids[kept++] = job->ids[i];
		else
			free(job->ids[i]);
	}
	job->count = kept;
}

static void hold_done(struct disk_job *base)
{
	struct hold_job *job = (struct hold_job *)base;

	for (size_t i = 0; i < job->count; i++) {
		if (job->request.op == QUEUE_CONTROL_RELEASE)
			message_found(job->ids[i], SPOOL_DEFERRED, 0);
		msg_add_str(&job->out, "id", job->ids[i]);
		if (job->conn && (i + 1) % CONTROLLED_IDS == 0)
			send_controlled(job->conn, &job->out, false);
		free(job->ids[i]);
	}
	if (job->conn) {
		job->conn->hold_job = NULL;
		send_controlled(job->conn, &job->out, true);
	}
	msg_release(&job->out);
	free(job->ids);
	free(job);
}

static bool concerns_hold(const struct queue_control *request)
{
	bool any = false;

	for (int i = 0; i < SPOOL_QUEUES; i++)
		any |= request->queues[i];
	return request->op != QUEUE_CONTROL_HOLD && (!any || request->queues[SPOOL_HOLD]);
}

/* Takes OUT over when it returns true: the answer follows. */
static bool control_held(
    struct intake_connection *conn, const struct queue_control *request, struct msg_out *out)
{
	struct hold_job *job;

	if (!concerns_hold(request) || conn->hold_job)
		return false;
	job = xcalloc(1, sizeof(*job));
	job->job = (struct disk_job){ hold_work, hold_done };
	job->conn = conn;
	job->request = *request;
	job->out = *out;
	conn->hold_job = job;
	/* What goes back from hold to deferred must not look like a move the other way. */
	walk_run_settled(&job->job);
	return true;
}

/* True when the answer follows, and OUT was taken over. */
static bool control_queue(
    struct intake_connection *conn, const struct queue_control *request, struct msg_out *out)
{
	struct message *m;

	if (!conn->commander) {
		log_warning("%s: not permitted to change the queue", channel_peer(conn->channel));
		return false;
	}
	if (request->op != QUEUE_CONTROL_RELEASE && request->id[0]) {
		m = message_find(request->id);
		if (m && control_one(request, m)) {
			msg_add_str(out, "id", request->id);
			return false;
		}
	} else if (request->op != QUEUE_CONTROL_RELEASE) {
		control_all(conn, request, out);
	}
	return control_held(conn, request, out);
}

static bool on_control(struct intake_connection *conn, const struct msg *msg)
{
	struct queue_control request;
	struct msg_out out = { 0 };

	if (!queue_control_parse(msg, &request))
		return false;
	msg_begin(&out, "CONTROLLED");
	if (request.op == QUEUE_CONTROL_FLUSH) {
		transport_forgive();
		message_flush(request.id[0] ? request.id : NULL);
	} else if (control_queue(conn, &request, &out)) {
		return true;
	}
	send_controlled(conn, &out, true);
	msg_release(&out);
	return true;
}

static void on_record(struct loop_watch *watch, uint32_t events)
{
	struct intake_connection *conn = watch->arg;
	enum channel_result result;
	struct msg_in in;

	(void)events;
	while ((result = channel_recv(conn->channel, &in, 0)) == CHANNEL_RECORD) {
		bool good = msg_is(&in.msg, "CONTROL") ? on_control(conn, &in.msg)
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
