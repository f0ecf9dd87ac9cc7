// SPDX-License-Identifier: BSD-2-Clause
/* Changing assignments in the text of main.cf and nothing else in it. */
#ifndef PC_CONF_POSTFIX_EDIT_H
#define PC_CONF_POSTFIX_EDIT_H

#include "base/strbuf.h"

enum postfix_edit_action {
	POSTFIX_EDIT_SET,     /* replace each assignment, append what is not there */
	POSTFIX_EDIT_COMMENT, /* put a # before each line of the assignment */
	POSTFIX_EDIT_REMOVE
};

struct postfix_edit {
	char *name, *value; /* value: for POSTFIX_EDIT_SET */
	unsigned found;	    /* out: assignments of the name that were there */
};

/*
 * The text IN with all edits, in OUT.  Comments, blank lines and order stay; an assignment that is
 * replaced or removed takes its continuation lines with it, but not the comments between them.
 */
void postfix_edit(struct strbuf *out, struct slice in, enum postfix_edit_action action,
    struct postfix_edit *edits, size_t count);

#endif
