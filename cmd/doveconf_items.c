// SPDX-License-Identifier: BSD-2-Clause
/*
 * One pass over the tree of the configuration.  The list is sorted by path at the end, and of
 * items with one path the last one stays: filters are collected after what they override.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/doveconf.h"

#define PATH_MAX_BYTES 65536

static const struct {
	const char *name;
	bool is_hidden;
	const char *modules;
} modules[] = {
#define SHOWN			       false
#define HIDDEN			       true
#define MODULE_ROW(name, hidden, list) { name, hidden, list },
#include "conf/dovecot_modules.def"
#undef MODULE_ROW
};

struct collector {
	struct doveconf_items *items;
	const struct doveconf_options *options;
	enum doveconf_scope scope;
};

const char *doveconf_nth(size_t i)
{
	return i < ARRAY_LEN(modules) ? modules[i].name : NULL;
}

static size_t place_of(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(modules) && strcmp(modules[i].name, name) != 0)
		i++;
	return i;
}

static bool has_word(const char *list, const char *want)
{
	struct slice rest = slice_of(list), word;

	while (slice_token(&rest, " ", &word))
		if (slice_eq_str(word, want) || slice_eq_str(word, "*"))
			return true;
	return false;
}

bool doveconf_is_wanted(const struct doveconf_options *options, const char *name)
{
	size_t at = place_of(name);

	if (at == ARRAY_LEN(modules))
		return !options->module;
	return (options->hidden || !modules[at].is_hidden) &&
	       (!options->module || has_word(modules[at].modules, options->module));
}

const char *doveconf_label(struct arena *arena, const char *label)
{
	struct strbuf out = STRBUF_INIT(PATH_MAX_BYTES);
	const char *escaped;

	for (; *label; label++)
		if (*label == '/')
			strbuf_addstr(&out, "\\s");
		else if (*label == ' ')
			strbuf_addstr(&out, "\\_");
		else
			strbuf_addch(&out, *label);
	escaped = arena_slicedup(arena, strbuf_slice(&out));
	strbuf_release(&out);
	return escaped;
}

size_t doveconf_number(const struct dovecot_block *block)
{
	size_t number = 0;

	for (const struct dovecot_block *b = block->parent->children; b != block; b = b->next)
		number += b->kind == block->kind;
	return number;
}

static void add_block_path(
    struct collector *c, const struct dovecot_block *block, struct strbuf *path)
{
	if (!block->parent || dovecot_kinds[block->kind].is_filter)
		return;
	add_block_path(c, block->parent, path);
	strbuf_addf(path, "%s/", dovecot_kinds[block->kind].name);
	if (dovecot_kinds[block->kind].is_free)
		return;
	if (*block->label)
		strbuf_addf(path, "%s/", doveconf_label(&c->items->arena, block->label));
	else
		strbuf_addf(path, "%zu/", doveconf_number(block));
}

static void add(
    struct collector *c, const struct dovecot_block *block, const char *name, const char *value)
{
	struct doveconf_items *items = c->items;
	struct strbuf path = STRBUF_INIT(PATH_MAX_BYTES);

	add_block_path(c, block, &path);
	strbuf_addstr(&path, name);
	if (items->count == items->alloc) {
		items->alloc = items->alloc ? 2 * items->alloc : 256;
		items->list = xreallocarray(items->list, items->alloc, sizeof(*items->list));
	}
	items->list[items->count++] =
	    (struct doveconf_item){ arena_slicedup(&items->arena, strbuf_slice(&path)), name, value,
		    block };
	strbuf_release(&path);
}

static const char *expand(struct arena *arena, const struct dovecot_entry *e)
{
	char *error = NULL, *content = dovecot_read_file_value(e->value, &error);
	const char *kept;

	if (!content) {
		doveconf_die("Error in configuration file %s line %u: %s: Can't open file %s: %s",
		    e->file, e->line, e->name, e->value + 1, strerror(errno));
	}
	kept = arena_strdup(arena, content);
	free(content);
	return kept;
}

const char *doveconf_show(struct arena *arena, const struct doveconf_options *options,
    enum dovecot_kind kind, const struct dovecot_entry *e)
{
	struct dovecot_spec spec;
	char text[64], why[160];
	uint64_t number;

	if (!dovecot_spec_find(kind, e->name, &spec) || spec.type == DOVECOT_STR ||
	    spec.type == DOVECOT_ENUM || !dovecot_value_parse(&spec, e->value, &number, why)) {
		if (options->expands)
			return expand(arena, e);
		return e->shown ? e->shown : e->value;
	}
	dovecot_value_format(spec.type, number, text);
	return arena_strdup(arena, text);
}

const char *doveconf_show_default(struct arena *arena, const struct doveconf_options *options,
    enum dovecot_kind kind, const struct dovecot_spec *spec)
{
	struct dovecot_entry e = { .name = spec->name, .value = spec->def, .file = "" };

	return doveconf_show(arena, options, kind, &e);
}

static const char *show(struct collector *c, enum dovecot_kind kind, const struct dovecot_entry *e)
{
	return doveconf_show(&c->items->arena, c->options, kind, e);
}

static const char *show_default(
    struct collector *c, enum dovecot_kind kind, const struct dovecot_spec *spec)
{
	return doveconf_show_default(&c->items->arena, c->options, kind, spec);
}

/* Names of blocks stand in their heads; only those of passdbs and userdbs are settings, too. */
static bool is_head(const struct dovecot_block *block, const char *name)
{
	if (block->kind == DOVECOT_PASSDB || block->kind == DOVECOT_USERDB)
		return false;
	if (block->kind == DOVECOT_INET_LISTENER && !strcmp(name, "protocol"))
		return true;
	return !strcmp(name, "name") || !strcmp(name, "path");
}

