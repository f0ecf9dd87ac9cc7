// SPDX-License-Identifier: BSD-2-Clause
/*
 * The agent's side.  One thread reads the connection; every delivery runs in a thread of its own.
 * A delivery belongs to whoever calls delivery_end; the connection knows it for CANCEL until then.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "deliver/delivery.h"
#include "log/log.h"
#include "sys/file.h"

#define SEND_LIMIT_MS 60000
/* Results wait for others of their delivery this long at most, and to this size. */
#define GATHER_MS    50
#define GATHER_BYTES (256 * 1024)

#define LEAVE_LIMIT_MS 1000

struct serving {
	struct list node; /* in served */
	struct channel *channel;
	const struct agent_class *agent;
	pthread_mutex_t lock; /* over the list and `gone` */
	pthread_cond_t idle;
	struct list running;
	bool gone;
};

struct running {
	struct delivery pub; /* first */
	struct serving *serving;
	struct list node;
	struct arena arena;
	struct delivery_request request;
	bool cancelled;	      /* under serving->lock */
	pthread_mutex_t lock; /* over what follows */
	struct msg_out report;
	bool gathering;
	atomic_int ends_missing; /* deliver's return, and delivery_end after delivery_keep */
	int64_t gathered_since;
	bool *reported; /* per recipient */
	size_t report_count;
};

/* The connections that are served now. */
static struct {
	pthread_mutex_t lock;
	struct list list;
	bool stopped;
} served = { .lock = PTHREAD_MUTEX_INITIALIZER, .list = LIST_INIT(served.list) };

static struct running *running_of(const struct delivery *d)
{
	return (struct running *)(void *)(uintptr_t)d;
}

/* Under r->lock. */
static void send_report(struct running *r)
{
	struct serving *s = r->serving;

	if (channel_send(s->channel, &r->report, NULL, 0, deadline_in(SEND_LIMIT_MS)) == -1) {
		pthread_mutex_lock(&s->lock);
		s->gone = true;
		pthread_mutex_unlock(&s->lock);
	}
	r->gathering = false;
}

static void begin_report(struct running *r)
{
	if (r->gathering)
		return;
	delivery_report_begin(&r->report, r->request.number);
	r->gathering = true;
	r->gathered_since = clock_ms();
}

/* What a code's first digit says must be what the status says. */
static void make_consistent(struct delivery_outcome *o)
{
	static const char class_of[] = { '2', '4', '5' };
	char *dsn = o->why.dsn;

	if (!dsn_is_valid(dsn))
		strcpy(dsn, "2.0.0");
	dsn[0] = class_of[o->status];
}

/* smtp_delivery_status_filter: a failure may become another kind of failure. */
static void apply_filter(const struct agent_class *agent, struct delivery_outcome *o)
{
	if (agent->filter == NULL)
		return;
	make_consistent(o);
	agent->filter(agent->filter_arg, &o->why);
	if (o->status != DELIVERY_SENT)
		o->status = reason_is_permanent(&o->why) ? DELIVERY_BOUNCED : DELIVERY_DEFERRED;
}

static void note_result(struct running *r, size_t index, const struct delivery_outcome *outcome)
{
	const struct agent_class *agent = r->serving->agent;
	struct delivery_outcome o = *outcome;
	int64_t now = clock_wall_us();

	ASSERT(index < r->request.recipient_count);
	if (r->reported[index])
		return;
	r->reported[index] = true;
	r->report_count++;
	apply_filter(agent, &o);
	if (agent->soft_bounce && o.status == DELIVERY_BOUNCED) {
		o.status = DELIVERY_DEFERRED;
		o.softened = true;
	}
	make_consistent(&o);
	delivery_log(agent->log_name, &r->request, &r->request.recipients[index], &o,
	    r->pub.started_us, now, agent->delay_resolution);
	begin_report(r);
	delivery_report_add(&r->report, index, &o, now);
	if (r->report.buf.len > GATHER_BYTES || (r->report_count < r->request.recipient_count &&
						    clock_ms() - r->gathered_since > GATHER_MS))
		send_report(r);
}

void delivery_result(struct delivery *d, size_t index, const struct delivery_outcome *outcome)
{
	struct running *r = running_of(d);

	pthread_mutex_lock(&r->lock);
	note_result(r, index, outcome);
	pthread_mutex_unlock(&r->lock);
}

void delivery_result_rest(struct delivery *d, const struct delivery_outcome *outcome)
{
	struct running *r = running_of(d);

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->request.recipient_count; i++)
		note_result(r, i, outcome);
	pthread_mutex_unlock(&r->lock);
}

void delivery_site_failed(struct delivery *d, const struct reason *why)
{
	struct running *r = running_of(d);

	pthread_mutex_lock(&r->lock);
	begin_report(r);
	delivery_report_site(&r->report, why);
	pthread_mutex_unlock(&r->lock);
}

void delivery_stored(struct delivery *d)
{
	struct running *r = running_of(d);

	pthread_mutex_lock(&r->lock);
	begin_report(r);
	delivery_report_stored(&r->report);
	send_report(r);
	pthread_mutex_unlock(&r->lock);
}

