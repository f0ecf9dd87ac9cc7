// SPDX-License-Identifier: BSD-2-Clause
/*
 * Transports, destinations and the batches that wait there; qmgr_agent.c has those that run.
 *
 * A batch is a message's recipients with one destination (transport and next hop), at most
 * $TRANSPORT_destination_recipient_limit.  A destination has its waiting batches in order of
 * arrival and runs at most $TRANSPORT_destination_concurrency_limit at a time; a transport goes
 * round the destinations that could run one more.  So a message with many recipients leaves room
 * for others after every batch, and a slow destination holds up nobody else.
 *
 * A message that agents died with runs alone in its transport, so that it takes no other delivery
 * along again: it waits until nothing else runs there, and then everything else waits for it.
 *
 * error, retry and discard need no process: what they do is done here, under their names.
 */
#include "qmgr/qmgr_transport.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "mail/dsn.h"

#define DEFAULT_LIMIT	 1000 /* deliveries of one transport, where master.cf says nothing */
#define DESTINATIONS_MAX 10000
/* With those that are stored so many times the limit's deliveries run. */
#define STORED_TIMES 4

static struct map transports = MAP_INIT;
/* Names under which the folded services log. */
static const char *error_log_name, *discard_log_name;

const struct reason transport_unavailable = { "4.3.0", "mail transport unavailable" };

/* ---- making them ---- */

/* "NAME_destination_concurrency_limit", or its default_... */
static unsigned limit_of(const char *name, const char *what, long fallback, unsigned none)
{
	char *param = xasprintf("%s_%s", name, what);
	const char *text = postfix_param_lookup(qm.params, param);
	uint64_t value;

	free(param);
	if (!text || !slice_uint(slice_of(text), INT32_MAX, &value))
		value = fallback > 0 ? (uint64_t)fallback : 0;
	return value > 0 ? (unsigned)value : none;
}

static void set_limits(struct transport *t)
{
	const struct postfix_service *s = postfix_service_find(qm.ctx->postfix, t->name, "unix");
	const char *program = s ? s->program : "";

	t->kind = TRANSPORT_AGENT;
	if (strcmp(program, "error") == 0)
		t->kind = strcmp(t->name, "retry") == 0 ? TRANSPORT_RETRY : TRANSPORT_ERROR;
	else if (strcmp(program, "discard") == 0)
		t->kind = TRANSPORT_DISCARD;
	else if (!s && strcmp(t->name, "error") == 0)
		t->kind = TRANSPORT_ERROR;
	else if (!s && strcmp(t->name, "retry") == 0)
		t->kind = TRANSPORT_RETRY;
	t->limit = s && s->max_processes > 0 ? (unsigned)s->max_processes : DEFAULT_LIMIT;
	t->destination_limit = limit_of(t->name, "destination_concurrency_limit",
	    qm.params->default_destination_concurrency_limit, DEFAULT_LIMIT);
	t->recipient_limit = limit_of(t->name, "destination_recipient_limit",
	    qm.params->default_destination_recipient_limit, DELIVERY_MAX_RECIPIENTS);
	if (t->recipient_limit > DELIVERY_MAX_RECIPIENTS)
		t->recipient_limit = DELIVERY_MAX_RECIPIENTS;
	free(t->path);
	t->path = xasprintf("%s/%s/%s", qm.params->queue_directory,
	    s && !s->is_private ? "public" : "private", t->name);
}

static struct transport *transport_get(const char *name, bool make)
{
	struct transport *t = map_get_str(&transports, name);

	if (t || !make)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->name = xstrdup(name);
	list_init(&t->ready);
	list_init(&t->running);
	map_put_str(&transports, name, t);
	set_limits(t);
	return t;
}

static void destination_free(void *arg)
{
	struct destination *d = arg;

	list_del(&d->node);
	free(d->nexthop);
	free(d);
}

