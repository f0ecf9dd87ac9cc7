// SPDX-License-Identifier: BSD-2-Clause
/*
 * A submission that the intake refuses for good: its sender is told through the bounce service, as
 * qmgr has it done for what it cannot deliver (deliver/notice.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "deliver/delivery.h"
#include "deliver/notice.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/verp.h"
#include "pickup/pickup.h"

#define ASK_LIMIT_MS	   100000
#define RECIPIENT_OVERHEAD 1000 /* names of attributes, reason */

struct refusal {
	const struct pickup *pickup;
	const struct submission *sub;
	const char *id;
	const struct reason *why;
	struct arena arena;
	const char *sender; /* external form, rewritten */
	struct notice_recipient *recipients;
	struct slice *recipients_from; /* of them: as the sender gave them */
	size_t count;
};

static const char *form_of(struct refusal *r, struct slice internal, bool rewrite,
    void (*form)(struct slice internal, struct strbuf *out))
{
	struct strbuf rewritten = STRBUF_INIT(2 * ADDRESS_MAX), text = STRBUF_INIT(4 * ADDRESS_MAX);
	const char *copy;

	if (rewrite)
		rewrite_address(r->pickup->rewriter, REWRITE_LOCAL, internal, &rewritten);
	else
		strbuf_addslice(&rewritten, internal);
	form(strbuf_slice(&rewritten), &text);
	copy = arena_slicedup(&r->arena, strbuf_slice(&text));
	strbuf_release(&rewritten);
	strbuf_release(&text);
	return copy;
}

static const char *external(struct refusal *r, struct slice internal, bool rewrite)
{
	return form_of(r, internal, rewrite, address_external);
}

/* Told when it is true: a refusal without its notice is tried again. */
static void log_recipients(struct refusal *r)
{
	char delay[32];

	delivery_format_delay(clock_wall_us() - r->sub->arrival_us,
	    (int)r->pickup->params->delay_logging_resolution_limit, delay);
	for (size_t i = 0; i < r->sub->recipient_count; i++)
		log_info("%s: to=<%s>, relay=none, delay=%s, dsn=%s, status=bounced (%s)", r->id,
		    form_of(r, r->sub->recipients[i].address, true, address_logged), delay,
		    r->why->dsn, r->why->text);
}

/* Those that did not ask for silence. */
static void collect(struct refusal *r)
{
	r->recipients = xcalloc(r->sub->recipient_count, sizeof(*r->recipients));
	r->recipients_from = xcalloc(r->sub->recipient_count, sizeof(*r->recipients_from));
	for (size_t i = 0; i < r->sub->recipient_count; i++) {
		const struct submission_recipient *from = &r->sub->recipients[i];

		if (from->notify != 0 && !(from->notify & DSN_NOTIFY_FAILURE))
			continue;
		r->recipients_from[r->count] =
		    from->original.len > 0 ? from->original : from->address;
		r->recipients[r->count++] = (struct notice_recipient){
			.action = "failed",
			.address = external(r, from->address, true),
			.original = external(
			    r, from->original.len > 0 ? from->original : from->address, false),
			.orcpt = arena_slicedup(&r->arena, from->orcpt),
			.notify = from->notify,
			.why = *r->why,
			.remote_mta = "",
			.diagnostic = "",
		};
	}
}

static bool is_double_bounce(const struct refusal *r)
{
	const char *own = r->pickup->params->double_bounce_sender;
	size_t len = strlen(own);

	return strncasecmp(r->sender, own, len) == 0 &&
	       (r->sender[len] == '@' || r->sender[len] == '\0');
}

/* As qmgr does: notices of failures go to VERP's address. */
static bool has_verp(const struct refusal *r)
{
	return r->sub->verp != NULL && !r->pickup->params->disable_verp_bounces;
}

