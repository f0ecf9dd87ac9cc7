// SPDX-License-Identifier: BSD-2-Clause
/*
 * doveadm: rows of named columns in the shape that -f asks for.  A command says its columns once,
 * then every cell from left to right.
 */
#ifndef PC_CMD_DOVEADM_PRINT_H
#define PC_CMD_DOVEADM_PRINT_H

#include <stdbool.h>
#include <stddef.h>

struct doveadm_column {
	const char *key;   /* in JSON */
	const char *title; /* everywhere else */
	bool expands;	   /* a table gives it room that is left */
	bool is_right;	   /* a number in a table */
};

/* False when there is no such format ("flow", "tab", "table", "pager", "json"). */
bool doveadm_print_format(const char *name);
/* Whether -f was given. */
bool doveadm_print_is_chosen(void);
/* FORMAT is the command's own, unless -f named another one. */
void doveadm_print_begin(const char *format, const struct doveadm_column *columns, size_t count);
void doveadm_print(const char *cell);
void doveadm_print_number(long long number);
void doveadm_print_end(void);

#endif
