// SPDX-License-Identifier: BSD-2-Clause
/*
 * The batches that are with a transport's agent: how they are handed over, and what comes back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "qmgr/qmgr_transport.h"

#define CONNECT_LIMIT_MS 200
#define SEND_LIMIT_MS	 1000
/* A new duration counts this part of the mean. */
#define MEAN_WEIGHT 8

static void add_recipients(const struct batch *b, struct delivery_request *request)
{
	const struct message *m = b->message;

	request->recipients = xcalloc(b->count, sizeof(*request->recipients));
	request->recipient_count = b->count;
	for (size_t i = 0; i < b->count; i++) {
		const struct envelope_recipient *from = &m->env->recipients[b->indices[i]];

		request->recipients[i] =
		    (struct delivery_recipient){ .address = m->recipients[b->indices[i]].address,
			    .original = from->original,
			    .orcpt = from->orcpt,
			    .notify = from->notify,
			    .offset = from->offset };
	}
}

/* What agents may want for XFORWARD and their logs. */
static const char **pick_attributes(const struct envelope *env)
{
	const char **list = xcalloc(2 * env->attribute_count + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < env->attribute_count; i++) {
		const struct envelope_attribute *a = &env->attributes[i];

		if (strncmp(a->name, "log_", 4) != 0 && strncmp(a->name, "sasl_", 5) != 0)
			continue;
		list[n++] = a->name;
		list[n++] = a->value;
	}
	return list;
}

static bool send_batch(struct transport *t, struct batch *b)
{
	struct delivery_request request = { .number = b->number,
		.nexthop = b->message->recipients[b->indices[0]].nexthop,
		.more = b->more };
	struct msg_out out = { 0 };
	bool sent;

	message_fill_request(b->message, &request);
	if (b->message->verp)
		request.sender = message_sender_for(b->message, b->indices[0]);
	add_recipients(b, &request);
	request.attributes = pick_attributes(b->message->env);
	delivery_request_write(&out, &request);
	sent = channel_send(t->channel, &out, &b->message->fd, 1, deadline_in(SEND_LIMIT_MS)) == 0;
	msg_release(&out);
	free(request.attributes);
	free(request.recipients);
	return sent;
}

static struct slice key_of(const uint64_t *number)
{
	return slice_mem(number, sizeof(*number));
}

static void start_batch(struct transport *t, struct batch *b)
{
	struct message *m = b->message;

	batch_unqueue(b, true);
	b->more = destination_is_busy(b->destination);
	list_add_tail(&t->running, &b->node);
	b->is_running = true;
	b->number = ++t->next_number;
	map_put(&t->numbers, key_of(&b->number), b);
	b->started_us = clock_wall_us();
	for (size_t i = 0; i < b->count; i++)
		m->recipients[b->indices[i]].state = RCPT_RUNNING;
	m->running++;
	b->destination->running++;
	t->running_count++;
	t->runs_suspect = message_is_suspect(m);
	qm.deliveries++;
	destination_update(b->destination);
}

static void on_agent(struct loop_watch *watch, uint32_t events);
static void on_silence(struct loop_timer *timer);

static bool connect_agent(struct transport *t)
{
	t->channel = channel_connect(t->path, "qmgr", deadline_in(CONNECT_LIMIT_MS));
	if (!t->channel) {
		log_warning("connect to transport %s/%s: %s", t->is_public ? "public" : "private",
		    t->name, strerror(errno));
		return false;
	}
	t->watch = (struct loop_watch){ .fd = channel_fd(t->channel), .ready = on_agent, .arg = t };
	t->silence = (struct loop_timer){ .expired = on_silence, .arg = t };
	if (loop_watch(qm.loop, &t->watch, EPOLLIN) == 0) {
		loop_timer_set(
		    qm.loop, &t->silence, deadline_in(qm.params->qmgr_ipc_timeout * 1000));
		return true;
	}
	channel_free(t->channel);
	t->channel = NULL;
	return false;
}

static void disconnect(struct transport *t);

static bool may_start(const struct transport *t, const struct batch *b)
{
	return t->running_count == 0 || (!t->runs_suspect && !message_is_suspect(b->message));
}

static struct batch *next_batch(struct transport *t)
{
	struct schedule_entry *e = schedule_next(&t->schedule, clock_ms());

	return e ? (struct batch *)(void *)((char *)e - offsetof(struct batch, turn)) : NULL;
}

void agent_pump(struct transport *t)
{
	if (t->agent_leaves) {
		if (t->running_count > 0 || t->reading)
			return;
		disconnect(t);
	}
	while (!qm.draining && !t->paused &&
	       transport_has_room(t->running_count, t->stored_count, t->limits.deliveries)) {
		struct batch *b = next_batch(t);

		if (!b || !may_start(t, b))
			return;
		if (!t->channel && !connect_agent(t)) {
			transport_suspend(t);
			return;
		}
		destination_check_clog(b->destination);
		start_batch(t, b);
		/* When this fails the channel is shut down, and on_agent cleans up. */
		send_batch(t, b);
	}
}

void agent_cancel(const struct batch *b)
{
	struct channel *channel = b->destination->transport->channel;
	struct msg_out out = { 0 };

	delivery_cancel_write(&out, b->number);
	if (channel)
		channel_send(channel, &out, NULL, 0, deadline_in(SEND_LIMIT_MS));
	msg_release(&out);
}

