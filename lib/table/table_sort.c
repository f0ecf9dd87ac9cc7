// SPDX-License-Identifier: BSD-2-Clause
/*
 * By digits, the lowest first: each turn keeps the order of the one before.  Digits that are the
 * same in all numbers cost no turn.
 */
#include "table/table_sort.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define DIGIT_BITS 11
#define DIGITS	   ((64 + DIGIT_BITS - 1) / DIGIT_BITS)
#define BUCKETS	   (1u << DIGIT_BITS)

static unsigned digit_of(const struct table_sort *item, unsigned digit)
{
	return (unsigned)(item->number >> (digit * DIGIT_BITS)) & (BUCKETS - 1);
}

/* True when FROM was written to TO in another order. */
static bool turn(const struct table_sort *from, struct table_sort *to, size_t count, unsigned digit)
{
	size_t starts[BUCKETS] = { 0 }, at = 0;

	for (size_t i = 0; i < count; i++)
		starts[digit_of(&from[i], digit)]++;
	if (starts[digit_of(&from[0], digit)] == count)
		return false;
	for (size_t b = 0; b < BUCKETS; b++) {
		size_t size = starts[b];

		starts[b] = at;
		at += size;
	}
	for (size_t i = 0; i < count; i++)
		to[starts[digit_of(&from[i], digit)]++] = from[i];
	return true;
}

void table_sort(struct table_sort *items, size_t count)
{
	struct table_sort *from = items, *to;

	if (!count)
		return;
	to = xcalloc(count, sizeof(*to));
	for (unsigned digit = 0; digit < DIGITS; digit++) {
		struct table_sort *was = from;

		if (!turn(from, to, count, digit))
			continue;
		from = to;
		to = was;
	}
	if (from != items) {
		memcpy(items, from, count * sizeof(*items));
		to = from;
	}
	free(to);
}
