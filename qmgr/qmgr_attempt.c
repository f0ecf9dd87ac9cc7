// SPDX-License-Identifier: BSD-2-Clause
/*
 * What becomes of an attempt: results of deliveries, and when none is out any more the notices to
 * the sender and what is written down of it all.
 */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "qmgr/qmgr_message.h"

static void keep_reason(
    struct message *m, struct qmgr_recipient *r, const struct delivery_outcome *outcome)
{
	r->why = ARENA_NEW(&m->arena, struct reason);
	*r->why = outcome->why;
	r->remote_mta = arena_strdup(&m->arena, outcome->remote_mta);
	r->diagnostic = arena_strdup(&m->arena, outcome->diagnostic);
}

static void set_text(struct reason *why, const struct delivery_outcome *outcome)
{
	const char *dsn = *outcome->why.dsn ? outcome->why.dsn : "2.0.0";

	if (outcome->relay && strcmp(outcome->relay, "none") != 0)
		reason_set(why, dsn, "delivery via %s: %s", outcome->relay, outcome->why.text);
	else
		reason_set(why, dsn, "%s", outcome->why.text);
}

/* Through an agent of ours; what a next hop has accepted is relayed (RFC 3464 2.3.3). */
static void keep_report(
    struct message *m, struct qmgr_recipient *r, const struct delivery_outcome *outcome)
{
	bool has_remote = outcome->remote_mta && *outcome->remote_mta;

	keep_reason(m, r, outcome);
	r->report = true;
	r->action = has_remote ? "relayed" : "delivered";
	set_text(r->why, outcome);
}

/* That nothing could be delivered is what a probe wanted to know: it has an answer. */
static void keep_answer(
    struct message *m, struct qmgr_recipient *r, const struct delivery_outcome *outcome)
{
	keep_reason(m, r, outcome);
	r->state = RCPT_DONE;
	r->report = true;
	r->action = outcome->status == DELIVERY_SENT ? "deliverable" : "undeliverable";
	set_text(r->why, outcome);
}

/* He was told of a delay that is over now: the record of it is there, without a time. */
static bool is_delay_cleared(const struct message *m, size_t index)
{
	unsigned notify = m->env->recipients[index].notify;

	return qm.params->confirm_delay_cleared && m->env->warn_offset > 0 && m->env->warn_s == 0 &&
	       *m->env->sender && (notify == 0 || (notify & DSN_NOTIFY_DELAY));
}

void message_result(struct message *m, size_t index, const struct delivery_outcome *outcome)
{
	static const enum recipient_state states[] = { [DELIVERY_SENT] = RCPT_DONE,
		[DELIVERY_DEFERRED] = RCPT_DEFERRED,
		[DELIVERY_BOUNCED] = RCPT_BOUNCED };
	struct qmgr_recipient *r = &m->recipients[index];

	if (m->env->trace & ENVELOPE_TRACE_PROBE) {
		keep_answer(m, r, outcome);
		return;
	}
	r->state = states[outcome->status];
	if (r->state == RCPT_DONE) {
		if (m->env->trace || is_delay_cleared(m, index) ||
		    (!outcome->reports_passed &&
			(m->env->recipients[index].notify & DSN_NOTIFY_SUCCESS)))
			keep_report(m, r, outcome);
		return;
	}
	keep_reason(m, r, outcome);
	if (m->env->trace) {
		r->traced = ARENA_NEW(&m->arena, struct reason);
		set_text(r->traced, outcome);
	}
	if (message_is_offer_open(m))
		message_offer_event(m, OWNER_WAIT);
}

static size_t count_in(const struct message *m, enum recipient_state state)
{
	size_t count = 0;

	for (size_t i = 0; m->env && i < m->env->recipient_count; i++)
		count += m->recipients[i].state == state;
	return count;
}

static bool is_all_done(const struct message *m)
{
	return m->env && count_in(m, RCPT_DONE) == m->env->recipient_count;
}

void message_batch_ended(struct message *m, bool was_running)
{
	m->running -= was_running;
	if (m->queued > 0 || m->running > 0)
		return;
	if (message_is_offer_open(m)) {
		if (is_all_done(m))
			message_offer_event(m, OWNER_DURABLE);
	} else {
		message_attempt_ended(m);
	}
}

/* ---- the end ---- */

static bool is_expired(const struct message *m)
{
	int64_t lifetime =
	    *m->env->sender ? qm.params->maximal_queue_lifetime : qm.params->bounce_queue_lifetime;

	return m->forced || clock_wall_us() - m->arrival_us >= lifetime * 1000000;
}

/* Its recipients that are still deferred have had their time. */
static bool expire(struct message *m)
{
	struct strbuf sender = STRBUF_INIT(4 * ADDRESS_MAX);

	if (count_in(m, RCPT_DEFERRED) == 0 || !is_expired(m))
		return false;
	for (size_t i = 0; i < m->env->recipient_count; i++) {
		struct qmgr_recipient *r = &m->recipients[i];

		if (r->state == RCPT_DEFERRED)
			r->state = RCPT_BOUNCED;
	}
	address_logged(slice_of(m->env->sender), &sender);
	log_info("%s: from=<%s>, status=%s, returned to sender", m->id, sender.ptr,
	    m->forced ? "force-expired" : "expired");
	strbuf_release(&sender);
	return true;
}

