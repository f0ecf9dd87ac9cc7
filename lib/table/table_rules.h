// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables of rules that are tried in order, the first that applies gives the result: cidr, regexp
 * and pcre.  They share the file's lines, the inline form, if and endif, and the walk; regexp and
 * pcre share the lines' syntax and the $number of results, too.  For use inside of lib/table only.
 *
 * A rule with a mistake is left out with a warning that names file and line, as with the peer.
 */
#ifndef PC_TABLE_TABLE_RULES_H
#define PC_TABLE_TABLE_RULES_H

#include "base/slice.h"
#include "base/strbuf.h"
#include "table/table_type.h"

enum rule_kind { RULE_MATCH, RULE_IF, RULE_ENDIF };

struct rule {
	enum rule_kind kind;
	unsigned line;
	size_t after;	 /* RULE_IF: where to go on when it does not apply */
	void *condition; /* the type's */
	char *result;	 /* RULE_MATCH */
};

struct rules;

struct rules_type {
	const char *name; /* "cidr" */
	/* Makes a rule of LINE, with rules_add or rules_endif, or says what is wrong. */
	void (*line)(struct rules *rules, struct slice line, unsigned number);
	void (*free_condition)(void *condition);
	/* 1: RULE applies, and its result was added to VALUE; 0: it does not; -1: error. */
	int (*try)(const struct rules *rules, const struct rule *rule, const void *key,
	    struct strbuf *value);
};

struct rules {
	const struct rules_type *type;
	char *path; /* or the rules themselves */
	bool is_inline;
	unsigned flags;
	struct table_stamp stamp;
	struct rule *list;
	size_t count;
	size_t *open_ifs, depth; /* while reading */
};

/* NAME is a file, or rules in braces.  NULL with *ERROR. */
struct rules *rules_open(
    const struct rules_type *type, const char *name, unsigned flags, char **error);
/* From a text; never NULL. */
struct rules *rules_parse(
    const struct rules_type *type, const char *path, struct slice text, unsigned flags);
void rules_free(void *rules);
enum table_change rules_refresh(void *rules);
/* What the type's try is given for KEY. */
enum table_result rules_get(const struct rules *rules, const void *key, struct strbuf *value);

/* "warning: cidr map FILE, line N: ...", for the types' line functions. */
void rules_warn(const struct rules *rules, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* CONDITION is the rules' from now on, RESULT is copied (RULE_IF: NULL slice). */
void rules_add(
    struct rules *rules, enum rule_kind kind, unsigned line, void *condition, struct slice result);
/* False: there is no "if". */
bool rules_endif(struct rules *rules, unsigned line);
/* Does LINE begin with this word ("if"), in any case, and not with a longer one? */
bool rules_is_word(struct slice line, const char *word);

#endif
