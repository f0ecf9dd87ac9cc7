// SPDX-License-Identifier: BSD-2-Clause
/*
 * Commands out, replies in.  A reply is read line by line; what is too long of a line is read and
 * forgotten, and the whole has limits in lines, bytes and time, so that a server can neither fill
 * our memory nor hold the thread.
 */
#include <stdarg.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "log/log.h"
#include "smtp/smtp_answer.h"
#include "smtp/smtp_handshake.h"
#include "table/table.h"

/* A reply of many lines may take as many times what one line may take. */
#define REPLY_TIMES    4
#define TRANSFER_BYTES 16384

static struct table *reply_filter;

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
	/* It may be a password. */
	secret_release(&line);
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

/* ---- a reply as it comes in ---- */

struct hearing {
	struct smtp_session *session;
	struct smtp_reply *reply;
	const char *while_what;
	struct smtp_failure *failure;
	int64_t seconds, last; /* for a line; when all of it must be there */
	size_t bytes, lines;
};

static bool give_up(const struct hearing *h, const char *what, const char *text)
{
	h->session->broken = true;
	set_failure(h->failure, "4.5.0", "host %s sent %s while %s%s%.200s", h->session->name, what,
	    h->while_what, *text ? ": " : "", text);
	return false;
}

static bool is_endless(const struct hearing *h)
{
	return give_up(h, "an endless reply", "");
}

static struct slice without_end(struct slice line)
{
	if (slice_ends(line, "\n"))
		line.len--;
	while (slice_ends(line, "\r"))
		line.len--;
	return line;
}

/* The rest of a line whose begin was kept; PARTIAL: it does not end. */
static enum stream_read skip_line(struct hearing *h)
{
	struct slice rest;
	enum stream_read kind;

	do {
		kind = stream_read_line(h->session->stream, SMTP_ANSWER_LINE_MAX, &rest);
		h->bytes += rest.len;
	} while (kind == STREAM_READ_PARTIAL && h->bytes <= SMTP_ANSWER_BYTES_MAX);
	return kind;
}

/*
 * A line has its time; with smtp_per_request_deadline the whole reply has no more than that.  A
 * reply without an end has one in either case.
 */
static void set_deadline(struct hearing *h)
{
	int64_t deadline = smtp_deadline(h->seconds);

	if (h->lines == 0)
		h->last = smtp_deadline(
		    SMTP_PARAM(per_request_deadline) ? h->seconds : REPLY_TIMES * h->seconds);
	stream_set_deadline(h->session->stream, deadline < h->last ? deadline : h->last);
}

/* smtp_reply_filter: TEXT in the line's place.  False: the table failed. */
static bool filter(struct hearing *h, struct slice line, struct strbuf *text)
{
	strbuf_addslice(text, line);
	if (!reply_filter)
		return true;
	switch (table_get(reply_filter, line, text)) {
	case TABLE_FOUND:
		log_info("%s: replacing server reply \"%.*s\" with \"%s\"", h->session->relay,
		    SLICE_ARG(line), text->ptr);
		return true;
	case TABLE_NOT_FOUND:
		strbuf_reset(text);
		strbuf_addslice(text, line);
		return true;
	case TABLE_ERROR:
		break;
	}
	log_warning("%s: table %s lookup error for %.*s", h->session->id, table_spec(reply_filter),
	    SLICE_ARG(line));
	h->session->broken = true;
	set_failure(h->failure, "4.3.0", "local data error while talking to %s", h->session->name);
	return false;
}

/*
 * A line that is no reply is passed over, as the peer does: some servers print what others should
 * not see.  After pipelined commands that deserves a warning.
 */
static void warn_of_noise(const struct smtp_session *session, struct slice line)
{
	char text[NET_ADDR_TEXT];

	if (!(session->features & SMTP_FEATURE_PIPELINING))
		return;
	log_warning("%s: non-%s response from %s: %.*s", session->id,
	    smtp_is_lmtp ? "LMTP" : "ESMTP", session->relay, SLICE_ARG(slice_first(line, 100)));
	log_warning("to prevent loss of mail, turn off command pipelining for %s with the %s "
		    "parameter",
	    session->target.path ? session->target.path
				 : net_addr_text(&session->target.addr, text),
	    smtp_is_lmtp ? "lmtp_discard_lhlo_keyword_address_maps"
			 : "smtp_discard_ehlo_keyword_address_maps");
}

static bool take_line(struct hearing *h, struct slice line, enum smtp_answer *answer)
{
	struct strbuf text = STRBUF_INIT(TABLE_VALUE_MAX);
	bool filtered = filter(h, line, &text);

	if (filtered)
		*answer = smtp_answer_line(h->reply, strbuf_slice(&text));
	if (filtered && *answer == SMTP_ANSWER_NOISE)
		warn_of_noise(h->session, strbuf_slice(&text));
	strbuf_release(&text);
	return filtered;
}

