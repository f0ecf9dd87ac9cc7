// SPDX-License-Identifier: BSD-2-Clause
/*
 * A slice is a pointer and a length: bytes from outside are slices, never NUL-terminated text.
 * A slice owns nothing and is passed by value.  A slice of length 0 may have a NULL pointer.
 */
#ifndef PC_BASE_SLICE_H
#define PC_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *ptr;
	size_t len;
};

#define SLICE_LIT(text) ((struct slice){ "" text, sizeof(text) - 1 })
#define SLICE_NULL	((struct slice){ NULL, 0 })
/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s) (int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len), (s).ptr ? (s).ptr : ""

static inline struct slice slice_mem(const void *ptr, size_t len)
{
	return (struct slice){ ptr, len };
}

/* NULL gives the empty slice. */
static inline struct slice slice_of(const char *text)
{
	return text ? slice_mem(text, strlen(text)) : SLICE_NULL;
}

/*
 * An empty slice may have a NULL pointer, which the mem* functions do not take even for a length
 * of 0: each use of them, here and in slice.c, is behind a look at the length.
 */
static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (!a.len || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *text)
{
	return slice_eq(a, slice_of(text));
}

/* ASCII case is ignored; other bytes must be equal.  The locale has no say. */
bool slice_caseeq(struct slice a, struct slice b);
bool slice_caseeq_str(struct slice a, const char *text);
bool slice_starts(struct slice s, const char *prefix);
bool slice_casestarts(struct slice s, const char *prefix);
bool slice_ends(struct slice s, const char *suffix);
bool slice_has_nul(struct slice s);
int slice_cmp(struct slice a, struct slice b); /* as memcmp, shorter first */

/* The part from AT on; empty when AT is past the end. */
static inline struct slice slice_from(struct slice s, size_t at)
{
	if (at >= s.len)
		return SLICE_NULL;
	return slice_mem(s.ptr + at, s.len - at);
}

/* The first LEN bytes, or all. */
static inline struct slice slice_first(struct slice s, size_t len)
{
	return slice_mem(s.ptr, len < s.len ? len : s.len);
}

/* Without the bytes of SET (a NUL-terminated set) at both ends. */
struct slice slice_trim(struct slice s, const char *set);
/* Index of the first or last C, or -1. */
ptrdiff_t slice_find(struct slice s, char c);
ptrdiff_t slice_rfind(struct slice s, char c);
/* Index of the first occurrence of the text NEEDLE, or -1. */
ptrdiff_t slice_find_str(struct slice s, const char *needle);

/*
 * Takes the next word off *REST: bytes up to one of SEPARATORS, runs of which count as one.
 * False when nothing but separators was left.
 */
bool slice_token(struct slice *rest, const char *separators, struct slice *word);

/*
 * Decimal digits only (no sign, no blanks), whole slice; false when empty, malformed or > MAX.
 */
bool slice_uint(struct slice s, uint64_t max, uint64_t *value);

/* ASCII only, whatever the locale. */
static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

static inline bool ascii_isdigit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_isalpha(char c)
{
	return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

static inline bool ascii_isalnum(char c)
{
	return ascii_isdigit(c) || ascii_isalpha(c);
}

/* blank, \t \n \v \f \r */
static inline bool ascii_isspace(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* 0x20-0x7e */
static inline bool ascii_isprint(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

void ascii_tolower(char *text, size_t len);

#endif
