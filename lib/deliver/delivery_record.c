// SPDX-License-Identifier: BSD-2-Clause
/*
 * The records on the wire.  What there are several of (recipients, results) is a run of attributes
 * that begins with the one that has the number: order matters there, and nowhere else.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "deliver/delivery.h"
#include "ipc/msg.h"

/* ---- reading ---- */

/* One attribute's value into *OUT, as text or number; all clear *GOOD when it is malformed. */
static void text_value(struct slice value, struct arena *arena, const char **out, bool *good)
{
	*good &= !slice_has_nul(value);
	*out = arena_slicedup(arena, value);
}

static uint64_t number_value(struct slice value, uint64_t max, bool *good)
{
	uint64_t n = 0;

	*good &= slice_uint(value, max, &n);
	return n;
}

static const char *text_of(const struct msg *m, const char *name, struct arena *arena)
{
	const char *text;

	return msg_get_str(m, name, arena, &text) ? text : "";
}

static size_t count_of(const struct msg *m, const char *name)
{
	struct slice value;
	size_t index = 0, count = 0;

	while (msg_each(m, name, &index, &value))
		count++;
	return count;
}

static bool take_id(const struct msg *m, char id[QUEUE_ID_SIZE])
{
	struct slice value;

	if (!msg_get(m, "id", &value) || !queue_id_is_valid(value))
		return false;
	memcpy(id, value.ptr, value.len);
	id[value.len] = '\0';
	return true;
}

/* ---- DELIVER ---- */

void delivery_request_write(struct msg_out *m, const struct delivery_request *request)
{
	msg_begin(m, "DELIVER");
	msg_add_u64(m, "number", request->number);
	msg_add_str(m, "id", request->id);
	msg_add_str(m, "queue", request->queue);
	msg_add_str(m, "sender", request->sender);
	msg_add_str(m, "nexthop", request->nexthop);
	msg_add_str(m, "envid", request->envelope_id);
	msg_add_u64(m, "ret", request->ret);
	msg_add_u64(m, "sendopts", request->sendopts);
	if (request->probe)
		msg_add_u64(m, "probe", 1);
	if (request->more)
		msg_add_u64(m, "more", 1);
	msg_add_u64(m, "size", (uint64_t)request->size);
	msg_add_u64(m, "data_offset", (uint64_t)request->data_offset);
	msg_add_i64(m, "arrival", request->arrival_us);
	msg_add_i64(m, "ready", request->ready_us);
	msg_add_str(m, "encoding", request->encoding);
	msg_add_str(m, "context", request->rewrite_context);
	for (const char **a = request->attributes; a && *a; a++)
		msg_add_str(m, "attribute", *a);
	for (size_t i = 0; i < request->recipient_count; i++) {
		const struct delivery_recipient *r = &request->recipients[i];

		msg_add_u64(m, "rcpt", (uint64_t)r->offset);
		msg_add_str(m, "address", r->address);
		if (*r->original)
			msg_add_str(m, "original", r->original);
		if (*r->orcpt)
			msg_add_str(m, "orcpt", r->orcpt);
		if (r->notify)
			msg_add_u64(m, "notify", r->notify);
	}
}

static bool parse_recipients(
    const struct msg *m, struct arena *arena, struct delivery_request *request)
{
	size_t count = count_of(m, "rcpt");
	struct delivery_recipient *r = NULL;
	bool good = count > 0 && count <= DELIVERY_MAX_RECIPIENTS;

	if (!good)
		return false;
	request->recipients = arena_alloc(arena, count * sizeof(*r));
	for (size_t i = 0; i < m->attr_count && good; i++) {
		const struct msg_attr *a = &m->attrs[i];

		if (slice_eq_str(a->name, "rcpt")) {
			r = &request->recipients[request->recipient_count++];
			r->original = r->orcpt = "";
			r->offset = (off_t)number_value(a->value, INT64_MAX, &good);
		} else if (r && slice_eq_str(a->name, "address")) {
			text_value(a->value, arena, &r->address, &good);
		} else if (r && slice_eq_str(a->name, "original")) {
			text_value(a->value, arena, &r->original, &good);
		} else if (r && slice_eq_str(a->name, "orcpt")) {
			text_value(a->value, arena, &r->orcpt, &good);
		} else if (r && slice_eq_str(a->name, "notify")) {
			r->notify = (unsigned)number_value(a->value, 15, &good);
		}
	}
	for (size_t i = 0; i < count && good; i++)
		good = request->recipients[i].address != NULL;
	return good;
}

