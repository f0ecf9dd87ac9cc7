// SPDX-License-Identifier: BSD-2-Clause
/*
 * Making and changing LMDB tables: what postmap, postalias and the compilation at start do.
 *
 * A table file is never changed in place: a new file is written beside it, synced, renamed over it,
 * and the directory synced, so a reader sees the old or the new one, also after a power cut.
 * Builders of one table wait for each other.  Everything here belongs to commands and to the time
 * before serving.
 */
#ifndef PC_TABLE_TABLE_BUILD_H
#define PC_TABLE_TABLE_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/slice.h"
#include "base/strbuf.h"

enum table_duplicate {
	TABLE_DUP_WARN,	  /* the first entry stays, with a warning */
	TABLE_DUP_KEEP,	  /* the first entry stays */
	TABLE_DUP_REPLACE /* the last one stays */
};

struct table_build {
	const char *path; /* the source, "/etc/postfix/vusers"; the table is PATH.lmdb */
	const char *type; /* for messages: "hash" */
	enum table_duplicate duplicates;
	bool no_fold;  /* keys keep their case */
	bool aliases;  /* "key: value" lines of aliases(5) */
	bool with_nul; /* keys and values end with NUL in the file (the peer's default for lmdb) */
	bool default_mode;     /* do not copy the source's permissions */
	bool incremental;      /* existing entries stay; SOURCE adds to them */
	bool values_are_files; /* a value names files, whose content is stored in base64 */
	bool allow_8bit;       /* keys and values need not be UTF-8 */
	size_t map_size;       /* 0: as needed */
	/* Counts what was said: warnings through log_warning. */
	size_t warnings, entries;
};

/*
 * Builds the table from the text SOURCE.  False: nothing was changed, *ERROR is the text (the
 * caller frees it), for example "open database /etc/postfix/vusers.lmdb: Permission denied".
 * O(n log n) only where SOURCE is not sorted.
 */
bool table_build(struct table_build *build, struct slice source, char **error);
/* The same from the file build->path, whose owner and mode the new table gets. */
bool table_build_file(struct table_build *build, char **error);
/* "hash", "btree", "lmdb": FILE.lmdb is what is looked into, and built from the text FILE. */
bool table_type_is_built(struct slice type);
/* FILE.lmdb beside its text FILE; current where there is no such text. */
enum table_age { TABLE_AGE_CURRENT, TABLE_AGE_OLDER, TABLE_AGE_MISSING };
enum table_age table_age(const char *path);
/*
 * Builds what is missing: for each "hash:FILE" (btree, lmdb) in a parameter's VALUE the table, if
 * FILE is there and FILE.lmdb is not, or is older.  Says so in the log; a failure is a warning
 * there (the table will be an error for who needs it).  Returns the number of tables built.
 */
size_t table_build_missing(const char *value, bool aliases);
/* Removes keys; *REMOVED is their number. */
bool table_remove(struct table_build *build, const struct slice *keys, size_t count,
    size_t *removed, char **error);

/*
 * Walks over the entries of a postmap (or, with ALIASES, postalias) source text: comments, empty
 * lines and continuation lines are put together.  Keys are not folded; a postmap key keeps its
 * quotes ("a b"@c is how a table names such an address), an alias loses them.  LINE is the first
 * physical line of the entry.  Lines without a value are reported through WARN (which may be NULL)
 * and skipped.
 */
struct table_source {
	struct slice rest;
	unsigned next_line;
	bool aliases;
	void (*warn)(unsigned line, const char *text, void *arg);
	void *warn_arg;
	struct strbuf logical, key_buf; /* between calls: what was returned, unless it is a slice of
					 * the text */
};
void table_source_init(struct table_source *source, struct slice text, bool aliases);
bool table_source_next(
    struct table_source *source, struct slice *key, struct slice *value, unsigned *line);
/* The next logical line, for other formats that are put together in this way (regexp). */
bool table_source_line(struct table_source *source, struct slice *line, unsigned *number);
void table_source_release(struct table_source *source);

#endif
