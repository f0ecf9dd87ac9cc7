// SPDX-License-Identifier: BSD-2-Clause
/* Goes by physical lines, since what is not edited must stay byte for byte. */
#include "conf/postfix_edit.h"

#define BLANKS " \t\r\n\v\f"

static struct slice take_line(struct slice *rest)
{
	ptrdiff_t end = slice_find(*rest, '\n');
	struct slice line = end < 0 ? *rest : slice_first(*rest, (size_t)end);
	*rest = slice_from(*rest, end < 0 ? rest->len : (size_t)end + 1);
	return line;
}

static struct postfix_edit *find_edit(struct postfix_edit *edits, size_t count, struct slice line)
{
	size_t len = 0;
	while (len < line.len && line.ptr[len] != '=' && !ascii_isspace(line.ptr[len]))
		len++;
	for (size_t i = 0; i < count; i++)
		if (slice_eq_str(slice_first(line, len), edits[i].name))
			return &edits[i];
	return NULL;
}

static void add_line(struct strbuf *out, const char *prefix, struct slice line)
{
	strbuf_addstr(out, prefix);
	strbuf_addslice(out, line);
	strbuf_addch(out, '\n');
}

static void add_assignment(struct strbuf *out, const struct postfix_edit *edit)
{
	strbuf_addf(out, "%s = %s\n", edit->name, edit->value);
}

void postfix_edit(struct strbuf *out, struct slice in, enum postfix_edit_action action,
    struct postfix_edit *edits, size_t count)
{
	struct postfix_edit *current = NULL; /* whose assignment the lines at hand belong to */
	for (size_t i = 0; i < count; i++)
		edits[i].found = 0;
	while (in.len > 0) {
		struct slice line = take_line(&in), text = slice_trim(line, BLANKS);
		if (text.len == 0 || text.ptr[0] == '#') {
			add_line(out, "", line);
			continue;
		}
		bool continues = ascii_isspace(line.ptr[0]);
		if (!continues) {
			current = find_edit(edits, count, line);
			if (current)
				current->found++;
		}
		if (!current)
			add_line(out, "", line);
		else if (action == POSTFIX_EDIT_COMMENT)
			add_line(out, "#", line);
		else if (action == POSTFIX_EDIT_SET && !continues)
			add_assignment(out, current);
	}
	for (size_t i = 0; i < count && action == POSTFIX_EDIT_SET; i++)
		if (edits[i].found == 0)
			add_assignment(out, &edits[i]);
}
