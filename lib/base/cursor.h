// SPDX-License-Identifier: BSD-2-Clause
/*
 * The one bounded reader for bytes from outside.  A cursor never reads past its slice; a failed
 * read sets `failed`, which sticks, and returns zero or an empty slice; the cursor is then at the
 * end.
 */
#ifndef PC_BASE_CURSOR_H
#define PC_BASE_CURSOR_H

#include "base/slice.h"

struct cursor {
	struct slice in;
	size_t at;
	bool failed;
};

struct cursor cursor_of(struct slice in);
bool cursor_at_end(const struct cursor *c);
struct slice cursor_rest(const struct cursor *c);
/* The next byte without taking it, or -1 at the end. */
int cursor_peek(const struct cursor *c);
/* The next byte, or -1 (and failed). */
int cursor_next(struct cursor *c);
struct slice cursor_take(struct cursor *c, size_t len);
/* Takes the text if it comes next (ASCII case ignored by the second). */
bool cursor_skip(struct cursor *c, const char *text);
bool cursor_caseskip(struct cursor *c, const char *text);
/* Takes all bytes that are in, or not in, SET. */
struct slice cursor_span(struct cursor *c, const char *set);
struct slice cursor_until(struct cursor *c, const char *set);
uint8_t cursor_u8(struct cursor *c);
uint32_t cursor_be32(struct cursor *c);
uint64_t cursor_be64(struct cursor *c);

#endif