static bool has_plain_defaults(const struct dovecot_block *block)
{
	return !block->parent || dovecot_kinds[block->kind].is_filter ||
	       block->kind == DOVECOT_PASSDB || block->kind == DOVECOT_USERDB;
}

static bool is_in_scope(struct collector *c, const struct dovecot_block *block,
    const struct dovecot_entry *e, const char *shown)
{
	struct dovecot_spec spec;

	switch (c->scope) {
	case DOVECONF_ALL:
		return true;
	case DOVECONF_SET:
		return !e->is_builtin;
	case DOVECONF_CHANGED:
		break;
	}
	if (e->is_builtin)
		return false;
	if (!has_plain_defaults(block) || !dovecot_spec_find(block->kind, e->name, &spec))
		return true;
	return strcmp(shown, show_default(c, block->kind, &spec)) != 0;
}

static void add_set(struct collector *c, const struct dovecot_block *block)
{
	for (const struct dovecot_entry *e = block->entries; e; e = e->next) {
		const char *value = show(c, block->kind, e);

		if (dovecot_tree_find(block, e->name) == e && !is_head(block, e->name) &&
		    (!dovecot_kinds[block->kind].is_filter ||
			doveconf_is_wanted(c->options, e->name)) &&
		    is_in_scope(c, block, e, value))
			add(c, block, e->name, value);
	}
}

/* What a block shows of itself even where nobody set it. */
static void add_always(struct collector *c, const struct dovecot_block *block)
{
	static const char *const of_namespace[] = { "location", "prefix" };
	bool is_database = block->kind == DOVECOT_PASSDB || block->kind == DOVECOT_USERDB;

	if (c->scope == DOVECONF_ALL)
		return;
	for (size_t i = 0; block->kind == DOVECOT_NAMESPACE && i < ARRAY_LEN(of_namespace); i++)
		if (!dovecot_tree_find(block, of_namespace[i]))
			add(c, block, of_namespace[i], "");
	if (is_database && !dovecot_tree_find(block, "name") &&
	    (*block->label || c->scope != DOVECONF_CHANGED))
		add(c, block, "name", block->label);
}

/* Rows of the lists that the block does not set; alias_for has no value to show then. */
static void add_defaults(struct collector *c, const struct dovecot_block *block)
{
	struct dovecot_spec spec;

	for (size_t i = 0; dovecot_spec_at(block->kind, i, &spec); i++)
		if (!dovecot_tree_find(block, spec.name) && !is_head(block, spec.name) &&
		    strcmp(spec.name, "alias_for") != 0)
			add(c, block, spec.name,
			    strcmp(spec.name, "name") == 0 ? block->label
							   : show_default(c, block->kind, &spec));
}

