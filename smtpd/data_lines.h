// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lines of DATA: where the content ends, and what its lines are.
 *
 * Two servers that answer this differently let a message be smuggled inside of another.  Here only
 * CRLF "." CRLF ends it (RFC 5321 4.1.1.4, smtpd_forbid_bare_newline = normalize); a line that ends
 * with a bare LF is a line of content, also when it is a single dot (its dot is unstuffed like any
 * other).  For clients for which that is switched off LF "." LF ends it, too.  A CR is a part of a
 * line's end only when LF follows; all others are content.
 *
 * It is fed with pieces and knows no stream.  How the bytes were cut into pieces changes neither
 * the lines nor the end.
 */
#ifndef PC_SMTPD_DATA_LINES_H
#define PC_SMTPD_DATA_LINES_H

#include <stdbool.h>

#include "base/slice.h"

/* Content without line end and stuffing; COMPLETE is false when the line's rest follows. */
typedef void data_lines_keep(void *arg, struct slice text, bool complete);

struct data_lines {
	data_lines_keep *keep;
	void *arg;
	bool bare_allowed;  /* LF "." LF ends the content */
	bool bare_lf_seen;  /* set by a line that ended with LF alone */
	bool inside;	    /* of a line: its begin was given */
	bool lone_dot;	    /* that is a dot, and nothing else yet */
	bool held_cr;	    /* its last byte so far is a CR */
	bool after_bare_lf; /* the line before ended with LF alone */
};

/*
 * The next bytes: up to and with an LF, or fewer (stream_read_line's pieces), none of an LF before
 * the last byte.  True: that was the end of the content, and nothing may be given any more.
 */
bool data_lines_take(struct data_lines *d, struct slice piece);

#endif
