// SPDX-License-Identifier: BSD-2-Clause
/*
 * Recipients: given, found in virtual aliases, added as blind copies.  Each final address goes into
 * the queue file as it becomes known: into the envelope, or behind the content.
 */
#include <stdio.h>

#include "base/check.h"
#include "intake/intake_private.h"
#include "mail/address.h"
#include "mail/dsn.h"

/*
 * Without original addresses two recipients that became the same one are the same; with them they
 * are not.
 */
static bool is_duplicate(struct intake *in, struct slice address, struct slice original,
    struct slice orcpt, unsigned notify)
{
	const struct postfix_params *params = in->service->config.params;
	long limit = params->duplicate_filter_limit;
	struct strbuf key = STRBUF_INIT(16 * ADDRESS_MAX);
	bool known;

	if (params->enable_original_recipient) {
		strbuf_addf(&key, "%u\n", notify);
		strbuf_addslice(&key, orcpt);
		strbuf_addch(&key, '\n');
		strbuf_addslice(&key, original);
		strbuf_addch(&key, '\n');
	}
	strbuf_addslice(&key, address);
	ascii_tolower(key.ptr, key.len);
	known = map_get(&in->recipients, strbuf_slice(&key)) != NULL;
	if (!known && (limit <= 0 || in->recipients.count < (size_t)limit))
		map_put(&in->recipients, strbuf_slice(&key), in);
	strbuf_release(&key);
	return known;
}

/* One final address of a recipient. */
struct expansion {
	struct intake *in;
	struct slice original, orcpt; /* as they are written */
	unsigned notify;
};

static bool put_recipient(struct slice final, void *arg)
{
	const struct expansion *e = arg;
	struct intake *in = e->in;

	if (!is_duplicate(in, final, e->original, e->orcpt, e->notify)) {
		queue_writer_recipient(&in->writer, final, e->original, e->orcpt, e->notify);
		in->recipient_count++;
	}
	return in->writer.error == 0;
}

static bool expand(
    struct intake *in, struct slice address, struct expansion *expansion, struct reason *why)
{
	if (in->overrides & INTAKE_NO_MAPPINGS)
		put_recipient(address, expansion);
	else if (aliases_expand(in->service->aliases, address, in->service->log_name, in->id,
		     put_recipient, expansion) == ALIAS_ERROR)
		return intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
	return intake_check_writer(in, why);
}

bool intake_recipient(struct intake *in, const struct intake_recipient *rcpt, struct reason *why)
{
	struct strbuf orcpt = STRBUF_INIT(4 * ADDRESS_MAX);
	struct slice given = rcpt->original.len > 0 ? rcpt->original : rcpt->address;
	struct expansion expansion = { .in = in, .original = given, .notify = rcpt->notify };
	bool ok;

	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	ASSERT(in->state == INTAKE_ENVELOPE);
	if (rcpt->notify & DSN_NOTIFY_SUCCESS)
		in->never_wait = true;
	if (rcpt->dsn_orcpt.len > 0) {
		expansion.orcpt = rcpt->dsn_orcpt;
	} else {
		strbuf_addstr(&orcpt, "rfc822;");
		address_external(given, &orcpt);
		expansion.orcpt = strbuf_slice(&orcpt);
	}
	ok = expand(in, rcpt->address, &expansion, why);
	strbuf_release(&orcpt);
	return ok;
}

unsigned intake_recipient_count(const struct intake *in)
{
	return in->recipient_count;
}

/* Of a blind copy nobody hears anything, above all not the sender. */
static bool put_bcc(struct intake *in, struct slice address, struct reason *why)
{
	struct expansion expansion = {
		.in = in,
		.original = address,
		.notify = DSN_NOTIFY_NEVER,
	};

	return expand(in, address, &expansion, why);
}

bool intake_add_bcc(struct intake *in, struct slice address, struct reason *why)
{
	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	if (in->state == INTAKE_ENVELOPE)
		return put_bcc(in, address, why);
	/* There is no place for recipients within the content. */
	strbuf_addslice(&in->bccs, address);
	strbuf_addch(&in->bccs, '\0');
	if (in->bccs.overflow)
		return intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
	return true;
}

bool intake_put_late_bccs(struct intake *in, struct reason *why)
{
	struct slice rest = strbuf_slice(&in->bccs);

	while (rest.len > 0) {
		struct slice address = slice_of(rest.ptr);

		if (!put_bcc(in, address, why))
			return false;
		rest = slice_from(rest, address.len + 1);
	}
	return true;
}
