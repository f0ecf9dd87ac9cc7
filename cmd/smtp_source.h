// SPDX-License-Identifier: BSD-2-Clause
/*
 * smtp-source: sends test mail over many sessions at a time.  One thread, one epoll set.
 *
 *   smtp_source.c           options, the message's text
 *   smtp_source_run.c       connections, bytes, time
 *   smtp_source_steps.c     what is said, and what a reply means
 */
#ifndef PC_CMD_SMTP_SOURCE_H
#define PC_CMD_SMTP_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "cmd/smtp_tool.h"

struct source_options {
	const char *hostname, *sender, *subject;
	char *to_local,
	    *to_domain;	    /* the number goes between; TO_DOMAIN begins with '@' or is "" */
	struct strbuf body; /* lines with CRLF and dots doubled, the last dot too */
	bool has_header;    /* the file's: none of ours */
	bool lmtp, old, stays, numbered, goes_on, counts, verbose;
	unsigned recipients;
	long sessions, messages, connect_tries;
	long fixed_s, random_s; /* between messages; -1: none */
	int window;
};
extern struct source_options source;

enum source_step {
	STEP_CONNECT,
	STEP_GREETING,
	STEP_HELO,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_DOT,
	STEP_RSET,
	STEP_QUIT
};

struct source_session {
	int fd; /* -1: between two connections */
	uint32_t events;
	unsigned long connection; /* counts them */
	enum source_step step;	  /* whose reply is awaited */
	long tries;		  /* of connecting */
	int64_t late_ms; /* when waiting for the server takes too long; 0: nothing is awaited */
	struct heap_node timer;
	struct strbuf in, out;
	size_t body_sent; /* of the body, behind OUT */
	bool sends_body;
	/* The transaction. */
	unsigned said, accepted; /* recipients */
	unsigned replies;	 /* to the dot, still to come */
	unsigned long number;	 /* of the last recipient */
};

/* ---- smtp_source_run.c ---- */

void source_run(const struct smtp_tool_address *addresses, size_t count);
/* One more message, or none is left. */
bool source_take_message(void);
/* The message is through, whatever came of it. */
void source_count(void);
/* The session is over: another connection, or the end. */
void source_disconnect(struct source_session *s);
/* A pause before source_resume, where one is wanted; false: none. */
bool source_pause(struct source_session *s);

/* ---- smtp_source_steps.c ---- */

/* A pause is over: the next message. */
void source_resume(struct source_session *s);
/* One whole reply, its last line. */
void source_reply(struct source_session *s, unsigned code, struct slice line);
/* "while sending sender" for failures. */
const char *source_while(const struct source_session *s);

#endif