bool doveconf_is_private(const struct dovecot_block *block)
{
	return block->is_builtin && block->kind == DOVECOT_UNIX_LISTENER &&
	       !strncmp(block->label, "who-", 4);
}

static const char *outermost(const struct dovecot_block *block)
{
	while (block->parent->parent && !dovecot_kinds[block->parent->kind].is_filter)
		block = block->parent;
	return dovecot_kinds[block->kind].name;
}

static void add_block(struct collector *c, const struct dovecot_block *block)
{
	if (doveconf_is_private(block) || !doveconf_is_wanted(c->options, outermost(block)))
		return;
	if (c->scope == DOVECONF_ALL && !dovecot_kinds[block->kind].is_free)
		add_defaults(c, block);
	add_set(c, block);
	if (!block->is_builtin)
		add_always(c, block);
	for (const struct dovecot_block *b = block->children; b; b = b->next)
		add_block(c, b);
}

static void add_children(struct collector *c, const struct dovecot_block *parent)
{
	for (const struct dovecot_block *b = parent->children; b; b = b->next)
		if (!dovecot_kinds[b->kind].is_filter)
			add_block(c, b);
}

const struct dovecot_entry *doveconf_find(const struct dovecot_source *source,
    const struct dovecot_block **filters, size_t count, const char *name)
{
	const struct dovecot_entry *entry = NULL;

	while (count > 0 && !entry)
		entry = dovecot_tree_find(filters[--count], name);
	return entry ? entry : dovecot_tree_find(source->root, name);
}

static void add_global(struct collector *c, const struct dovecot_block *root,
    const struct dovecot_row *row, const struct dovecot_entry *e)
{
	struct dovecot_spec spec;
	const char *value;

	if (!doveconf_is_wanted(c->options, row->name))
		return;
	dovecot_spec_of(row, &spec);
	value = e ? show(c, DOVECOT_ROOT, e) : show_default(c, DOVECOT_ROOT, &spec);
	if (c->scope == DOVECONF_ALL || (e && is_in_scope(c, root, e, value)))
		add(c, root, row->name, value);
}

/* The peer's order: letters outside of ASCII come first. */
static int compare_text(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (signed char)*a - (signed char)*b;
}

static int compare_paths(const void *a, const void *b)
{
	const struct doveconf_item *x = a, *y = b;
	int order = compare_text(x->path, y->path);

	/* qsort is not stable; what was collected later is younger. */
	return order ? order : (x->block > y->block) - (x->block < y->block);
}

static void sort(struct doveconf_items *items)
{
	if (items->count > 1)
		qsort(items->list, items->count, sizeof(*items->list), compare_paths);
}

/* Blocks in filters that match: each item takes the place of the one with its path. */
static void merge(struct doveconf_items *items, size_t from)
{
	size_t count = from;

	for (size_t i = from; i < items->count; i++) {
		size_t at = 0;

		while (at < count && strcmp(items->list[at].path, items->list[i].path) != 0)
			at++;
		if (at < count)
			items->list[at].value = items->list[i].value;
		else
			items->list[count++] = items->list[i];
	}
	items->count = count;
}

void doveconf_collect(struct doveconf_items *items, const struct dovecot_source *source,
    const struct doveconf_options *options)
{
	struct collector c = { items, options, options->scope };
	const struct dovecot_block **filters = NULL;
	size_t count = 0;

	*items = (struct doveconf_items){ .list = NULL };
	if (options->is_filtered)
		count = dovecot_tree_matching(source, &options->filter, &filters);
	for (size_t i = 0; i < dovecot_row_count(); i++)
		add_global(&c, source->root, dovecot_row(i),
		    doveconf_find(source, filters, count, dovecot_row(i)->name));
	add_children(&c, source->root);
	for (size_t i = 0; i < count; i++) {
		size_t from = items->count;

		add_children(&c, filters[i]);
		merge(items, from);
	}
	free(filters);
	sort(items);
}

void doveconf_collect_filter(struct doveconf_items *items, const struct dovecot_block *block,
    const struct doveconf_options *options)
{
	struct collector c = { items, options, DOVECONF_SET };

	*items = (struct doveconf_items){ .list = NULL };
	add_set(&c, block);
	add_children(&c, block);
	sort(items);
}

void doveconf_items_release(struct doveconf_items *items)
{
	free(items->list);
	arena_release(&items->arena);
}
