// SPDX-License-Identifier: BSD-2-Clause
/*
 * Requests of the commands (queue/queue_control.h).
 *
 * First those messages are told that are in memory: what only waits begins a job at once.  When
 * these jobs are through, the files come that nobody owns (hold, corrupt, maildrop; for expire and
 * structure all): one worker lists them, the scheduler leaves out those that a message in memory
 * is, and another worker changes them.  So nothing is released from hold while a move into it is
 * under way.  Requests work on files one at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "qmgr/qmgr.h"

#define SEND_LIMIT_MS  1000
#define CONTROLLED_IDS 1000 /* in one answer */
#define PENDING_MAX    500  /* messages with a job for one request */

struct file {
	char id[QUEUE_ID_SIZE];
	enum spool_queue queue;
	bool changed, released;
};

struct control {
	struct disk_job job;
	struct list node;	 /* of the connection's */
	struct channel *channel; /* NULL: gone meanwhile */
	struct queue_control request;
	struct msg_out out; /* the answer as far as it goes */
	size_t told;
	/* All messages that were in memory then; up to NEXT they were told. */
	char (*ids)[QUEUE_ID_SIZE];
	size_t id_count, next;
	unsigned pending; /* messages whose jobs are waited for */
	bool begun;
	struct list turn; /* in line for files */
	struct file *files;
	size_t count, alloc;
};

struct control_waiter {
	struct list node; /* of the message's */
	struct control *control;
};

/* Who works on files is the first one. */
static struct list line = LIST_INIT(line);

/* ---- answers ---- */

static void send_answer(struct control *c, bool end)
{
	if (end)
		msg_add_u64(&c->out, "end", 1);
	if (c->channel)
		channel_send(c->channel, &c->out, NULL, 0, deadline_in(SEND_LIMIT_MS));
	msg_begin(&c->out, "CONTROLLED");
}

static void tell(struct control *c, const char *name, const char *id)
{
	msg_add_str(&c->out, name, id);
	if (++c->told % CONTROLLED_IDS == 0)
		send_answer(c, false);
}

static void finish(struct control *c)
{
	send_answer(c, true);
	list_del(&c->node);
	msg_release(&c->out);
	free(c->files);
	free(c->ids);
	free(c);
}

void control_forget_all(struct list *list)
{
	while (!list_is_empty(list)) {
		struct control *c = list_entry(list->next, struct control, node);

		c->channel = NULL;
		list_del(&c->node);
	}
}

/* ---- files, in workers ---- */

static void add_file(struct control *c, enum spool_queue queue, const char *id)
{
	struct file *f;

	if (c->count == c->alloc) {
		c->alloc = 2 * c->alloc + 16;
		c->files = xreallocarray(c->files, c->alloc, sizeof(*c->files));
	}
	f = &c->files[c->count++];
	*f = (struct file){ .queue = queue };
	memcpy(f->id, id, strlen(id) + 1);
}

struct listing {
	struct control *control;
	enum spool_queue queue;
};

static bool list_name(const char *id, int dirfd, void *arg)
{
	struct listing *l = arg;

	if (l->control->request.op != QUEUE_CONTROL_STRUCTURE ||
	    spool_is_misplaced(qm.spool, l->queue, id, dirfd))
		add_file(l->control, l->queue, id);
	return true;
}

