// SPDX-License-Identifier: BSD-2-Clause
/*
 * Destinations: how many deliveries each may run, and when it is left alone.
 *
 * A destination lives as long as it has batches or its transport remembers not too many idle ones.
 * Its window is forgotten when it was idle for FORGET_MS (the peer forgets it at once), so that
 * what was learnt under load does not meet a server that has long been quiet.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "qmgr/qmgr_transport.h"

#define FORGET_MS 1000
/* A destination's share of the active queue that is worth a warning. */
#define CLOG_SHARE 5

/* ---- finding them ---- */

static void resume(struct loop_timer *timer);

struct destination *destination_find(struct transport *t, const char *name)
{
	return map_get_str(&t->destinations, name);
}

static void forget_oldest(struct transport *t)
{
	struct destination *d;

	if (list_is_empty(&t->idle))
		return;
	d = list_entry(t->idle.next, struct destination, idle);
	list_del(&d->idle);
	loop_timer_cancel(qm.loop, &d->pause);
	schedule_destination_release(&d->turns);
	map_remove(&t->destinations, slice_of(d->name));
	free(d->name);
	free(d);
}

static struct destination *destination_new(struct transport *t, const char *name)
{
	struct destination *d;

	if (t->destinations.count >= (size_t)qm.params->qmgr_message_recipient_limit)
		forget_oldest(t);
	d = xcalloc(1, sizeof(*d));
	d->transport = t;
	d->name = xstrdup(name);
	d->pause = (struct loop_timer){ .expired = resume, .arg = d };
	list_init(&d->idle);
	schedule_destination_init(&d->turns, &t->schedule);
	feedback_reset(&d->feedback, &t->limits.feedback);
	map_put_str(&t->destinations, name, d);
	destination_update(d);
	return d;
}

static void log_feedback(const struct destination *d, const char *way, double value)
{
	const struct feedback *f = &d->feedback;

	if (!qm.params->destination_concurrency_feedback_debug)
		return;
	if (value >= 0)
		log_info("qmgr_queue_%s: feedback %g", way, value);
	log_info("qmgr_queue_%s: queue %s: limit %u window %u success %g failure %g "
		 "fail_cohorts %g",
	    way, d->name, d->transport->limits.feedback.limit, f->window, f->success, f->failure,
	    f->fail_cohorts);
}

static void revive(struct destination *d)
{
	d->dead_until = 0;
	feedback_reset(&d->feedback, &d->transport->limits.feedback);
	log_feedback(d, "unthrottle", -1);
	destination_update(d);
}

struct destination *destination_get(struct transport *t, const char *name)
{
	struct destination *d = destination_find(t, name);
	int64_t now = clock_ms();

	if (!d)
		return destination_new(t, name);
	if (d->feedback.window == 0) {
		if (now >= d->dead_until)
			revive(d);
	} else if (d->queued == 0 && d->running == 0 && now - d->ended_ms > FORGET_MS) {
		feedback_reset(&d->feedback, &t->limits.feedback);
		destination_update(d);
	}
	return d;
}

/*
 * With a recipient limit of 1 concurrency and rate are a recipient's: his name without its
 * extension, which is one mailbox, before the next hop.
 */
const char *destination_name(const struct transport *t, struct message *m, size_t index)
{
	const struct qmgr_recipient *r = &m->recipients[index];
	struct slice local, domain, user, extension;
	char delimiter;

	if (!t->limits.by_recipient)
		return r->nexthop;
	address_split(slice_of(r->address), &local, &domain);
	address_split_extension(
	    local, qm.params->recipient_delimiter, &user, &extension, &delimiter);
	return arena_printf(&m->arena, "%.*s@%s", SLICE_ARG(user), r->nexthop);
}

/* ---- state ---- */

const struct reason *destination_dead(const struct destination *d)
{
	return d->feedback.window == 0 && clock_ms() < d->dead_until ? &d->dead : NULL;
}

void destination_update(struct destination *d)
{
	bool is_idle = d->queued == 0 && d->running == 0;

	schedule_open(
	    &d->turns, !d->paused && transport_has_room(d->running, d->stored, d->feedback.window));
	if (!is_idle)
		list_del(&d->idle);
	else if (list_is_empty(&d->idle))
		list_add_tail(&d->transport->idle, &d->idle);
}

bool destination_is_busy(const struct destination *d)
{
	return d->queued > 0 || d->running > 0 ||
	       (d->ended_ms != 0 && clock_ms() - d->ended_ms < FORGET_MS);
}