/* ---- results ---- */

static void note_duration(int64_t *mean_us, int64_t us)
{
	us = us > 0 ? us : 1;
	*mean_us = *mean_us ? *mean_us + (us - *mean_us) / MEAN_WEIGHT : us;
	if (*mean_us <= 0)
		*mean_us = 1;
}

/* Recipients without a result: deferred, or, when they were called back, to do as before. */
static void close_recipients(struct batch *b, const struct reason *why)
{
	struct message *m = b->message;

	for (size_t i = 0; i < b->count; i++) {
		struct qmgr_recipient *r = &m->recipients[b->indices[i]];

		if (r->state != RCPT_RUNNING)
			continue;
		r->state = RCPT_PENDING;
		if (!m->stopped)
			transport_defer(m, b->indices[i], why);
	}
}

static void note_end(struct transport *t, struct batch *b)
{
	struct destination *d = b->destination;
	int64_t us = clock_wall_us() - b->started_us;

	t->stored_count -= b->is_stored;
	d->stored -= b->is_stored;
	if (b->has_end && !b->site_failure) {
		note_duration(&d->mean_us, us);
		note_duration(&t->mean_us, us);
	}
	if (b->has_end)
		destination_feedback(d, b->site_failure);
	d->running--;
	t->running_count--;
	qm.deliveries--;
	if (t->limits.transport_delay_ms > 0) {
		t->paused = true;
		loop_timer_set(qm.loop, &t->pause, deadline_in(t->limits.transport_delay_ms));
	}
	destination_ended(d);
}

static void end_batch(struct transport *t, struct batch *b, const struct reason *why)
{
	struct message *m = b->message;

	close_recipients(b, why);
	note_end(t, b);
	map_remove(&t->numbers, key_of(&b->number));
	batch_remove(b);
	message_batch_ended(m, true);
	qmgr_check_drained();
}

static void note_stored(struct transport *t, struct batch *b)
{
	if (b->is_stored)
		return;
	b->is_stored = true;
	b->destination->stored++;
	t->stored_count++;
	destination_update(b->destination);
}

static bool take_report(struct transport *t, const struct msg *m, struct arena *arena)
{
	struct delivery_report report;
	struct batch *b;

	if (!delivery_report_parse(m, arena, &report) ||
	    !(b = map_get(&t->numbers, key_of(&report.number))))
		return false;
	for (size_t i = 0; i < report.item_count; i++) {
		struct delivery_report_item *item = &report.items[i];

		if (item->index >= b->count)
			return false;
		/* A recipient has one result. */
		if (b->message->recipients[b->indices[item->index]].state == RCPT_RUNNING)
			message_result(b->message, b->indices[item->index], &item->outcome);
	}
	if (report.has_site_failure) {
		b->site_failure = ARENA_NEW(&b->message->arena, struct reason);
		*b->site_failure = report.site_failure;
	}
	if (report.stored && !report.end)
		note_stored(t, b);
	if (report.end) {
		b->has_end = true;
		end_batch(t, b, &transport_unavailable);
	}
	return true;
}

/* Those that it had.  While we end the agents end too. */
static void note_death(const struct transport *t)
{
	static uint64_t deaths;

	deaths++;
	list_for_each(pos, &t->running)
		if (!qm.draining)
			message_agent_died(list_entry(pos, struct batch, node)->message, t->name,
			    deaths, t->running_count == 1);
}

/* A process has the connection: master's socket alone says nothing. */
static bool agent_is_there(const struct transport *t)
{
	return strcmp(channel_peer(t->channel), "unknown") != 0;
}

static void disconnect(struct transport *t)
{
	if (agent_is_there(t))
		note_death(t);
	loop_timer_cancel(qm.loop, &t->silence);
	loop_unwatch(qm.loop, &t->watch);
	channel_free(t->channel);
	t->channel = NULL;
	t->agent_leaves = false;
	while (!list_is_empty(&t->running))
		end_batch(
		    t, list_entry(t->running.next, struct batch, node), &transport_unavailable);
}

/* Whoever should answer does not come up: what waits is tried again later. */
static void on_silence(struct loop_timer *timer)
{
	struct transport *t = timer->arg;

	log_warning("timeout on %s/%s socket: no process answers",
	    t->is_public ? "public" : "private", t->name);
	disconnect(t);
	transport_suspend(t);
}

static void on_agent(struct loop_watch *watch, uint32_t events)
{
	struct transport *t = watch->arg;
	struct msg_in in;
	enum channel_result result;

	(void)events;
	t->reading = true;
	while ((result = channel_recv(t->channel, &in, 0)) == CHANNEL_RECORD) {
		bool leaves = delivery_leave_parse(&in.msg);
		bool good = leaves || take_report(t, &in.msg, &in.arena);

		t->agent_leaves = t->agent_leaves || leaves;
		msg_in_release(&in);
		if (!good) {
			log_warning("malformed result from transport %s", t->name);
			result = CHANNEL_CLOSED;
			break;
		}
		/* Now: results that come together must not look like a window that is not used. */
		agent_pump(t);
	}
	t->reading = false;
	if (agent_is_there(t))
		loop_timer_cancel(qm.loop, &t->silence);
	if (result == CHANNEL_CLOSED)
		disconnect(t);
	agent_pump(t);
}
