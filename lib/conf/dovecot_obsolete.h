// SPDX-License-Identifier: BSD-2-Clause
/* What lines for older Dovecots mean today.  Part of the reader of dovecot.conf. */
#ifndef PC_CONF_DOVECOT_OBSOLETE_H
#define PC_CONF_DOVECOT_OBSOLETE_H

#include <stdbool.h>
#include <stddef.h>

struct dovecot_today {
	char warning[256]; /* in the peer's words */
	/* Assignments in place of the old one; a path is seen from the top of the file. */
	char names[2][128];
	size_t count;
	char value[1024];
};

/* False when NAME = VALUE, outside of blocks other than filters, is nothing obsolete. */
bool dovecot_obsolete(const char *name, const char *value, struct dovecot_today *today);
/* The new name of a service or a protocol; NULL: it has none. */
const char *dovecot_obsolete_label(const char *kind, const char *label);

#endif
