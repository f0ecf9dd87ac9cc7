// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message that is changed on its way: taken apart, converted, looked at, rewritten, in the peer's
 * order.  Checks see fields and lines as the conversion left them; generic maps see what the checks
 * left, of the message's own header only.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/address.h"
#include "mail/header.h"
#include "mail/mime_convert.h"
#include "queue/queue_record.h"
#include "smtp/smtp_content_private.h"
#include "table/table.h"

/* The peer counts multiparts from another level than one would. */
#define NESTING_EXTRA 2

static struct mime_walk_rules walk_rules;

struct smtp_content_filter {
	struct smtp_content_lines *lines;
	const char *server;
	struct mime_convert *convert;
	struct strbuf clean, replacement, rewritten;
	bool failed;
	struct smtp_failure failure;
};

void smtp_content_filter_prepare(const struct postfix_params *params)
{
	walk_rules = (struct mime_walk_rules){
		.nesting_max = (unsigned)params->mime_nesting_limit + NESTING_EXTRA,
		.boundary_max = (size_t)params->mime_boundary_length_limit,
		.header_max = (size_t)params->header_size_limit,
	};
}

void smtp_content_table_failed(const char *server, struct smtp_failure *failure)
{
	memset(failure, 0, sizeof(*failure));
	reason_set(&failure->why, "4.3.0", "local data error%s%s",
	    server != NULL ? " while talking to " : "", server != NULL ? server : "");
	failure->stop = true;
}

static void table_failed(struct smtp_content_filter *f)
{
	f->failed = true;
	smtp_content_table_failed(f->server, &f->failure);
}

/* ---- fields ---- */

static bool map_one(const struct header_address *address, struct strbuf *out, void *arg)
{
	struct smtp_content_filter *f = arg;

	if (address->internal.len == 0 || f->failed)
		return false;
	if (!smtp_content_generic(address->internal, out)) {
		table_failed(f);
		return false;
	}
	return true;
}

/* FIELD with its addresses as the generic maps have them, or as it is. */
static struct slice rewrite_field(struct smtp_content_filter *f, struct slice field)
{
	struct slice name, value;

	if (!smtp_content_has_generic() || !header_split(field, &name, &value) ||
	    header_address_class(name, NULL) == HEADER_NO_ADDRESS)
		return field;
	strbuf_reset(&f->rewritten);
	strbuf_addslice(&f->rewritten, name);
	strbuf_addstr(&f->rewritten, ": ");
	if (!header_rewrite_addresses(value, map_one, f, &f->rewritten) || f->rewritten.overflow)
		return field;
	return strbuf_slice(&f->rewritten);
}

/* What was made here counts as no field of MIME, as with the peer. */
static enum smtp_checks checks_of(enum mime_part_class class, struct slice field, bool is_new)
{
	struct slice name, value;

	if (class == MIME_PART_MULTIPART ||
	    (!is_new && header_split(field, &name, &value) && mime_is_mime_field(name)))
		return SMTP_CHECKS_MIME;
	return class == MIME_PART_OWN ? SMTP_CHECKS_HEADER : SMTP_CHECKS_NESTED;
}

static void on_field(void *arg, enum mime_part_class class, struct slice field, bool is_new)
{
	struct smtp_content_filter *f = arg;

	if (f->failed)
		return;
	switch (
	    smtp_content_check(checks_of(class, field, is_new), field, f->lines, &f->replacement)) {
	case SMTP_CHECKED_KEEP:
		break;
	case SMTP_CHECKED_REPLACE:
		field = strbuf_slice(&f->replacement);
		break;
	case SMTP_CHECKED_DROP:
		return;
	case SMTP_CHECKED_ERROR:
		table_failed(f);
		return;
	}
	if (class == MIME_PART_OWN)
		field = rewrite_field(f, field);
	if (!f->failed)
		smtp_content_put_text(f->lines, field);
}

