// SPDX-License-Identifier: BSD-2-Clause
#include "conf/conf_lines.h"

static bool is_blank_or_comment(struct slice line)
{
	struct slice text = slice_trim(line, " \t\r\v\f");
	return text.len == 0 || text.ptr[0] == '#';
}

static struct slice take_physical(struct conf_lines *lines)
{
	ptrdiff_t end = slice_find(lines->rest, '\n');
	struct slice line = end < 0 ? lines->rest : slice_first(lines->rest, (size_t)end);
	lines->rest = slice_from(lines->rest, end < 0 ? lines->rest.len : (size_t)end + 1);
	lines->line++;
	return line;
}

/* What comes next belongs to the line in hand: white space, or a comment that may be in its middle.
 */
static bool is_continued(const struct conf_lines *lines)
{
	if (lines->rest.len == 0)
		return false;
	char c = lines->rest.ptr[0];
	return c == '#' || ascii_isspace(c);
}

void conf_lines_init(struct conf_lines *lines, struct slice text)
{
	*lines = (struct conf_lines){ .rest = text, .line = 1 };
}

bool conf_lines_next(struct conf_lines *lines, struct strbuf *out)
{
	strbuf_reset(out);
	bool found = false;
	while (lines->rest.len > 0) {
		unsigned number = lines->line;
		struct slice line = take_physical(lines);
		if (!is_blank_or_comment(line)) {
			if (!found)
				lines->first = number;
			found = true;
			strbuf_addslice(out, line);
		}
		if (found && !is_continued(lines))
			return true;
	}
	return found;
}
