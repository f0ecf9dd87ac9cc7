// SPDX-License-Identifier: BSD-2-Clause
/* Content lines: which of them are the header, and how they get into the file. */
#include "base/check.h"
#include "intake/intake_private.h"
#include "mail/header.h"

void intake_write_lines(struct intake *in, struct slice text)
{
	while (text.len > 0) {
		ptrdiff_t lf = slice_find(text, '\n');
		size_t len = lf < 0 ? text.len : (size_t)lf;
		struct slice line = slice_first(text, len);

		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		queue_writer_line(&in->writer, line, true);
		text = slice_from(text, len + 1);
	}
}

void intake_begin_content(struct intake *in)
{
	queue_writer_content(&in->writer);
	intake_write_lines(in, strbuf_slice(&in->prepended));
	strbuf_release(&in->prepended);
	in->state = INTAKE_HEADER;
}

/* cleanup_replace_stray_cr_lf: a CR that does not end a line would be one to another reader. */
static void write_body_line(struct intake *in, struct slice line, bool complete)
{
	if (!in->service->config.params->cleanup_replace_stray_cr_lf ||
	    slice_find(line, '\r') < 0) {
		queue_writer_line(&in->writer, line, complete);
		return;
	}
	struct strbuf clean = STRBUF_INIT(STRBUF_NO_LIMIT);

	strbuf_addslice(&clean, line);
	for (size_t i = 0; i < clean.len; i++)
		if (clean.ptr[i] == '\r')
			clean.ptr[i] = ' ';
	queue_writer_line(&in->writer, strbuf_slice(&clean), complete);
	strbuf_release(&clean);
}

static void gather(struct intake *in, struct slice piece, bool new_line)
{
	size_t limit = (size_t)in->service->config.params->header_size_limit;
	size_t old = in->header.len;

	if (in->header_cut)
		return;
	if (old + piece.len + 1 > limit) {
		in->header_cut = true;
		piece = slice_first(piece, limit > old + 1 ? limit - old - 1 : 0);
	}
	if (new_line)
		strbuf_addch(&in->header, '\n');
	strbuf_addslice(&in->header, piece);
	if (!in->service->config.params->cleanup_replace_stray_cr_lf)
		return;
	for (size_t i = old; i < in->header.len; i++)
		if (in->header.ptr[i] == '\r')
			in->header.ptr[i] = ' ';
}

/* True when LINE was of the header; false: it is the first line of the body (or failed). */
static bool header_line(struct intake *in, struct slice line, struct reason *why)
{
	if (in->line_open) {
		gather(in, line, false);
		return true;
	}
	if (header_is_continuation(line) && in->header.len > 0) {
		gather(in, line, true);
		return true;
	}
	if (!intake_header_complete(in, why))
		return false;
	if (!header_is_header(line))
		return false;
	gather(in, line, false);
	return true;
}

static bool is_mailbox_line(struct slice line)
{
	size_t quotes = 0;

	while (quotes < line.len && line.ptr[quotes] == '>')
		quotes++;
	return slice_starts(slice_from(line, quotes), "From ");
}

/*
 * A mailbox's separators before the first line are kept as headers; a first line that begins with a
 * blank would be taken for a folded Received:, or for a part of such a header, and ends the header.
 */
static bool first_line(struct intake *in, struct slice line, struct reason *why)
{
	if (in->line_open) {
		gather(in, line, false);
		return true;
	}
	if (!intake_header_complete(in, why))
		return false;
	if (is_mailbox_line(line)) {
		gather(in, SLICE_LIT("X-Mailbox-Line: "), false);
		gather(in, line, false);
		return true;
	}
	in->began = true;
	return header_line(in, line, why);
}

static bool take_header_line(struct intake *in, struct slice line, struct reason *why)
{
	bool of_header = in->began ? header_line(in, line, why) : first_line(in, line, why);

	in->header_bytes += line.len + 1;
	if (in->state == INTAKE_FAILED)
		return false;
	if (in->header_bytes > INTAKE_HEADER_BLOCK_MAX)
		return intake_fail(in, why, "5.3.4", "message header too big");
	if (of_header)
		return true;
	if (!intake_header_end(in, why))
		return false;
	/* The empty line between header and body is there whoever forgot it. */
	queue_writer_line(&in->writer, SLICE_NULL, true);
	return true;
}

bool intake_line(struct intake *in, struct slice line, bool complete, struct reason *why)
{
	long long limit = in->service->config.params->message_size_limit;

	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	in->size += (int64_t)line.len + (complete ? 2 : 0);
	if (limit > 0 && in->size > limit)
		return intake_fail(in, why, "5.3.4", "message file too big");
	if (in->state == INTAKE_ENVELOPE)
		intake_begin_content(in);
	if (in->state == INTAKE_HEADER) {
		bool separator = line.len == 0 && complete && !in->line_open;

		if (!take_header_line(in, line, why))
			return false;
		if (in->state == INTAKE_HEADER || separator) {
			in->line_open = !complete;
			return intake_check_writer(in, why);
		}
	}
	write_body_line(in, line, complete);
	in->line_open = !complete;
	return intake_check_writer(in, why);
}

int64_t intake_size(const struct intake *in)
{
	return in->size;
}
