// SPDX-License-Identifier: BSD-2-Clause
/*
 * smtp-sink: an SMTP or LMTP server that throws away what it gets, or dumps it, and that can be
 * told to misbehave.  One thread, one epoll set.
 *
 *   smtp_sink.c          options, start
 *   smtp_sink_serve.c    connections, bytes, time
 *   smtp_sink_verbs.c    commands and their replies
 *   smtp_sink_dump.c     messages as files
 */
#ifndef PC_CMD_SMTP_SINK_H
#define PC_CMD_SMTP_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/strbuf.h"

enum sink_verb {
	SINK_CONNECT, /* no command: a client came */
	SINK_HELO,
	SINK_EHLO,
	SINK_LHLO,
	SINK_XCLIENT,
	SINK_XFORWARD,
	SINK_AUTH,
	SINK_MAIL,
	SINK_RCPT,
	SINK_DATA,
	SINK_DOT, /* no command: the end of a message */
	SINK_RSET,
	SINK_NOOP,
	SINK_VRFY,
	SINK_QUIT,
	SINK_VERBS
};

/* What options say of a verb. */
struct sink_conduct {
	bool is_unknown;       /* it was switched off */
	bool hard, soft;       /* -f, -r */
	bool hang_up, say_421; /* -q, -Q */
	bool is_logged;	       /* -s */
	int delay_s, odds;     /* -W; odds 0: always DELAY_S */
};

struct sink_options {
	struct sink_conduct verbs[SINK_VERBS];
	const char *hostname;
	const char *soft_reply, *hard_reply;
	const char *dump_single, *dump_multi;
	char *dump_start; /* -S, unescaped */
	bool lmtp, no_esmtp, pix, verbose, counts;
	bool no_8bitmime, no_auth, no_codes, no_pipelining, no_dsn;
	bool aborts; /* -A */
	int abort_delay_s, data_delay_s, timeout_s, window;
	long max_sessions, quit_sessions, quit_messages;
};
extern struct sink_options sink;

enum sink_state {
	SINK_READING, /* commands */
	SINK_IN_DATA,
	SINK_WAITING, /* for its timer: nothing is read */
	SINK_ENDING   /* closed as soon as its output is sent */
};

struct sink_dump;
struct sink_session {
	int fd;
	uint32_t events; /* that epoll waits for */
	enum sink_state state;
	struct list by_age; /* the one that was quiet longest is first */
	int64_t active_ms;
	struct heap_node timer;
	struct strbuf in;  /* of a command, what has come; while waiting, all that has */
	struct strbuf out; /* not sent yet */
	/* The command that waits, and its arguments. */
	enum sink_verb waiting_verb;
	char *waiting_args;
	bool resume_data, abort_next; /* what else the timer may be for */
	/* The transaction. */
	bool has_mail;
	unsigned recipients;
	unsigned matched; /* bytes of CRLF.CRLF */
	const char *protocol;
	char *helo;
	char client[80]; /* as dumps have it */
	struct sink_dump *dump;
};

/* ---- smtp_sink_serve.c ---- */

/* Serves what comes to the COUNT descriptors until there was enough. */
void sink_serve(const int *listeners, size_t count);
void sink_wait(struct sink_session *s, int seconds);
void sink_count(unsigned sessions, unsigned quits, unsigned messages);

/* ---- smtp_sink_verbs.c ---- */

/* By name; SINK_VERBS: there is none. */
enum sink_verb sink_verb_find(struct slice name);
/* A client is there; a line came; a message has ended; the timer that a verb set has run out. */
void sink_greet(struct sink_session *s);
void sink_command(struct sink_session *s, struct slice line);
void sink_dot(struct sink_session *s);
void sink_timer(struct sink_session *s);

/* ---- smtp_sink_dump.c; all are no-ops where nothing is dumped ---- */

void sink_dump_mail(struct sink_session *s, struct slice args);
void sink_dump_rcpt(struct sink_session *s, struct slice args);
void sink_dump_data(struct sink_session *s);
/* Bytes of the message as they came, the last dot among them. */
void sink_dump_bytes(struct sink_session *s, struct slice bytes);
void sink_dump_end(struct sink_session *s, bool keep);

#endif
