// SPDX-License-Identifier: BSD-2-Clause
/*
 * A server's replies as bytes (RFC 5321 4.2, 4.2.1) and what EHLO's says (RFC 5321 4.1.1.1).  Pure.
 */
#ifndef PC_SMTP_SMTP_ANSWER_H
#define PC_SMTP_SMTP_ANSWER_H

#include "smtp/smtp_session.h"

/* What is kept of a line, of a reply; how much of one is read at all. */
#define SMTP_ANSWER_LINE_MAX  2048
#define SMTP_ANSWER_TEXT_MAX  (32 * 1024)
#define SMTP_ANSWER_BYTES_MAX (1024 * 1024)
#define SMTP_ANSWER_LINES_MAX 1000

enum smtp_answer {
	SMTP_ANSWER_MORE, /* further lines follow */
	SMTP_ANSWER_DONE,
	SMTP_ANSWER_NOISE,   /* the line is no part of a reply: nothing was taken */
	SMTP_ANSWER_IMPROPER /* a reply, with a code that no server may send */
};
/*
 * Takes the next LINE (without its end) of a reply: its text is appended, with LF between lines,
 * and control characters become '?'; code and enhanced code are those of the last line so far.
 */
enum smtp_answer smtp_answer_line(struct smtp_reply *reply, struct slice line);

/* EHLO's reply. */
struct smtp_offer {
	unsigned features; /* enum smtp_feature */
	unsigned xforward; /* enum smtp_xforward */
	uint64_t size_limit;
	bool size_is_bad; /* a SIZE with something else than a number; BAD_SIZE */
	struct slice bad_size;
	struct slice name;	  /* the first word: the server's name */
	struct strbuf mechanisms; /* of AUTH, "PLAIN LOGIN" */
};
void smtp_offer_init(struct smtp_offer *offer);
void smtp_offer_release(struct smtp_offer *offer);
/* TEXT as smtp_answer_line made it; slices of OFFER are in it. */
void smtp_offer_parse(struct smtp_offer *offer, struct slice text);

#endif
