// SPDX-License-Identifier: BSD-2-Clause
/*
 * The text is made in a buffer aside: the usual way to add to a reason is to print its own text
 * into a longer one.
 */
#include "base/reason.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"

/* A text that was cut ends with a whole UTF-8 character, or a peer that checks refuses it all. */
static void drop_partial_character(char *text, size_t len)
{
	size_t at = len;

	while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at > 0 && ((unsigned char)text[at - 1] & 0xc0) == 0xc0)
		text[at - 1] = '\0';
}

static void replace_controls(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

void reason_vset(struct reason *why, const char *dsn, const char *format, va_list args)
{
	char text[sizeof(why->text)];
	int len = vsnprintf(text, sizeof(text), format, args);

	ASSERT(len >= 0 && dsn_is_valid(dsn));
	if ((size_t)len >= sizeof(text))
		drop_partial_character(text, sizeof(text) - 1);
	replace_controls(text);
	memmove(why->dsn, dsn, strlen(dsn) + 1);
	memcpy(why->text, text, sizeof(text));
}

void reason_set(struct reason *why, const char *dsn, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason_vset(why, dsn, format, args);
	va_end(args);
}

/* RFC 3463 2: one to three digits, "expressed without leading zero digits". */
static bool is_subcode(struct slice s)
{
	uint64_t value;

	return slice_uint(s, 999, &value) && (s.len == 1 || s.ptr[0] != '0');
}

bool dsn_is_valid(const char *dsn)
{
	struct cursor c = cursor_of(slice_of(dsn));
	struct slice class = cursor_until(&c, ".");
	struct slice subject = SLICE_NULL;

	if (class.len != 1 || !strchr("245", class.ptr[0]) || !cursor_skip(&c, "."))
		return false;
	subject = cursor_until(&c, ".");
	return is_subcode(subject) && cursor_skip(&c, ".") && is_subcode(cursor_rest(&c));
}