bool delivery_should_stop(const struct delivery *d)
{
	const struct running *r = running_of(d);
	bool stop;

	pthread_mutex_lock(&r->serving->lock);
	stop = r->serving->gone || r->cancelled;
	pthread_mutex_unlock(&r->serving->lock);
	return stop;
}

void delivery_keep(struct delivery *d)
{
	atomic_fetch_add(&running_of(d)->ends_missing, 1);
}

static void free_running(struct running *r)
{
	if (r->pub.fd != -1)
		close(r->pub.fd);
	msg_release(&r->report);
	arena_release(&r->arena);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void delivery_end(struct delivery *d)
{
	struct running *r = running_of(d);
	struct serving *s = r->serving;
	struct delivery_outcome none = { .status = DELIVERY_DEFERRED };

	if (atomic_fetch_sub(&r->ends_missing, 1) > 1)
		return;
	if (!delivery_should_stop(d)) {
		reason_set(&none.why, "4.3.0", "delivery agent gave no result");
		delivery_result_rest(d, &none);
	}
	begin_report(r);
	delivery_report_end(&r->report);
	/*
	 * Before qmgr can hear of it: whoever closes an unnamed file last frees its blocks, which
	 * is for intake to do, after it has answered its client.
	 */
	close(r->pub.fd);
	r->pub.fd = -1;
	send_report(r);
	pthread_mutex_lock(&s->lock);
	list_del(&r->node);
	if (list_is_empty(&s->running))
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
	free_running(r);
}

static void run(void *arg)
{
	struct running *r = arg;

	r->pub.started_us = clock_wall_us();
	r->serving->agent->deliver(&r->pub);
	delivery_end(&r->pub);
}

static bool start(struct serving *s, struct msg_in *in)
{
	struct running *r = xcalloc(1, sizeof(*r));

	r->arena = (struct arena)ARENA_INIT;
	r->pub.fd = -1;
	r->serving = s;
	r->ends_missing = 1;
	pthread_mutex_init(&r->lock, NULL);
	if (in->fd_count != 1 || !file_is_regular(in->fds[0]) ||
	    !delivery_request_parse(&in->msg, &r->arena, &r->request)) {
		free_running(r);
		return false;
	}
	r->pub = (struct delivery){ .request = &r->request,
		.fd = in->fds[0],
		.arg = s->agent->arg,
		.started_us = clock_wall_us() };
	in->fds[0] = -1;
	r->reported = arena_alloc(&r->arena, r->request.recipient_count * sizeof(bool));
	pthread_mutex_lock(&s->lock);
	list_add_tail(&s->running, &r->node);
	pthread_mutex_unlock(&s->lock);
	s->agent->run(run, r);
	return true;
}

static bool cancel(struct serving *s, const struct msg *m)
{
	uint64_t number;

	if (!delivery_cancel_parse(m, &number))
		return false;
	pthread_mutex_lock(&s->lock);
	list_for_each(pos, &s->running) {
		struct running *r = list_entry(pos, struct running, node);

		if (r->request.number == number)
			r->cancelled = true;
	}
	pthread_mutex_unlock(&s->lock);
	return true;
}

static void read_records(struct serving *s)
{
	struct msg_in in;

	while (channel_recv(s->channel, &in, DEADLINE_NEVER) == CHANNEL_RECORD) {
		bool good = cancel(s, &in.msg) || start(s, &in);

		msg_in_release(&in);
		if (!good) {
			log_warning("malformed delivery request from %s", channel_peer(s->channel));
			return;
		}
	}
}

static void register_serving(struct serving *s, bool on)
{
	pthread_mutex_lock(&served.lock);
	if (on)
		list_add_tail(&served.list, &s->node);
	else
		list_del(&s->node);
	if (on && served.stopped)
		(void)shutdown(channel_fd(s->channel), SHUT_RD);
	pthread_mutex_unlock(&served.lock);
}

void delivery_leave(void)
{
	struct msg_out m = { { 0 } };

	delivery_leave_write(&m);
	pthread_mutex_lock(&served.lock);
	list_for_each(pos, &served.list)
		(void)channel_send(list_entry(pos, struct serving, node)->channel, &m, NULL, 0,
		    deadline_in(LEAVE_LIMIT_MS));
	pthread_mutex_unlock(&served.lock);
	msg_release(&m);
}

void delivery_stop(void)
{
	pthread_mutex_lock(&served.lock);
	served.stopped = true;
	list_for_each(pos, &served.list)
		(void)shutdown(channel_fd(list_entry(pos, struct serving, node)->channel), SHUT_RD);
	pthread_mutex_unlock(&served.lock);
}

void delivery_serve(int fd, const struct agent_class *agent)
{
	struct serving s = { .agent = agent, .running = LIST_INIT(s.running) };

	s.channel = channel_new(fd, agent->name);
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.idle, NULL);
	register_serving(&s, true);
	read_records(&s);
	register_serving(&s, false);
	pthread_mutex_lock(&s.lock);
	s.gone = true;
	while (!list_is_empty(&s.running))
		pthread_cond_wait(&s.idle, &s.lock);
	pthread_mutex_unlock(&s.lock);
	pthread_cond_destroy(&s.idle);
	pthread_mutex_destroy(&s.lock);
	channel_free(s.channel);
}
