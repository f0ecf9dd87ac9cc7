// SPDX-License-Identifier: BSD-2-Clause
#include "conf/postfix_value.h"

#include <limits.h>

#define LEVEL_PART_MAX 999999 /* three of them fit 64 bits */

bool postfix_value_bool(const char *text, bool *value)
{
	struct slice s = slice_of(text);
	*value = slice_caseeq_str(s, "yes");
	return *value || slice_caseeq_str(s, "no");
}

bool postfix_value_number(const char *text, long long *value)
{
	struct slice digits = slice_of(text);
	bool negative = digits.len > 0 && digits.ptr[0] == '-';
	uint64_t magnitude;
	if (!slice_uint(slice_from(digits, negative ? 1 : 0), LLONG_MAX, &magnitude))
		return false;
	*value = negative ? -(long long)magnitude : (long long)magnitude;
	return true;
}

static int64_t unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'w':
		return 604800;
	default:
		return 0;
	}
}

bool postfix_value_time(const char *text, char unit, int64_t *seconds)
{
	struct slice digits = slice_of(text);
	if (digits.len > 0 && ascii_isalpha(digits.ptr[digits.len - 1])) {
		unit = ascii_lower(digits.ptr[digits.len - 1]);
		digits.len--;
	}
	int64_t factor = unit_seconds(unit);
	uint64_t count;
	/* The peer's times are ints: what does not fit one is a typing error there, too. */
	if (factor == 0 || !slice_uint(digits, (uint64_t)(INT_MAX / factor), &count))
		return false;
	*seconds = (int64_t)count * factor;
	return true;
}

bool postfix_value_level(struct slice text, uint64_t *level)
{
	*level = 0;
	bool more = true;
	for (unsigned part = 0; part < 3; part++) {
		uint64_t number = 0;
		if (more) {
			ptrdiff_t dot = slice_find(text, '.');
			struct slice digits = dot < 0 ? text : slice_first(text, (size_t)dot);
			if (!slice_uint(digits, LEVEL_PART_MAX, &number))
				return false;
			more = dot >= 0;
			text = slice_from(text, more ? (size_t)dot + 1 : text.len);
		}
		*level = *level * (LEVEL_PART_MAX + 1) + number;
	}
	return !more;
}
