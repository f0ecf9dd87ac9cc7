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

static void gather(struct intake *in, struct slice piece, bool new_line)
{
	size_t limit = (size_t)in->service->config.params->header_size_limit;
	size_t old = in->header.len, room = limit > old + new_line ? limit - old - new_line : 0;

	if (in->header_cut)
		return;
	/* What a NUL hides from one reader and not from another is nobody's. */
	if (slice_has_nul(piece))
		piece = slice_first(piece, (size_t)slice_find(piece, '\0'));
	if (piece.len > room) {
		in->header_cut = true;
		piece = slice_first(piece, room);
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

/* Blanks before the colon are obsolete (RFC 5322 4.5), and not passed on. */
static void gather_first(struct intake *in, struct slice line)
{
	size_t colon = (size_t)slice_find(line, ':');
	struct slice name = slice_trim(slice_first(line, colon), " \t");

	gather(in, name, false);
	gather(in, slice_from(line, colon), false);
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
	gather_first(in, line);
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

/* LINE ended the header: it should be empty. */
static bool check_header_end(struct intake *in, struct slice line, struct reason *why)
{
	static const char text[] = "primary header was terminated with non-empty line";

	if (line.len == 0 || (in->overrides & INTAKE_NO_CHECKS))
		return true;
	switch (in->service->checks->header_end) {
	case HEADER_END_QUIET:
		break;
	case HEADER_END_TOLD:
		intake_write_lines(in, SLICE_LIT("MIME-Error: message header was not terminated "
						 "by empty line"));
		break;
	case HEADER_END_REFUSED:
		intake_mime_error(in, text, line);
		return intake_fail(in, why, "5.6.0", text);
	}
	return true;
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
	if (!intake_header_end(in, why) || !check_header_end(in, line, why))
		return false;
	/* The empty line between header and body is there whoever forgot it. */
	queue_writer_line(&in->writer, SLICE_NULL, true);
	return true;
}

/* Prepended headers are the message's like all others. */
static bool take_prepended(struct intake *in, struct slice line, struct reason *why)
{
	header_line(in, line, why);
	return in->state != INTAKE_FAILED || intake_fail(in, why, "", "");
}

static bool take_line(struct intake *in, struct slice line, bool complete, struct reason *why)
{
	if (in->state == INTAKE_HEADER) {
		bool separator = line.len == 0 && complete && !in->line_open;

		if (!take_header_line(in, line, why))
			return false;
		if (in->state == INTAKE_HEADER || separator)
			return true;
	}
	intake_body_line(in, line, complete);
	/* By a table, or a rule of MIME. */
	return in->state != INTAKE_FAILED || intake_fail(in, why, "", "");
}

/* Without the bytes of message_strip_characters, and unless message_reject_characters has one. */
static bool filter_bytes(
    struct intake *in, struct slice *line, struct strbuf *clean, struct reason *why)
{
	const struct checks *checks = in->service->checks;

	if (in->checks_over)
		return true;
	if (checks->reject != NULL && intake_refuse_bytes(in, *line))
		return intake_fail(in, why, "", "");
	if (checks->strip == NULL)
		return true;
	strbuf_reset(clean);
	for (size_t i = 0; i < line->len; i++)
		if (!checks->strip[(unsigned char)line->ptr[i]])
			strbuf_addch(clean, line->ptr[i]);
	*line = strbuf_slice(clean);
	return true;
}

bool intake_begin_content(struct intake *in, struct reason *why)
{
	struct slice rest = strbuf_slice(&in->prepended), line;
	struct strbuf clean = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool ok = true;

	intake_end_envelope(in);
	in->state = INTAKE_HEADER;
	intake_begin_walk(in);
	while (ok && !in->discard && slice_token(&rest, "\n", &line))
		ok = filter_bytes(in, &line, &clean, why) && take_prepended(in, line, why);
	strbuf_release(&clean);
	strbuf_release(&in->prepended);
	return ok;
}

bool intake_line(struct intake *in, struct slice line, bool complete, struct reason *why)
{
	long long limit = in->service->config.params->message_size_limit;
	struct strbuf clean = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool ok;

	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	in->size += (int64_t)line.len + (complete ? 2 : 0);
	if (limit > 0 && in->size > limit)
		return intake_fail(in, why, "5.3.4", "message file too big");
	if (in->state == INTAKE_ENVELOPE && !intake_begin_content(in, why))
		return false;
	if (in->discard)
		return true;
	ok = filter_bytes(in, &line, &clean, why) && take_line(in, line, complete, why);
	in->line_open = !complete;
	strbuf_release(&clean);
	return ok && intake_check_writer(in, why);
}

int64_t intake_size(const struct intake *in)
{
	return in->size;
}
