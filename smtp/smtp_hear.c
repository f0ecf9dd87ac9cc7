// SPDX-License-Identifier: BSD-2-Clause
/*
 * Commands out, replies in.  A reply is read line by line; what is too long of a line is read and
 * forgotten, and the whole has limits in lines, bytes and time, so that a server can neither fill
 * our memory nor hold the thread.
 */
#include <stdarg.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "smtp/smtp_answer.h"
#include "smtp/smtp_handshake.h"

void smtp_say(struct smtp_session *session, const char *format, ...)
{
	struct strbuf line = STRBUF_INIT(STRBUF_NO_LIMIT);
	va_list args;

	va_start(args, format);
	strbuf_vaddf(&line, format, args);
	va_end(args);
	for (size_t i = 0; i < line.len; i++)
		ASSERT(line.ptr[i] != '\r' && line.ptr[i] != '\n' && line.ptr[i] != '\0');
	strbuf_addstr(&line, "\r\n");
	stream_write(session->stream, strbuf_slice(&line));
	strbuf_release(&line);
}

static void set_failure(struct smtp_failure *failure, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set_failure(struct smtp_failure *failure, const char *dsn, const char *format, ...)
{
	va_list args;

	*failure = (struct smtp_failure){ .host = true };
	va_start(args, format);
	reason_vset(&failure->why, dsn, format, args);
	va_end(args);
}

void smtp_session_lost(
    struct smtp_session *session, const char *while_what, struct smtp_failure *failure)
{
	session->broken = true;
	if (stream_error(session->stream) == STREAM_TIMEOUT)
		set_failure(failure, "4.4.2", "conversation with %s timed out while %s",
		    session->name, while_what);
	else
		set_failure(failure, "4.4.2", "lost connection with %s while %s", session->name,
		    while_what);
}

/* One reply as it comes in. */
struct hearing {
	struct smtp_session *session;
	struct smtp_reply *reply;
	size_t bytes, lines;
};

static struct slice without_end(struct slice line)
{
	if (slice_ends(line, "\n"))
		line.len--;
	while (slice_ends(line, "\r"))
		line.len--;
	return line;
}

/* The rest of a line whose begin was kept. */
static bool skip_line(struct hearing *h)
{
	struct slice rest;
	enum stream_read kind;

	do {
		kind = stream_read_line(h->session->stream, SMTP_ANSWER_LINE_MAX, &rest);
		h->bytes += rest.len;
	} while (kind == STREAM_READ_PARTIAL && h->bytes <= SMTP_ANSWER_BYTES_MAX);
	return kind != STREAM_READ_FAILED;
}

/* False: the stream has failed. */
static bool hear_line(struct hearing *h, enum smtp_answer *answer)
{
	struct slice line;
	enum stream_read kind = stream_read_line(h->session->stream, SMTP_ANSWER_LINE_MAX, &line);

	if (kind == STREAM_READ_FAILED)
		return false;
	h->bytes += line.len;
	h->lines++;
	*answer = smtp_answer_line(h->reply, without_end(line));
	if (kind != STREAM_READ_PARTIAL)
		return true;
	log_warning("%s: response longer than %d: %.30s...", h->session->relay,
	    SMTP_ANSWER_LINE_MAX, h->reply->text.ptr);
	return skip_line(h);
}

static bool protocol_failure(
    const struct hearing *h, const char *what, const char *while_what, struct smtp_failure *failure)
{
	h->session->broken = true;
	set_failure(
	    failure, "4.5.0", "host %s sent %s while %s", h->session->name, what, while_what);
	return false;
}

static bool hear_nonsense(
    const struct hearing *h, const char *while_what, struct smtp_failure *failure)
{
	const char *text = h->reply->text.ptr;

	log_warning("%s: non-%s response from %s: %.100s", h->session->id,
	    smtp_is_lmtp ? "LMTP" : "ESMTP", h->session->relay, text);
	return protocol_failure(h, "a reply that is none", while_what, failure);
}

bool smtp_hear_lines(struct smtp_session *session, int64_t seconds, const char *while_what,
    struct smtp_reply *reply, struct smtp_failure *failure)
{
	struct hearing h = { .session = session, .reply = reply };
	enum smtp_answer answer = SMTP_ANSWER_MORE;

	strbuf_reset(&reply->text);
	reply->code = 0;
	stream_set_deadline(session->stream, smtp_deadline(seconds));
	while (answer == SMTP_ANSWER_MORE) {
		if (h.lines == SMTP_ANSWER_LINES_MAX || h.bytes > SMTP_ANSWER_BYTES_MAX)
			return protocol_failure(&h, "an endless reply", while_what, failure);
		if (!hear_line(&h, &answer)) {
			smtp_session_lost(session, while_what, failure);
			return false;
		}
	}
	if (answer == SMTP_ANSWER_NONSENSE)
		return hear_nonsense(&h, while_what, failure);
	if (reply->code == 421)
		session->ending = true;
	return true;
}

void smtp_reply_join(struct smtp_reply *reply)
{
	for (size_t i = 0; i < reply->text.len; i++)
		if (reply->text.ptr[i] == '\n')
			reply->text.ptr[i] = ' ';
}

bool smtp_hear(struct smtp_session *session, int64_t seconds, const char *while_what,
    struct smtp_reply *reply, struct smtp_failure *failure)
{
	if (!smtp_hear_lines(session, seconds, while_what, reply, failure))
		return false;
	smtp_reply_join(reply);
	return true;
}

void smtp_hear_prepare(const struct postfix_params *params)
{
	(void)params;
}
