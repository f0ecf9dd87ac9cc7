// SPDX-License-Identifier: BSD-2-Clause
#include "base/strbuf.h"
#include "conf/postfix_conf.h"

static bool is_separator(char c)
{
	return c == ',' || ascii_isspace(c);
}

/* The length of the {...} that TEXT begins with; 0 when it is never closed. */
static size_t group_length(const char *text)
{
	unsigned depth = 0;
	for (size_t i = 0; text[i] != '\0'; i++) {
		if (text[i] == '{')
			depth++;
		else if (text[i] == '}' && --depth == 0)
			return i + 1;
	}
	return 0;
}

bool postfix_list_next(const char **rest, struct strbuf *out)
{
	const char *p = *rest;
	while (is_separator(*p))
		p++;
	strbuf_reset(out);
	if (*p == '\0') {
		*rest = p;
		return false;
	}
	const char *start = p;
	while (*p != '\0' && !is_separator(*p)) {
		size_t group = *p == '{' ? group_length(p) : 0;
		p += group > 0 ? group : 1;
	}
	struct slice word = slice_mem(start, (size_t)(p - start));
	if (word.ptr[0] == '{' && group_length(start) == word.len)
		word = slice_trim(slice_mem(start + 1, word.len - 2), " \t\r\n");
	strbuf_addslice(out, word);
	*rest = p;
	return true;
}