/* False: the session is broken. */
static bool hear_line(struct hearing *h, enum smtp_answer *answer)
{
	struct stream *stream = h->session->stream;
	struct slice line;
	enum stream_read kind;

	set_deadline(h);
	kind = stream_read_line(stream, SMTP_ANSWER_LINE_MAX, &line);
	h->bytes += line.len;
	h->lines++;
	if (kind == STREAM_READ_PARTIAL)
		log_warning("%s: response longer than %d: %.*s...", h->session->relay,
		    SMTP_ANSWER_LINE_MAX, SLICE_ARG(slice_first(line, 30)));
	if (kind != STREAM_READ_FAILED && !take_line(h, without_end(line), answer))
		return false;
	if (kind == STREAM_READ_PARTIAL)
		kind = skip_line(h);
	if (kind == STREAM_READ_FAILED) {
		smtp_session_lost(h->session, h->while_what, h->failure);
		return false;
	}
	return kind == STREAM_READ_LINE || is_endless(h);
}

static bool hear_lines(struct hearing *h)
{
	enum smtp_answer answer = SMTP_ANSWER_MORE;

	while (answer == SMTP_ANSWER_MORE || answer == SMTP_ANSWER_NOISE) {
		if (h->lines == SMTP_ANSWER_LINES_MAX || h->bytes > SMTP_ANSWER_BYTES_MAX)
			return is_endless(h);
		if (!hear_line(h, &answer))
			return false;
	}
	if (answer == SMTP_ANSWER_IMPROPER)
		return give_up(h, "an improper reply", h->reply->text.ptr);
	return true;
}

bool smtp_hear_lines(struct smtp_session *session, int64_t seconds, const char *while_what,
    struct smtp_reply *reply, struct smtp_failure *failure)
{
	struct hearing h = { .session = session,
		.reply = reply,
		.while_what = while_what,
		.failure = failure,
		.seconds = seconds };

	strbuf_reset(&reply->text);
	reply->code = 0;
	reply->dsn[0] = '\0';
	session->transfer_ms = -1;
	if (!hear_lines(&h))
		return false;
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

/*
 * The server did not like what we said (RFC 5321 4.2.2: x0z and 555 are about syntax): whatever was
 * wrong, the next message must not suffer from it.
 */
static bool is_protocol_error(unsigned code)
{
	return code == 555 || (code >= 500 && code < 510);
}

bool smtp_hear(struct smtp_session *session, int64_t seconds, const char *while_what,
    struct smtp_reply *reply, struct smtp_failure *failure)
{
	if (!smtp_hear_lines(session, seconds, while_what, reply, failure))
		return false;
	smtp_reply_join(reply);
	if (is_protocol_error(reply->code))
		session->ending = true;
	return true;
}

int64_t smtp_helo_timeout(void)
{
	return smtp_is_lmtp ? smtp_params->lmtp_lhlo_timeout : smtp_params->smtp_helo_timeout;
}

const char *smtp_while_ehlo(void)
{
	return smtp_is_lmtp ? "performing the LHLO handshake" : "performing the EHLO handshake";
}

/* ---- the message ---- */

/*
 * With smtp_per_request_deadline there is a purse of time: waiting takes out of it, what went out
 * at smtp_min_data_rate puts into it again.
 */
static void transfer_from_purse(struct smtp_session *session, struct slice data)
{
	int64_t limit_ms = SMTP_PARAM(data_xfer_timeout) * 1000, began = clock_ms(), left;

	left = session->transfer_ms < 0 ? limit_ms : session->transfer_ms;
	stream_set_deadline(session->stream, began + left);
	stream_write(session->stream, data);
	left -= clock_ms() - began;
	left += (int64_t)data.len * 1000 / SMTP_PARAM(min_data_rate);
	session->transfer_ms = left < 0 ? 0 : left > limit_ms ? limit_ms : left;
}

/* A limit of time is for so much that a slow line can do it, too. */
void smtp_transfer(struct smtp_session *session, struct slice data)
{
	for (; data.len; data = slice_from(data, TRANSFER_BYTES)) {
		struct slice part = slice_first(data, TRANSFER_BYTES);

		if (SMTP_PARAM(per_request_deadline)) {
			transfer_from_purse(session, part);
			continue;
		}
		stream_set_deadline(session->stream, smtp_deadline(SMTP_PARAM(data_xfer_timeout)));
		stream_write(session->stream, part);
	}
}

void smtp_hear_prepare(const struct postfix_params *params)
{
	(void)params;
	if (SMTP_PARAM(reply_filter)[0] != '\0')
		reply_filter = table_open(SMTP_PARAM(reply_filter), 0);
}
