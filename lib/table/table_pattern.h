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

/* For struct rules_type. */
void pattern_line(struct rules *rules, struct slice line, unsigned number);
void pattern_free(void *condition);
int pattern_try(
    const struct rules *rules, const struct rule *rule, const void *key, struct strbuf *value);

#define PATTERN_RULES(type_name)                                                                   \
	{                                                                                          \
		.name = type_name, .line = pattern_line, .free_condition = pattern_free,           \
		.try = pattern_try,                                                                \
	}

/* For struct table_type. */
enum table_result pattern_get(void *rules, struct slice key, struct strbuf *value);

#endif
