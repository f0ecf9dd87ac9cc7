// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message that postsuper -r (or a real Postfix's) put back: a queue file, not a submission.  It
 * goes through intake once more, so that its addresses are rewritten and expanded anew; where it
 * came from, when, and what was asked about its reports stays.  Recipients that are done stay done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "pickup/pickup.h"
#include "queue/envelope.h"
#include "queue/queue_file.h"
#include "queue/queue_record.h"

bool requeue_is_one(int fd)
{
	struct queue_reader reader;
	struct queue_record record;
	bool is_one;

	queue_reader_init(&reader, fd, 0);
	reader.raw = true;
	is_one = queue_reader_next(&reader, &record) == QUEUE_READ_RECORD && record.type == QR_SIZE;
	queue_reader_release(&reader);
	return is_one;
}

static void take_recipients(struct submission *sub, const struct envelope *env)
{
	sub->recipients = xcalloc(env->recipient_count + 1, sizeof(*sub->recipients));
	for (size_t i = 0; i < env->recipient_count; i++) {
		const struct envelope_recipient *r = &env->recipients[i];

		if (r->done)
			continue;
		sub->recipients[sub->recipient_count++] =
		    (struct submission_recipient){ .address = slice_of(r->address),
			    .original = slice_of(r->original),
			    .orcpt = slice_of(r->orcpt),
			    .notify = r->notify };
	}
}

enum submission_verdict requeue_read(struct submission *sub)
{
	struct reason why = { .dsn = "" };
	struct envelope *env = envelope_read(sub->fd, sub->name, ENVELOPE_VERIFY, &why);
	const char *context;

	if (!env) {
		log_warning("maildrop/%s: %s", sub->name, why.text);
		return reason_is_permanent(&why) ? SUBMISSION_BAD : SUBMISSION_LATER;
	}
	context = envelope_attribute(env, "rewrite_context");
	sub->requeued = env;
	sub->has_sender = true;
	sub->sender = slice_of(env->sender);
	sub->remote_rewrite = context && strcmp(context, "remote") == 0;
	sub->full_name = *env->full_name ? env->full_name : NULL;
	sub->encoding = envelope_attribute(env, "encoding");
	sub->envelope_id = slice_of(env->envelope_id);
	sub->ret = env->ret;
	sub->verp = *env->verp ? env->verp : NULL;
	sub->sendopts = env->sendopts;
	sub->arrival_us = env->arrival_us;
	sub->content = env->data_offset;
	take_recipients(sub, env);
	return SUBMISSION_GOOD;
}

/* What intake finds out, or is told, itself. */
static bool is_intakes_own(const char *name)
{
	static const char *const own[] = { "create_time", "message_id", "postcote_crc32c",
		"encoding", "rewrite_context", QUEUE_HOLD_ATTRIBUTE };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(name, own[i]) == 0)
			return true;
	return false;
}

void requeue_attributes(const struct submission *sub, struct intake *in)
{
	const struct envelope *env = sub->requeued;

	if (!envelope_attribute(env, "log_ident"))
		intake_set_attribute(in, "log_ident", slice_of(env->id));
	for (size_t i = 0; i < env->attribute_count; i++)
		if (!is_intakes_own(env->attributes[i].name))
			intake_set_attribute(
			    in, env->attributes[i].name, slice_of(env->attributes[i].value));
}

bool requeue_content(const struct submission *sub, struct intake *in, struct reason *why)
{
	struct content_reader content;
	enum content_read result;
	struct slice line;
	bool whole, ok = true;

	content_reader_init(&content, sub->fd, sub->content);
	while (ok && (result = content_reader_next(&content, &line, &whole)) != CONTENT_END) {
		if (result == CONTENT_LINE) {
			ok = intake_line(in, line, whole, why);
			continue;
		}
		reason_set(why, "4.3.0", "cannot read the message again");
		ok = false;
	}
	content_reader_release(&content);
	return ok;
}
