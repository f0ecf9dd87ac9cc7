// SPDX-License-Identifier: BSD-2-Clause
/*
 * A failure moves the cursor to the end.  From there on every read finds nothing without a look at
 * `failed`, and a loop that runs to the end stops.
 */
#include "base/cursor.h"

#include <string.h>

static void fail(struct cursor *c)
{
	c->failed = true;
	c->at = c->in.len;
}

struct cursor cursor_of(struct slice in)
{
	return (struct cursor){ in, 0, false };
}

bool cursor_at_end(const struct cursor *c)
{
	return c->at >= c->in.len;
}

struct slice cursor_rest(const struct cursor *c)
{
	return slice_from(c->in, c->at);
}

int cursor_peek(const struct cursor *c)
{
	return cursor_at_end(c) ? -1 : (unsigned char)c->in.ptr[c->at];
}

int cursor_next(struct cursor *c)
{
	int byte = cursor_peek(c);

	if (byte < 0)
		fail(c);
	else
		c->at++;
	return byte;
}

struct slice cursor_take(struct cursor *c, size_t len)
{
	struct slice rest = cursor_rest(c);

	if (len > rest.len) {
		fail(c);
		return SLICE_NULL;
	}
	c->at += len;
	return slice_first(rest, len);
}

/* After a failure not even the empty text comes next. */
bool cursor_skip(struct cursor *c, const char *text)
{
	if (c->failed || !slice_starts(cursor_rest(c), text))
		return false;
	c->at += strlen(text);
	return true;
}

bool cursor_caseskip(struct cursor *c, const char *text)
{
	if (c->failed || !slice_casestarts(cursor_rest(c), text))
		return false;
	c->at += strlen(text);
	return true;
}

/* SET ends at its NUL, which is no member of it: a NUL in the input is just another byte. */
static struct slice take_while(struct cursor *c, const char *set, bool wanted)
{
	struct slice rest = cursor_rest(c);
	size_t len = 0;

	while (len < rest.len && (rest.ptr[len] && strchr(set, rest.ptr[len])) == wanted)
		len++;
	return cursor_take(c, len);
}

struct slice cursor_span(struct cursor *c, const char *set)
{
	return take_while(c, set, true);
}

struct slice cursor_until(struct cursor *c, const char *set)
{
	return take_while(c, set, false);
}

static uint64_t big_endian(struct cursor *c, size_t len)
{
	struct slice bytes = cursor_take(c, len);
	uint64_t value = 0;

	for (size_t i = 0; i < bytes.len; i++)
		value = value << 8 | (unsigned char)bytes.ptr[i];
	return value;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)big_endian(c, 1);
}

uint32_t cursor_be32(struct cursor *c)
{
	return (uint32_t)big_endian(c, 4);
}

uint64_t cursor_be64(struct cursor *c)
{
	return big_endian(c, 8);
}
