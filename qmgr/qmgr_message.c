// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message's way through its states (doc/QUEUE.md 4).  An attempt begins with a job that reads and
 * resolves, runs until no batch of recipients waits or is with an agent, and ends in
 * message_attempt_ended (qmgr_attempt.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/verp.h"
#include "qmgr/qmgr_message.h"
#include "queue/queue_file.h"

#define MESSAGE_MAGIC 0x6d736721
/* Deaths of agents until a message is delivered alone, and then until it is held. */
#define SUSPECT_DEATHS 2
#define LONE_DEATHS    3
/* Messages that waited and are being read: enough for the workers, and little memory. */
#define LOADING_MAX 64

int64_t message_now_s(void)
{
	return clock_wall_us() / 1000000;
}

struct message *message_find(const char *id)
{
	struct entry *e = entry_find(id);

	return e ? e->message : NULL;
}

static struct message *message_new(struct entry *e)
{
	struct message *m = xcalloc(1, sizeof(*m));

	m->magic = MESSAGE_MAGIC;
	m->entry = e;
	e->message = m;
	strcpy(m->id, e->id);
	m->fd = -1;
	m->arena = (struct arena)ARENA_INIT;
	list_init(&m->connection_node);
	list_init(&m->batches);
	list_init(&m->waiters);
	qm.active++;
	return m;
}

/* What only an attempt needs. */
static void unload(struct message *m)
{
	ASSERT(m->queued == 0 && m->running == 0);
	transport_give_room(m);
	envelope_free(m->env);
	m->env = NULL;
	m->recipients = NULL;
	arena_release(&m->arena);
	if (m->fd != -1)
		close(m->fd);
	m->fd = -1;
}

static void stop_waiting_for_durable(struct message *m)
{
	qm.inflight -= m->waits_for_durable;
	m->waits_for_durable = false;
}

/* Its entry stays, or is gone already. */
static void message_free(struct message *m)
{
	ASSERT(m->magic == MESSAGE_MAGIC && (!m->offered || m->offer == OWNER_OVER));
	unload(m);
	stop_waiting_for_durable(m);
	m->entry->message = NULL;
	m->magic = 0;
	free(m);
	qm.active--;
}

void message_forget(struct message *m)
{
	struct entry *e = m->entry;

	control_message_rests(m);
	message_free(m);
	entry_drop(e);
	message_pump();
	qmgr_check_drained();
}

bool message_begin_wish(struct message *m)
{
	if (!m->deleted && !m->held && !m->requeued && !m->misplaced)
		return false;
	if (m->deleted) {
		message_remove(m);
		return true;
	}
	m->state = MESSAGE_SETTLING;
	disk_settle(m, -1, m->requeued ? SPOOL_MAILDROP : m->held ? SPOOL_HOLD : m->entry->queue);
	m->misplaced = false;
	return true;
}

void message_wait_until(struct message *m, int64_t due_s)
{
	struct entry *e = m->entry;

	unload(m);
	m->stopped = false;
	if (m->due_again)
		due_s = 0;
	else
		e->flushed = false;
	m->due_again = false;
	m->resume_s = due_s;
	if (message_begin_wish(m))
		return;
	m->state = MESSAGE_WAITING;
	control_message_rests(m);
	message_free(m);
	heap_set(&qm.waiting, &e->due, due_s);
	message_pump();
	qmgr_check_drained();
}

void message_found(
    const char *id, enum spool_queue queue, int64_t due_s, bool has_bounce_log, bool has_trace_log)
{
	struct entry *e;

	if (entry_find(id))
		return;
	e = entry_add(id);
	e->found = true;
	e->queue = (uint8_t)queue;
	e->has_defer_log = true;
	e->has_bounce_log = has_bounce_log;
	e->has_trace_log = has_trace_log;
	heap_set(&qm.waiting, &e->due, due_s);
}

struct message *message_wake(struct entry *e)
{
	struct message *m = e->message;

	if (m)
		return m;
	m = message_new(e);
	m->named = true;
	m->state = MESSAGE_WAITING;
	m->resume_s = e->due.key;
	heap_remove(&qm.waiting, &e->due);
	return m;
}

static void begin_loading(struct message *m)
{
	m->state = MESSAGE_LOADING;
	m->ready_us = clock_wall_us();
	disk_load(m);
}

/*
 * Some places are kept for messages that are offered: who sent a message now is not to wait for a
 * queue that was flushed.
 */
static bool has_room(void)
{
	return !qm.draining && qm.active < qm.active_limit - qm.active_limit / 8 &&
	       qm.loading < LOADING_MAX;
}

void message_pump(void)
{
	struct heap_node *first = heap_min(&qm.waiting);

	for (; first && has_room() && first->key <= message_now_s();
	     first = heap_min(&qm.waiting)) {
		struct message *m = message_wake(entry_of_due(first));

		m->from_waiting = true;
		qm.loading++;
		begin_loading(m);
	}
	if (first && !qm.draining)
		qmgr_arm(first->key);
}

struct message *message_offered(const char *id, int fd, bool load)
{
	struct message *m = message_new(entry_add(id));

	m->offered = true;
	m->offer = OWNER_OPEN;
	m->fd = fd;
	m->entry->queue = SPOOL_INCOMING;
	if (load)
		begin_loading(m);
	else
		m->state = MESSAGE_ACTIVE; /* and when it has a name it waits */
	return m;
}

void message_make_due(struct entry *e)
{
	int64_t now = message_now_s();

	e->flushed = !e->message || e->message->named;
	if (e->message)
		e->message->due_again = e->message->named;
	else if (e->due.key > now)
		heap_set(&qm.waiting, &e->due, now);
}

void message_flush(const char *id)
{
	struct entry *one = id ? entry_find(id) : NULL;

	if (one)
		message_make_due(one);
	for (struct entry *e = id ? NULL : entry_next(NULL); e; e = entry_next(e))
		message_make_due(e);
	message_pump();
}

/* ---- loaded ---- */

const char *external_form(struct arena *arena, const char *internal)
{
	struct strbuf text = STRBUF_INIT(4096);
	const char *copy;

	address_external(slice_of(internal), &text);
	copy = arena_slicedup(arena, strbuf_slice(&text));
	strbuf_release(&text);
	return copy;
}

/* What was checked on its way in may have been written by another suite, or allowed then. */
static const char *verp_of(const struct message *m)
{
	const char *delimiters = m->env->verp;

	if (!*delimiters)
		return NULL;
	if (!*m->env->sender)
		log_warning("%s: ignoring VERP request for null sender", m->id);
	else if (!verp_is_valid(slice_of(delimiters), qm.params->verp_delimiter_filter))
		log_warning("%s: ignoring bad VERP request: \"%.100s\"", m->id, delimiters);
	else
		return delimiters;
	return NULL;
}

/* The recipient as the sender of the message knew him. */
const char *message_sender_for(struct message *m, size_t index)
{
	const struct envelope_recipient *r = &m->env->recipients[index];
	struct strbuf internal = STRBUF_INIT(4 * ADDRESS_MAX);
	const char *sender;

	if (!m->verp)
		return m->sender;
	verp_sender(m->verp, slice_of(m->env->sender),
	    slice_of(*r->original ? r->original : r->address), &internal);
	sender = external_form(&m->arena, internal.ptr);
	strbuf_release(&internal);
	return sender;
}

static void log_active(struct message *m)
{
	struct strbuf sender = STRBUF_INIT(4 * ADDRESS_MAX);

	address_logged(slice_of(m->env->sender), &sender);
	log_info("%s: from=<%s>, size=%lld, nrcpt=%zu (queue active)", m->id, sender.ptr,
	    (long long)m->env->size, m->env->recipient_count - m->env->done_count);
	strbuf_release(&sender);
}

/* A report was asked for: one more message has to be made before this one is done. */
static bool wants_report(const struct message *m)
{
	if (m->env->trace)
		return true;
	for (size_t i = 0; i < m->env->recipient_count; i++)
		if (m->env->recipients[i].notify & DSN_NOTIFY_SUCCESS)
			return true;
	return false;
}

/* How soon qmgr will know is what decides whether intake waits for it. */
static void decide_waiting(struct message *m)
{
	if (m->offer != OWNER_OPEN)
		return;
	if (!qm.draining && !m->never_wait && !atomic_load(&qm.little_space) && !wants_report(m) &&
	    qm.inflight < (unsigned)qm.params->postcote_deliver_inflight_limit &&
	    m->env->recipient_count <= (size_t)qm.params->postcote_deliver_recipient_limit &&
	    m->env->size <= qm.params->postcote_deliver_size_limit && transport_is_fast(m)) {
		m->waits_for_durable = true;
		qm.inflight++;
		return;
	}
	message_offer_event(m, OWNER_WAIT);
}

bool message_is_offer_open(const struct message *m)
{
	return m->offered && m->offer != OWNER_OVER;
}

/* It could not be read.  What has a name stays; what has none is intake's. */
static void load_failed(struct message *m, const struct loaded *loaded)
{
	m->fd = loaded->fd;
	if (m->left) {
		m->state = MESSAGE_ACTIVE;
		message_attempt_ended(m);
	} else if (message_is_offer_open(m)) {
		log_warning("%s: %s", m->id, loaded->why.text);
		m->state = MESSAGE_ACTIVE;
		m->stopped = true;
		message_offer_event(m, OWNER_WAIT);
	} else if (loaded->vanished) {
		message_forget(m);
	} else if (reason_is_permanent(&loaded->why)) {
		log_warning("%s: %s: moved to the corrupt queue", m->id, loaded->why.text);
		m->state = MESSAGE_SETTING_ASIDE;
		disk_set_aside(m);
	} else {
		log_warning("%s: %s", m->id, loaded->why.text);
		message_wait_until(m, message_now_s() + qm.params->minimal_backoff_time);
	}
}

/* It is expired by force: those that have no reason yet get one. */
static void defer_for_good(struct message *m)
{
	static const struct reason why = { "4.7.0", "message is administratively expired" };

	for (size_t i = 0; i < m->env->recipient_count; i++)
		if (m->recipients[i].state == RCPT_PENDING)
			transport_defer(m, i, &why);
}

/* There are too many recipients in memory already. */
static void postpone(struct message *m, int64_t delay_s)
{
	struct entry *e = m->entry;
	bool flushed = e->flushed;

	if (message_is_offer_open(m)) {
		message_offer_event(m, OWNER_WAIT);
		return;
	}
	message_wait_until(m, message_now_s() + delay_s);
	e->flushed = flushed;
}

void message_loaded(struct message *m, struct loaded *loaded)
{
	int64_t delay_s;

	qm.loading -= m->from_waiting;
	m->from_waiting = false;
	if (!loaded->env) {
		load_failed(m, loaded);
		return;
	}
	m->env = loaded->env;
	m->fd = loaded->fd;
	m->arena = loaded->arena;
	m->recipients = loaded->recipients;
	m->sender = external_form(&m->arena, m->env->sender);
	m->verp = verp_of(m);
	m->entry->has_bounce_log = loaded->has_bounce_log;
	m->entry->has_trace_log = loaded->has_trace_log;
	m->forced |= loaded->forced;
	sites_of_envelope(&m->entry->sites, m->env);
	m->arrival_us = m->env->arrival_us;
	m->entry->found = false;
	m->state = MESSAGE_ACTIVE;
	/* Its intake wanted that, and a release from hold puts it elsewhere. */
	m->hold_asked |= m->entry->queue == SPOOL_INCOMING &&
			 envelope_attribute(m->env, QUEUE_HOLD_ATTRIBUTE) != NULL;
	if (m->hold_asked || m->stopped || m->deleted || m->held || m->requeued ||
	    (qm.draining && m->named)) {
		if (message_is_offer_open(m))
			message_offer_event(m, OWNER_WAIT);
		else
			message_attempt_ended(m);
		return;
	}
	if (!m->forced && !transport_take_room(m, &delay_s)) {
		postpone(m, delay_s);
		return;
	}
	log_active(m);
	if (m->offered)
		decide_waiting(m);
	if (m->forced)
		defer_for_good(m);
	else
		transport_queue(m);
	if (m->queued == 0 && m->running == 0)
		message_batch_ended(m, false);
}

void message_fill_request(const struct message *m, struct delivery_request *request)
{
	const struct envelope *env = m->env;
	const char *encoding = envelope_attribute(env, "encoding");
	const char *context = envelope_attribute(env, "rewrite_context");

	memcpy(request->id, m->id, sizeof(request->id));
	request->queue = "active";
	request->sender = m->sender;
	request->envelope_id = env->envelope_id;
	request->ret = env->ret;
	request->sendopts = env->sendopts;
	request->probe = (env->trace & ENVELOPE_TRACE_PROBE) != 0;
	request->size = env->size;
	request->data_offset = env->data_offset;
	request->arrival_us = env->arrival_us;
	request->ready_us = m->ready_us;
	request->encoding = encoding ? encoding : "";
	request->rewrite_context = context ? context : "";
}

/* ---- agents that die ---- */

bool message_is_suspect(const struct message *m)
{
	return m->entry->deaths >= SUSPECT_DEATHS;
}

void message_agent_died(struct message *m, const char *transport, uint64_t death, bool alone)
{
	struct entry *e = m->entry;

	if (e->last_death == (uint32_t)death)
		return;
	e->last_death = (uint32_t)death;
	if (e->deaths < UINT8_MAX)
		e->deaths++;
	if (alone && e->deaths > SUSPECT_DEATHS && e->lone_deaths < UINT8_MAX)
		e->lone_deaths++;
	if (e->deaths == SUSPECT_DEATHS)
		log_warning(
		    "%s: transport %s died twice with it: it is delivered alone from now on", m->id,
		    transport);
	if (e->lone_deaths == LONE_DEATHS && !m->held) {
		log_warning("%s: transport %s died %u times with nothing else: it is held, see "
			    "postsuper(1)",
		    m->id, transport, e->lone_deaths);
		m->held = true;
	}
}

/* ---- the offer ---- */

/* No delivery and no job of this message is out; otherwise attempt_ended comes by later. */
static bool is_at_rest(const struct message *m)
{
	return m->queued == 0 && m->running == 0 && m->state == MESSAGE_ACTIVE;
}

static void adopt(struct message *m)
{
	m->named = true;
	stop_waiting_for_durable(m);
	if (is_at_rest(m))
		message_attempt_ended(m);
}

static void stop(struct message *m)
{
	m->stopped = true;
	stop_waiting_for_durable(m);
	transport_stop(m);
}

void message_looked(struct message *m, bool is_there)
{
	if (!is_there) {
		message_forget(m);
		return;
	}
	m->stopped = false;
	m->state = MESSAGE_ACTIVE;
	m->named = m->entry->found = true;
	message_attempt_ended(m);
}

/* In the tables' words; M may be gone afterwards. */
static void act(struct message *m, enum owner_action action)
{
	switch (action) {
	case OWNER_NOTHING:
		return;
	case OWNER_SEND_DONE:
		log_info("%s: removed", m->id);
		stop_waiting_for_durable(m);
		/* First: intake closes the file last, and its blocks are freed there, not here. */
		unload(m);
		intake_answer(m, true);
		return;
	case OWNER_SEND_SPOOL:
		stop_waiting_for_durable(m);
		intake_answer(m, false);
		return;
	case OWNER_ADOPT:
		intake_forget(m);
		adopt(m);
		return;
	case OWNER_STOP:
	case OWNER_STOP_AND_REMOVE:
	case OWNER_REMOVE_NAME:
		intake_forget(m);
		m->named = action != OWNER_STOP; /* there may be a name */
		m->deleted = true;
		stop(m);
		if (is_at_rest(m))
			message_remove(m);
		return;
	case OWNER_LEAVE:
		intake_forget(m);
		m->left = true;
		stop(m);
		if (is_at_rest(m))
			message_attempt_ended(m);
		return;
	case OWNER_FORGET:
		intake_forget(m);
		message_forget(m);
		return;
	case OWNER_VIOLATION:
		log_warning("%s: out of place in state %s", m->id, owner_state_name(m->offer));
		intake_violation(m->connection);
		return;
	}
}

void message_offer_event(struct message *m, enum owner_event event)
{
	struct owner_step step = owner_step(m->offer, event);

	m->offer = step.next;
	act(m, step.action);
}

/* ---- postsuper ---- */

bool message_is_moving(const struct message *m)
{
	return m->state == MESSAGE_SETTLING || m->state == MESSAGE_REMOVING ||
	       m->state == MESSAGE_SETTING_ASIDE;
}

static bool is_going(const struct message *m)
{
	return !m->named || m->deleted || m->requeued || m->state == MESSAGE_REMOVING ||
	       m->state == MESSAGE_SETTING_ASIDE;
}

/* At once, or as soon as what is out has come back. */
static void begin_wish_soon(struct message *m)
{
	if (m->state == MESSAGE_WAITING) {
		message_begin_wish(m);
	} else if (m->state == MESSAGE_ACTIVE) {
		stop(m);
		if (m->running == 0)
			message_attempt_ended(m);
	}
}

bool message_delete(struct message *m)
{
	if (is_going(m))
		return false;
	m->deleted = true;
	begin_wish_soon(m);
	return true;
}

bool message_hold(struct message *m)
{
	if (is_going(m) || m->held)
		return false;
	m->held = true;
	begin_wish_soon(m);
	return true;
}

bool message_requeue(struct message *m)
{
	if (is_going(m))
		return false;
	m->requeued = true;
	begin_wish_soon(m);
	return true;
}

bool message_unhold(struct message *m)
{
	if (!m->held || is_going(m) || m->state == MESSAGE_SETTLING)
		return false;
	m->held = false;
	m->due_again = true;
	return true;
}

void message_place(struct entry *e)
{
	struct message *m = message_wake(e);

	if (is_going(m))
		return;
	m->misplaced = true;
	if (m->state == MESSAGE_WAITING)
		message_begin_wish(m);
}
