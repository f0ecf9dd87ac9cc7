// SPDX-License-Identifier: BSD-2-Clause
/*
 * Transports, destinations and batches.
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
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "qmgr/qmgr.h"

#define CONNECT_LIMIT_MS 200
#define SEND_LIMIT_MS	 1000
#define DEFAULT_LIMIT	 1000 /* deliveries of one transport, where master.cf says nothing */
#define DESTINATIONS_MAX 10000
/* A new duration counts this part of the mean. */
#define MEAN_WEIGHT 8
/* With those that are stored so many times the limit's deliveries run. */
#define STORED_TIMES 4

enum transport_kind { TRANSPORT_AGENT, TRANSPORT_ERROR, TRANSPORT_RETRY, TRANSPORT_DISCARD };

struct transport {
	char *name, *path;
	enum transport_kind kind;
	struct list ready; /* destinations with a batch and room for it */
	struct map destinations;
	struct list running; /* batches */
	unsigned running_count, stored_count, limit, destination_limit, recipient_limit;
	bool runs_suspect; /* alone */
	struct channel *channel;
	struct loop_watch watch;
	bool agent_leaves;  /* the connection ends with what runs; nothing new is sent over it */
	bool reading;	    /* on_agent is at work on the channel, which must stay */
	int64_t dead_until; /* clock_ms; 0: alive */
	uint64_t next_number;
};

struct destination {
	struct transport *transport;
	char *nexthop;
	struct list node; /* in transport->ready */
	struct list batches;
	unsigned running, stored;
	int64_t mean_us; /* of recent deliveries; 0: none yet */
	int64_t dead_until;
	struct reason dead;
};

struct batch {
	struct list node;	  /* destination->batches or transport->running */
	struct list message_node; /* message->batches */
	struct message *message;
	struct destination *destination;
	bool is_running;
	bool is_stored; /* it waits for a sync that is shared, and takes nobody's place */
	uint64_t number;
	int64_t started_us;
	bool has_site_failure;
	struct reason site_failure;
	size_t count, alloc;
	size_t *indices; /* into the message's recipients */
};

static struct map transports = MAP_INIT;
/* Names under which the folded services log. */
static const char *error_log_name, *discard_log_name;

static const struct reason unavailable = { "4.3.0", "mail transport unavailable" };

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

static void batch_unlink(struct batch *b)
{
	list_del(&b->node);
	list_del(&b->message_node);
	free(b->indices);
	free(b);
}

/* Those that are stored do not count, but there is an end to it. */
static bool has_room(unsigned running, unsigned stored, unsigned limit)
{
	return running - stored < limit && running / STORED_TIMES < limit;
}

static void update_ready(struct destination *d)
{
	struct transport *t = d->transport;
	bool can_run =
	    !list_is_empty(&d->batches) && has_room(d->running, d->stored, t->destination_limit);

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
	update_ready(d);
}

/* The recipients of a batch that waits are deferred with WHY. */
static void batch_defer(struct batch *b, const struct reason *why)
{
	struct message *m = b->message;

	for (size_t i = 0; i < b->count; i++)
		transport_defer(m, b->indices[i], why);
	m->queued--;
	batch_unlink(b);
	message_batch_ended(m, false);
}

static void defer_all(struct destination *d, const struct reason *why)
{
	/* A message whose last batch this is goes on, but none of them comes back here. */
	while (!list_is_empty(&d->batches))
		batch_defer(list_entry(d->batches.next, struct batch, node), why);
	update_ready(d);
}

static void site_reason(struct reason *why, const struct reason *cause)
{
	reason_set(why, cause->dsn, "delivery temporarily suspended: %s", cause->text);
}

/* ---- running ---- */

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
		.nexthop = b->destination->nexthop };
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

static void start_batch(struct transport *t, struct batch *b)
{
	struct message *m = b->message;

	list_del(&b->node);
	list_add_tail(&t->running, &b->node);
	b->is_running = true;
	b->number = ++t->next_number;
	b->started_us = clock_wall_us();
	for (size_t i = 0; i < b->count; i++)
		m->recipients[b->indices[i]].state = RCPT_RUNNING;
	m->queued--;
	m->running++;
	b->destination->running++;
	t->running_count++;
	t->runs_suspect = message_is_suspect(m);
	qm.deliveries++;
}

static void on_agent(struct loop_watch *watch, uint32_t events);

