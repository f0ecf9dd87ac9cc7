// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lookup tables: "type:name" to text.
 *
 * Types: lmdb (also called hash and btree: all are FILE.lmdb), texthash, inline, static, regexp,
 * pcre, cidr, fail, environ, unix, pipemap, unionmap, randmap.  "proxy:" in front is served by the
 * inner type directly.  A type that is not here, and a table that cannot be opened, become a
 * surrogate: every lookup is TABLE_ERROR, one line in the log said why at opening.  Nothing here
 * ever turns an error into "not found".
 *
 * table_open for the same SPEC and FLAGS gives the same table again (counted), for it is one
 * process's view of one file.  Tables are opened before the jail: then the *directory* of an LMDB
 * file is kept open, and table_refresh_all finds a file that postmap put in its place.
 *
 * Threads: opening and freeing before serving or after it, by one thread.  Lookups and refreshes
 * from any thread at any time.
 */
#ifndef PC_TABLE_TABLE_H
#define PC_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/strbuf.h"

struct table;

enum table_result { TABLE_NOT_FOUND, TABLE_FOUND, TABLE_ERROR };

enum table_flags {
	TABLE_NO_FOLD = 1, /* keys keep their case (fixed-string types fold otherwise) */
	/* regexp, pcre: a rule whose result holds $number is left out, for lookups whose result is
	 * trusted (transport, uid and the like) */
	TABLE_NO_SUBSTITUTION = 2,
	TABLE_QUIET = 4 /* nothing is logged at opening: the caller says table_trouble() */
};

#define TABLE_VALUE_MAX (1024 * 1024)

/* Never NULL. */
struct table *table_open(const char *spec, unsigned flags);
void table_free(struct table *table); /* NULL is fine */
const char *table_spec(const struct table *table);
/* Takes whole keys only (regexp, pcre, cidr): never ask it for a part of an address or a parent
 * domain. */
bool table_is_pattern(const struct table *table);
/* A lookup waits for no other process and no network, so that any thread may do it. */
bool table_asks_nobody(const struct table *table);
/* Why every lookup fails, or NULL: for "postfix check" and postmap. */
const char *table_trouble(const struct table *table);

/*
 * VALUE is emptied first and holds the value when TABLE_FOUND (it may be empty).  A value beyond
 * VALUE's maximum is TABLE_ERROR.  KEY is folded to lower case by types with fixed keys.
 */
enum table_result table_get(struct table *table, struct slice key, struct strbuf *value);

/*
 * Every entry, in the table's order; for types that have entries (lmdb, texthash, inline).  False
 * when the type has none or reading failed.  EACH returns false to stop.
 */
typedef bool table_each_fn(struct slice key, struct slice value, void *arg);
bool table_each(struct table *table, table_each_fn *each, void *arg);

/*
 * Looks once at the files of all open tables; to be called between transactions.  A replaced LMDB
 * file is opened and used from the next lookup on.  False: a table of another type changed, or a
 * new file could not be opened with the rights that are left (the old one goes on being used): the
 * process should end after its sessions.  Logs "table T has changed -- restarting" once.
 */
bool table_refresh_all(void);
/*
 * Directories that the open tables need at run time (LMDB opens by path), for the sandbox: the
 * I-th, or NULL.  Each is named once.
 */
const char *table_directory(size_t i);

/* Is this type built in ("hash"; "proxy" is not a type)?  For postconf -m: the I-th name or NULL.
 */
bool table_type_is_known(struct slice type);
const char *table_type_name(size_t i);

/*
 * The next element of a list: up to a comma or blank outside of braces, which stay.  False at the
 * end.
 */
bool table_list_next(struct slice *rest, struct slice *word);
/* "{ text }" becomes "text"; anything else stays as it is.  False: unbalanced. */
bool table_unbrace(struct slice *text);

/*
 * A list of tables from a parameter's value: "hash:/a, static:b inline:{ {k = v} }".  Lookups ask
 * one after the other.
 */
struct tables;

/* Never NULL; NAME ("virtual_alias_maps") is for log lines. An empty VALUE is a list of none. */
struct tables *tables_open(const char *name, const char *value, unsigned flags);
void tables_free(struct tables *list);
bool tables_is_empty(const struct tables *list);
const char *tables_name(const struct tables *list);
bool tables_ask_nobody(const struct tables *list);

enum tables_key {
	TABLES_WHOLE_KEY, /* every table is asked */
	TABLES_PARTIAL	  /* KEY is a part of what is looked for: pattern tables are left out */
};
/*
 * The first hit.  An error in one table ends the search: TABLE_ERROR.  An empty value is an error
 * too, as with the peer ("lookup of ... returns an empty string result" is logged).
 */
enum table_result tables_get(
    struct tables *list, struct slice key, enum tables_key whole, struct strbuf *value);
/* The spec of the table that answered last in this thread, for log lines; never NULL. */
const char *tables_last(void);

#endif