static void resume(struct loop_timer *timer)
{
	struct destination *d = timer->arg;

	d->paused = false;
	destination_update(d);
	agent_pump(d->transport);
}

void destination_ended(struct destination *d)
{
	d->ended_ms = clock_ms();
	if (d->transport->limits.destination_delay_ms > 0) {
		d->paused = true;
		loop_timer_set(
		    qm.loop, &d->pause, deadline_in(d->transport->limits.destination_delay_ms));
	}
	destination_update(d);
}

void destination_reload(struct destination *d)
{
	feedback_fit(&d->feedback, &d->transport->limits.feedback);
	/* The peer forgets all delays here. */
	d->paused = false;
	loop_timer_cancel(qm.loop, &d->pause);
	destination_update(d);
}

void destination_forgive(struct destination *d)
{
	if (d->feedback.window == 0)
		revive(d);
}

/* ---- feedback ---- */

static void suspend(struct destination *d, const struct reason *cause)
{
	reason_set(&d->dead, cause->dsn, "delivery temporarily suspended: %s", cause->text);
	d->dead_until = deadline_in(qm.params->minimal_backoff_time * 1000);
	destination_defer(d, &d->dead);
}

void destination_feedback(struct destination *d, const struct reason *cause)
{
	const struct feedback_config *config = &d->transport->limits.feedback;
	unsigned window = d->feedback.window;
	double value = -1;

	if (window > 0)
		value = feedback_value(cause ? &config->negative : &config->positive, window);
	if (!cause) {
		double success = d->feedback.success;

		feedback_succeeded(&d->feedback, config, d->running - d->stored);
		if (d->feedback.window == window && d->feedback.success == success)
			return;
		log_feedback(d, "unthrottle", value);
	} else if (window > 0) {
		feedback_failed(&d->feedback, config);
		log_feedback(d, "throttle", d->feedback.window > 0 ? value : -1);
		if (d->feedback.window == 0)
			suspend(d, cause);
	}
	destination_update(d);
}

void destination_defer(struct destination *d, const struct reason *why)
{
	struct schedule_entry *e;

	/* A message whose last batch this is goes on, but none of them comes back here. */
	while ((e = schedule_first(&d->turns)) != NULL) {
		struct batch *b =
		    (struct batch *)(void *)((char *)e - offsetof(struct batch, turn));
		struct message *m = b->message;

		for (size_t i = 0; i < b->count; i++)
			transport_defer(m, b->indices[i], why);
		batch_unqueue(b, false);
		batch_remove(b);
		message_batch_ended(m, false);
	}
}

/* ---- the active queue ---- */

static void advise(const struct destination *d, unsigned used)
{
	const struct transport *t = d->transport;

	if (used * 10 < qm.active * 9) {
		log_warning("you may need to reduce %s connect and helo timeouts", t->name);
		log_warning("so that Postfix quickly skips unavailable hosts");
		log_warning("you may need to increase the main.cf %s and %s",
		    "minimal_backoff_time", "maximal_backoff_time");
		log_warning("so that Postfix wastes less time on undeliverable mail");
	}
	if (d->running >= t->limits.feedback.limit && t->limits.feedback.limit > 0)
		log_warning("you may need to increase the main.cf %s%s from %u", t->name,
		    "_destination_concurrency_limit", t->limits.feedback.limit);
	else if (t->running_count >= t->limits.deliveries)
		log_warning("you may need to increase the master.cf %s process limit", t->name);
	else if (t->running_count > d->running)
		log_warning("you may need a separate master.cf transport for %s", d->name);
	log_warning("please avoid flushing the whole queue when you have");
	log_warning("lots of deferred mail, that is bad for performance");
	log_warning("to turn off these warnings specify: %s = 0", "qmgr_clog_warn_time");
}

void destination_check_clog(struct destination *d)
{
	unsigned used = d->queued + d->running;
	int64_t interval = qm.params->qmgr_clog_warn_time * 1000, now;

	if (used <= qm.active_limit / CLOG_SHARE || interval == 0 || !qm.params->helpful_warnings)
		return;
	now = clock_ms();
	if (d->warned_ms != 0 && now - d->warned_ms < interval)
		return;
	d->warned_ms = now;
	log_warning(
	    "mail for %s is using up %u of %zu active queue entries", d->name, used, qm.active);
	advise(d, used);
}
