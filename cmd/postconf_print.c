// SPDX-License-Identifier: BSD-2-Clause
/* How postconf prints a name and its value. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cmd/postconf.h"

static void print_json_text(const char *text)
{
	static const char letters[] = "\bb\ff\nn\rr\tt";
	putchar('"');
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		const char *letter = c < ' ' ? letters : "";
		while (*letter != '\0' && *letter != *text)
			letter += 2;
		if (*letter != '\0')
			printf("\\%c", letter[1]);
		else if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c == 0x7f)
			printf("\\u%04X", c);
		else
			putchar(c);
	}
	putchar('"');
}

void postconf_print_json(const char *name, const char *value)
{
	putchar('{');
	print_json_text(name);
	fputs(": ", stdout);
	print_json_text(value);
	fputs("}\n", stdout);
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
