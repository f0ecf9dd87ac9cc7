// SPDX-License-Identifier: BSD-2-Clause
/*
 * header_checks(5): the tables that look at content, the actions that they ask for, and the rules
 * of MIME that a message is held to.
 *
 * Made once, before the jail; immutable, for all threads.
 */
#ifndef PC_INTAKE_CHECKS_H
#define PC_INTAKE_CHECKS_H

#include <stdbool.h>

#include "base/slice.h"
#include "conf/postfix_conf.h"
#include "mail/mime_walk.h"
#include "table/table.h"

struct checks {
	struct tables *header, *mime, *nested, *body;
	bool any;	/* of the tables is there */
	bool need_walk; /* ... and what they want to see needs MIME's structure, or a rule does */
	long body_limit;
	struct mime_walk_rules mime_rules;
	/* non_empty_end_of_header_action */
	enum { HEADER_END_QUIET, HEADER_END_TOLD, HEADER_END_REFUSED } header_end;
	/* message_reject_characters, message_strip_characters; NULL: none. */
	bool *reject, *strip;
};

struct checks *checks_new(const struct postfix_params *params);
void checks_free(struct checks *checks);

/* A set of bytes: "\0\a\b\f\n\r\t\v\\\ooo" and bytes as they are.  NULL for an empty TEXT. */
bool *checks_byte_set(const char *text);

#endif