/* Those that do nothing go when there are too many: what they know is only how fast they were. */
static void prune(struct transport *t)
{
	struct map_entry *next;

	if (t->destinations.count < DESTINATIONS_MAX)
		return;
	for (struct map_entry *e = map_next(&t->destinations, NULL); e; e = next) {
		struct destination *d = e->value;

		next = map_next(&t->destinations, e);
		if (d->running > 0 || !list_is_empty(&d->batches) || d->dead_until > clock_ms())
			continue;
		map_remove(&t->destinations, slice_mem(e->key, e->key_len));
		destination_free(d);
	}
}

static struct destination *destination_get(struct transport *t, const char *nexthop, bool make)
{
	struct destination *d = map_get_str(&t->destinations, nexthop);

	if (d || !make)
		return d;
	prune(t);
	d = xcalloc(1, sizeof(*d));
	d->transport = t;
	d->nexthop = xstrdup(nexthop);
	list_init(&d->node);
	list_init(&d->batches);
	map_put_str(&t->destinations, nexthop, d);
	return d;
}

/* ---- outcomes that are made here ---- */

static void report_here(
    struct message *m, size_t index, const struct delivery_outcome *outcome, const char *log_name)
{
	struct delivery_request request = { .number = 0 };
	struct delivery_recipient recipient = { .address = m->recipients[index].address,
		.original = m->env->recipients[index].original };
	int64_t now = clock_wall_us();

	message_fill_request(m, &request);
	delivery_log(log_name, &request, &recipient, outcome, now, now,
	    (int)qm.params->delay_logging_resolution_limit);
	message_result(m, index, outcome);
}

void transport_defer(struct message *m, size_t index, const struct reason *why)
{
	struct delivery_outcome outcome = { .status = DELIVERY_DEFERRED, .why = *why };

	report_here(m, index, &outcome, error_log_name);
}

/* error(8), discard(8): the next hop is "[x.y.z] text". */
static void do_folded(struct transport *t, struct message *m, size_t index)
{
	static const char *const default_dsn[] = { [TRANSPORT_ERROR] = "5.0.0",
		[TRANSPORT_RETRY] = "4.0.0",
		[TRANSPORT_DISCARD] = "2.0.0" };
	static const enum delivery_status status[] = { [TRANSPORT_ERROR] = DELIVERY_BOUNCED,
		[TRANSPORT_RETRY] = DELIVERY_DEFERRED,
		[TRANSPORT_DISCARD] = DELIVERY_SENT };
	struct delivery_outcome outcome = { .status = status[t->kind] };
	struct slice text = slice_of(m->recipients[index].nexthop);
	char dsn[DSN_CODE_TEXT];

	if (!dsn_take(&text, dsn))
		strcpy(dsn, default_dsn[t->kind]);
	dsn[0] = default_dsn[t->kind][0];
	reason_set(&outcome.why, dsn, "%.*s", SLICE_ARG(text));
	report_here(
	    m, index, &outcome, t->kind == TRANSPORT_DISCARD ? discard_log_name : error_log_name);
}

/* ---- batches ---- */

void batch_remove(struct batch *b)
{
	list_del(&b->node);
	list_del(&b->message_node);
	free(b->indices);
	free(b);
}

bool transport_has_room(unsigned running, unsigned stored, unsigned limit)
{
	return running - stored < limit && running / STORED_TIMES < limit;
}

void destination_update(struct destination *d)
{
	struct transport *t = d->transport;
	bool can_run = !list_is_empty(&d->batches) &&
		       transport_has_room(d->running, d->stored, t->destination_limit);

	if (!can_run)
		list_del(&d->node);
	else if (list_is_empty(&d->node))
		list_add_tail(&t->ready, &d->node);
}

static void batch_add(struct destination *d, struct message *m, size_t index)
{
	struct batch *b = NULL;

	if (!list_is_empty(&d->batches))
		b = list_entry(d->batches.prev, struct batch, node);
	/* With VERP each recipient has a sender of its own. */
	if (!b || b->message != m || m->verp || b->count >= d->transport->recipient_limit) {
		b = xcalloc(1, sizeof(*b));
		b->message = m;
		b->destination = d;
		list_add_tail(&d->batches, &b->node);
		list_add_tail(&m->batches, &b->message_node);
		m->queued++;
	}
	if (b->count == b->alloc) {
		b->alloc = b->alloc ? 2 * b->alloc : 1;
		b->indices = xreallocarray(b->indices, b->alloc, sizeof(*b->indices));
	}
	b->indices[b->count++] = index;
	destination_update(d);
}

