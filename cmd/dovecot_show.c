// SPDX-License-Identifier: BSD-2-Clause
/*
 * The order is the peer's: comments about the host, global settings by name, blocks, and last the
 * filters (protocol, local, remote), whose settings are global ones again.
 */
#include "cmd/dovecot_show.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "conf/dovecot_tree.h"

static void indent(int depth)
{
	for (int i = 0; i < depth; i++)
		fputs("  ", stdout);
}

static void print_header(const struct dovecot_source *source, const char *version)
{
	struct utsname host;

	printf("# %s: %s\n", version, dovecot_source_path(source));
	if (uname(&host) != 0)
		return;
	printf("# OS: %s %s %s\n", host.sysname, host.release, host.machine);
	printf("# Hostname: %s\n", host.nodename);
}

static void print_global(
    const struct dovecot_source *source, const struct dovecot_row *row, bool all)
{
	const struct dovecot_entry *entry = dovecot_tree_find(source->root, row->name);
	struct dovecot_spec spec;
	const char *value;

	dovecot_spec_of(row, &spec);
	value = entry == NULL ? spec.def : entry->value;
	if (all || (entry != NULL && !entry->is_builtin && strcmp(value, spec.def) != 0))
		printf("%s = %s\n", row->name, value);
}

/* Only the last assignment of a name counts. */
static bool is_shown(const struct dovecot_block *block, const struct dovecot_entry *entry, bool all)
{
	struct dovecot_spec spec;

	if (dovecot_tree_find(block, entry->name) != entry)
		return false;
	if (all)
		return true;
	return !entry->is_builtin && (!dovecot_spec_find(block->kind, entry->name, &spec) ||
					 strcmp(entry->value, spec.def) != 0);
}

/* A block that somebody opened is shown even when nothing in it differs: it is there. */
static bool has_something(const struct dovecot_block *block, bool all)
{
	if (all || !block->is_builtin)
		return true;
	for (const struct dovecot_entry *e = block->entries; e != NULL; e = e->next)
		if (is_shown(block, e, all))
			return true;
	for (const struct dovecot_block *c = block->children; c != NULL; c = c->next)
		if (has_something(c, all))
			return true;
	return false;
}

static void print_block(const struct dovecot_block *block, bool all, int depth)
{
	indent(depth);
	printf("%s%s%s {\n", dovecot_kinds[block->kind].name, block->label[0] ? " " : "",
	    block->label);
	for (const struct dovecot_entry *e = block->entries; e != NULL; e = e->next)
		if (is_shown(block, e, all)) {
			indent(depth + 1);
			printf("%s = %s\n", e->name, e->value);
		}
	for (const struct dovecot_block *c = block->children; c != NULL; c = c->next)
		if (has_something(c, all))
			print_block(c, all, depth + 1);
	indent(depth);
	puts("}");
}

static void print_blocks(const struct dovecot_source *source, bool all, bool filters)
{
	for (const struct dovecot_block *b = source->root->children; b != NULL; b = b->next)
		if (dovecot_kinds[b->kind].is_filter == filters && has_something(b, all))
			print_block(b, all, 0);
}

void dovecot_show(const struct dovecot_source *source, const char *version, bool all)
{
	print_header(source, version);
	for (size_t i = 0; i < dovecot_row_count(); i++)
		print_global(source, dovecot_row(i), all);
	print_blocks(source, all, false);
	print_blocks(source, all, true);
}