static int64_t backoff(const struct message *m)
{
	int64_t age = message_now_s() - m->arrival_us / 1000000;

	if (age < qm.params->minimal_backoff_time)
		age = qm.params->minimal_backoff_time;
	return age > qm.params->maximal_backoff_time ? qm.params->maximal_backoff_time : age;
}

void message_remove(struct message *m)
{
	if (!m->named) {
		message_forget(m);
		return;
	}
	m->state = MESSAGE_REMOVING;
	disk_remove(m);
}

/* A report that could not be made yet keeps the message: it is tried again. */
static bool is_report_owed(const struct message *m)
{
	for (size_t i = 0; i < m->env->recipient_count; i++)
		if (m->recipients[i].report)
			return true;
	return false;
}

static void settle(struct message *m)
{
	m->state = MESSAGE_SETTLING;
	m->misplaced = false; /* a settled file is where it belongs */
	if (m->requeued)
		disk_settle(m, -1, SPOOL_MAILDROP);
	else if (m->held || m->hold_asked)
		disk_settle(m, -1, SPOOL_HOLD);
	else if (count_in(m, RCPT_DEFERRED) == 0 && !is_report_owed(m))
		/* Stopped before it was tried: it stays due. */
		disk_settle(m, message_now_s(), m->entry->queue);
	else
		disk_settle(m, message_now_s() + backoff(m), SPOOL_DEFERRED);
}

static void notices_ended(struct message *m)
{
	m->state = MESSAGE_ACTIVE;
	if (m->deleted || (is_all_done(m) && !is_report_owed(m)))
		message_remove(m);
	else
		settle(m);
}

/* Everybody who has to be told was, or nobody has to: what that makes of the recipients. */
static void notice_done(struct message *m, bool durable)
{
	for (size_t i = 0; i < m->env->recipient_count; i++) {
		struct qmgr_recipient *r = &m->recipients[i];

		if (m->notice == NOTICE_FAILED && r->state == RCPT_BOUNCED)
			r->state = durable ? RCPT_DONE : RCPT_DEFERRED;
		else if ((m->notice == NOTICE_SENT || m->notice == NOTICE_TRACE) && durable)
			r->report = false;
	}
	if (m->notice == NOTICE_FAILED && durable)
		m->entry->has_bounce_log = false;
	if (m->notice == NOTICE_DELAYED)
		m->warned = durable;
	if (m->notice == NOTICE_TRACE)
		m->traced = durable;
}

static bool is_notice_due(const struct message *m)
{
	if (m->notice == NOTICE_DELAYED &&
	    (m->env->warn_s == 0 || message_now_s() < m->env->warn_s))
		return false;
	return notice_is_due(m, m->notice);
}

/* One kind after the other. */
static void ask_for_notices(struct message *m)
{
	static const enum notice_kind kinds[] = { NOTICE_FAILED, NOTICE_SENT, NOTICE_DELAYED };

	while (m->notices_asked < ARRAY_LEN(kinds) && !m->deleted) {
		m->notice = kinds[m->notices_asked++];
		if (m->notice == NOTICE_SENT && m->env->trace)
			m->notice = NOTICE_TRACE; /* which takes its place */
		if (is_notice_due(m)) {
			m->state = MESSAGE_NOTIFYING;
			notice_ask(m);
			return;
		}
		if (m->notice != NOTICE_DELAYED)
			notice_done(m, true);
	}
	notices_ended(m);
}

void message_attempt_ended(struct message *m)
{
	ASSERT(m->queued == 0 && m->running == 0);
	if (m->left) {
		m->left = false;
		m->state = MESSAGE_LOOKING;
		disk_look(m);
		return;
	}
	if (m->deleted) {
		message_remove(m);
		return;
	}
	ASSERT(m->named);
	if (!m->env) {
		/* It could not be read through the descriptor: now it is a file like any other. */
		m->entry->found = true;
		message_wait_until(m, message_now_s());
		return;
	}
	m->expired = !m->held && !m->requeued && expire(m);
	m->warned = m->traced = false;
	m->notices_asked = 0;
	ask_for_notices(m);
}

void message_notified(struct message *m, bool durable, const struct reason *why)
{
	notice_done(m, durable);
	if (!durable)
		log_warning("%s: no notice to the sender yet: %s", m->id, why->text);
	ask_for_notices(m);
}

void message_settled(struct message *m, bool ok, enum spool_queue queue, int64_t next_s)
{
	bool is_out = queue == SPOOL_HOLD || queue == SPOOL_MAILDROP;

	if (ok)
		m->entry->queue = (uint8_t)queue;
	else
		m->entry->half_moved = true;
	if (ok && is_out && !m->deleted) {
		message_forget(m);
		return;
	}
	if (is_out)
		/* Once more at once would fail once more. */
		m->held = m->requeued = m->hold_asked = false;
	if (m->deleted) {
		message_remove(m);
		return;
	}
	if (next_s < 0)
		next_s = is_out ? message_now_s() + qm.params->minimal_backoff_time : m->resume_s;
	message_wait_until(m, next_s);
}

void message_removed(struct message *m)
{
	message_forget(m);
}