/* ---- bodies ---- */

static void on_body(void *arg, struct slice piece, bool complete)
{
	struct smtp_content_filter *f = arg;

	if (f->failed)
		return;
	switch (smtp_content_check(SMTP_CHECKS_BODY, piece, f->lines, &f->replacement)) {
	case SMTP_CHECKED_KEEP:
		smtp_content_put(f->lines, piece, complete);
		break;
	case SMTP_CHECKED_REPLACE:
		smtp_content_put(f->lines, strbuf_slice(&f->replacement), complete);
		break;
	case SMTP_CHECKED_DROP:
		/* Of a line whose other pieces stay only its end does. */
		if (complete)
			smtp_content_put_end(f->lines);
		break;
	case SMTP_CHECKED_ERROR:
		table_failed(f);
		break;
	}
}

static void on_error(void *arg, enum mime_error error, struct slice text)
{
	struct smtp_content_filter *f = arg;

	(void)text;
	if (f->failed)
		return;
	f->failed = true;
	reason_set(&f->failure.why, "5.6.0", "%s", mime_error_text(error));
}

static const struct mime_convert_events events = {
	.field = on_field,
	.body = on_body,
	.error = on_error,
};

/* ---- */

struct smtp_content_filter *smtp_content_filter_new(
    const struct smtp_content_rules *rules, struct smtp_content_lines *lines)
{
	struct mime_convert_rules convert = {
		.walk = walk_rules,
		.to_7bit = rules->to_7bit,
	};
	bool parts = convert.to_7bit || smtp_content_has_checks(SMTP_CHECKS_MIME) ||
		     smtp_content_has_checks(SMTP_CHECKS_NESTED);
	struct smtp_content_filter *f;

	if (!parts && !smtp_content_has_checks(SMTP_CHECKS_HEADER) &&
	    !smtp_content_has_checks(SMTP_CHECKS_BODY) && !smtp_content_has_generic())
		return NULL;
	f = xcalloc(1, sizeof(*f));
	f->lines = lines;
	f->server = rules->server;
	strbuf_init(&f->clean, QUEUE_RECORD_MAX);
	strbuf_init(&f->replacement, TABLE_VALUE_MAX);
	strbuf_init(&f->rewritten, STRBUF_NO_LIMIT);
	convert.walk.opaque = !parts;
	convert.walk.errors = convert.to_7bit ? MIME_ERROR_NESTING : 0;
	f->convert = mime_convert_new(&convert, &events, f);
	return f;
}

void smtp_content_filter_free(struct smtp_content_filter *f)
{
	if (f == NULL)
		return;
	mime_convert_free(f->convert);
	strbuf_release(&f->clean);
	strbuf_release(&f->replacement);
	strbuf_release(&f->rewritten);
	free(f);
}

/* A CR or LF that ends no line must not become the end of a header's line here. */
static struct slice without_ends(struct smtp_content_filter *f, struct slice piece)
{
	if (slice_find(piece, '\r') < 0 && slice_find(piece, '\n') < 0)
		return piece;
	strbuf_reset(&f->clean);
	strbuf_addslice(&f->clean, piece);
	for (size_t i = 0; i < f->clean.len; i++)
		if (f->clean.ptr[i] == '\r' || f->clean.ptr[i] == '\n')
			f->clean.ptr[i] = ' ';
	return strbuf_slice(&f->clean);
}

bool smtp_content_filter_line(struct smtp_content_filter *f, struct slice piece, bool complete)
{
	if (!f->failed)
		mime_convert_line(f->convert, without_ends(f, piece), complete);
	return !f->failed;
}

bool smtp_content_filter_end(struct smtp_content_filter *f)
{
	if (!f->failed)
		mime_convert_end(f->convert);
	return !f->failed;
}

const struct smtp_failure *smtp_content_filter_why(const struct smtp_content_filter *f)
{
	return &f->failure;
}
