// SPDX-License-Identifier: BSD-2-Clause
/* Sorting by numbers, for postmap: a table of a million entries is mostly sorting. */
#ifndef PC_TABLE_TABLE_SORT_H
#define PC_TABLE_TABLE_SORT_H

#include <stddef.h>
#include <stdint.h>

struct table_sort {
	uint64_t number;
	size_t which; /* the caller's */
};

/* Stable; O(n), with as much memory again. */
void table_sort(struct table_sort *items, size_t count);

#endif