static bool parse_attributes(
    const struct msg *m, struct arena *arena, struct delivery_request *request)
{
	size_t count = count_of(m, "attribute"), index = 0, n = 0;
	struct slice value;
	bool good = count % 2 == 0;

	request->attributes = arena_alloc(arena, (count + 1) * sizeof(*request->attributes));
	while (msg_each(m, "attribute", &index, &value))
		text_value(value, arena, &request->attributes[n++], &good);
	return good;
}

bool delivery_request_parse(
    const struct msg *m, struct arena *arena, struct delivery_request *request)
{
	uint64_t ret, sendopts, size, data_offset, probe, more;

	*request = (struct delivery_request){ .number = 0 };
	if (!msg_is(m, "DELIVER") || !msg_get_u64(m, "number", &request->number) ||
	    !take_id(m, request->id) || !msg_get_u64(m, "ret", &ret) || ret > 3 ||
	    !msg_get_u64(m, "sendopts", &sendopts) || sendopts > UINT32_MAX ||
	    !msg_get_u64(m, "size", &size) || size > INT64_MAX ||
	    !msg_get_u64(m, "data_offset", &data_offset) || data_offset > INT64_MAX ||
	    !msg_get_i64(m, "arrival", &request->arrival_us) ||
	    !msg_get_i64(m, "ready", &request->ready_us))
		return false;
	request->ret = (unsigned)ret;
	request->sendopts = (unsigned)sendopts;
	request->size = (off_t)size;
	request->data_offset = (off_t)data_offset;
	request->probe = msg_get_u64(m, "probe", &probe) && probe == 1;
	request->more = msg_get_u64(m, "more", &more) && more == 1;
	request->queue = text_of(m, "queue", arena);
	request->sender = text_of(m, "sender", arena);
	request->nexthop = text_of(m, "nexthop", arena);
	request->envelope_id = text_of(m, "envid", arena);
	request->encoding = text_of(m, "encoding", arena);
	request->rewrite_context = text_of(m, "context", arena);
	return parse_attributes(m, arena, request) && parse_recipients(m, arena, request);
}

/* ---- RESULT ---- */

void delivery_report_begin(struct msg_out *m, uint64_t number)
{
	msg_begin(m, "RESULT");
	msg_add_u64(m, "number", number);
}

void delivery_report_add(
    struct msg_out *m, size_t index, const struct delivery_outcome *outcome, int64_t end_us)
{
	msg_add_u64(m, "rcpt", index);
	msg_add_u64(m, "status", outcome->status);
	msg_add_str(m, "dsn", outcome->why.dsn);
	msg_add_str(m, "text", outcome->why.text);
	msg_add_i64(m, "ended", end_us);
	if (outcome->connected_us)
		msg_add_i64(m, "connected", outcome->connected_us);
	if (outcome->relay)
		msg_add_str(m, "relay", outcome->relay);
	if (outcome->remote_mta && *outcome->remote_mta)
		msg_add_str(m, "mta", outcome->remote_mta);
	if (outcome->diagnostic && *outcome->diagnostic)
		msg_add_str(m, "diagnostic", outcome->diagnostic);
	if (outcome->reports_passed)
		msg_add_u64(m, "passed", 1);
}

void delivery_report_site(struct msg_out *m, const struct reason *why)
{
	msg_add_str(m, "site_dsn", why->dsn);
	msg_add_str(m, "site_text", why->text);
}

void delivery_report_stored(struct msg_out *m)
{
	msg_add_u64(m, "stored", 1);
}

void delivery_report_end(struct msg_out *m)
{
	msg_add_u64(m, "end", 1);
}

static int64_t time_value(struct slice value, bool *good)
{
	return (int64_t)number_value(value, INT64_MAX, good);
}