static bool connect_agent(struct transport *t)
{
	t->channel = channel_connect(t->path, "qmgr", deadline_in(CONNECT_LIMIT_MS));
	if (!t->channel) {
		log_warning("connect to transport private/%s: %s", t->name, strerror(errno));
		return false;
	}
	t->watch = (struct loop_watch){ .fd = channel_fd(t->channel), .ready = on_agent, .arg = t };
	if (loop_watch(qm.loop, &t->watch, EPOLLIN) == 0)
		return true;
	channel_free(t->channel);
	t->channel = NULL;
	return false;
}

static void transport_died(struct transport *t)
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
		defer_all(d, &unavailable);
	}
}

static void disconnect(struct transport *t);

static bool may_start(const struct transport *t, const struct batch *b)
{
	return t->running_count == 0 || (!t->runs_suspect && !message_is_suspect(b->message));
}

static void pump(struct transport *t)
{
	if (t->agent_leaves) {
		if (t->running_count > 0 || t->reading)
			return;
		disconnect(t);
	}
	while (!qm.draining && !list_is_empty(&t->ready) &&
	       has_room(t->running_count, t->stored_count, t->limit)) {
		struct destination *d = list_entry(t->ready.next, struct destination, node);
		struct batch *b = list_entry(d->batches.next, struct batch, node);

		if (!may_start(t, b))
			return;
		if (!t->channel && !connect_agent(t)) {
			transport_died(t);
			return;
		}
		list_del(&d->node); /* to the end of the round */
		start_batch(t, b);
		update_ready(d);
		/* When this fails the channel is shut down, and on_agent cleans up. */
		send_batch(t, b);
	}
}

/* ---- results ---- */

static struct batch *find_running(struct transport *t, uint64_t number)
{
	list_for_each(pos, &t->running) {
		struct batch *b = list_entry(pos, struct batch, node);

		if (b->number == number)
			return b;
	}
	return NULL;
}

static void note_duration(struct destination *d, int64_t us)
{
	us = us > 0 ? us : 1;
	d->mean_us = d->mean_us ? d->mean_us + (us - d->mean_us) / MEAN_WEIGHT : us;
	if (d->mean_us <= 0)
		d->mean_us = 1;
}

static void note_site_failure(struct destination *d, const struct reason *cause)
{
	struct reason why;

	d->dead = *cause;
	d->dead_until = deadline_in(qm.params->minimal_backoff_time * 1000);
	site_reason(&why, cause);
	defer_all(d, &why);
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

static void end_batch(struct transport *t, struct batch *b, const struct reason *why)
{
	struct destination *d = b->destination;
	struct message *m = b->message;
	bool site_failed = b->has_site_failure;
	struct reason cause = b->site_failure;

	close_recipients(b, why);
	if (!site_failed)
		note_duration(d, clock_wall_us() - b->started_us);
	d->running--;
	t->running_count--;
	d->stored -= b->is_stored;
	t->stored_count -= b->is_stored;
	qm.deliveries--;
	batch_unlink(b);
	update_ready(d);
	message_batch_ended(m, true);
	if (site_failed)
		note_site_failure(d, &cause);
	qmgr_check_drained();
}

static void note_stored(struct transport *t, struct batch *b)
{
	if (b->is_stored)
		return;
	b->is_stored = true;
	b->destination->stored++;
	t->stored_count++;
	update_ready(b->destination);
}

static bool take_report(struct transport *t, const struct msg *m, struct arena *arena)
{
	struct delivery_report report;
	struct batch *b;

	if (!delivery_report_parse(m, arena, &report) || !(b = find_running(t, report.number)))
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
		b->has_site_failure = true;
		b->site_failure = report.site_failure;
	}
	if (report.stored && !report.end)
		note_stored(t, b);
	if (report.end)
		end_batch(t, b, &unavailable);
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

static void disconnect(struct transport *t)
{
	note_death(t);
	loop_unwatch(qm.loop, &t->watch);
	channel_free(t->channel);
	t->channel = NULL;
	t->agent_leaves = false;
	while (!list_is_empty(&t->running))
		end_batch(t, list_entry(t->running.next, struct batch, node), &unavailable);
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
	}
	t->reading = false;
	if (result == CHANNEL_CLOSED)
		disconnect(t);
	pump(t);
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
		transport_defer(m, index, &unavailable);
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
		pump(e->value);
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
		struct transport *t = b->destination->transport;
		struct msg_out out = { 0 };

		if (b->is_running) {
			delivery_cancel_write(&out, b->number);
			if (t->channel)
				channel_send(t->channel, &out, NULL, 0, deadline_in(SEND_LIMIT_MS));
			msg_release(&out);
		} else {
			struct destination *d = b->destination;

			m->queued--;
			batch_unlink(b);
			update_ready(d);
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
