// SPDX-License-Identifier: BSD-2-Clause
/*
 * The names that may stand in lists of restrictions (smtpd_recipient_restrictions and its sisters):
 * all of the peer's, and which of them smtpd can do.  smtpd's own table says how; a unit test holds
 * the two together.
 */
#ifndef PC_CONF_POSTFIX_RESTRICTIONS_H
#define PC_CONF_POSTFIX_RESTRICTIONS_H

#include "base/slice.h"
#include "conf/postfix_source.h"

struct postfix_restriction {
	const char *name;
	bool has_argument; /* the word behind it belongs to it */
	bool works;
};

/* NULL for what is no restriction; a table or the name of a class may still be one. */
const struct postfix_restriction *postfix_restriction_find(struct slice name);
/* NULL behind the last. */
const struct postfix_restriction *postfix_restriction_at(size_t i);

bool postfix_is_restriction_class(const struct postfix_params *params, struct slice name);
/* The parameter of this name is a list of restrictions, or a class that PARAMS name. */
bool postfix_is_restriction_list(const struct postfix_params *params, const char *name);
/*
 * Adds to ERRORS what in the list VALUE of the parameter NAME is unknown or not supported yet: the
 * daemon answers with 451 who gets there.
 */
void postfix_restrictions_check(const struct postfix_params *params, const char *name,
    const char *value, const char *file, unsigned line, struct conf_errors *errors);

#endif
