// SPDX-License-Identifier: BSD-2-Clause
/*
 * The body's lines into the file: as they are, or, where something wants to look at them, by way of
 * a walk through MIME's structure.
 */
#include "base/check.h"
#include "intake/intake_private.h"
#include "log/log.h"
#include "mail/header.h"

/* A line that was begun is ended, even when its last piece was dropped. */
static void put_line(struct intake *in, struct slice line, bool complete)
{
	queue_writer_line(&in->writer, line, complete);
	in->written_open = !complete;
}

static void end_written_line(struct intake *in)
{
	if (in->written_open)
		put_line(in, SLICE_NULL, true);
}

void intake_put_text(struct intake *in, struct slice text)
{
	end_written_line(in);
	intake_write_lines(in, text);
}

static void put_field(struct intake *in, struct tables *tables, struct slice field)
{
	struct strbuf replacement = STRBUF_INIT(TABLE_VALUE_MAX);

	switch (intake_check(in, tables, INTAKE_HEADER_CONTEXT, field, &replacement)) {
	case INTAKE_KEEP:
		intake_write_lines(in, field);
		break;
	case INTAKE_REPLACE:
		intake_write_lines(in, strbuf_slice(&replacement));
		break;
	case INTAKE_DROP:
		break;
	}
	strbuf_release(&replacement);
}

static void on_field(void *arg, enum mime_part_class class, struct slice field)
{
	struct intake *in = arg;
	const struct checks *checks = in->service->checks;
	struct slice name, value;
	bool mime = class == MIME_PART_MULTIPART ||
		    (header_split(field, &name, &value) && mime_is_mime_field(name));

	put_field(in, mime ? checks->mime : checks->nested, field);
}

static void on_body(void *arg, struct slice piece, bool complete, uint64_t offset)
{
	struct intake *in = arg;
	const struct checks *checks = in->service->checks;
	struct strbuf replacement = STRBUF_INIT(TABLE_VALUE_MAX);
	enum intake_found found = INTAKE_KEEP;

	if (checks->body_limit <= 0 || offset < (uint64_t)checks->body_limit)
		found = intake_check(in, checks->body, INTAKE_BODY_CONTEXT, piece, &replacement);
	if (found == INTAKE_KEEP)
		put_line(in, piece, complete);
	else if (found == INTAKE_REPLACE)
		put_line(in, strbuf_slice(&replacement), complete);
	else if (complete)
		end_written_line(in);
	strbuf_release(&replacement);
}

void intake_mime_error(struct intake *in, const char *error, struct slice text)
{
	struct strbuf what = STRBUF_INIT(200);
	struct reason why;

	strbuf_addf(&what, "mime-error %s:", error);
	intake_log_found(in, "reject", what.ptr, slice_first(text, 100), false, SLICE_NULL);
	strbuf_release(&what);
	intake_fail(in, &why, "5.6.0", error);
}

static void on_error(void *arg, enum mime_error error, struct slice text)
{
	struct intake *in = arg;

	if (in->state != INTAKE_FAILED)
		intake_mime_error(in, mime_error_text(error), text);
}

static const struct mime_walk_events events = {
	.field = on_field,
	.body = on_body,
	.error = on_error,
};

void intake_begin_walk(struct intake *in)
{
	const struct checks *checks = in->service->checks;

	if (!checks->need_walk || (in->overrides & INTAKE_NO_CHECKS))
		return;
	in->mime_rules = checks->mime_rules;
	if (in->smtputf8)
		in->mime_rules.errors &= ~(unsigned)MIME_ERROR_8BIT_HEADER;
	in->walk = mime_walk_new(&in->mime_rules, &events, in);
}

static void take_line(struct intake *in, struct slice line, bool complete)
{
	if (in->walk != NULL)
		mime_walk_line(in->walk, line, complete);
	else
		queue_writer_line(&in->writer, line, complete);
}

/* cleanup_replace_stray_cr_lf: a CR that does not end a line would be one to another reader. */
void intake_body_line(struct intake *in, struct slice line, bool complete)
{
	if (!in->service->config.params->cleanup_replace_stray_cr_lf ||
	    slice_find(line, '\r') < 0) {
		take_line(in, line, complete);
		return;
	}
	struct strbuf clean = STRBUF_INIT(STRBUF_NO_LIMIT);

	strbuf_addslice(&clean, line);
	for (size_t i = 0; i < clean.len; i++)
		if (clean.ptr[i] == '\r')
			clean.ptr[i] = ' ';
	take_line(in, strbuf_slice(&clean), complete);
	strbuf_release(&clean);
}

void intake_end_body(struct intake *in)
{
	if (in->line_open)
		take_line(in, SLICE_NULL, true);
	if (in->walk != NULL)
		mime_walk_end(in->walk);
}
