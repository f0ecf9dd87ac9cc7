// SPDX-License-Identifier: BSD-2-Clause
#include "base/slice.h"

#include <string.h>

bool slice_caseeq(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	}
	return true;
}

bool slice_caseeq_str(struct slice a, const char *text)
{
	return slice_caseeq(a, slice_of(text));
}

bool slice_starts(struct slice s, const char *prefix)
{
	struct slice p = slice_of(prefix);

	return s.len >= p.len && slice_eq(slice_first(s, p.len), p);
}

bool slice_casestarts(struct slice s, const char *prefix)
{
	struct slice p = slice_of(prefix);

	return s.len >= p.len && slice_caseeq(slice_first(s, p.len), p);
}

bool slice_ends(struct slice s, const char *suffix)
{
	struct slice p = slice_of(suffix);

	return s.len >= p.len && slice_eq(slice_from(s, s.len - p.len), p);
}

bool slice_has_nul(struct slice s)
{
	return slice_find(s, '\0') >= 0;
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common ? memcmp(a.ptr, b.ptr, common) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Sets are short: a call of strchr(3) costs more, and it finds the NUL at the end of every one. */
static inline bool is_in(const char *set, char c)
{
	while (*set && *set != c)
		set++;
	return *set;
}

struct slice slice_trim(struct slice s, const char *set)
{
	while (s.len && is_in(set, s.ptr[0]))
		s = slice_from(s, 1);
	while (s.len && is_in(set, s.ptr[s.len - 1]))
		s.len--;
	return s;
}

ptrdiff_t slice_find(struct slice s, char c)
{
	const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return at ? at - s.ptr : -1;
}

ptrdiff_t slice_rfind(struct slice s, char c)
{
	const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;

	return at ? at - s.ptr : -1;
}

ptrdiff_t slice_find_str(struct slice s, const char *needle)
{
	size_t len = strlen(needle);
	const char *at;

	if (!len)
		return 0;
	at = s.len ? memmem(s.ptr, s.len, needle, len) : NULL;
	return at ? at - s.ptr : -1;
}

bool slice_token(struct slice *rest, const char *separators, struct slice *word)
{
	size_t len = 0;

	while (rest->len && is_in(separators, rest->ptr[0]))
		*rest = slice_from(*rest, 1);
	while (len < rest->len && !is_in(separators, rest->ptr[len]))
		len++;
	*word = slice_first(*rest, len);
	*rest = slice_from(*rest, len);
	return len > 0;
}

bool slice_uint(struct slice s, uint64_t max, uint64_t *value)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_isdigit(s.ptr[i]) || __builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(s.ptr[i] - '0'), &sum) || sum > max)
			return false;
	}
	if (s.len)
		*value = sum;
	return s.len > 0;
}

void ascii_tolower(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		text[i] = ascii_lower(text[i]);
}
