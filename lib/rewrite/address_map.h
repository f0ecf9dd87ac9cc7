// SPDX-License-Identifier: BSD-2-Clause
/*
 * One look-up in a table from addresses to addresses (virtual(5), canonical(5)): the partial forms
 * of the key, "@domain" as result, the extension that the key had and the result has not, and the
 * completion of results.
 *
 * Immutable once made, for all threads.
 */
#ifndef PC_REWRITE_ADDRESS_MAP_H
#define PC_REWRITE_ADDRESS_MAP_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "rewrite/address_lookup.h"
#include "rewrite/rewrite.h"
#include "table/table.h"

struct address_map {
	const struct address_rules *rules;
	const struct rewriter *rewriter;
	struct tables *tables;
	bool propagates; /* extensions that were not looked up */
};

/* Is WORD in LIST (commas and blanks, case is ignored)? */
bool address_map_list_has(const char *list, const char *word);

/*
 * RESULTS gets the addresses (internal form, complete), each with a NUL behind it.  TABLE_FOUND
 * with no results at all: the table's text is no list of addresses.  ADDRESS is in internal form.
 */
enum table_result address_map_get(
    const struct address_map *map, struct slice address, struct strbuf *results);

#endif
