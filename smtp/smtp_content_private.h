// SPDX-License-Identifier: BSD-2-Clause
/* What the files of smtp_content share: the way of a message's lines to a server. */
#ifndef PC_SMTP_SMTP_CONTENT_PRIVATE_H
#define PC_SMTP_SMTP_CONTENT_PRIVATE_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"

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

#endif