static const char *verp_address(struct refusal *r, size_t index)
{
	struct strbuf sender = STRBUF_INIT(2 * ADDRESS_MAX), address = STRBUF_INIT(4 * ADDRESS_MAX);
	const char *text;

	if (!has_verp(r))
		return "";
	rewrite_address(r->pickup->rewriter, REWRITE_LOCAL, r->sub->sender, &sender);
	verp_sender(r->sub->verp, strbuf_slice(&sender), r->recipients_from[index], &address);
	text = external(r, strbuf_slice(&address), false);
	strbuf_release(&sender);
	strbuf_release(&address);
	return text;
}

/* As many as one record and one notice hold. */
static size_t fitting(const struct refusal *r, size_t first)
{
	size_t count = 0, bytes = 0, max = has_verp(r) ? 1 : NOTICE_MAX_RECIPIENTS;

	while (first + count < r->count && count < max) {
		const struct notice_recipient *next = &r->recipients[first + count];

		bytes += strlen(next->address) + strlen(next->original) + RECIPIENT_OVERHEAD;
		if (count > 0 && bytes > MSG_MAX / 2)
			break;
		count++;
	}
	return count;
}

static bool ask(struct channel *channel, struct refusal *r, size_t first, size_t count)
{
	const struct submission *sub = r->sub;
	struct notice_request request = {
		.number = first,
		.kind = NOTICE_FAILED,
		.sender = r->sender,
		.to = verp_address(r, first),
		.envelope_id = arena_slicedup(&r->arena, sub->envelope_id),
		.ret = sub->ret,
		.encoding = sub->encoding != NULL ? sub->encoding : "",
		.arrival_us = sub->arrival_us,
		.size = sub->size,
		.data_offset = sub->content,
		.recipients = r->recipients + first,
		.recipient_count = count,
	};
	struct msg_out out = { { 0 } };
	struct notice_answer answer = { .ok = false };
	struct msg_in in;

	(void)snprintf(request.id, sizeof(request.id), "%s", r->id);
	notice_request_write(&out, &request);
	bool sent = channel_send(channel, &out, &sub->fd, 1, deadline_in(ASK_LIMIT_MS)) == 0;

	msg_release(&out);
	if (!sent || channel_recv(channel, &in, deadline_in(ASK_LIMIT_MS)) != CHANNEL_RECORD)
		return false;
	bool good = notice_answer_parse(&in.msg, &answer) && answer.number == first && answer.ok;

	msg_in_release(&in);
	return good;
}

/* True: the notices are durable. */
static bool ask_all(struct refusal *r)
{
	const struct postfix_params *p = r->pickup->params;
	char *path = xasprintf("%s/private/%s", p->queue_directory, p->bounce_service_name);
	struct channel *channel = channel_connect(path, "pickup", deadline_in(ASK_LIMIT_MS));
	bool ok = channel != NULL;

	if (!ok)
		log_warning("connect to %s: %s", path, strerror(errno));
	for (size_t first = 0, count; ok && first < r->count; first += count) {
		count = fitting(r, first);
		ok = ask(channel, r, first, count);
	}
	channel_free(channel);
	free(path);
	return ok;
}

enum submission_verdict pickup_tell_sender(const struct pickup *pickup,
    const struct submission *sub, const char *id, const struct reason *why)
{
	struct refusal r = {
		.pickup = pickup, .sub = sub, .id = id, .why = why, .arena = ARENA_INIT
	};
	enum submission_verdict verdict = SUBMISSION_BAD;

	r.sender = external(&r, sub->sender, true);
	if (sub->sender.len > 0 && !is_double_bounce(&r)) {
		collect(&r);
		if (r.count > 0)
			verdict = ask_all(&r) ? SUBMISSION_GOOD : SUBMISSION_LATER;
	}
	if (verdict == SUBMISSION_GOOD)
		log_recipients(&r);
	else if (verdict == SUBMISSION_LATER)
		log_warning("maildrop/%s: the sender cannot be told now", sub->name);
	free(r.recipients);
	free(r.recipients_from);
	arena_release(&r.arena);
	return verdict;
}
