// SPDX-License-Identifier: BSD-2-Clause
/*
 * The tree behind struct dovecot_source, for the files of dovecot.conf's reader alone: blocks
 * inside of blocks, each with its assignments in the order in which they were read.
 *
 * Everything lies in the source's arena.  The root is a block without parent.  Blocks that merge
 * (all but passdb, userdb and nameless namespaces) exist once per kind and label in their
 * parent, so an assignment that comes later simply stands later in the list and wins.
 */
#ifndef PC_CONF_DOVECOT_TREE_H
#define PC_CONF_DOVECOT_TREE_H

#include "base/arena.h"
#include "conf/dovecot_conf.h"

#define DOVECOT_FILE_MAX  (4 * 1024 * 1024) /* bytes of one file */
#define DOVECOT_DEPTH_MAX 8		    /* of blocks */

enum dovecot_kind {
	DOVECOT_ROOT,
	DOVECOT_SERVICE,
	DOVECOT_UNIX_LISTENER,
	DOVECOT_FIFO_LISTENER,
	DOVECOT_INET_LISTENER,
	DOVECOT_PASSDB,
	DOVECOT_USERDB,
	DOVECOT_NAMESPACE,
	DOVECOT_MAILBOX,
	DOVECOT_PLUGIN,
	DOVECOT_DICT,
	DOVECOT_METRIC,
	DOVECOT_EVENT_EXPORTER,
	DOVECOT_PROTOCOL,
	DOVECOT_LOCAL,
	DOVECOT_LOCAL_NAME,
	DOVECOT_REMOTE,
	DOVECOT_KIND_COUNT,
	/* Not blocks: keys of other files, see conf/dovecot_blocks.def. */
	DOVECOT_PASSWD_FILE_ARGS,
	DOVECOT_SQL_FILE,
	DOVECOT_LDAP_FILE
};

struct dovecot_kind_row {
	const char *name;
	enum dovecot_kind parent; /* ROOT: also inside of filters */
	bool is_filter;		  /* its settings are global ones, narrowed */
	bool is_free;		  /* any name may stand in it */
	enum { DOVECOT_MERGES, DOVECOT_MERGES_WITH_LABEL, DOVECOT_NEW_EACH_TIME } repeated;
	bool wants_label;
};
extern const struct dovecot_kind_row dovecot_kinds[DOVECOT_KIND_COUNT];

struct dovecot_entry {
	struct dovecot_entry *next;
	const char *name, *value;
	const char *shown; /* as it was written: "$other", "<file"; NULL: as the value */
	const char *file;
	unsigned line;
	bool is_builtin;
};

struct dovecot_block {
	enum dovecot_kind kind;
	const char *label; /* "" without one */
	const char *file;  /* where it was opened last */
	unsigned line;
	bool is_builtin;
	struct dovecot_source *source;
	struct dovecot_block *parent;
	struct dovecot_block *next; /* the next one in the same parent */
	struct dovecot_block *children, *last_child;
	struct dovecot_entry *entries, *last_entry;
};

struct dovecot_source {
	struct arena arena;
	const char *path;
	struct dovecot_block *root;
};

struct dovecot_source *dovecot_tree_new(const char *path);
/* TEXT as dovecot.conf, without a look at any other file; and a sealed file's bytes.  For tests. */
struct dovecot_source *dovecot_source_parse(struct slice text, struct conf_errors *errors);
struct dovecot_source *dovecot_source_decode(struct slice bytes); /* NULL when malformed */
void dovecot_source_encode(const struct dovecot_source *source, struct strbuf *out);
/* -1 when KIND may not stand in PARENT (or there is no such kind), else the kind. */
int dovecot_tree_kind(const struct dovecot_block *parent, struct slice name);
/* The block to which a block that opens here belongs: a new one, or the one it merges with. */
struct dovecot_block *dovecot_tree_open(struct dovecot_block *parent, enum dovecot_kind kind,
    const char *label, const char *file, unsigned line, bool is_builtin);
/* Texts are not copied: they lie in the source's arena. */
void dovecot_tree_add(struct dovecot_block *block, const struct dovecot_entry *entry);
/* The last assignment of NAME, or NULL. */
const struct dovecot_entry *dovecot_tree_find(const struct dovecot_block *block, const char *name);

/* A setting of a kind of blocks; NULL for an unknown one.  ROOT and filters: the global list. */
struct dovecot_spec {
	const char *name;
	const char *words; /* as in the list: of an ENUM all that it may be */
	const char *def;   /* the default */
	enum dovecot_type type;
	bool works;
};
bool dovecot_spec_find(enum dovecot_kind kind, const char *name, struct dovecot_spec *spec);
/* The Ith setting of a kind of blocks; false at the end. */
bool dovecot_spec_at(enum dovecot_kind kind, size_t i, struct dovecot_spec *spec);
void dovecot_spec_of(const struct dovecot_row *row, struct dovecot_spec *spec);

/*
 * The value of a text as TYPE says: a number, or nothing for STR and ENUM.  False with what is
 * wrong in ERROR.
 */
bool dovecot_value_parse(
    const struct dovecot_spec *spec, const char *text, uint64_t *number, char error[160]);

/* Global settings' values that are of the right type and wrong all the same. */
void dovecot_check_meaning(const struct dovecot_block *block, struct conf_errors *errors);

/* A number as doveconf prints it: "10 M", "1 hours", "0600", "yes". */
void dovecot_value_format(enum dovecot_type type, uint64_t number, char text[64]);

/*
 * The filters that match, the least specific first, so that what a later one sets wins.  The caller
 * frees *LIST.  And the order of two filters' specificity: -1, 0 or 1.
 */
size_t dovecot_tree_matching(const struct dovecot_source *source,
    const struct dovecot_filter *filter, const struct dovecot_block ***list);
int dovecot_tree_compare_filters(const struct dovecot_block *a, const struct dovecot_block *b);
/* Whether one of the conditions of FILTER (NULL: not asked for) speaks against BLOCK. */
bool dovecot_tree_may_match(const struct dovecot_block *block, const struct dovecot_filter *filter);

/* "192.0.2.0/24", "2001:db8::1": for local and remote blocks. */
struct dovecot_net {
	int family;
	unsigned char bytes[16];
	unsigned prefix;
};
bool dovecot_net_parse(const char *text, struct dovecot_net *net);
/* ADDRESS is a literal, or NULL. */
bool dovecot_net_contains(const struct dovecot_net *net, const char *address);

#endif
