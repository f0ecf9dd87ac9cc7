// SPDX-License-Identifier: BSD-2-Clause
/* What the files of smtp_content share: the way of a message's lines to a server. */
#ifndef PC_SMTP_SMTP_CONTENT_PRIVATE_H
#define PC_SMTP_SMTP_CONTENT_PRIVATE_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/mime_walk.h"
#include "smtp/smtp_content.h"

/* ---- smtp_content_lines.c ---- */

/*
 * The last step: lines as they stand on the wire.  Ends are CRLF, CR and LF within become blanks, a
 * dot in front is doubled, and a line of more than LIMIT bytes goes on behind CRLF and a blank, all
 * as with the peer.
 */
struct smtp_content_lines {
	struct strbuf *out;
	const char *id; /* for the log */
	size_t limit;	/* smtp_line_length_limit; 0: none */
	size_t used;	/* bytes of the line so far, for LIMIT */
	bool dots;
	bool open; /* the last piece was not the end of its line */
	bool told; /* that a line was broken */
};

void smtp_content_lines_init(
    struct smtp_content_lines *lines, const char *id, size_t limit, bool dots);
/* A line, or (COMPLETE is false) a piece of one that goes on. */
void smtp_content_put(struct smtp_content_lines *lines, struct slice piece, bool complete);
/* A line that was begun is ended. */
void smtp_content_put_end(struct smtp_content_lines *lines);
/* Lines, LF between them, after the end of one that was begun. */
void smtp_content_put_text(struct smtp_content_lines *lines, struct slice text);

/* ---- smtp_content_checks.c: smtp_header_checks and its sisters ---- */

enum smtp_checks {
	SMTP_CHECKS_HEADER,
	SMTP_CHECKS_MIME,
	SMTP_CHECKS_NESTED,
	SMTP_CHECKS_BODY,
	SMTP_CHECKS_COUNT
};
enum smtp_checked {
	SMTP_CHECKED_KEEP,
	SMTP_CHECKED_DROP,
	SMTP_CHECKED_REPLACE,
	SMTP_CHECKED_ERROR
};

void smtp_content_checks_prepare(const struct postfix_params *params);
bool smtp_content_has_checks(enum smtp_checks checks);
/*
 * What the table says of CONTENT, a header field (lines separated by LF) or a body's line.  What is
 * to stand before it goes to LINES.  REPLACE: REPLACEMENT has it.  ERROR: the table failed, which
 * has been logged.
 */
enum smtp_checked smtp_content_check(enum smtp_checks checks, struct slice content,
    struct smtp_content_lines *lines, struct strbuf *replacement);

/* ---- smtp_content_generic.c: smtp_generic_maps ---- */

void smtp_content_generic_prepare(const struct postfix_params *params);
bool smtp_content_has_generic(void);
/* Appends what ADDRESS (internal form) becomes; false: the table failed, which has been logged. */
bool smtp_content_generic(struct slice address, struct strbuf *out);

/* ---- smtp_content_filter.c: a message that is changed on its way ---- */

struct smtp_content_filter;
/* For the parameters that matter to it, before the jail. */
void smtp_content_filter_prepare(const struct postfix_params *params);
/* NULL: nothing is to be changed.  LINES outlive it. */
struct smtp_content_filter *smtp_content_filter_new(
    const struct smtp_content_rules *rules, struct smtp_content_lines *lines);
void smtp_content_filter_free(struct smtp_content_filter *filter);
/* False, now and from now on: the message cannot be sent, see smtp_content_filter_why. */
bool smtp_content_filter_line(
    struct smtp_content_filter *filter, struct slice piece, bool complete);
bool smtp_content_filter_end(struct smtp_content_filter *filter);
const struct smtp_failure *smtp_content_filter_why(const struct smtp_content_filter *filter);

/* FAILURE of a table of ours: 4.3.0, as the peer puts it; SERVER may be NULL. */
void smtp_content_table_failed(const char *server, struct smtp_failure *failure);

#endif
