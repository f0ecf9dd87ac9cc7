// SPDX-License-Identifier: BSD-2-Clause
/*
 * Recipients: given, found in virtual aliases, added as blind copies.  Each final address goes into
 * the queue file as it becomes known: into the envelope, or behind the content.
 */
#include <stdlib.h>

#include "base/check.h"
#include "intake/intake_private.h"
#include "log/log.h"
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
	struct slice address;
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

/* Stops at the first address that is another one. */
static bool is_itself(struct slice final, void *arg)
{
	const struct expansion *e = arg;

	return slice_eq(final, e->address);
}

/*
 * Who asked for a report is told that the address was an alias, and not what became of those that
 * it stands for (RFC 3461 5.2.7).
 */
static bool report_expansion(struct intake *in, struct expansion *e, struct reason *why)
{
	switch (aliases_expand(
	    in->service->aliases, e->address, in->service->log_name, in->id, is_itself, e)) {
	case ALIAS_OK:
		return true;
	case ALIAS_ERROR:
		return intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
	case ALIAS_STOPPED:
		break;
	}
	queue_writer_expanded(&in->writer, e->address, e->original, e->orcpt);
	e->notify &= ~(unsigned)DSN_NOTIFY_SUCCESS;
	if (e->notify == 0)
		e->notify = DSN_NOTIFY_NEVER;
	return true;
}

static bool expand(
    struct intake *in, struct slice address, struct expansion *expansion, struct reason *why)
{
	expansion->address = address;
	if (in->overrides & INTAKE_NO_MAPPINGS)
		put_recipient(address, expansion);
	else if ((expansion->notify & DSN_NOTIFY_SUCCESS) && !report_expansion(in, expansion, why))
		return false;
	else if (aliases_expand(in->service->aliases, address, in->service->log_name, in->id,
		     put_recipient, expansion) == ALIAS_ERROR)
		return intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
	return intake_check_writer(in, why);
}

static bool map_address(struct intake *in, enum canonical_class class, struct slice address,
    struct strbuf *out, struct reason *why)
{
	const struct intake_service *service = in->service;

	if ((in->overrides & INTAKE_NO_MAPPINGS) || !canonical_applies(service->canonical, class))
		strbuf_addslice(out, address);
	else if (!canonical_address(
		     service->canonical, class, address, service->log_name, in->id, out))
		return intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
	return true;
}

/* Of a blind copy nobody hears anything, above all not the sender. */
static bool put_bcc(struct intake *in, struct slice address, struct reason *why)
{
	struct strbuf mapped = STRBUF_INIT(2 * ADDRESS_MAX), text = STRBUF_INIT(2 * ADDRESS_MAX);
	struct expansion expansion = { .in = in, .notify = DSN_NOTIFY_NEVER };
	bool ok;

	/* What a table said may be no address, but a piece of a folded header. */
	strbuf_addslice(&text, slice_first(address, 2 * ADDRESS_MAX));
	intake_clean(&text);
	expansion.original = strbuf_slice(&text);
	ok = map_address(in, CANONICAL_ENVELOPE_RECIPIENT, strbuf_slice(&text), &mapped, why) &&
	     expand(in, strbuf_slice(&mapped), &expansion, why);
	strbuf_release(&text);
	strbuf_release(&mapped);
	return ok;
}

/* TEXT is an address as a table or main.cf has it. */
static bool put_bcc_text(struct intake *in, struct slice text, struct reason *why)
{
	struct strbuf internal = STRBUF_INIT(ADDRESS_MAX), complete = STRBUF_INIT(2 * ADDRESS_MAX);
	bool ok;

	text = slice_trim(text, " \t");
	if (address_internal(text, ADDRESS_UTF8, &internal) != ADDRESS_OK)
		strbuf_addslice(&internal, text);
	rewrite_address(in->service->rewriter, REWRITE_LOCAL, strbuf_slice(&internal), &complete);
	ok = put_bcc(in, strbuf_slice(&complete), why);
	strbuf_release(&internal);
	strbuf_release(&complete);
	return ok;
}

static bool makes_copies(const struct intake *in)
{
	return !(in->overrides & (INTAKE_NO_MAPPINGS | INTAKE_NO_BCC));
}

/* What sender_bcc_maps or recipient_bcc_maps wants for ADDRESS. */
static bool copy_for(
    struct intake *in, struct tables *tables, struct slice address, struct reason *why)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum table_result found;
	bool ok = true;

	if (!makes_copies(in) || tables_is_empty(tables))
		return true;
	found =
	    address_lookup(in->service->rules, tables, address, ADDRESS_LOOKUP_ALIAS, &value, NULL);
	if (found == TABLE_FOUND) {
		ok = put_bcc_text(in, strbuf_slice(&value), why);
	} else if (found == TABLE_ERROR) {
		log_as(in->service->log_name, LOG_LEVEL_WARNING,
		    "%s: %s map lookup problem -- message not accepted, try again later", in->id,
		    tables_name(tables));
		ok = intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
	}
	strbuf_release(&value);
	return ok;
}

bool intake_map_sender(
    struct intake *in, struct slice sender, struct strbuf *out, struct reason *why)
{
	return map_address(in, CANONICAL_ENVELOPE_SENDER, sender, out, why);
}

bool intake_copy_sender(struct intake *in, struct reason *why)
{
	return copy_for(in, in->service->sender_bcc, slice_of(in->sender), why);
}

bool intake_recipient(struct intake *in, const struct intake_recipient *rcpt, struct reason *why)
{
	struct strbuf orcpt = STRBUF_INIT(4 * ADDRESS_MAX), mapped = STRBUF_INIT(2 * ADDRESS_MAX);
	struct slice given = rcpt->original.len > 0 ? rcpt->original : rcpt->address;
	struct expansion expansion = { .in = in, .original = given, .notify = rcpt->notify };
	bool ok;

	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	ASSERT(in->state == INTAKE_ENVELOPE);
	if (rcpt->notify & DSN_NOTIFY_SUCCESS)
		in->never_wait = true;
	if (rcpt->dsn_orcpt.len > 0) {
		strbuf_addslice(&orcpt, rcpt->dsn_orcpt);
	} else {
		strbuf_addstr(&orcpt, "rfc822;");
		address_external(given, &orcpt);
	}
	expansion.orcpt = strbuf_slice(&orcpt);
	ok = map_address(in, CANONICAL_ENVELOPE_RECIPIENT, rcpt->address, &mapped, why) &&
	     expand(in, strbuf_slice(&mapped), &expansion, why) &&
	     copy_for(in, in->service->recipient_bcc, strbuf_slice(&mapped), why);
	free(in->last_recipient);
	in->last_recipient = strbuf_detach(&mapped);
	strbuf_release(&orcpt);
	return ok;
}

unsigned intake_recipient_count(const struct intake *in)
{
	return in->recipient_count;
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
	const char *always = in->service->config.params->always_bcc;

	if (makes_copies(in) && always[0] != '\0' && !put_bcc_text(in, slice_of(always), why))
		return false;

	while (rest.len > 0) {
		struct slice address = slice_of(rest.ptr);

		if (!put_bcc(in, address, why))
			return false;
		rest = slice_from(rest, address.len + 1);
	}
	return true;
}
