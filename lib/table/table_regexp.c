// SPDX-License-Identifier: BSD-2-Clause
/* regexp_table(5): the C library's regular expressions. */
#include "config.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "table/table_pattern.h"

static bool take_flag(struct rules *rules, unsigned line, char c, int *flags)
{
	(void)rules;
	(void)line;
	switch (c) {
	case 'i':
		*flags ^= REG_ICASE;
		return true;
	case 'm':
		*flags ^= REG_NEWLINE;
		return true;
	case 'x':
		*flags ^= REG_EXTENDED;
		return true;
	default:
		return false;
	}
}

static void *compile(
    struct rules *rules, unsigned line, const char *pattern, int flags, size_t *groups)
{
	regex_t *re = xcalloc(1, sizeof(*re));
	char message[200];
	int error = regcomp(re, pattern, flags);

	if (!error) {
		*groups = re->re_nsub;
		return re;
	}
	regerror(error, re, message, sizeof(message));
	rules_warn(rules, line, "%s", message);
	free(re);
	return NULL;
}

static void code_free(void *code)
{
	regfree(code);
	free(code);
}

static int execute(const regex_t *re, struct slice key, regmatch_t *matches, size_t count)
{
	matches[0].rm_so = 0;
	matches[0].rm_eo = (regoff_t)key.len;
#ifdef PC_SANITIZED
	/* The sanitizers look at all up to a NUL, whatever REG_STARTEND says. */
	char *text = xcalloc(1, key.len + 1);
	int error;

	memcpy(text, key.ptr ? key.ptr : "", key.len);
	error = regexec(re, text, count, matches, REG_STARTEND);
	free(text);
	return error;
#else
	return regexec(re, key.ptr ? key.ptr : "", count, matches, REG_STARTEND);
#endif
}

static int match(const struct rules *rules, const struct rule *rule, const void *code,
    struct slice key, struct pattern_span *spans, size_t count)
{
	regmatch_t matches[PATTERN_MAX_GROUPS];
	char message[200];
	int error = execute(code, key, matches, count);

	if (error == REG_NOMATCH)
		return 0;
	if (error) {
		regerror(error, code, message, sizeof(message));
		rules_warn(rules, rule->line, "%s", message);
		return -1;
	}
	for (size_t i = 0; i < count; i++)
		spans[i] = (struct pattern_span){ matches[i].rm_so, matches[i].rm_eo };
	return 1;
}

static const struct pattern_engine engine = {
	.rules = PATTERN_RULES("regexp"),
	.unclosed = "skipping",
	.zero_index = "out-of-range",
	.default_flags = REG_EXTENDED | REG_ICASE,
	.has_second = true,
	.take_flag = take_flag,
	.compile = compile,
	.free = code_free,
	.match = match,
};

/* Apart, for the fuzzer. */
void *table_regexp_parse(const char *path, struct slice text, unsigned flags);
void *table_regexp_parse(const char *path, struct slice text, unsigned flags)
{
	return rules_parse(&engine.rules, path, text, flags);
}

static void *regexp_open(const char *name, unsigned flags, char **error)
{
	return rules_open(&engine.rules, name, flags, error);
}

const struct table_type table_type_regexp = {
	.name = "regexp",
	.asks_nobody = true,
	.is_pattern = true,
	.open = regexp_open,
	.free = rules_free,
	.get = pattern_get,
	.refresh = rules_refresh,
};
