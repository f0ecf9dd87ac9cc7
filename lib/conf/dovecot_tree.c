// SPDX-License-Identifier: BSD-2-Clause
/* Blocks and assignments, the kinds of blocks, and the getters over them. */
#include "conf/dovecot_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

const struct dovecot_kind_row dovecot_kinds[DOVECOT_KIND_COUNT] = {
	[DOVECOT_ROOT] = { "", DOVECOT_ROOT, true, false, DOVECOT_MERGES, false },
	[DOVECOT_SERVICE] = { "service", DOVECOT_ROOT, false, false, DOVECOT_MERGES, true },
	[DOVECOT_UNIX_LISTENER] = { "unix_listener", DOVECOT_SERVICE, false, false, DOVECOT_MERGES,
	    true },
	[DOVECOT_FIFO_LISTENER] = { "fifo_listener", DOVECOT_SERVICE, false, false, DOVECOT_MERGES,
	    true },
	[DOVECOT_INET_LISTENER] = { "inet_listener", DOVECOT_SERVICE, false, false,
	    DOVECOT_MERGES_WITH_LABEL, false },
	[DOVECOT_PASSDB] = { "passdb", DOVECOT_ROOT, false, false, DOVECOT_NEW_EACH_TIME, false },
	[DOVECOT_USERDB] = { "userdb", DOVECOT_ROOT, false, false, DOVECOT_NEW_EACH_TIME, false },
	[DOVECOT_NAMESPACE] = { "namespace", DOVECOT_ROOT, false, false, DOVECOT_MERGES_WITH_LABEL,
	    false },
	[DOVECOT_MAILBOX] = { "mailbox", DOVECOT_NAMESPACE, false, false, DOVECOT_MERGES, true },
	[DOVECOT_PLUGIN] = { "plugin", DOVECOT_ROOT, false, true, DOVECOT_MERGES, false },
	[DOVECOT_DICT] = { "dict", DOVECOT_ROOT, false, true, DOVECOT_MERGES, false },
	[DOVECOT_METRIC] = { "metric", DOVECOT_ROOT, false, false, DOVECOT_MERGES, true },
	[DOVECOT_EVENT_EXPORTER] = { "event_exporter", DOVECOT_ROOT, false, false, DOVECOT_MERGES,
	    true },
	[DOVECOT_PROTOCOL] = { "protocol", DOVECOT_ROOT, true, false, DOVECOT_MERGES, true },
	[DOVECOT_LOCAL] = { "local", DOVECOT_ROOT, true, false, DOVECOT_MERGES, true },
	[DOVECOT_LOCAL_NAME] = { "local_name", DOVECOT_ROOT, true, false, DOVECOT_MERGES, true },
	[DOVECOT_REMOTE] = { "remote", DOVECOT_ROOT, true, false, DOVECOT_MERGES, true },
};

struct dovecot_source *dovecot_tree_new(const char *path)
{
	struct dovecot_source *source = xcalloc(1, sizeof(*source));

	source->path = arena_strdup(&source->arena, path);
	source->root = ARENA_NEW(&source->arena, struct dovecot_block);
	source->root->label = "";
	source->root->file = source->path;
	source->root->source = source;
	return source;
}

void dovecot_source_free(struct dovecot_source *source)
{
	if (!source)
		return;
	arena_release(&source->arena);
	free(source);
}

const char *dovecot_source_path(const struct dovecot_source *source)
{
	return source->path;
}

int dovecot_tree_kind(const struct dovecot_block *parent, struct slice name)
{
	for (int kind = DOVECOT_ROOT + 1; kind < DOVECOT_KIND_COUNT; kind++) {
		if (!slice_eq_str(name, dovecot_kinds[kind].name))
			continue;
		if (dovecot_kinds[kind].parent == parent->kind)
			return kind;
		if (dovecot_kinds[kind].parent == DOVECOT_ROOT &&
		    dovecot_kinds[parent->kind].is_filter)
			return kind;
	}
	return -1;
}

static bool merges(const struct dovecot_block *block, enum dovecot_kind kind, const char *label)
{
	if (block->kind != kind || strcmp(block->label, label) != 0)
		return false;
	switch (dovecot_kinds[kind].repeated) {
	case DOVECOT_MERGES:
		return true;
	case DOVECOT_MERGES_WITH_LABEL:
		return *label;
	case DOVECOT_NEW_EACH_TIME:
		break;
	}
	return false;
}

struct dovecot_block *dovecot_tree_open(struct dovecot_block *parent, enum dovecot_kind kind,
    const char *label, const char *file, unsigned line, bool is_builtin)
{
	struct dovecot_block *block;

	for (block = parent->children; block; block = block->next)
		if (merges(block, kind, label)) {
			block->file = file;
			block->line = line;
			return block;
		}
	block = ARENA_NEW(&parent->source->arena, struct dovecot_block);
	block->kind = kind;
	block->label = label;
	block->file = file;
	block->line = line;
	block->is_builtin = is_builtin;
	block->source = parent->source;
	block->parent = parent;
	if (parent->last_child)
		parent->last_child->next = block;
	else
		parent->children = block;
	parent->last_child = block;
	return block;
}

void dovecot_tree_add(struct dovecot_block *block, const struct dovecot_entry *entry)
{
	struct dovecot_entry *e = ARENA_NEW(&block->source->arena, struct dovecot_entry);

	*e = *entry;
	e->next = NULL;
	if (block->last_entry)
		block->last_entry->next = e;
	else
		block->entries = e;
	block->last_entry = e;
}

const struct dovecot_entry *dovecot_tree_find(const struct dovecot_block *block, const char *name)
{
	const struct dovecot_entry *found = NULL;

	for (const struct dovecot_entry *e = block->entries; e; e = e->next)
		if (!strcmp(e->name, name))
			found = e;
	return found;
}

static const struct dovecot_block *nth_of(
    const struct dovecot_block *parent, const char *kind, size_t i)
{
	for (const struct dovecot_block *b = parent->children; b; b = b->next)
		if (!strcmp(dovecot_kinds[b->kind].name, kind) && i-- == 0)
			return b;
	return NULL;
}

static size_t count_of(const struct dovecot_block *parent, const char *kind)
{
	size_t count = 0;

	for (const struct dovecot_block *b = parent->children; b; b = b->next)
		if (!strcmp(dovecot_kinds[b->kind].name, kind))
			count++;
	return count;
}

size_t dovecot_block_count(const struct dovecot_source *source, const char *kind)
{
	return count_of(source->root, kind);
}

const struct dovecot_block *dovecot_block_at(
    const struct dovecot_source *source, const char *kind, size_t i)
{
	return nth_of(source->root, kind, i);
}

const struct dovecot_block *dovecot_block_find(
    const struct dovecot_source *source, const char *kind, const char *label)
{
	for (const struct dovecot_block *b = source->root->children; b; b = b->next)
		if (!strcmp(dovecot_kinds[b->kind].name, kind) && !strcmp(b->label, label))
			return b;
	return NULL;
}

size_t dovecot_subblock_count(const struct dovecot_block *block, const char *kind)
{
	return count_of(block, kind);
}

const struct dovecot_block *dovecot_subblock_at(
    const struct dovecot_block *block, const char *kind, size_t i)
{
	return nth_of(block, kind, i);
}

const char *dovecot_block_label(const struct dovecot_block *block)
{
	return block->label;
}

bool dovecot_block_is_set(const struct dovecot_block *block, const char *name)
{
	for (const struct dovecot_entry *e = block->entries; e; e = e->next)
		if (!e->is_builtin && !strcmp(e->name, name))
			return true;
	return false;
}