/* The queues whose files are looked at beside what is in memory. */
static bool concerns(const struct queue_control *r, enum spool_queue queue)
{
	static const enum spool_queue sources[QUEUE_CONTROL_OPS][8] = {
		[QUEUE_CONTROL_DELETE] = { SPOOL_HOLD, SPOOL_CORRUPT, SPOOL_MAILDROP,
		    SPOOL_QUEUES },
		[QUEUE_CONTROL_HOLD] = { SPOOL_CORRUPT, SPOOL_QUEUES },
		[QUEUE_CONTROL_RELEASE] = { SPOOL_HOLD, SPOOL_QUEUES },
		[QUEUE_CONTROL_EXPIRE] = { SPOOL_HOLD, SPOOL_DEFERRED, SPOOL_INCOMING, SPOOL_ACTIVE,
		    SPOOL_QUEUES },
		[QUEUE_CONTROL_EXPIRE_RELEASE] = { SPOOL_HOLD, SPOOL_DEFERRED, SPOOL_INCOMING,
		    SPOOL_ACTIVE, SPOOL_QUEUES },
		[QUEUE_CONTROL_REQUEUE] = { SPOOL_HOLD, SPOOL_CORRUPT, SPOOL_QUEUES },
		[QUEUE_CONTROL_STRUCTURE] = { SPOOL_INCOMING, SPOOL_DEFERRED, SPOOL_HOLD,
		    SPOOL_CORRUPT, SPOOL_BOUNCE, SPOOL_DEFER, SPOOL_TRACE, SPOOL_QUEUES },
	};
	const enum spool_queue *s = sources[r->op];

	while (*s != SPOOL_QUEUES && *s != queue)
		s++;
	/* Messages that are in delivery lie in incoming and deferred here. */
	return *s == queue &&
	       (r->queues[queue] || (r->queues[SPOOL_ACTIVE] &&
					(queue == SPOOL_INCOMING || queue == SPOOL_DEFERRED)));
}

static void list_work(struct disk_job *base)
{
	struct control *c = (struct control *)base;

	for (int i = 0; i < SPOOL_QUEUES; i++) {
		struct listing l = { c, (enum spool_queue)i };

		if (!concerns(&c->request, l.queue))
			continue;
		if (c->request.id[0])
			add_file(c, l.queue, c->request.id);
		else if (spool_scan(qm.spool, l.queue, list_name, &l) == -1)
			log_warning("scan %s: %s", spool_queue_name(l.queue), strerror(errno));
	}
}

static void remove_logs(const char *id)
{
	static const enum spool_queue logs[] = { SPOOL_DEFER, SPOOL_BOUNCE, SPOOL_TRACE };

	for (size_t i = 0; i < ARRAY_LEN(logs); i++)
		spool_unlink(qm.spool, logs[i], id);
}

static int release(struct file *f)
{
	int result =
	    spool_move(qm.spool, f->id, f->queue, SPOOL_DEFERRED, clock_wall_us() / 1000000);

	f->released = result == 0;
	return result;
}

static int change(enum queue_control_op op, struct file *f)
{
	int result;

	switch (op) {
	case QUEUE_CONTROL_DELETE:
		result = spool_unlink(qm.spool, f->queue, f->id);
		break;
	case QUEUE_CONTROL_HOLD:
		return spool_move(qm.spool, f->id, f->queue, SPOOL_HOLD, -1);
	case QUEUE_CONTROL_RELEASE:
		return release(f);
	case QUEUE_CONTROL_EXPIRE:
	case QUEUE_CONTROL_EXPIRE_RELEASE:
		result = spool_expire(qm.spool, f->queue, f->id);
		if (result == 0)
			errno = ENOENT; /* it is expired already, which is no error */
		return result == 1 ? 0 : -1;
	case QUEUE_CONTROL_REQUEUE:
		result = spool_move(qm.spool, f->id, f->queue, SPOOL_MAILDROP, -1);
		break;
	default:
		return spool_replace(qm.spool, f->queue, f->id);
	}
	if (result == 0)
		remove_logs(f->id);
	return result;
}

static void change_work(struct disk_job *base)
{
	struct control *c = (struct control *)base;
	bool requeued = false;

	for (size_t i = 0; i < c->count; i++) {
		struct file *f = &c->files[i];

		f->changed = change(c->request.op, f) == 0;
		if (!f->changed && errno != ENOENT)
			log_warning(
			    "%s: %s queue: %s", f->id, spool_queue_name(f->queue), strerror(errno));
		if (c->request.op == QUEUE_CONTROL_EXPIRE_RELEASE && f->queue == SPOOL_HOLD &&
		    release(f) == -1 && errno != ENOENT)
			log_warning("%s: hold queue: %s", f->id, strerror(errno));
		requeued |= f->changed && c->request.op == QUEUE_CONTROL_REQUEUE;
	}
	if (requeued)
		disk_wake_pickup();
}

