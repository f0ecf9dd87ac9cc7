// SPDX-License-Identifier: BSD-2-Clause
/*
 * The logical lines of main.cf, master.cf and the text form of tables.
 *
 * A physical line that begins with white space continues the logical line before it.  Lines that
 * are empty, blank, or whose first character other than white space is '#' are nothing, also in the
 * middle of a continuation.  Newlines vanish; the white space that begins a continuation stays.
 */
#ifndef PC_CONF_CONF_LINES_H
#define PC_CONF_CONF_LINES_H

#include "base/strbuf.h"

struct conf_lines {
	struct slice rest; /* borrowed from the caller */
	unsigned line;	   /* number of the next physical line */
	unsigned first;	   /* of the logical line that conf_lines_next gave */
};

void conf_lines_init(struct conf_lines *lines, struct slice text);
/*
 * The next logical line, without its newline, in OUT.  A line that begins with white space can only
 * be the first of a file; that is for the caller to refuse.  False at the end.
 */
bool conf_lines_next(struct conf_lines *lines, struct strbuf *out);

#endif
