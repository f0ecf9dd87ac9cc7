// SPDX-License-Identifier: BSD-2-Clause
/* How postconf prints a name and its value. */
#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "cmd/postconf.h"

void postconf_print_json(const char *name, const char *value)
{
	struct strbuf line = STRBUF_INIT(STRBUF_NO_LIMIT);
	strbuf_addch(&line, '{');
	json_add_text(&line, slice_of(name));
	strbuf_addstr(&line, ": ");
	json_add_text(&line, slice_of(value));
	strbuf_addch(&line, '}');
	puts(line.ptr);
	strbuf_release(&line);
}

void postconf_print_assignment(const struct postconf *pc, const char *name, const char *value)
{
	if (pc->json) {
		postconf_print_json(name, value);
		return;
	}
	struct strbuf line = STRBUF_INIT(STRBUF_NO_LIMIT);
	if (!pc->no_name)
		strbuf_addf(&line, pc->no_value ? "%s" : "%s =", name);
	if (!pc->no_value)
		postfix_entry_print_words(slice_of(value), pc->fold, line.len, &line);
	strbuf_addch(&line, '\n');
	fwrite(line.ptr, 1, line.len, stdout);
	strbuf_release(&line);
}