/* A reason from its two attributes; the text is cleaned once more. */
static bool set_reason(struct reason *why, const char *dsn, const char *text)
{
	if (!dsn || !text || !dsn_is_valid(dsn))
		return false;
	reason_set(why, dsn, "%s", text);
	return true;
}

struct item_texts {
	const char *dsn, *text;
};

static void take_item_attribute(const struct msg_attr *a, struct arena *arena,
    struct delivery_report_item *item, struct item_texts *texts, bool *good)
{
	struct delivery_outcome *o = &item->outcome;

	if (slice_eq_str(a->name, "status"))
		o->status = number_value(a->value, DELIVERY_BOUNCED, good);
	else if (slice_eq_str(a->name, "dsn"))
		text_value(a->value, arena, &texts->dsn, good);
	else if (slice_eq_str(a->name, "text"))
		text_value(a->value, arena, &texts->text, good);
	else if (slice_eq_str(a->name, "ended"))
		item->end_us = time_value(a->value, good);
	else if (slice_eq_str(a->name, "connected"))
		o->connected_us = time_value(a->value, good);
	else if (slice_eq_str(a->name, "relay"))
		text_value(a->value, arena, &o->relay, good);
	else if (slice_eq_str(a->name, "mta"))
		text_value(a->value, arena, &o->remote_mta, good);
	else if (slice_eq_str(a->name, "diagnostic"))
		text_value(a->value, arena, &o->diagnostic, good);
	else if (slice_eq_str(a->name, "passed"))
		o->reports_passed = number_value(a->value, 1, good) == 1;
}

static bool parse_items(const struct msg *m, struct arena *arena, struct delivery_report *report)
{
	size_t count = count_of(m, "rcpt");
	struct item_texts *texts = arena_alloc(arena, (count + 1) * sizeof(*texts));
	struct delivery_report_item *item = NULL;
	bool good = count <= DELIVERY_MAX_RECIPIENTS;

	if (!good)
		return false;
	report->items = arena_alloc(arena, (count + 1) * sizeof(*item));
	for (size_t i = 0; i < m->attr_count && good; i++) {
		const struct msg_attr *a = &m->attrs[i];

		if (slice_eq_str(a->name, "rcpt")) {
			item = &report->items[report->item_count++];
			item->index = number_value(a->value, DELIVERY_MAX_RECIPIENTS - 1, &good);
		} else if (item) {
			take_item_attribute(a, arena, item, &texts[report->item_count - 1], &good);
		}
	}
	for (size_t i = 0; i < count && good; i++)
		good = set_reason(&report->items[i].outcome.why, texts[i].dsn, texts[i].text);
	return good;
}

bool delivery_report_parse(const struct msg *m, struct arena *arena, struct delivery_report *report)
{
	const char *dsn = NULL, *text = NULL;
	uint64_t end, stored;

	*report = (struct delivery_report){ .number = 0 };
	if (!msg_is(m, "RESULT") || !msg_get_u64(m, "number", &report->number))
		return false;
	report->end = msg_get_u64(m, "end", &end) && end == 1;
	report->stored = msg_get_u64(m, "stored", &stored) && stored == 1;
	if (msg_get_str(m, "site_dsn", arena, &dsn)) {
		report->has_site_failure = true;
		if (!msg_get_str(m, "site_text", arena, &text) ||
		    !set_reason(&report->site_failure, dsn, text))
			return false;
	}
	return parse_items(m, arena, report);
}

/* ---- LEAVE and CANCEL ---- */

void delivery_leave_write(struct msg_out *m)
{
	msg_begin(m, "LEAVE");
}

bool delivery_leave_parse(const struct msg *m)
{
	return msg_is(m, "LEAVE");
}

void delivery_cancel_write(struct msg_out *m, uint64_t number)
{
	msg_begin(m, "CANCEL");
	msg_add_u64(m, "number", number);
}

bool delivery_cancel_parse(const struct msg *m, uint64_t *number)
{
	return msg_is(m, "CANCEL") && msg_get_u64(m, "number", number);
}
