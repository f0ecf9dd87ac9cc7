// SPDX-License-Identifier: BSD-2-Clause
/*
 * How many recipients are in memory.
 *
 * An envelope is read whole, so what is limited is which messages are taken up: one with more than
 * $qmgr_message_recipient_minimum recipients only while there is room for more recipients in all
 * ($qmgr_message_recipient_limit), and in each of its transports ($TRANSPORT_recipient_limit and
 * $TRANSPORT_extra_recipient_limit together) for $TRANSPORT_recipient_refill_limit of them or all
 * that it has there.  Where nothing else is in memory anything fits.  Others are looked at again
 * after $TRANSPORT_recipient_refill_delay.
 */
#include <string.h>

#include "qmgr/qmgr_transport.h"

static size_t in_memory;

/* Recipients of M by transport, into asking. */
static void count(struct message *m)
{
	struct transport *t = NULL;

	for (size_t i = 0; i < m->env->recipient_count; i++) {
		const char *name = m->recipients[i].transport;

		if (!name)
			continue;
		if (!t || strcmp(t->name, name) != 0)
			t = transport_get(name, true);
		t->asking++;
	}
}

static bool has_room(const struct transport *t)
{
	size_t limit = t->limits.recipients_max;
	size_t room = limit > t->in_memory ? limit - t->in_memory : 0;

	return t->in_memory == 0 || room >= t->asking || room >= t->limits.refill;
}

static int64_t lacking(const struct message *m)
{
	int64_t delay_ms = 0;

	if (m->env->recipient_count <= (size_t)qm.params->qmgr_message_recipient_minimum)
		return 0;
	if (in_memory >= (size_t)qm.params->qmgr_message_recipient_limit)
		delay_ms = qm.params->default_recipient_refill_delay * 1000;
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e)) {
		const struct transport *t = e->value;

		if (t->asking > 0 && !has_room(t) && t->limits.refill_delay_ms > delay_ms)
			delay_ms = t->limits.refill_delay_ms;
	}
	return delay_ms;
}

bool transport_take_room(struct message *m, int64_t *delay_s)
{
	int64_t delay_ms;

	count(m);
	delay_ms = lacking(m);
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e)) {
		struct transport *t = e->value;

		if (delay_ms == 0)
			t->in_memory += t->asking;
		t->asking = 0;
	}
	*delay_s = (delay_ms + 999) / 1000;
	if (delay_ms > 0)
		return false;
	in_memory += m->env->recipient_count;
	m->has_room = true;
	return true;
}

void transport_give_room(struct message *m)
{
	if (!m->has_room)
		return;
	m->has_room = false;
	in_memory -= m->env->recipient_count;
	count(m);
	for (struct map_entry *e = map_next(&transports, NULL); e; e = map_next(&transports, e)) {
		struct transport *t = e->value;

		t->in_memory -= t->asking;
		t->asking = 0;
	}
}
