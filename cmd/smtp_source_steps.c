// SPDX-License-Identifier: BSD-2-Clause
/*
 * A session is a chain of steps: each says something and has one reply that lets it go on.  Another
 * one ends the program, or, with -A, the transaction.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cmd/smtp_source.h"
#include "log/log.h"
#include "mail/date.h"

static void say_mail(struct source_session *s);
static void say_rcpt(struct source_session *s);
static void say_data(struct source_session *s);
static void say_message(struct source_session *s);
static void next_message(struct source_session *s);

static const char *helo_verb(void)
{
	return source.lmtp ? "LHLO" : "HELO";
}

const char *source_while(const struct source_session *s)
{
	static const char *const names[] = {
		[STEP_CONNECT] = "connecting",
		[STEP_GREETING] = "reading server greeting",
		[STEP_HELO] = "sending HELO",
		[STEP_MAIL] = "sending sender",
		[STEP_RCPT] = "sending recipient",
		[STEP_DATA] = "sending DATA command",
		[STEP_DOT] = "sending message",
		[STEP_RSET] = "sending RSET",
		[STEP_QUIT] = "sending QUIT",
	};

	return s->step == STEP_HELO && source.lmtp ? "sending LHLO" : names[s->step];
}

static void said(const struct source_session *s, size_t from)
{
	if (source.verbose)
		log_info("%.*s", (int)(s->out.len - from - 2), s->out.ptr + from);
}

#define SAY(s, next, ...)                                                                          \
	do {                                                                                       \
		size_t from_ = (s)->out.len;                                                       \
		strbuf_addf(&(s)->out, __VA_ARGS__);                                               \
		said((s), from_);                                                                  \
		(s)->step = (next);                                                                \
	} while (0)

/* False: the reply is not the one that is wanted. */
static bool is_good(unsigned code, unsigned class, const char *what, struct slice line)
{
	if (code / 100 == class)
		return true;
	if (!source.goes_on)
		fatal("%s: %u %.*s", what, code, SLICE_ARG(slice_from(line, 4)));
	log_warning("%s: %u %.*s", what, code, SLICE_ARG(slice_from(line, 4)));
	return false;
}

static void greeted(struct source_session *s)
{
	if (source.old)
		next_message(s);
	else
		SAY(s, STEP_HELO, "%s %s\r\n", helo_verb(), source.hostname);
}

/* The first message of a connection was taken before it was made. */
static void say_mail(struct source_session *s)
{
	static unsigned long total;

	s->said = s->accepted = 0;
	s->number = total;
	total += source.recipients;
	SAY(s, STEP_MAIL, "MAIL FROM:<%s>\r\n", source.sender);
}

static bool is_numbered(void)
{
	return source.numbered || source.recipients > 1;
}

static void say_rcpt(struct source_session *s)
{
	if (is_numbered())
		SAY(s, STEP_RCPT, "RCPT TO:<%s%lu%s>\r\n", source.to_local, s->number++,
		    source.to_domain);
	else
		SAY(s, STEP_RCPT, "RCPT TO:<%s%s>\r\n", source.to_local, source.to_domain);
	s->said++;
}

static void say_rset(struct source_session *s)
{
	SAY(s, STEP_RSET, "RSET\r\n");
}

static void say_data(struct source_session *s)
{
	SAY(s, STEP_DATA, "DATA\r\n");
}

static void say_header(struct source_session *s)
{
	static unsigned count;
	char date[DATE_TEXT];

	strbuf_addf(&s->out, "From: <%s>\r\n", source.sender);
	if (is_numbered())
		strbuf_addf(
		    &s->out, "To: <%s%lu%s>\r\n", source.to_local, s->number - 1, source.to_domain);
	else
		strbuf_addf(&s->out, "To: <%s%s>\r\n", source.to_local, source.to_domain);
	strbuf_addf(&s->out, "Date: %s\r\nMessage-Id: <%04x.%04x.%04x@%s>\r\n",
	    date_rfc5322(time(NULL), date), (unsigned)getpid(), (unsigned)s->fd, count++,
	    source.hostname);
	if (source.subject)
		strbuf_addf(&s->out, "Subject: %s\r\n", source.subject);
	strbuf_addstr(&s->out, "\r\n");
}

static void say_message(struct source_session *s)
{
	if (!source.old && !source.has_header)
		say_header(s);
	s->sends_body = true;
	s->body_sent = 0;
	s->step = STEP_DOT;
	s->replies = source.lmtp ? s->accepted : 1;
	if (source.verbose)
		log_info(".");
}

static void say_quit(struct source_session *s)
{
	SAY(s, STEP_QUIT, "QUIT\r\n");
}

static void next_message(struct source_session *s)
{
	say_mail(s);
}

void source_resume(struct source_session *s)
{
	next_message(s);
}

/* What comes after a message: another one over the same connection, or QUIT. */
static void after_message(struct source_session *s)
{
	source_count();
	if (!source.stays || !source_take_message())
		say_quit(s);
	else if (!source_pause(s))
		next_message(s);
}

static void recipient_reply(struct source_session *s, unsigned code, struct slice line)
{
	if (is_good(code, 2, "recipient rejected", line))
		s->accepted++;
	if (s->said < source.recipients)
		say_rcpt(s);
	else if (s->accepted)
		say_data(s);
	else
		say_rset(s);
}

static void helo_reply(struct source_session *s, unsigned code, struct slice line)
{
	char what[40];

	snprintf(what, sizeof(what), "%s rejected", helo_verb());
	(void)is_good(code, 2, what, line);
	next_message(s);
}

void source_reply(struct source_session *s, unsigned code, struct slice line)
{
	switch (s->step) {
	case STEP_CONNECT:
	case STEP_GREETING:
		(void)is_good(code, 2, "rejected at server banner", line);
		greeted(s);
		break;
	case STEP_HELO:
		helo_reply(s, code, line);
		break;
	case STEP_MAIL:
		if (is_good(code, 2, "sender rejected", line))
			say_rcpt(s);
		else
			say_rset(s);
		break;
	case STEP_RCPT:
		recipient_reply(s, code, line);
		break;
	case STEP_DATA:
		if (is_good(code, 3, "data rejected", line))
			say_message(s);
		else
			say_rset(s);
		break;
	case STEP_DOT:
		(void)is_good(code, 2, "end of data rejected", line);
		if (--s->replies == 0)
			after_message(s);
		break;
	case STEP_RSET:
		(void)is_good(code, 2, "rset rejected", line);
		after_message(s);
		break;
	case STEP_QUIT:
		source_disconnect(s);
		break;
	}
}
