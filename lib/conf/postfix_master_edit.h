// SPDX-License-Identifier: BSD-2-Clause
/* Changing entries in the text of master.cf and nothing else in it. */
#ifndef PC_CONF_POSTFIX_MASTER_EDIT_H
#define PC_CONF_POSTFIX_MASTER_EDIT_H

#include "conf/postfix_edit.h"
#include "conf/postfix_entry.h"

enum postfix_master_part { POSTFIX_MASTER_ENTRY, POSTFIX_MASTER_COLUMN, POSTFIX_MASTER_OVERRIDE };

struct postfix_master_edit {
	/* Which entries; "*" is any. */
	char *service, *type;
	char *member;	/* the column, or the parameter of an option -o */
	char *value;	/* for POSTFIX_EDIT_SET: of the member, or the whole new entry */
	unsigned found; /* out: entries that it was for */
};

/*
 * The text IN with all edits, in OUT.  Comments, blank lines and entries that no edit is for stay
 * as they are.  An entry that is replaced is where the first line of the old one was; one of which
 * a part is changed is where the old one ended, behind comments and blank lines.  Entries
 * that are set and not there are appended.
 *
 * Edits of columns and overrides cannot be comments, those of columns cannot be removals.  False,
 * with PROBLEM, for an entry that cannot be taken apart, or that would have no command.
 */
bool postfix_master_edit(struct strbuf *out, struct slice in, enum postfix_edit_action action,
    enum postfix_master_part part, struct postfix_master_edit *edits, size_t count,
    struct strbuf *problem);

#endif
