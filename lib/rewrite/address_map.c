// SPDX-License-Identifier: BSD-2-Clause
#include "rewrite/address_map.h"

#include "mail/address.h"
#include "mail/header.h"

bool address_map_list_has(const char *list, const char *word)
{
	struct slice rest = slice_of(list), element;

	while (slice_token(&rest, " \t\r\n,", &element))
		if (slice_caseeq_str(element, word))
			return true;
	return false;
}

/* The addresses of one result. */
struct taking {
	const struct address_map *map;
	struct slice extension;
	struct strbuf *results;
};

static void add_extension(struct strbuf *address, struct slice extension)
{
	struct slice local, domain;
	struct strbuf with = STRBUF_INIT(2 * ADDRESS_MAX);

	if (!address_split(strbuf_slice(address), &local, &domain))
		domain = SLICE_NULL;
	strbuf_addslice(&with, local);
	strbuf_addslice(&with, extension);
	if (domain.len > 0) {
		strbuf_addch(&with, '@');
		strbuf_addslice(&with, domain);
	}
	strbuf_reset(address);
	strbuf_addslice(address, strbuf_slice(&with));
	strbuf_release(&with);
}

static void add_result(struct taking *t, struct slice internal)
{
	struct strbuf address = STRBUF_INIT(2 * ADDRESS_MAX);

	rewrite_address(t->map->rewriter, REWRITE_LOCAL, internal, &address);
	if (t->extension.len > 0 && t->map->propagates)
		add_extension(&address, t->extension);
	strbuf_addslice(t->results, strbuf_slice(&address));
	strbuf_addch(t->results, '\0');
	strbuf_release(&address);
}

static bool each_result(const struct header_address *address, void *arg)
{
	add_result(arg, address->internal);
	return true;
}

/* "@domain": the same user there. */
static void take_domain(struct taking *t, struct slice from, struct slice at_domain)
{
	struct strbuf address = STRBUF_INIT(2 * ADDRESS_MAX);
	struct slice local, domain;

	if (!address_split(from, &local, &domain))
		local = from;
	strbuf_addslice(&address, local);
	strbuf_addslice(&address, at_domain);
	t->extension = SLICE_NULL; /* the local part has it */
	add_result(t, strbuf_slice(&address));
	strbuf_release(&address);
}

static void take_results(struct taking *t, struct slice from, struct slice value)
{
	value = slice_trim(value, " \t,");
	if (value.len > 1 && value.ptr[0] == '@' && slice_find(value, ',') < 0)
		take_domain(t, from, value);
	else if (!header_each_address(value, each_result, t))
		strbuf_reset(t->results);
}

enum table_result address_map_get(
    const struct address_map *map, struct slice address, struct strbuf *results)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX), extension = STRBUF_INIT(ADDRESS_MAX);
	enum table_result found = address_lookup(
	    map->rules, map->tables, address, ADDRESS_LOOKUP_ALIAS, &value, &extension);

	strbuf_reset(results);
	if (found == TABLE_FOUND) {
		struct taking taking = {
			.map = map,
			.extension = strbuf_slice(&extension),
			.results = results,
		};

		take_results(&taking, address, strbuf_slice(&value));
	}
	strbuf_release(&value);
	strbuf_release(&extension);
	return found;
}