/* The recipients of a batch that waits are deferred with WHY. */
static void batch_defer(struct batch *b, const struct reason *why)
{
	struct message *m = b->message;

	for (size_t i = 0; i < b->count; i++)
		transport_defer(m, b->indices[i], why);
	m->queued--;
	batch_remove(b);
	message_batch_ended(m, false);
}

static void destination_defer(struct destination *d, const struct reason *why)
{
	/* A message whose last batch this is goes on, but none of them comes back here. */
	while (!list_is_empty(&d->batches))
		batch_defer(list_entry(d->batches.next, struct batch, node), why);
	destination_update(d);
}

static void site_reason(struct reason *why, const struct reason *cause)
{
	reason_set(why, cause->dsn, "delivery temporarily suspended: %s", cause->text);
}

void destination_suspend(struct destination *d, const struct reason *cause)
{
	struct reason why;

	d->dead = *cause;
	d->dead_until = deadline_in(qm.params->minimal_backoff_time * 1000);
	site_reason(&why, cause);
	destination_defer(d, &why);
}

void transport_suspend(struct transport *t)
{
	t->dead_until = deadline_in(qm.params->transport_retry_time * 1000);
	for (;;) {
		struct destination *d = NULL;

		for (struct map_entry *e = map_next(&t->destinations, NULL); e && !d;
		     e = map_next(&t->destinations, e)) {
			d = e->value;
			if (list_is_empty(&d->batches))
				d = NULL;
		}
		if (!d)
			return;
		destination_defer(d, &transport_unavailable);
	}
}

/* ---- for messages ---- */

static void queue_recipient(struct message *m, size_t index)
{
	struct qmgr_recipient *r = &m->recipients[index];
	struct transport *t = transport_get(r->transport, true);
	struct destination *d;

	if (t->kind != TRANSPORT_AGENT) {
		do_folded(t, m, index);
		return;
	}
	if (t->dead_until > clock_ms()) {
		transport_defer(m, index, &transport_unavailable);
		return;
	}
	d = destination_get(t, r->nexthop, true);
	if (d->dead_until > clock_ms()) {
		struct reason why;

		site_reason(&why, &d->dead);
		transport_defer(m, index, &why);
		return;
	}
	batch_add(d, m, index);
}

static void pump_all(void)
{
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e))
		agent_pump(e->value);
}

void transport_queue(struct message *m)
{
	/* Until all are queued no batch may end the attempt. */
	m->queued++;
	for (size_t i = 0; i < m->env->recipient_count; i++)
		if (m->recipients[i].state == RCPT_PENDING)
			queue_recipient(m, i);
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
			struct destination *d = b->destination;

			m->queued--;
			batch_remove(b);
			destination_update(d);
		}
	}
}

bool transport_is_fast(const struct message *m)
{
	int64_t limit_us = qm.params->postcote_deliver_time_limit_ms * INT64_C(1000);

	for (size_t i = 0; i < m->env->recipient_count; i++) {
		const struct qmgr_recipient *r = &m->recipients[i];
		struct transport *t;
		struct destination *d;

		if (r->state != RCPT_PENDING)
			continue;
		t = transport_get(r->transport, false);
		if (!t || t->kind != TRANSPORT_AGENT || t->dead_until > clock_ms())
			return false;
		d = destination_get(t, r->nexthop, false);
		if (!d || d->mean_us == 0 || d->mean_us >= limit_us || d->dead_until > clock_ms())
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
			((struct destination *)f->value)->dead_until = 0;
	}
}

void transport_start(void)
{
	error_log_name = server_role_log_name(qm.params->error_service_name, "unix", "error");
	discard_log_name = server_role_log_name("discard", "unix", "discard");
}

void transport_reload(void)
{
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e))
		set_limits(e->value);
	transport_start();
	pump_all();
}
