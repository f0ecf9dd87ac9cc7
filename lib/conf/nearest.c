// SPDX-License-Identifier: BSD-2-Clause
#include "conf/nearest.h"

#include <string.h>

#define NEAR_LENGTH 80

/* Levenshtein's distance, or LIMIT when it is that or more. */
static unsigned distance(const char *a, const char *b, unsigned limit)
{
	unsigned row[NEAR_LENGTH + 1];
	size_t la = strlen(a), lb = strlen(b);
	if (la > NEAR_LENGTH || lb > NEAR_LENGTH || (la > lb ? la - lb : lb - la) >= limit)
		return limit;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb] < limit ? row[lb] : limit;
}

void nearest_init(struct nearest *nearest, const char *name)
{
	size_t len = strlen(name);
	/* In a short name two errors would make anything near to anything. */
	*nearest = (struct nearest){ .name = name, .limit = len < 6 ? 2 : len < 16 ? 3 : 5 };
}

void nearest_try(struct nearest *nearest, const char *candidate)
{
	unsigned d = distance(nearest->name, candidate, nearest->limit);
	if (d < nearest->limit) {
		nearest->limit = d;
		nearest->found = candidate;
	}
}
