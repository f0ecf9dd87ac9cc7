// SPDX-License-Identifier: BSD-2-Clause
/* What the files of the command postconf share. */
#ifndef PC_CMD_POSTCONF_H
#define PC_CMD_POSTCONF_H

#include <stdbool.h>

#include "conf/postfix_conf.h"

enum postconf_action {
	POSTCONF_LIST,
	POSTCONF_EDIT,	  /* -e */
	POSTCONF_COMMENT, /* -# */
	POSTCONF_REMOVE,  /* -X */
};

struct postconf {
	const char *dir;
	enum postconf_action action;
	enum {
		POSTCONF_MAIN,
		POSTCONF_SERVICES,   /* -M */
		POSTCONF_FIELDS,     /* -F */
		POSTCONF_OVERRIDES,  /* -P */
		POSTCONF_TABLE_TYPES /* -m */
	} subject;
	bool defaults, non_default, expand, fold, no_name, no_value, quiet;
	/* -o name=value */
	struct postfix_override *overrides;
	size_t override_count;
	/* For a listing: */
	struct postfix_source *source;
	struct postfix_params *params; /* for -x, and what is computed */
};

/*
 * Prints words with single blanks between them, of which HEAD, which may hold blanks of its own, is
 * the first; with -f lines are broken before they get longer than 80 columns.
 */
void postconf_print(const struct postconf *pc, const char *head, const char *text);
/* "name = value", or the half of it that is wanted. */
void postconf_print_assignment(const struct postconf *pc, const char *name, const char *value);

/* What -M, -F, -P list; PATTERNS is NULL-terminated. */
void postconf_list_master(const struct postconf *pc, char **patterns);
/* Edits main.cf; 1 when that failed. */
int postconf_edit_main(const struct postconf *pc, char **args);

#endif
