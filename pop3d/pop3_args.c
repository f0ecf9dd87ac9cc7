// SPDX-License-Identifier: BSD-2-Clause
#include "pop3d/pop3_args.h"

#include <stdio.h>

#include "base/cursor.h"

void pop3_split(struct slice line, struct slice *verb, struct slice *args)
{
	ptrdiff_t blank;

	if (slice_ends(line, "\n"))
		line = slice_first(line, line.len - 1);
	if (slice_ends(line, "\r"))
		line = slice_first(line, line.len - 1);
	blank = slice_find(line, ' ');
	*verb = blank < 0 ? line : slice_first(line, (size_t)blank);
	*args = blank < 0 ? SLICE_NULL : slice_from(line, (size_t)blank + 1);
}

static bool fail(char error[160], const char *what, struct slice value)
{
	(void)snprintf(error, 160, "%s: %.*s", what, (int)(value.len > 100 ? 100 : value.len),
	    value.ptr ? value.ptr : "");
	return false;
}

/* Digits up to a blank or the end. */
static bool take_number(struct slice *args, uint64_t max, const char *invalid,
    const char *too_large, uint64_t *number, char error[160])
{
	struct cursor c = cursor_of(*args);
	struct slice all, digits;

	(void)cursor_span(&c, " ");
	all = cursor_rest(&c);
	digits = cursor_span(&c, "0123456789");
	if (digits.len == 0 || (!cursor_at_end(&c) && cursor_peek(&c) != ' '))
		return fail(error, invalid, all);
	if (!slice_uint(digits, max, number))
		return fail(error, too_large, digits);
	*args = cursor_rest(&c);
	return true;
}

bool pop3_take_message(struct slice *args, size_t count, size_t *index, char error[160])
{
	uint64_t number;

	if (!take_number(args, UINT32_MAX, "Invalid message number", "Message number too large",
		&number, error))
		return false;
	if (number == 0 || number > count) {
		(void)snprintf(error, 160, "There's no message %llu.", (unsigned long long)number);
		return false;
	}
	*index = (size_t)number - 1;
	return true;
}

bool pop3_take_size(struct slice *args, uint64_t *size, char error[160])
{
	return take_number(args, UINT32_MAX, "Invalid size", "Size too large", size, error);
}

bool pop3_no_more(struct slice args, const char *behind_what, char error[160])
{
	char what[64];

	if (args.len == 0)
		return true;
	(void)snprintf(what, sizeof(what), "Noise after %s", behind_what);
	return fail(error, what, args);
}
