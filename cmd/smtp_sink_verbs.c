// SPDX-License-Identifier: BSD-2-Clause
/*
 * A verb is a row: what it says when nothing is held against it.  What options hold against it
 * comes first, in this order: hang up, wait, refuse.
 */
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/check.h"
#include "base/digest.h"
#include "cmd/smtp_sink.h"
#include "log/log.h"

static void say(struct sink_session *s, const char *text)
{
	strbuf_addstr(&s->out, text);
	strbuf_addstr(&s->out, "\r\n");
}

static void end_transaction(struct sink_session *s, bool keep)
{
	sink_dump_end(s, keep);
	s->has_mail = false;
	s->recipients = 0;
}

static void say_ok(struct sink_session *s, struct slice args)
{
	(void)args;
	say(s, "250 2.0.0 Ok");
}

static void say_greeting(struct sink_session *s, struct slice args)
{
	(void)args;
	if (sink.pix)
		say(s, "220 ********");
	else
		strbuf_addf(&s->out, "220 %s%s\r\n", sink.hostname, sink.no_esmtp ? "" : " ESMTP");
}

static void note_helo(struct sink_session *s, const char *protocol, struct slice args)
{
	end_transaction(s, false);
	free(s->helo);
	s->helo = xstrndup(args.ptr, args.len);
	s->protocol = protocol;
}

static void say_helo(struct sink_session *s, struct slice args)
{
	note_helo(s, "SMTP", args);
	strbuf_addf(&s->out, "250 %s\r\n", sink.hostname);
}

static void say_ehlo(struct sink_session *s, struct slice args)
{
	note_helo(s, sink.lmtp ? "LMTP" : "ESMTP", args);
	strbuf_addf(&s->out, "250-%s\r\n", sink.hostname);
	if (!sink.no_pipelining)
		say(s, "250-PIPELINING");
	if (!sink.no_8bitmime)
		say(s, "250-8BITMIME");
	if (!sink.no_auth)
		say(s, "250-AUTH PLAIN LOGIN");
	if (!sink.verbs[SINK_XCLIENT].is_unknown)
		say(s, "250-XCLIENT NAME HELO");
	if (!sink.verbs[SINK_XFORWARD].is_unknown)
		say(s, "250-XFORWARD NAME ADDR PROTO HELO");
	if (!sink.no_codes)
		say(s, "250-ENHANCEDSTATUSCODES");
	if (!sink.no_dsn)
		say(s, "250-DSN");
	say(s, "250 ");
}

/* What stands behind "FROM:" or "TO:". */
static struct slice after(struct slice args, const char *word)
{
	if (slice_casestarts(args, word))
		args = slice_from(args, strlen(word));
	return slice_trim(args, " ");
}

static void say_mail(struct sink_session *s, struct slice args)
{
	if (s->has_mail) {
		say(s, "503 5.5.1 Error: nested MAIL command");
		return;
	}
	s->has_mail = true;
	sink_dump_mail(s, after(args, "FROM:"));
	say(s, "250 2.1.0 Ok");
}

static void say_rcpt(struct sink_session *s, struct slice args)
{
	if (!s->has_mail) {
		say(s, "503 5.5.1 Error: need MAIL command");
		return;
	}
	s->recipients++;
	sink_dump_rcpt(s, after(args, "TO:"));
	say(s, "250 2.1.5 Ok");
}

static void say_data(struct sink_session *s, struct slice args)
{
	(void)args;
	if (!s->recipients) {
		say(s, "503 5.5.1 Error: need RCPT command");
		return;
	}
	say(s, "354 End data with <CR><LF>.<CR><LF>");
	if (sink.aborts) {
		s->abort_next = true;
		sink_wait(s, sink.abort_delay_s);
		return;
	}
	sink_dump_data(s);
	s->state = SINK_IN_DATA;
	s->matched = 2; /* a line begins */
	if (sink.data_delay_s) {
		s->resume_data = true;
		sink_wait(s, sink.data_delay_s);
	}
}

static void say_dot(struct sink_session *s, struct slice args)
{
	unsigned replies = sink.lmtp ? s->recipients : 1;

	(void)args;
	for (unsigned i = 0; i < replies; i++)
		say(s, sink.lmtp ? "250 2.2.0 Ok" : "250 2.0.0 Ok");
	end_transaction(s, true);
}

static void say_rset(struct sink_session *s, struct slice args)
{
	(void)args;
	end_transaction(s, false);
	say(s, "250 2.1.0 Ok");
}

static void say_quit(struct sink_session *s, struct slice args)
{
	(void)args;
	say(s, "221 Bye");
	s->state = SINK_ENDING;
	sink_count(0, 1, 0);
}

