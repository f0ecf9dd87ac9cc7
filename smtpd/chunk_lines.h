// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lines of BDAT (RFC 3030): where the content ends is said by the counts, so a line is only a line.
 *
 * It ends with CRLF, or with a bare LF, which no client should send and which cannot smuggle
 * anything here.  Chunks are cut anywhere, also between CR and LF: what is left of a line waits for
 * the next chunk, at most MAX bytes of it; from there on the line goes on in parts.  How the bytes
 * were cut into chunks changes nothing, and a chunk costs what is in it.
 */
#ifndef PC_SMTPD_CHUNK_LINES_H
#define PC_SMTPD_CHUNK_LINES_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"

/* Content without line end; COMPLETE is false when the line's rest follows. */
typedef void chunk_lines_keep(void *arg, struct slice text, bool complete);

struct chunk_lines {
	chunk_lines_keep *keep;
	void *arg;
	struct strbuf held; /* of a line whose end has not come */
	bool inside;	    /* of a line: a part was given */
	bool bare_lf_seen;  /* set by a line that ended with LF alone */
};

/* MAX: of a line's part, at least 2. */
void chunk_lines_init(struct chunk_lines *c, size_t max, chunk_lines_keep *keep, void *arg);
void chunk_lines_release(struct chunk_lines *c);
void chunk_lines_take(struct chunk_lines *c, struct slice bytes);
/* The last chunk is over: what is left is a line. */
void chunk_lines_end(struct chunk_lines *c);

#endif
