// SPDX-License-Identifier: BSD-2-Clause
/* The loop of a session in a worker: lines in, between two of them a struct. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "pop3d/pop3.h"
#include "pop3d/pop3_args.h"

/* How often a session's lock is shown to be alive. */
#define TOUCH_MS (60 * INT64_C(1000))

/* Bytes that came with the login are read first. */
static bool take_buffered(struct pop3 *p, struct slice *line)
{
	ptrdiff_t lf = slice_find(p->input, '\n');
	size_t len = lf < 0 ? p->input.len : (size_t)lf + 1;

	*line = slice_first(p->input, len);
	p->input = slice_from(p->input, len);
	return lf >= 0;
}

static bool line_too_long(struct pop3 *p)
{
	stream_puts(p->session.stream, "-ERR Input line too long.\r\n");
	p->end = "Input line too long";
	return false;
}

static bool read_line(struct pop3 *p, struct slice *line)
{
	struct slice rest;

	stream_set_deadline(p->session.stream, deadline_in(POP3_IDLE_MS));
	if (p->input.len > 0) {
		if (take_buffered(p, line))
			return line->len <= POP3_LINE_MAX || line_too_long(p);
		strbuf_reset(&p->line);
		strbuf_addslice(&p->line, *line);
		if (p->line.len > POP3_LINE_MAX || p->line.overflow)
			return line_too_long(p);
	}
	switch (stream_read_line(p->session.stream, POP3_LINE_MAX, &rest)) {
	case STREAM_READ_LINE:
		break;
	case STREAM_READ_PARTIAL:
		return line_too_long(p);
	case STREAM_READ_FAILED:
		return false;
	}
	if (p->line.len == 0) {
		*line = rest;
		return true;
	}
	/* One that began before the login ended: kept until the next one is read. */
	strbuf_addslice(&p->line, rest);
	*line = strbuf_slice(&p->line);
	return (!p->line.overflow && line->len <= POP3_LINE_MAX) || line_too_long(p);
}

static enum session_next finish(struct pop3 *p)
{
	stream_finish(p->session.stream);
	return SESSION_CLOSE;
}

static enum session_next park(struct pop3 *p)
{
	p->session.deadline = deadline_in(POP3_IDLE_MS);
	if (pop3_settings->pop3_lock_session)
		p->session.deadline = deadline_in(TOUCH_MS);
	return SESSION_INPUT;
}

static enum session_next serve_lines(struct pop3 *p)
{
	struct slice line;

	p->idle_since = clock_ms();
	do {
		if (!read_line(p, &line))
			return finish(p);
		if (!pop3_command(p, line))
			return finish(p);
		strbuf_reset(&p->line);
	} while (p->input.len > 0 || stream_has_input(p->session.stream));
	p->idle_since = clock_ms();
	return stream_flush(p->session.stream) ? park(p) : SESSION_CLOSE;
}

static enum session_next expired(struct pop3 *p)
{
	if (pop3_settings->pop3_lock_session) {
		store_lock_touch(p->box);
		if (clock_ms() - p->idle_since < POP3_IDLE_MS)
			return park(p);
	}
	p->end = "Inactivity - no input for 600 secs";
	stream_set_deadline(p->session.stream, deadline_in(1000));
	stream_puts(p->session.stream, "-ERR Disconnected for inactivity.\r\n");
	return finish(p);
}

/* Also whom an administrator kicks: the peer's process is sent the same signal. */
static enum session_next shut_down(struct pop3 *p)
{
	p->end = "Server shutting down.";
	stream_set_deadline(p->session.stream, deadline_in(1000));
	stream_puts(p->session.stream, "-ERR [SYS/TEMP] Server shutting down.\r\n");
	return finish(p);
}

static enum session_next serve(struct session *session, enum session_wake why)
{
	struct pop3 *p = (struct pop3 *)session;

	switch (why) {
	case SESSION_OPENED:
		p->idle_since = clock_ms();
		if (p->end != NULL) /* the mailbox could not be opened, and the client knows */
			return finish(p);
		if (!stream_flush(session->stream))
			return SESSION_CLOSE;
		return p->input.len > 0 ? serve_lines(p) : park(p);
	case SESSION_EXPIRED:
		return expired(p);
	case SESSION_DRAINING:
		return shut_down(p);
	case SESSION_WOKEN:
		if (p->kicked)
			return shut_down(p);
		break;
	case SESSION_HAS_INPUT:
		break;
	}
	return serve_lines(p);
}

static void log_end(struct pop3 *p)
{
	struct strbuf text = STRBUF_INIT(1024);

	p->bytes_in += stream_bytes_in(p->session.stream);
	p->bytes_out = stream_bytes_out(p->session.stream);
	pop3_statistics(p, &text);
	log_as(p->log_name, LOG_LEVEL_INFO, "Disconnected: %s %s",
	    p->end != NULL ? p->end : "Connection closed", text.len > 0 ? text.ptr : "");
	strbuf_release(&text);
}

static void close_session(struct session *session)
{
	struct pop3 *p = (struct pop3 *)session;

	pop3_mark_seen(p);
	pop3_control_end(p);
	log_end(p);
	store_close(p->box);
	free(p->messages);
	strbuf_release(&p->line);
	arena_release(&p->arena);
}

const struct session_class pop3_session_class = {
	.name = "pop3", .size = sizeof(struct pop3), .serve = serve, .close = close_session
};
