// SPDX-License-Identifier: BSD-2-Clause
/* A message on the wire: CRLF at the end of each line, a dot doubled at the start of one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "pop3d/pop3.h"

#define BLOCK	 32768
#define BLOCK_MS (600 * INT64_C(1000)) /* a client takes this many bytes in this time */

struct sender {
	struct stream *stream;
	uint64_t sent;
	uint64_t lines_left; /* of the body */
	bool in_body, line_start, line_is_empty;
	bool no_nuls; /* outlook-no-nuls */
	char last;
};

static void send_slice(struct sender *s, struct slice data)
{
	ptrdiff_t nul;

	s->sent += data.len;
	while (s->no_nuls && (nul = slice_find(data, '\0')) >= 0) {
		stream_write(s->stream, slice_first(data, (size_t)nul));
		stream_write(s->stream, SLICE_LIT("\x80"));
		data = slice_from(data, (size_t)nul + 1);
	}
	stream_write(s->stream, data);
}

/* At an LF: true when it was the last line that is wanted. */
static bool end_line(struct sender *s)
{
	send_slice(s, s->last == '\r' ? SLICE_LIT("\n") : SLICE_LIT("\r\n"));
	if (s->in_body)
		s->lines_left--;
	else if (s->line_is_empty)
		s->in_body = true;
	s->line_start = s->line_is_empty = true;
	s->last = '\n';
	return s->in_body && s->lines_left == 0;
}

/* True when enough was sent. */
static bool send_block(struct sender *s, struct slice data)
{
	while (data.len > 0) {
		ptrdiff_t lf = slice_find(data, '\n');
		struct slice run = lf < 0 ? data : slice_first(data, (size_t)lf);

		if (run.len > 0) {
			if (s->line_start && run.ptr[0] == '.')
				send_slice(s, SLICE_LIT("."));
			if (!(run.len == 1 && run.ptr[0] == '\r' && s->line_start))
				s->line_is_empty = false;
			s->line_start = false;
			send_slice(s, run);
			s->last = run.ptr[run.len - 1];
		}
		if (lf < 0)
			break;
		if (end_line(s))
			return true;
		data = slice_from(data, (size_t)lf + 1);
	}
	return false;
}

static bool send_file(struct pop3 *p, struct sender *s, int fd)
{
	char *block = xmalloc(BLOCK);
	ssize_t n = 0;

	do {
		stream_set_deadline(s->stream, deadline_in(BLOCK_MS));
		n = read(fd, block, BLOCK);
	} while (n > 0 && !send_block(s, slice_mem(block, (size_t)n)) &&
		 stream_error(s->stream) == STREAM_OK);
	if (n < 0)
		log_as(p->log_name, LOG_LEVEL_ERROR, "cannot read a message: %m");
	free(block);
	return n >= 0;
}

static bool has_workaround(const char *name)
{
	struct slice rest = slice_of(pop3_settings->pop3_client_workarounds), word;

	while (slice_token(&rest, " ,\t", &word))
		if (slice_eq_str(word, name))
			return true;
	return false;
}

/* What was sent ends with a line, and with oe-ns-eoh every header with an empty one. */
static void finish_text(struct sender *s)
{
	if (!s->line_start)
		(void)end_line(s);
	else if (s->last == '\0')
		send_slice(s, SLICE_LIT("\r\n"));
	if (!s->in_body && has_workaround("oe-ns-eoh"))
		send_slice(s, SLICE_LIT("\r\n"));
}

uint64_t pop3_send_message(struct pop3 *p, size_t number, uint64_t lines, const char *reply)
{
	struct sender s = { .stream = p->session.stream,
		.lines_left = lines,
		.line_start = true,
		.line_is_empty = true,
		.no_nuls = has_workaround("outlook-no-nuls") };
	struct reason why;
	int fd = store_message_open(p->box, p->messages[number].index, &why);

	if (fd < 0) {
		log_as(p->log_name, LOG_LEVEL_WARNING, "%s", why.text);
		stream_printf(s.stream, "-ERR Message %zu expunged.\r\n", number + 1);
		return 0;
	}
	send_slice(&s, slice_of(reply));
	if (!send_file(p, &s, fd)) {
		/* Nobody may take a part for the whole: no final dot, and the connection ends. */
		p->end = "Internal error";
		close(fd);
		return s.sent;
	}
	close(fd);
	finish_text(&s);
	stream_puts(s.stream, ".\r\n");
	return s.sent;
}
