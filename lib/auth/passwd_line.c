// SPDX-License-Identifier: BSD-2-Clause
#include "auth/passwd_line.h"

static struct slice next_field(struct slice *rest)
{
	ptrdiff_t colon = slice_find(*rest, ':');
	struct slice field = colon < 0 ? *rest : slice_first(*rest, (size_t)colon);

	*rest = colon < 0 ? SLICE_NULL
			  : slice_mem(rest->ptr + colon + 1, rest->len - (size_t)colon - 1);
	return field;
}

bool passwd_line_split(struct slice text, struct passwd_line *line)
{
	if (slice_ends(text, "\r"))
		text = slice_first(text, text.len - 1);
	if (!text.len || text.ptr[0] == '#' || text.ptr[0] == ':' || slice_has_nul(text))
		return false;
	*line = (struct passwd_line){ .name = next_field(&text) };
	line->password = next_field(&text);
	line->has_uid = text.ptr != NULL;
	line->uid = next_field(&text);
	line->gid = next_field(&text);
	next_field(&text); /* gecos */
	line->home = next_field(&text);
	next_field(&text); /* shell */
	line->extra_is_mail = slice_starts(text, ":");
	line->extra = slice_from(text, line->extra_is_mail ? 1 : 0);
	return true;
}

const char *passwd_line_password(const struct passwd_line *line, struct arena *arena)
{
	ptrdiff_t bracket = slice_find(line->password, '[');
	struct slice type, password;

	if (bracket < 0)
		return arena_slicedup(arena, line->password);
	password = slice_first(line->password, (size_t)bracket);
	type = slice_from(line->password, (size_t)bracket + 1);
	return arena_printf(arena, "{%s}%.*s",
	    slice_starts(type, "34")   ? "PLAIN-MD5"
	    : slice_starts(type, "56") ? "DIGEST-MD5"
				       : "CRYPT",
	    SLICE_ARG(password));
}
