// SPDX-License-Identifier: BSD-2-Clause
/*
 * Asking bounce for notices.  A message's recipients go out in requests of at most
 * NOTICE_MAX_RECIPIENTS; its answer is yes when all of them were.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/clock.h"
#include "intake/internal_mail.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "qmgr/qmgr.h"

#define CONNECT_LIMIT_MS 200
#define SEND_LIMIT_MS	 1000

struct pending {
	struct list node;
	struct message *message;
	uint64_t first, end; /* numbers of its requests */
	unsigned missing;    /* answers */
	bool failed;
	struct reason why;
};

static struct {
	struct channel *channel;
	struct loop_watch watch;
	struct list pending;
	uint64_t next_number;
} bounce = { .pending = LIST_INIT(bounce.pending) };

static const struct reason unavailable = { "4.3.0", "bounce service unavailable" };

static void finish(struct pending *p)
{
	struct message *m = p->message;
	bool failed = p->failed;
	struct reason why = p->why;

	list_del(&p->node);
	free(p);
	message_notified(m, !failed, &why);
}

static void on_answer(const struct notice_answer *answer)
{
	list_for_each(pos, &bounce.pending) {
		struct pending *p = list_entry(pos, struct pending, node);

		if (answer->number < p->first || answer->number >= p->end)
			continue;
		if (!answer->ok) {
			p->failed = true;
			p->why = answer->why;
		}
		if (--p->missing == 0)
			finish(p);
		return;
	}
}

/* Those that wait for another answer then ask anew, over another connection: they stay. */
static void disconnect(void)
{
	const uint64_t end = bounce.next_number;

	loop_unwatch(qm.loop, &bounce.watch);
	channel_free(bounce.channel);
	bounce.channel = NULL;
	while (!list_is_empty(&bounce.pending)) {
		struct pending *p = list_entry(bounce.pending.next, struct pending, node);

		if (p->first >= end)
			break;
		p->failed = true;
		p->why = unavailable;
		finish(p);
	}
}

static void on_bounce(struct loop_watch *watch, uint32_t events)
{
	enum channel_result result;
	struct notice_answer answer;
	struct msg_in in;

	(void)watch;
	(void)events;
	while ((result = channel_recv(bounce.channel, &in, 0)) == CHANNEL_RECORD) {
		bool good = notice_answer_parse(&in.msg, &answer);

		msg_in_release(&in);
		if (!good) {
			log_warning("malformed answer from the bounce service");
			result = CHANNEL_CLOSED;
			break;
		}
		on_answer(&answer);
	}
	if (result == CHANNEL_CLOSED)
		disconnect();
}

static bool connect_bounce(void)
{
	char *path;

	if (bounce.channel)
		return true;
	path =
	    xasprintf("%s/private/%s", qm.params->queue_directory, qm.params->bounce_service_name);
	bounce.channel = channel_connect(path, "qmgr", deadline_in(CONNECT_LIMIT_MS));
	if (!bounce.channel)
		log_warning("connect to %s: %s", path, strerror(errno));
	free(path);
	if (!bounce.channel)
		return false;
	bounce.watch = (struct loop_watch){ .fd = channel_fd(bounce.channel), .ready = on_bounce };
	if (loop_watch(qm.loop, &bounce.watch, EPOLLIN) == 0)
		return true;
	channel_free(bounce.channel);
	bounce.channel = NULL;
	return false;
}

/* Does the postmaster get a copy?  Of what nobody else is told about, the only one. */
static bool has_copy(const struct message *m, enum notice_kind kind)
{
	bool from_nobody = *m->env->sender == '\0';

	switch (kind) {
	case NOTICE_FAILED:
		return internal_mail_notifies(qm.params, from_nobody ? "2bounce" : "bounce");
	case NOTICE_DELAYED:
		return !from_nobody && internal_mail_notifies(qm.params, "delay");
	case NOTICE_SENT:
	case NOTICE_TRACE:
		break;
	}
	return false;
}

/*
 * Without NOTIFY the sender hears of failures and delays (RFC 3461 4.1); COPY: somebody else hears
 * of all.
 */
static bool wants_notice(const struct message *m, size_t i, enum notice_kind kind, bool copy)
{
	const struct qmgr_recipient *r = &m->recipients[i];
	unsigned notify = m->env->recipients[i].notify;

	switch (kind) {
	case NOTICE_FAILED:
		return r->state == RCPT_BOUNCED &&
		       (copy || notify == 0 || (notify & DSN_NOTIFY_FAILURE));
	case NOTICE_DELAYED:
		return r->state == RCPT_DEFERRED && r->why != NULL &&
		       (copy || notify == 0 || (notify & DSN_NOTIFY_DELAY));
	case NOTICE_SENT:
		return r->state == RCPT_DONE && r->report;
	case NOTICE_TRACE:
		return r->report || r->traced;
	}
	return false;
}