static const struct {
	const char *name;
	void (*say)(struct sink_session *s, struct slice args);
} rows[SINK_VERBS] = {
	[SINK_CONNECT] = { "CONNECT", say_greeting },
	[SINK_HELO] = { "HELO", say_helo },
	[SINK_EHLO] = { "EHLO", say_ehlo },
	[SINK_LHLO] = { "LHLO", say_ehlo },
	[SINK_XCLIENT] = { "XCLIENT", say_ok },
	[SINK_XFORWARD] = { "XFORWARD", say_ok },
	[SINK_AUTH] = { "AUTH", say_ok },
	[SINK_MAIL] = { "MAIL", say_mail },
	[SINK_RCPT] = { "RCPT", say_rcpt },
	[SINK_DATA] = { "DATA", say_data },
	[SINK_DOT] = { ".", say_dot },
	[SINK_RSET] = { "RSET", say_rset },
	[SINK_NOOP] = { "NOOP", say_ok },
	[SINK_VRFY] = { "VRFY", say_ok },
	[SINK_QUIT] = { "QUIT", say_quit },
};

enum sink_verb sink_verb_find(struct slice name)
{
	size_t i = 0;

	while (i < SINK_VERBS && !slice_caseeq_str(name, rows[i].name))
		i++;
	return (enum sink_verb)i;
}

static void refuse(struct sink_session *s, enum sink_verb verb, const char *reply)
{
	unsigned replies = verb == SINK_DOT && sink.lmtp ? s->recipients : 1;

	for (unsigned i = 0; i < replies; i++)
		say(s, reply);
	if (verb == SINK_DOT)
		end_transaction(s, false);
	if (verb == SINK_QUIT)
		s->state = SINK_ENDING;
}

static void respond(struct sink_session *s, enum sink_verb verb, struct slice args)
{
	const struct sink_conduct *conduct = &sink.verbs[verb];

	if (conduct->hard)
		refuse(s, verb, sink.hard_reply);
	else if (conduct->soft)
		refuse(s, verb, sink.soft_reply);
	else
		rows[verb].say(s, args);
}

/* A multiple of DELAY_S: as many as a dice of 100 sides is thrown until it shows ODDS or more. */
static int delay_of(const struct sink_conduct *conduct)
{
	int factor = 1;

	if (conduct->odds)
		while ((int)random_below(100) < conduct->odds)
			factor++;
	return conduct->delay_s * factor;
}

static void take(struct sink_session *s, enum sink_verb verb, struct slice args)
{
	const struct sink_conduct *conduct = &sink.verbs[verb];

	if (conduct->is_logged)
		syslog(LOG_INFO, "%s %.100s", rows[verb].name, args.len ? args.ptr : "");
	if (conduct->say_421)
		say(s, "421 4.0.0 Server closing connection");
	if (conduct->say_421 || conduct->hang_up) {
		s->state = SINK_ENDING;
	} else if (conduct->delay_s) {
		s->waiting_verb = verb;
		free(s->waiting_args);
		s->waiting_args = xstrndup(args.ptr, args.len);
		sink_wait(s, delay_of(conduct));
	} else {
		respond(s, verb, args);
	}
}

void sink_greet(struct sink_session *s)
{
	take(s, SINK_CONNECT, SLICE_NULL);
}

void sink_command(struct sink_session *s, struct slice line)
{
	/* syslog and strdup want a NUL. */
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct slice rest, word;
	enum sink_verb verb = SINK_VERBS;

	strbuf_addslice(&text, slice_trim(line, "\r\n"));
	rest = strbuf_slice(&text);
	if (sink.verbose)
		log_info("%s", text.ptr);
	if (!slice_token(&rest, " \t", &word)) {
		say(s, "500 5.5.2 Error: unknown command");
	} else {
		verb = sink_verb_find(word);
		if (verb == SINK_VERBS || verb == SINK_CONNECT || verb == SINK_DOT ||
		    sink.verbs[verb].is_unknown)
			say(s, "500 5.5.1 Error: unknown command");
		else
			take(s, verb, slice_trim(rest, " \t"));
	}
	strbuf_release(&text);
}

void sink_dot(struct sink_session *s)
{
	s->state = SINK_READING;
	if (sink.verbose)
		log_info(".");
	if (!sink.verbs[SINK_DOT].delay_s)
		sink_count(0, 0, 1);
	take(s, SINK_DOT, SLICE_NULL);
}

void sink_timer(struct sink_session *s)
{
	if (s->abort_next) {
		say(s, "550 This violates SMTP");
		s->state = SINK_ENDING;
	} else if (s->resume_data) {
		s->resume_data = false;
		s->state = SINK_IN_DATA;
	} else {
		s->state = SINK_READING;
		/* After -M of them the program ends, but not without the last reply. */
		if (s->waiting_verb == SINK_DOT)
			sink_count(0, 0, 1);
		respond(s, s->waiting_verb, slice_of(s->waiting_args));
	}
}
