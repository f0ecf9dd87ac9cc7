// SPDX-License-Identifier: BSD-2-Clause
/*
 * doveconf: the settings in force as a list of items, each with the path of its name
 * ("service/auth/unix_listener/login\slogin/mode"), and the shapes in which it is printed.
 */
#ifndef PC_CMD_DOVECONF_H
#define PC_CMD_DOVECONF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "conf/dovecot_conf.h"
#include "conf/dovecot_tree.h"

/* "doveconf: Fatal: ..." and the peer's exit status for it. */
_Noreturn void doveconf_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum doveconf_scope {
	DOVECONF_ALL,
	DOVECONF_CHANGED, /* what differs from the default */
	DOVECONF_SET	  /* what the files set, be it to the default */
};

struct doveconf_options {
	enum doveconf_scope scope;
	bool expands; /* "$other" and "<file" */
	bool hidden;  /* settings that are shown on demand alone */
	bool secrets; /* passwords and keys */
	const char *module;
	struct dovecot_filter filter;
	bool is_filtered;
};

struct doveconf_item {
	const char *path;
	const char *name, *value;
	const struct dovecot_block *block; /* the innermost one it stands in */
};

struct doveconf_items {
	struct arena arena;
	struct doveconf_item *list;
	size_t count, alloc;
};

/* What stands outside of filters, with those that OPTIONS match; sorted by path. */
void doveconf_collect(struct doveconf_items *items, const struct dovecot_source *source,
    const struct doveconf_options *options);
/* What stands in the filter BLOCK itself. */
void doveconf_collect_filter(struct doveconf_items *items, const struct dovecot_block *block,
    const struct doveconf_options *options);
void doveconf_items_release(struct doveconf_items *items);
/* The assignment of NAME that holds: of the last of FILTERS that has one, or of the root; NULL. */
const struct dovecot_entry *doveconf_find(const struct dovecot_source *source,
    const struct dovecot_block **filters, size_t count, const char *name);
/* A name as it stands in a path: '/' is "\s", ' ' is "\_". */
const char *doveconf_label(struct arena *arena, const char *label);
/* Blocks without a name go by their number among their like. */
size_t doveconf_number(const struct dovecot_block *block);
/* Sockets that only we have are nobody's business. */
bool doveconf_is_private(const struct dovecot_block *block);
/* A value as it is shown: numbers in one form, whatever they were written in. */
const char *doveconf_show(struct arena *arena, const struct doveconf_options *options,
    enum dovecot_kind kind, const struct dovecot_entry *e);
const char *doveconf_show_default(struct arena *arena, const struct doveconf_options *options,
    enum dovecot_kind kind, const struct dovecot_spec *spec);
/* The Ith global setting or kind of blocks in the order of "doveconf -S"; NULL at the end. */
const char *doveconf_nth(size_t i);
bool doveconf_is_wanted(const struct doveconf_options *options, const char *name);

/* In dovecot.conf's own syntax; blocks begin where ITEMS' blocks leave TOP. */
void doveconf_print(const struct doveconf_items *items, const struct dovecot_block *top, int depth,
    const struct doveconf_options *options);
/* The filters, after everything else. */
void doveconf_print_filters(
    const struct dovecot_source *source, const struct doveconf_options *options);
/* "path=value" for programs, in an order of its own. */
void doveconf_print_simple(
    const struct dovecot_source *source, const struct doveconf_options *options);
/* The items that NAME means: one setting, or all of a block. */
void doveconf_print_named(const struct doveconf_items *items, const char *name, bool only_value,
    const struct doveconf_options *options);

#endif
