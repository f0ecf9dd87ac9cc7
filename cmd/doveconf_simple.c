// SPDX-License-Identifier: BSD-2-Clause
/*
 * "doveconf -S": a line for each setting, each list of blocks before its blocks.  The order is that
 * of the peer's programs, and built-in blocks count as set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "cmd/doveconf.h"

#define PATH_BYTES 65536

struct printer {
	struct arena arena;
	const struct doveconf_options *options;
	struct strbuf path; /* of the block that is printed, with a slash at its end */
};

static void print(struct printer *p, const char *name, const char *value)
{
	printf("%s%s=%s\n", p->path.len ? p->path.ptr : "", name, value);
}

/* An assignment (NULL: none) of a setting with this default; a NULL default is of no list. */
static void print_setting(struct printer *p, enum dovecot_kind kind, const char *name,
    const struct dovecot_entry *e, const char *def)
{
	enum doveconf_scope scope = p->options->scope;
	const char *value = e ? doveconf_show(&p->arena, p->options, kind, e) : def;

	if (scope != DOVECONF_ALL && !e)
		return;
	if (scope == DOVECONF_CHANGED && def && !strcmp(value, def))
		return;
	print(p, name, value);
}

/* A block's name is a setting of its own. */
static void print_label(struct printer *p, const struct dovecot_block *block)
{
	const char *name = "name";

	if (block->kind == DOVECOT_UNIX_LISTENER || block->kind == DOVECOT_FIFO_LISTENER)
		name = "path";
	else if (block->kind == DOVECOT_METRIC)
		name = "metric_name";
	if (*block->label || p->options->scope != DOVECONF_CHANGED)
		print(p, name, block->label);
}

static bool is_label(const struct dovecot_block *block, const char *name)
{
	return !strcmp(name, "name") || !strcmp(name, "path") ||
	       (block->kind == DOVECOT_INET_LISTENER && !strcmp(name, "protocol"));
}

static void print_settings(struct printer *p, const struct dovecot_block *block)
{
	struct dovecot_spec spec;

	if (dovecot_kinds[block->kind].is_free) {
		for (const struct dovecot_entry *e = block->entries; e; e = e->next)
			if (dovecot_tree_find(block, e->name) == e)
				print_setting(p, block->kind, e->name, e, NULL);
		return;
	}
	print_label(p, block);
	for (size_t i = 0; dovecot_spec_at(block->kind, i, &spec); i++) {
		const struct dovecot_entry *e = dovecot_tree_find(block, spec.name);

		if (!is_label(block, spec.name) && (e || strcmp(spec.name, "alias_for") != 0))
			print_setting(p, block->kind, spec.name, e,
			    doveconf_show_default(&p->arena, p->options, block->kind, &spec));
	}
}

static void add_name(struct printer *p, const struct dovecot_block *block, struct strbuf *out)
{
	if (dovecot_kinds[block->kind].is_free)
		return;
	if (*block->label)
		strbuf_addstr(out, doveconf_label(&p->arena, block->label));
	else
		strbuf_addf(out, "%zu", doveconf_number(block));
}

static void print_blocks(
    struct printer *p, const struct dovecot_block *parent, enum dovecot_kind kind);

static void print_block(struct printer *p, const struct dovecot_block *block)
{
	static const enum dovecot_kind inner[] = { DOVECOT_UNIX_LISTENER, DOVECOT_FIFO_LISTENER,
		DOVECOT_INET_LISTENER, DOVECOT_MAILBOX };
	size_t outer = p->path.len;

	strbuf_addf(&p->path, "%s/", dovecot_kinds[block->kind].name);
	if (!dovecot_kinds[block->kind].is_free) {
		add_name(p, block, &p->path);
		strbuf_addch(&p->path, '/');
	}
	print_settings(p, block);
	for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++)
		print_blocks(p, block, inner[i]);
	strbuf_truncate(&p->path, outer);
}

static void print_blocks(
    struct printer *p, const struct dovecot_block *parent, enum dovecot_kind kind)
{
	struct strbuf names = STRBUF_INIT(PATH_BYTES);
	size_t count = 0;

	for (const struct dovecot_block *b = parent->children; b; b = b->next) {
		if (b->kind != kind || doveconf_is_private(b))
			continue;
		if (count++)
			strbuf_addch(&names, ' ');
		add_name(p, b, &names);
	}
	if (count)
		print(p, dovecot_kinds[kind].name, names.len ? names.ptr : "");
	strbuf_release(&names);
	for (const struct dovecot_block *b = parent->children; b; b = b->next)
		if (b->kind == kind && !doveconf_is_private(b))
			print_block(p, b);
}

void doveconf_print_simple(
    const struct dovecot_source *source, const struct doveconf_options *options)
{
	struct printer p = { .options = options, .path = STRBUF_INIT(PATH_BYTES) };
	const struct dovecot_block **filters;
	size_t count = dovecot_tree_matching(source, &options->filter, &filters);
	const char *name;

	for (size_t i = 0; (name = doveconf_nth(i)) != NULL; i++) {
		int kind = dovecot_tree_kind(source->root, slice_of(name));
		struct dovecot_spec spec;

		if (!doveconf_is_wanted(options, name))
			continue;
		if (kind >= 0)
			print_blocks(&p, source->root, (enum dovecot_kind)kind);
		else if (dovecot_spec_find(DOVECOT_ROOT, name, &spec))
			print_setting(&p, DOVECOT_ROOT, name,
			    doveconf_find(source, filters, count, name),
			    doveconf_show_default(&p.arena, options, DOVECOT_ROOT, &spec));
	}
	free(filters);
	strbuf_release(&p.path);
	arena_release(&p.arena);
}
