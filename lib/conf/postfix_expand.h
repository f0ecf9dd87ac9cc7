// SPDX-License-Identifier: BSD-2-Clause
/*
 * $name and its relatives in values of main.cf.
 *
 *	$name ${name} $(name)		the value; nothing when undefined
 *	${name?text} ${name?{text}}	text when the value is not empty
 *	${name:text} ${name:{text}}	text when it is empty or undefined
 *	${name?{a}:{b}}			one or the other
 *	${{x} == {y}?{a}:{b}}		== != < <= > >=, of numbers when both are digits, else of
 *text; with "level" behind the operator, of compatibility levels
 *	${function{argument}}		the one function is domain_to_ascii
 *	$$				a dollar sign
 *
 * Texts, sides of a comparison and arguments are expanded in turn, values are not: LOOKUP gives
 * them expanded.
 */
#ifndef PC_CONF_POSTFIX_EXPAND_H
#define PC_CONF_POSTFIX_EXPAND_H

#include <stdbool.h>

#include "base/strbuf.h"

/* How deep texts may be nested, and how long a value may become. */
#define POSTFIX_EXPAND_DEPTH 100
#define POSTFIX_VALUE_LIMIT  ((size_t)1 << 18)

/*
 * The expanded value of NAME, or NULL when it is undefined.  It must stay until postfix_expand
 * returns.  *FAILED is set when the value has an error of its own, which ends the expansion.
 */
typedef const char *postfix_expand_lookup(const char *name, void *arg, bool *failed);

/*
 * Appends TEXT, expanded.  False with a message in ERROR (which stays empty when it was LOOKUP that
 * failed) for bad syntax or a result that is too long.
 */
bool postfix_expand(struct strbuf *out, struct slice text, postfix_expand_lookup *lookup, void *arg,
    struct strbuf *error);
/*
 * Calls REFERENCE with each name that TEXT mentions, whether or not a choice around it is taken.
 */
void postfix_expand_references(
    const char *text, void (*reference)(struct slice name, void *arg), void *arg);

#endif