/* ---- files, in the scheduler ---- */

static void next_in_line(void);

static void change_done(struct disk_job *base)
{
	struct control *c = (struct control *)base;

	for (size_t i = 0; i < c->count; i++) {
		struct file *f = &c->files[i];
		struct message *m = message_find(f->id);
		bool expired = f->changed && (c->request.op == QUEUE_CONTROL_EXPIRE ||
						 c->request.op == QUEUE_CONTROL_EXPIRE_RELEASE);

		if (m && expired)
			m->forced = true;
		if (f->released)
			message_found(f->id, SPOOL_DEFERRED, 0, true, true);
		if (f->changed && c->request.op != QUEUE_CONTROL_STRUCTURE)
			tell(c, "id", f->id);
		if (f->released && c->request.op == QUEUE_CONTROL_EXPIRE_RELEASE)
			tell(c, "released", f->id);
	}
	list_del(&c->turn);
	finish(c);
	message_pump();
	next_in_line();
}

/* What a message in memory is changes its place when no job of it is out. */
static bool leave_to_message(const struct control *c, const struct file *f)
{
	struct entry *e = entry_find(f->id);

	if (c->request.op == QUEUE_CONTROL_EXPIRE)
		return false;
	if (c->request.op == QUEUE_CONTROL_EXPIRE_RELEASE)
		return f->queue == SPOOL_HOLD && e;
	/* Who writes a log meanwhile writes it to its right place. */
	if (c->request.op == QUEUE_CONTROL_STRUCTURE && f->queue >= SPOOL_BOUNCE)
		return false;
	if (e && c->request.op == QUEUE_CONTROL_STRUCTURE)
		message_place(e);
	return e || (c->request.op == QUEUE_CONTROL_STRUCTURE &&
			(f->queue == SPOOL_INCOMING || f->queue == SPOOL_DEFERRED));
}

static void list_done(struct disk_job *base)
{
	struct control *c = (struct control *)base;
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++)
		if (!leave_to_message(c, &c->files[i]))
			c->files[kept++] = c->files[i];
	c->count = kept;
	c->job = (struct disk_job){ .work = change_work, .done = change_done };
	disk_run(&c->job);
}

static void next_in_line(void)
{
	struct control *c;

	if (list_is_empty(&line))
		return;
	c = list_entry(line.next, struct control, turn);
	c->job = (struct disk_job){ .work = list_work, .done = list_done };
	disk_run(&c->job);
}

static bool concerns_files(const struct queue_control *request)
{
	for (int i = 0; i < SPOOL_QUEUES; i++)
		if (concerns(request, (enum spool_queue)i))
			return true;
	return false;
}

static void tell_messages(struct control *c);

static void go_on(struct control *c)
{
	bool first;

	if (!c->begun)
		return;
	tell_messages(c);
	if (c->next < c->id_count || c->pending > 0)
		return;
	first = list_is_empty(&line);
	if (!concerns_files(&c->request)) {
		finish(c);
		return;
	}
	list_add_tail(&line, &c->turn);
	if (first)
		next_in_line();
}

/* ---- messages in memory ---- */

void control_message_rests(struct message *m)
{
	while (!list_is_empty(&m->waiters)) {
		struct control_waiter *w = list_entry(m->waiters.next, struct control_waiter, node);
		struct control *c = w->control;

		list_del(&w->node);
		free(w);
		c->pending--;
		go_on(c);
	}
}

static void wait_for(struct control *c, struct message *m)
{
	struct control_waiter *w = xcalloc(1, sizeof(*w));

	w->control = c;
	list_add_tail(&m->waiters, &w->node);
	c->pending++;
}

