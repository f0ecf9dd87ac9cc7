// SPDX-License-Identifier: BSD-2-Clause
/*
 * A walk in depth: `path` holds the addresses above the present one, `ended` those whose expansion
 * is through.  An address met again is skipped when it has ended (its recipients are there
 * already), and is a loop when it is on the path.
 */
#include "intake/alias.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "mail/address.h"
#include "rewrite/address_map.h"

struct aliases {
	const struct postfix_params *params;
	struct address_map map;
};

struct walk {
	const struct aliases *aliases;
	const char *log_name, *id;
	struct slice original;
	struct map path, ended;
	long depth, found; /* found: final addresses so far */
	alias_fn *each;
	void *arg;
	enum alias_result result;
};

struct aliases *aliases_new(const struct postfix_params *params, const struct address_rules *rules,
    const struct rewriter *rewriter)
{
	struct aliases *a = xcalloc(1, sizeof(*a));

	a->params = params;
	a->map = (struct address_map){
		.rules = rules,
		.rewriter = rewriter,
		.tables = tables_open("virtual_alias_maps", params->virtual_alias_maps, 0),
		.propagates =
		    address_map_list_has(params->propagate_unmatched_extensions, "virtual"),
	};
	return a;
}

void aliases_free(struct aliases *aliases)
{
	if (aliases == NULL)
		return;
	tables_free(aliases->map.tables);
	free(aliases);
}

/* WHAT has the name of the parameter in it. */
static void fail(struct walk *w, const char *what, struct slice address)
{
	w->result = ALIAS_ERROR;
	log_as(w->log_name, LOG_LEVEL_WARNING,
	    "%s: %s for %.*s -- message not accepted, try again later", w->id, what,
	    SLICE_ARG(address));
}

static void finish(struct walk *w, struct slice address)
{
	if (++w->found > w->aliases->params->virtual_alias_expansion_limit)
		fail(w, "unreasonable virtual_alias_maps map expansion size", w->original);
	else if (!w->each(address, w->arg))
		w->result = ALIAS_STOPPED;
}

static void walk(struct walk *w, struct slice address);

static void walk_results(struct walk *w, struct slice from, struct slice rest)
{
	while (w->result == ALIAS_OK && rest.len > 0) {
		struct slice address = slice_of(rest.ptr);

		if (address_equal(address, from))
			finish(w, address);
		else
			walk(w, address);
		rest = slice_from(rest, address.len + 1);
	}
}

static void look_up(struct walk *w, struct slice address)
{
	struct strbuf results = STRBUF_INIT(16 * 1024 * 1024);

	switch (address_map_get(&w->aliases->map, address, &results)) {
	case TABLE_NOT_FOUND:
		finish(w, address);
		break;
	case TABLE_ERROR:
		fail(w, "virtual_alias_maps map lookup problem", address);
		break;
	case TABLE_FOUND:
		if (results.len == 0 || results.overflow)
			fail(w, "no list of addresses in virtual_alias_maps", address);
		else
			walk_results(w, address, strbuf_slice(&results));
		break;
	}
	strbuf_release(&results);
}

static void walk(struct walk *w, struct slice address)
{
	struct strbuf key = STRBUF_INIT(2 * ADDRESS_MAX);

	address_fold(address, &key);
	if (map_get(&w->path, strbuf_slice(&key)) != NULL ||
	    w->depth >= w->aliases->params->virtual_alias_recursion_limit) {
		fail(w, "unreasonable virtual_alias_maps map nesting", w->original);
	} else if ((long)address.len > w->aliases->params->virtual_alias_address_length_limit) {
		fail(w, "unreasonable virtual_alias_maps result length", w->original);
	} else if (map_get(&w->ended, strbuf_slice(&key)) == NULL) {
		map_put(&w->path, strbuf_slice(&key), w);
		w->depth++;
		look_up(w, address);
		w->depth--;
		map_remove(&w->path, strbuf_slice(&key));
		map_put(&w->ended, strbuf_slice(&key), w);
	}
	strbuf_release(&key);
}

enum alias_result aliases_expand(const struct aliases *aliases, struct slice address,
    const char *log_name, const char *id, alias_fn *each, void *arg)
{
	struct walk w = {
		.aliases = aliases,
		.log_name = log_name,
		.id = id,
		.original = address,
		.path = MAP_INIT,
		.ended = MAP_INIT,
		.each = each,
		.arg = arg,
		.result = ALIAS_OK,
	};

	if (tables_is_empty(aliases->map.tables))
		return each(address, arg) ? ALIAS_OK : ALIAS_STOPPED;
	walk(&w, address);
	map_release(&w.path, NULL);
	map_release(&w.ended, NULL);
	return w.result;
}
