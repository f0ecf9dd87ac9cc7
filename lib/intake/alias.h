// SPDX-License-Identifier: BSD-2-Clause
/*
 * Virtual aliases (virtual(5)): what a recipient stands for.
 *
 * An address is looked up in virtual_alias_maps, and so is each address of the result, until one is
 * not found or stands for itself.  A table that fails, an address that leads back to itself through
 * another one, and an expansion past its limits (virtual_alias_expansion_limit,
 * virtual_alias_recursion_limit, virtual_alias_address_length_limit) are errors: the message is not
 * accepted now, and nobody gets a part of it.
 *
 * Immutable once made, for all threads.
 */
#ifndef PC_INTAKE_ALIAS_H
#define PC_INTAKE_ALIAS_H

#include <stdbool.h>

#include "base/slice.h"
#include "conf/postfix_conf.h"
#include "rewrite/address_lookup.h"
#include "rewrite/rewrite.h"

struct aliases;

/* Opens the tables.  RULES, and REWRITER which completes the addresses of results, outlive it. */
struct aliases *aliases_new(const struct postfix_params *params, const struct address_rules *rules,
    const struct rewriter *rewriter);
void aliases_free(struct aliases *aliases);

/* Returns false to stop. */
typedef bool alias_fn(struct slice address, void *arg);
enum alias_result {
	ALIAS_OK,
	ALIAS_STOPPED, /* EACH returned false */
	ALIAS_ERROR    /* logged as "ID: ..." under LOG_NAME */
};
/* Calls EACH for every final address of ADDRESS (internal form), at least once for ALIAS_OK. */
enum alias_result aliases_expand(const struct aliases *aliases, struct slice address,
    const char *log_name, const char *id, alias_fn *each, void *arg);

#endif
