// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a type of table is to table.c: one row of functions, one file.  For use inside of lib/table
 * only.
 */
#ifndef PC_TABLE_TABLE_TYPE_H
#define PC_TABLE_TABLE_TYPE_H

#include "table/table.h"

enum table_change {
	TABLE_SAME,
	TABLE_RELOADED, /* the new content is in use */
	TABLE_CHANGED	/* the new content needs a new process */
};

struct table_type {
	const char *name;
	bool is_pattern;
	bool
	    asks_nobody; /* no other process, no network: a lookup reads memory, or a mapped file */
	bool keeps_case; /* GET folds keys, or what it asks does */
	/*
	 * Opens NAME (what stands behind "type:").  NULL with *ERROR (on the heap) when that fails.
	 * A type whose refresh may mend it returns an object that fails its lookups, and sets
	 * *ERROR too.
	 */
	void *(*open)(const char *name, unsigned flags, char **error);
	void (*free)(void *impl);
	/* KEY is folded already, unless the type is a pattern type or keeps the case. */
	enum table_result (*get)(void *impl, struct slice key, struct strbuf *value);
	bool (*each)(void *impl, table_each_fn *each, void *arg); /* NULL: has no entries */
	enum table_change (*refresh)(void *impl);		  /* NULL: never changes */
	const char *(*directory)(void *impl); /* NULL: needs nothing at run time */
	bool (*has_patterns)(void *impl);     /* NULL: as IS_PATTERN says */
};

extern const struct table_type table_type_lmdb, table_type_hash, table_type_btree;
extern const struct table_type table_type_texthash, table_type_inline;
extern const struct table_type table_type_static, table_type_fail, table_type_unix;
extern const struct table_type table_type_regexp, table_type_pcre, table_type_cidr;
extern const struct table_type table_type_pipemap, table_type_unionmap, table_type_randmap;
extern const struct table_type table_type_environ;

/* For a type that is made of tables, in its open and free: the list of tables is locked already. */
struct table *table_open_locked(const char *spec, unsigned flags);
void table_free_locked(struct table *table);

/* A file's identity, to notice a change. */
struct table_stamp {
	unsigned long long dev, ino, size;
	long long mtime_s, mtime_ns;
};
bool table_stamp_fd(int fd, struct table_stamp *stamp);
bool table_stamp_at(int dirfd, const char *path, struct table_stamp *stamp);
bool table_stamp_equal(const struct table_stamp *a, const struct table_stamp *b);

/* The whole file; false with *ERROR "open FILE: reason". */
#define TABLE_TEXT_MAX ((size_t)256 << 20)
bool table_read_file(
    const char *path, struct strbuf *text, struct table_stamp *stamp, char **error);

#endif
