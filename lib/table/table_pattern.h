// SPDX-License-Identifier: BSD-2-Clause
/*
 * What regexp_table(5) and pcre_table(5) share: "/pattern/flags result", "!", "if", and $number in
 * results.  What differs is an engine.  For use inside of lib/table only.
 */
#ifndef PC_TABLE_TABLE_PATTERN_H
#define PC_TABLE_TABLE_PATTERN_H

#include "table/table_rules.h"

#define PATTERN_MAX_GROUPS 100

struct pattern_span {
	ptrdiff_t start, end; /* START < 0: the group took no part */
};

struct pattern_engine {
	struct rules_type rules; /* first */
	const char *unclosed;	 /* the last words about a pattern without an end */
	const char *zero_index;	 /* the words about $0 */
	int default_flags;
	bool has_second; /* /pattern/!/pattern/ */
	/* False: no such flag. */
	bool (*take_flag)(struct rules *rules, unsigned line, char c, int *flags);
	/* NULL: the warning has been given. */
	void *(*compile)(
	    struct rules *rules, unsigned line, const char *pattern, int flags, size_t *groups);
	void (*free)(void *code);
	/*
	 * 1, 0, or -1 (error).  SPANS gets COUNT groups, the whole match first.
	 */
	int (*match)(const struct rules *rules, const struct rule *rule, const void *code,
	    struct slice key, struct pattern_span *spans, size_t count);
};

/* Rows of struct rules_type. */
void pattern_line(struct rules *rules, struct slice line, unsigned number);
int pattern_try(
    const struct rules *rules, const struct rule *rule, const void *key, struct strbuf *value);
/* Beside it, each engine's own: it frees what stands behind CONDITION with its free. */
void pattern_free(const struct pattern_engine *engine, void *condition);

#endif
