// SPDX-License-Identifier: BSD-2-Clause
/*
 * Transports, and the batches that wait for them; qmgr_destination.c has where they go, schedule.c
 * in which order, qmgr_agent.c those that run.
 *
 * A batch is a message's recipients with one destination (transport and next hop), at most
 * $TRANSPORT_destination_recipient_limit.  A destination runs as many at a time as its window
 * allows (feedback.h), a transport as many as master.cf says.
 *
 * A message that agents died with runs alone in its transport, so that it takes no other delivery
 * along again: it waits until nothing else runs there, and then everything else waits for it.
 */
#include "qmgr/qmgr_transport.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

/* With those that are stored so many times the limit's deliveries run. */
#define STORED_TIMES 4

struct map transports = MAP_INIT;

const struct reason transport_unavailable = { "4.3.0", "mail transport unavailable" };
static const struct reason deferred_transport = { "4.3.2", "deferred transport" };

/* ---- making them ---- */

/* What master.cf's column allows, or an explicit default_process_limit; 0: nobody said. */
static unsigned processes_of(const struct postfix_service *s)
{
	if (s && s->max_processes > 0)
		return (unsigned)s->max_processes;
	if ((!s || s->max_processes < 0) &&
	    postfix_source_raw(qm.ctx->postfix, "default_process_limit", NULL))
		return (unsigned)qm.params->default_process_limit;
	return 0;
}

static void set_limits(struct transport *t)
{
	const struct postfix_service *s = postfix_service_find(qm.ctx->postfix, t->name, "unix");

	t->kind = folded_kind(t->name, s);
	t->is_public = s && !s->is_private;
	transport_limits_read(&t->limits, t->name, processes_of(s));
	free(t->path);
	t->path = xasprintf(
	    "%s/%s/%s", qm.params->queue_directory, t->is_public ? "public" : "private", t->name);
}

static void resume(struct loop_timer *timer)
{
	struct transport *t = timer->arg;

	t->paused = false;
	agent_pump(t);
}

struct transport *transport_get(const char *name, bool make)
{
	struct transport *t = map_get_str(&transports, name);

	if (t || !make)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->name = xstrdup(name);
	t->pause = (struct loop_timer){ .expired = resume, .arg = t };
	list_init(&t->idle);
	list_init(&t->running);
	map_put_str(&transports, name, t);
	set_limits(t);
	schedule_init(&t->schedule, &t->limits.slots);
	return t;
}

/* ---- batches ---- */

bool transport_has_room(unsigned running, unsigned stored, unsigned limit)
{
	return running - stored < limit && running / STORED_TIMES < limit;
}

void batch_unqueue(struct batch *b, bool to_run)
{
	struct destination *d = b->destination;

	b->message->queued--;
	d->queued--;
	if (to_run)
		schedule_take(&b->turn);
	else
		schedule_remove(&b->turn);
	destination_update(d);
}

void batch_remove(struct batch *b)
{
	list_del(&b->node);
	list_del(&b->message_node);
	free(b->indices);
	free(b);
}

static struct batch *batch_of(struct schedule_entry *e)
{
	return (struct batch *)(void *)((char *)e - offsetof(struct batch, turn));
}

static struct batch *batch_new(struct destination *d, struct message *m)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->message = m;
	b->destination = d;
	list_init(&b->node);
	list_init(&b->turn.node);
	list_add_tail(&m->batches, &b->message_node);
	m->queued++;
	d->queued++;
	schedule_add(d->transport->filling, &d->turns, &b->turn);
	destination_update(d);
	return b;
}

static void batch_add(struct destination *d, struct message *m, size_t index)
{
	struct transport *t = d->transport;
	struct schedule_entry *last;
	struct batch *b;

	if (!t->filling)
		t->filling = schedule_job_begin(&t->schedule, clock_ms());
	last = schedule_last(t->filling, &d->turns);
	b = last ? batch_of(last) : NULL;
	/* With VERP each recipient has a sender of its own. */
	if (!b || m->verp || b->count >= t->limits.recipient_limit)
		b = batch_new(d, m);
	if (b->count == b->alloc) {
		b->alloc = b->alloc ? 2 * b->alloc : 1;
		b->indices = xreallocarray(b->indices, b->alloc, sizeof(*b->indices));
	}
	b->indices[b->count++] = index;
}