static bool applies(const struct queue_control *request, const struct entry *e)
{
	enum spool_queue shown = e->message ? SPOOL_ACTIVE : e->queue;

	return (!e->message || e->message->named) &&
	       (request->queues[shown] || request->queues[e->queue]);
}

static void apply(struct control *c, struct entry *e)
{
	const struct queue_control *r = &c->request;
	bool done = false;

	if (r->op == QUEUE_CONTROL_RELEASE || r->op == QUEUE_CONTROL_EXPIRE_RELEASE) {
		if (r->queues[SPOOL_HOLD] && e->message && message_unhold(e->message))
			tell(c, r->op == QUEUE_CONTROL_RELEASE ? "id" : "released", e->id);
	} else if (applies(r, e)) {
		if (r->op == QUEUE_CONTROL_DELETE)
			done = message_delete(message_wake(e));
		else if (r->op == QUEUE_CONTROL_HOLD)
			done = message_hold(message_wake(e));
		else if (r->op == QUEUE_CONTROL_REQUEUE)
			done = message_requeue(message_wake(e));
	}
	if (done)
		tell(c, "id", e->id);
	if (e->message && message_is_moving(e->message))
		wait_for(c, e->message);
}

/* The next ones, as many as may have a job at a time. */
static void tell_messages(struct control *c)
{
	while (c->next < c->id_count && c->pending < PENDING_MAX) {
		struct entry *e = entry_find(c->ids[c->next++]);

		if (e)
			apply(c, e);
	}
}

static void choose_messages(struct control *c)
{
	size_t room = c->request.id[0] ? 1 : qm.entries.count + 1;

	c->ids = xreallocarray(NULL, room, sizeof(*c->ids));
	if (c->request.id[0])
		strcpy(c->ids[c->id_count++], c->request.id);
	else
		for (struct entry *e = entry_next(NULL); e; e = entry_next(e))
			strcpy(c->ids[c->id_count++], e->id);
}

/* No queue is any queue that postsuper means by itself. */
static void choose_queues(struct queue_control *request)
{
	static const enum spool_queue usual[] = { SPOOL_HOLD, SPOOL_INCOMING, SPOOL_ACTIVE,
		SPOOL_DEFERRED };

	for (int i = 0; i < SPOOL_QUEUES; i++)
		if (request->queues[i])
			return;
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		request->queues[usual[i]] = true;
}

void control_flush(const struct queue_control *request)
{
	transport_forgive();
	if (request->op == QUEUE_CONTROL_FLUSH_SITE)
		site_flush(request->site);
	else
		message_flush(request->id[0] ? request->id : NULL);
}

static void no_work(struct disk_job *job)
{
	(void)job;
}

static void change_queue(struct disk_job *base)
{
	struct control *c = (struct control *)base;

	choose_queues(&c->request);
	choose_messages(c);
	c->begun = true;
	go_on(c);
}

bool control_begin(
    struct list *list, struct channel *channel, bool commander, const struct msg *msg)
{
	struct control *c = xcalloc(1, sizeof(*c));

	if (!queue_control_parse(msg, &c->request)) {
		free(c);
		return false;
	}
	list_init(&c->turn);
	list_add_tail(list, &c->node);
	c->channel = channel;
	msg_begin(&c->out, "CONTROLLED");
	if (c->request.op == QUEUE_CONTROL_FLUSH || c->request.op == QUEUE_CONTROL_FLUSH_SITE) {
		control_flush(&c->request);
		finish(c);
	} else if (commander) {
		/* Only then all messages are known, and no move is finished that a crash
		 * interrupted: what goes back from hold must not look like one the other way. */
		c->job = (struct disk_job){ .work = no_work, .done = change_queue };
		walk_run_settled(&c->job);
	} else {
		log_warning("%s: not permitted to change the queue", channel_peer(channel));
		finish(c);
	}
	return true;
}
