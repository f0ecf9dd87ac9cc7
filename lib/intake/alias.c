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
#include "mail/header.h"
#include "rewrite/address_lookup.h"
#include "table/table.h"

struct aliases {
	const struct postfix_params *params;
	const struct rewriter *rewriter;
	struct address_rules *rules;
	struct tables *maps;
	bool propagates; /* propagate_unmatched_extensions has "virtual" */
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

static bool list_has(const char *list, const char *word)
{
	struct slice rest = slice_of(list), element;

	while (slice_token(&rest, " \t,", &element))
		if (slice_caseeq_str(element, word))
			return true;
	return false;
}

struct aliases *aliases_new(const struct postfix_params *params, const struct rewriter *rewriter)
{
	struct aliases *a = xcalloc(1, sizeof(*a));

	a->params = params;
	a->rewriter = rewriter;
	a->rules = address_rules_new(params);
	a->maps = tables_open("virtual_alias_maps", params->virtual_alias_maps, 0);
	a->propagates = list_has(params->propagate_unmatched_extensions, "virtual");
	return a;
}

void aliases_free(struct aliases *aliases)
{
	if (aliases == NULL)
		return;
	tables_free(aliases->maps);
	address_rules_free(aliases->rules);
	free(aliases);
}

static void fail(struct walk *w, const char *what, struct slice address)
{
	w->result = ALIAS_ERROR;
	log_as(w->log_name, LOG_LEVEL_WARNING,
	    "%s: %s %s for %.*s -- message not accepted, try again later", w->id,
	    w->aliases->params->virtual_alias_maps, what, SLICE_ARG(address));
}

static void finish(struct walk *w, struct slice address)
{
	if (++w->found > w->aliases->params->virtual_alias_expansion_limit)
		fail(w, "unreasonable map expansion size", w->original);
	else if (!w->each(address, w->arg))
		w->result = ALIAS_STOPPED;
}

static void walk(struct walk *w, struct slice address);

/* The addresses of one result, completed. */
struct results {
	struct walk *walk;
	struct slice from, extension;
	struct strbuf *list; /* final forms, each with a NUL behind it */
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

static void add_result(struct results *r, struct slice internal)
{
	struct strbuf address = STRBUF_INIT(2 * ADDRESS_MAX);

	rewrite_address(r->walk->aliases->rewriter, REWRITE_LOCAL, internal, &address);
	if (r->extension.len > 0 && r->walk->aliases->propagates)
		add_extension(&address, r->extension);
	strbuf_addslice(r->list, strbuf_slice(&address));
	strbuf_addch(r->list, '\0');
	strbuf_release(&address);
}

static bool each_result(const struct header_address *address, void *arg)
{
	add_result(arg, address->internal);
	return true;
}

static bool take_results(struct results *r, struct slice value)
{
	struct slice local, domain;

	value = slice_trim(value, " \t,");
	if (value.len > 1 && value.ptr[0] == '@' && slice_find(value, ',') < 0) {
		struct strbuf address = STRBUF_INIT(2 * ADDRESS_MAX);

		if (!address_split(r->from, &local, &domain))
			local = r->from;
		strbuf_addslice(&address, local);
		strbuf_addslice(&address, value);
		r->extension = SLICE_NULL; /* the local part has it */
		add_result(r, strbuf_slice(&address));
		strbuf_release(&address);
		return true;
	}
	return header_each_address(value, each_result, r) && r->list->len > 0;
}

static void walk_results(struct walk *w, const struct results *r)
{
	struct slice rest = strbuf_slice(r->list);

	while (w->result == ALIAS_OK && rest.len > 0) {
		struct slice address = slice_of(rest.ptr);

		if (address_equal(address, r->from))
			finish(w, address);
		else
			walk(w, address);
		rest = slice_from(rest, address.len + 1);
	}
}

static void expand(struct walk *w, struct slice address, struct slice value, struct slice extension)
{
	struct strbuf list = STRBUF_INIT(16 * 1024 * 1024);
	struct results results = {
		.walk = w,
		.from = address,
		.extension = extension,
		.list = &list,
	};

	if (!take_results(&results, value) || list.overflow)
		fail(w, "no list of addresses", address);
	else
		walk_results(w, &results);
	strbuf_release(&list);
}

static void look_up(struct walk *w, struct slice address)
{
	const struct aliases *a = w->aliases;
	struct strbuf value = STRBUF_INIT(1024 * 1024), extension = STRBUF_INIT(ADDRESS_MAX);

	switch (
	    address_lookup(a->rules, a->maps, address, ADDRESS_LOOKUP_ALIAS, &value, &extension)) {
	case TABLE_NOT_FOUND:
		finish(w, address);
		break;
	case TABLE_ERROR:
		fail(w, "lookup problem", address);
		break;
	case TABLE_FOUND:
		expand(w, address, strbuf_slice(&value), strbuf_slice(&extension));
		break;
	}
	strbuf_release(&value);
	strbuf_release(&extension);
}

static void walk(struct walk *w, struct slice address)
{
	struct strbuf key = STRBUF_INIT(2 * ADDRESS_MAX);

	address_fold(address, &key);
	if (map_get(&w->path, strbuf_slice(&key)) != NULL ||
	    w->depth >= w->aliases->params->virtual_alias_recursion_limit) {
		fail(w, "unreasonable map nesting", w->original);
	} else if ((long)address.len > w->aliases->params->virtual_alias_address_length_limit) {
		fail(w, "unreasonable result length", w->original);
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

	if (tables_is_empty(aliases->maps))
		return each(address, arg) ? ALIAS_OK : ALIAS_STOPPED;
	walk(&w, address);
	map_release(&w.path, NULL);
	map_release(&w.ended, NULL);
	return w.result;
}