void transport_suspend(struct transport *t)
{
	t->dead_until = deadline_in(qm.params->transport_retry_time * 1000);
	for (struct map_entry *e = map_next(&t->destinations, NULL); e;
	     e = map_next(&t->destinations, e))
		destination_defer(e->value, &transport_unavailable);
}

/* ---- for messages ---- */

/* Why a recipient with T does not even get into line, or NULL. */
static const struct reason *refused(const struct transport *t, const struct message *m)
{
	if (t->limits.is_deferred && !m->entry->flushed)
		return &deferred_transport;
	if (t->kind == TRANSPORT_AGENT && t->dead_until > clock_ms())
		return &transport_unavailable;
	return NULL;
}

static void queue_recipient(struct message *m, size_t index)
{
	struct transport *t = transport_get(m->recipients[index].transport, true);
	const struct reason *why = refused(t, m);
	struct destination *d;

	if (why) {
		transport_defer(m, index, why);
		return;
	}
	if (t->kind != TRANSPORT_AGENT) {
		folded_deliver(t, m, index);
		return;
	}
	d = destination_get(t, destination_name(t, m, index));
	why = destination_dead(d);
	if (why)
		transport_defer(m, index, why);
	else
		batch_add(d, m, index);
}

static void pump_all(void)
{
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e))
		agent_pump(e->value);
}

static void end_filling(void)
{
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e)) {
		struct transport *t = e->value;

		if (t->filling)
			schedule_job_end(t->filling);
		t->filling = NULL;
	}
}

void transport_queue(struct message *m)
{
	/* Until all are queued no batch may end the attempt. */
	m->queued++;
	for (size_t i = 0; i < m->env->recipient_count; i++)
		if (m->recipients[i].state == RCPT_PENDING)
			queue_recipient(m, i);
	end_filling();
	pump_all();
	m->queued--;
}

void transport_stop(struct message *m)
{
	list_for_each_safe(pos, tmp, &m->batches) {
		struct batch *b = list_entry(pos, struct batch, message_node);

		if (b->is_running) {
			agent_cancel(b);
		} else {
			batch_unqueue(b, false);
			batch_remove(b);
		}
	}
}

/* How long deliveries lately took there; 0: nobody knows, or nothing goes there now. */
static int64_t mean_of(struct message *m, size_t index)
{
	struct transport *t = transport_get(m->recipients[index].transport, false);
	struct destination *d;

	if (!t || t->kind != TRANSPORT_AGENT || refused(t, m) || t->paused)
		return 0;
	d = destination_find(t, destination_name(t, m, index));
	if (d && (destination_dead(d) || d->paused))
		return 0;
	if (d && d->mean_us > 0)
		return d->mean_us;
	/* There are too many recipients to know each. */
	return t->limits.by_recipient ? t->mean_us : 0;
}

bool transport_is_fast(struct message *m)
{
	int64_t limit_us = qm.params->postcote_deliver_time_limit_ms * INT64_C(1000);

	for (size_t i = 0; i < m->env->recipient_count; i++) {
		int64_t mean;

		if (m->recipients[i].state != RCPT_PENDING)
			continue;
		mean = mean_of(m, i);
		if (mean == 0 || mean >= limit_us)
			return false;
	}
	return true;
}

void transport_forgive(void)
{
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e)) {
		struct transport *t = e->value;

		t->dead_until = 0;
		for (struct map_entry *f = map_next(&t->destinations, NULL); f;
		     f = map_next(&t->destinations, f))
			destination_forgive(f->value);
	}
}

static void reload(struct transport *t)
{
	set_limits(t);
	t->schedule.config = t->limits.slots;
	t->paused = false;
	loop_timer_cancel(qm.loop, &t->pause);
	for (struct map_entry *e = map_next(&t->destinations, NULL); e;
	     e = map_next(&t->destinations, e))
		destination_reload(e->value);
}

void transport_reload(void)
{
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e))
		reload(e->value);
	pump_all();
}