static const char *action_of(const struct qmgr_recipient *r)
{
	if (r->report)
		return r->action;
	/* The notice of a failure may have been made already. */
	return r->state == RCPT_DEFERRED ? "delayed" : "failed";
}

/* What a recipient takes in a record, heads of attributes included. */
static size_t record_bytes(const struct notice_recipient *r)
{
	return strlen(r->address) + strlen(r->original) + strlen(r->orcpt) + strlen(r->why.text) +
	       strlen(r->remote_mta) + strlen(r->diagnostic) + 256;
}

/* Each notice of a failure goes to an address of its own, which says who it is about. */
static bool has_verp(const struct message *m)
{
	return m->verp && m->notice == NOTICE_FAILED && !qm.params->disable_verp_bounces;
}

/* The next request's recipients, from *NEXT on: as many as a record holds. */
static size_t fill(struct message *m, size_t *next, struct notice_recipient *out, const char **to)
{
	size_t count = 0, bytes = 0, max = has_verp(m) ? 1 : NOTICE_MAX_RECIPIENTS;
	const bool copy = has_copy(m, m->notice);

	for (; *next < m->env->recipient_count && count < max; (*next)++) {
		const struct envelope_recipient *from = &m->env->recipients[*next];
		const struct qmgr_recipient *r = &m->recipients[*next];

		if (!wants_notice(m, *next, m->notice, copy))
			continue;
		bool is_traced = m->notice == NOTICE_TRACE && !r->report;

		out[count] = (struct notice_recipient){ .action = action_of(r),
			.address = external_form(&m->arena, from->address),
			.original = external_form(&m->arena, from->original),
			.orcpt = from->orcpt,
			.notify = from->notify,
			.why = is_traced ? *r->traced : *r->why,
			.remote_mta = r->remote_mta ? r->remote_mta : "",
			.diagnostic = r->diagnostic ? r->diagnostic : "" };
		bytes += record_bytes(&out[count]);
		if (count > 0 && bytes > MSG_MAX / 2)
			break;
		*to = has_verp(m) ? message_sender_for(m, *next) : "";
		count++;
	}
	return count;
}

static bool send_request(
    struct message *m, const char *to, struct notice_recipient *recipients, size_t count)
{
	const struct envelope *env = m->env;
	const char *encoding = envelope_attribute(env, "encoding");
	struct notice_request request = { .number = bounce.next_number++,
		.kind = m->notice,
		.sender = m->sender,
		.to = to,
		.envelope_id = env->envelope_id,
		.ret = env->ret,
		.sendopts = env->sendopts,
		.encoding = encoding ? encoding : "",
		.arrival_us = env->arrival_us,
		.size = env->size,
		.data_offset = env->data_offset,
		.expired = m->expired,
		.recipients = recipients,
		.recipient_count = count };
	struct msg_out out = { 0 };
	bool sent;

	memcpy(request.id, m->id, sizeof(request.id));
	notice_request_write(&out, &request);
	sent = channel_send(bounce.channel, &out, &m->fd, 1, deadline_in(SEND_LIMIT_MS)) == 0;
	msg_release(&out);
	return sent;
}

static void send_all(struct message *m)
{
	struct notice_recipient *recipients = xcalloc(NOTICE_MAX_RECIPIENTS, sizeof(*recipients));
	struct pending *p = xcalloc(1, sizeof(*p));
	size_t next = 0, count;
	const char *to = "";

	p->message = m;
	p->first = bounce.next_number;
	list_add_tail(&bounce.pending, &p->node);
	while ((count = fill(m, &next, recipients, &to)) > 0) {
		p->missing++;
		/* When it fails the channel is shut down, and on_bounce cleans up. */
		if (!send_request(m, to, recipients, count))
			break;
	}
	p->end = bounce.next_number;
	free(recipients);
}

/* It was for the postmaster already, whatever became of its sender's address. */
static bool is_last(const struct message *m)
{
	return internal_mail_is_last_sender(qm.params, m->env->sender) ||
	       envelope_attribute(m->env, INTERNAL_MAIL_LAST) != NULL;
}

bool notice_is_due(const struct message *m, enum notice_kind kind)
{
	bool due = false, copy = has_copy(m, kind);

	if (!*m->env->sender && !copy)
		return false;
	for (size_t i = 0; !due && i < m->env->recipient_count; i++)
		due = wants_notice(m, i, kind, copy);
	if (!due || !is_last(m))
		return due;
	if (kind == NOTICE_FAILED)
		log_warning("%s: undeliverable postmaster notification discarded", m->id);
	return false;
}

void notice_ask(struct message *m)
{
	if (connect_bounce())
		send_all(m);
	else
		message_notified(m, false, &unavailable);
}
