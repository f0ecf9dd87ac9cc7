// SPDX-License-Identifier: BSD-2-Clause
/*
 * regexp_table(5): rules are tried in order, the first that matches gives the result.  if/endif
 * are kept as jumps: a rule that is an "if" knows the rule behind its "endif".
 *
 * A rule that cannot be compiled does not vanish (what it was to refuse would pass): a lookup that
 * comes to it is an error.
 */
#include "config.h"

#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "conf/postfix_conf.h"
#include "log/log.h"
#include "table/table_build.h"
#include "table/table_type.h"

#define MAX_GROUPS 100
#define MAX_DEPTH  100

enum rule_kind { RULE_MATCH, RULE_IF, RULE_ENDIF, RULE_BROKEN };

struct rule {
	enum rule_kind kind;
	bool compiled, negated;
	regex_t re;
	size_t after;	/* RULE_IF: where to go on when it does not match */
	char *result;	/* RULE_MATCH */
	bool expands;	/* the result has '$' in it */
	size_t max_sub; /* the highest group that the result names */
	unsigned line;
};

struct regexp_table {
	char *path;
	struct table_stamp stamp; /* of the file */
	bool is_inline;		  /* there is no file */
	struct rule *rules;
	size_t count;
};

static void regexp_free(void *impl)
{
	struct regexp_table *t = impl;

	for (size_t i = 0; i < t->count; i++) {
		if (t->rules[i].compiled)
			regfree(&t->rules[i].re);
		free(t->rules[i].result);
	}
	free(t->rules);
	free(t->path);
	free(t);
}

static bool take_flags(struct cursor *c, int *flags)
{
	int ch;

	*flags = REG_EXTENDED | REG_ICASE;
	while ((ch = cursor_peek(c)) >= 0 && !ascii_isspace((char)ch)) {
		cursor_next(c);
		if (ch == 'i')
			*flags ^= REG_ICASE;
		else if (ch == 'm')
			*flags ^= REG_NEWLINE;
		else if (ch == 'x')
			*flags ^= REG_EXTENDED;
		else
			return false;
	}
	return true;
}

/* !/pattern/flags; false with *WHY. */
static bool take_pattern(struct cursor *c, struct rule *rule, const char **why)
{
	char delimiter[2] = "", message[128];
	struct strbuf text = STRBUF_INIT(1 << 20);
	int ch, flags, error;

	while (cursor_skip(c, "!")) {
		rule->negated = !rule->negated;
		cursor_span(c, " \t");
	}
	delimiter[0] = (char)cursor_next(c);
	if (c->failed || ascii_isalnum(delimiter[0])) {
		*why = "no regexp delimiter";
		return false;
	}
	while ((ch = cursor_next(c)) >= 0 && ch != delimiter[0]) {
		/* "\/" stays as it is: to regcomp it is an ordinary '/'. */
		if (ch == '\\') {
			strbuf_addch(&text, '\\');
			ch = cursor_next(c);
		}
		if (ch >= 0)
			strbuf_addch(&text, (char)ch);
	}
	if (c->failed || slice_has_nul(strbuf_slice(&text)))
		*why = "no closing regexp delimiter";
	else if (!take_flags(c, &flags))
		*why = "unknown regexp option";
	else if ((error = regcomp(&rule->re, text.ptr, flags)) != 0) {
		regerror(error, &rule->re, message, sizeof(message));
		log_warning("regexp pattern \"%s\": %s", text.ptr, message);
		*why = "bad regular expression";
	} else
		rule->compiled = true;
	strbuf_release(&text);
	return rule->compiled;
}

/* $1, ${1}, $(1); the cursor stands behind the '$'. */
static bool take_group(struct cursor *c, size_t *group)
{
	const char *close = cursor_skip(c, "{") ? "}" : cursor_skip(c, "(") ? ")" : "";
	uint64_t number;

	if (!slice_uint(cursor_span(c, "0123456789"), MAX_GROUPS - 1, &number) || !number)
		return false;
	*group = (size_t)number;
	return !*close || cursor_skip(c, close);
}

static bool check_result(struct rule *rule, unsigned flags, const char **why)
{
	struct cursor c = cursor_of(slice_of(rule->result));
	size_t group;

	while (cursor_until(&c, "$"), cursor_skip(&c, "$")) {
		rule->expands = true;
		if (cursor_skip(&c, "$"))
			continue;
		if (!take_group(&c, &group) || group > rule->re.re_nsub)
			*why = "regexp replacement index out of range";
		else if (rule->negated)
			*why = "$number found in negative match replacement text";
		else if (flags & TABLE_NO_SUBSTITUTION)
			*why = "regular expression substitution is not allowed";
		if (*why)
			return false;
		if (group > rule->max_sub)
			rule->max_sub = group;
	}
	return true;
}

static struct rule *add_rule(struct regexp_table *t, enum rule_kind kind, unsigned line)
{
	struct rule *rule;

	if ((t->count & (t->count + 1)) == 0)
		t->rules = xreallocarray(t->rules, 2 * t->count + 2, sizeof(*t->rules));
	rule = &t->rules[t->count++];
	memset(rule, 0, sizeof(*rule));
	rule->kind = kind;
	rule->line = line;
	return rule;
}

static bool is_word(struct slice line, const char *word)
{
	size_t len = strlen(word);

	return slice_casestarts(line, word) && (line.len == len || !ascii_isalnum(line.ptr[len]));
}

struct parser {
	struct regexp_table *t;
	unsigned flags;
	size_t open_ifs[MAX_DEPTH];
	size_t depth;
};

static bool parse_endif(struct parser *p, unsigned line, const char **why)
{
	if (!p->depth) {
		*why = "endif without matching if";
		return false;
	}
	add_rule(p->t, RULE_ENDIF, line);
	p->t->rules[p->open_ifs[--p->depth]].after = p->t->count;
	return true;
}

static bool parse_if(struct parser *p, struct slice line, unsigned number, const char **why)
{
	struct cursor c = cursor_of(slice_trim(slice_from(line, 2), " \t"));
	struct rule *rule = add_rule(p->t, RULE_IF, number);

	if (p->depth == MAX_DEPTH) {
		*why = "if is nested too deep";
		return false;
	}
	p->open_ifs[p->depth++] = p->t->count - 1;
	return take_pattern(&c, rule, why);
}

static bool parse_match(struct parser *p, struct slice line, unsigned number, const char **why)
{
	struct cursor c = cursor_of(line);
	struct rule *rule = add_rule(p->t, RULE_MATCH, number);
	struct slice result;

	if (!take_pattern(&c, rule, why))
		return false;
	result = slice_trim(cursor_rest(&c), " \t\r\n");
	if (!result.len)
		log_warning("regexp map %s, line %u: no replacement text: using empty string",
		    p->t->path, number);
	rule->result = xstrndup(result.len ? result.ptr : "", result.len);
	return check_result(rule, p->flags, why);
}

static void parse_line(struct parser *p, struct slice line, unsigned number)
{
	const char *why = NULL;
	size_t before = p->t->count;
	bool ok;

	if (is_word(line, "endif"))
		ok = parse_endif(p, number, &why);
	else if (is_word(line, "if"))
		ok = parse_if(p, line, number, &why);
	else
		ok = parse_match(p, line, number, &why);
	if (ok)
		return;
	log_warning("regexp map %s, line %u: %s: lookups that come to this rule fail", p->t->path,
	    number, why);
	if (p->t->count == before)
		add_rule(p->t, RULE_BROKEN, number);
	else
		p->t->rules[before].kind = RULE_BROKEN;
}

static void warn_line(unsigned line, const char *text, void *arg)
{
	log_warning("regexp map %s, line %u: %s", (const char *)arg, line, text);
}

/* Apart, for the fuzzer. */
void *table_regexp_parse(const char *path, struct slice text, unsigned flags);
void *table_regexp_parse(const char *path, struct slice text, unsigned flags)
{
	struct regexp_table *t = xcalloc(1, sizeof(*t));
	struct parser p = { .t = t, .flags = flags };
	struct table_source source;
	struct slice line;
	unsigned number;

	t->path = xstrdup(path);
	table_source_init(&source, text, false);
	source.warn = warn_line;
	source.warn_arg = t->path;
	while (table_source_line(&source, &line, &number))
		parse_line(&p, line, number);
	table_source_release(&source);
	while (p.depth) {
		struct rule *rule = &t->rules[p.open_ifs[--p.depth]];

		log_warning("regexp map %s, line %u: if has no matching endif", path, rule->line);
		rule->after = t->count;
	}
	return t;
}

/* regexp:{ {/pattern/ result} ... }: each group is a line of the file that is not there. */
static void add_inline_rules(const char *name, struct strbuf *text)
{
	struct strbuf all = STRBUF_INIT(TABLE_TEXT_MAX), rule = STRBUF_INIT(TABLE_TEXT_MAX);
	const char *rest = name;

	if (postfix_list_next(&rest, &all))
		for (rest = all.ptr; postfix_list_next(&rest, &rule);) {
			strbuf_addslice(text, slice_trim(strbuf_slice(&rule), " \t"));
			strbuf_addch(text, '\n');
		}
	strbuf_release(&all);
	strbuf_release(&rule);
}

static void *regexp_open(const char *path, unsigned flags, char **error)
{
	struct strbuf text = STRBUF_INIT(TABLE_TEXT_MAX);
	struct table_stamp stamp;
	struct regexp_table *t = NULL;

	if (path[0] == '{') {
		add_inline_rules(path, &text);
		t = table_regexp_parse(path, strbuf_slice(&text), flags);
		t->is_inline = true;
	} else if (table_read_file(path, &text, &stamp, error)) {
		t = table_regexp_parse(path, strbuf_slice(&text), flags);
		t->stamp = stamp;
	}
	strbuf_release(&text);
	return t;
}

static void expand(
    const struct rule *rule, struct slice key, const regmatch_t *matches, struct strbuf *value)
{
	struct cursor c = cursor_of(slice_of(rule->result));
	size_t group;

	for (;;) {
		strbuf_addslice(value, cursor_until(&c, "$"));
		if (!cursor_skip(&c, "$"))
			return;
		if (cursor_skip(&c, "$"))
			strbuf_addch(value, '$');
		else if (take_group(&c, &group) && matches[group].rm_so >= 0)
			strbuf_add(value, key.ptr + matches[group].rm_so,
			    (size_t)(matches[group].rm_eo - matches[group].rm_so));
	}
}

static int match(const regex_t *re, struct slice key, regmatch_t *matches, size_t groups)
{
	matches[0].rm_so = 0;
	matches[0].rm_eo = (regoff_t)key.len;
#ifdef PC_SANITIZED
	/* The sanitizers look at all up to a NUL, whatever REG_STARTEND says. */
	char *text = xcalloc(1, key.len + 1);
	int error;

	memcpy(text, key.ptr ? key.ptr : "", key.len);
	error = regexec(re, text, groups, matches, REG_STARTEND);
	free(text);
	return error;
#else
	return regexec(re, key.ptr ? key.ptr : "", groups, matches, REG_STARTEND);
#endif
}

/* 1: the rule applies; 0: it does not; -1: error.  GROUPS of MATCHES are filled in. */
static int try_rule(const struct rule *rule, struct slice key, regmatch_t *matches, size_t groups)
{
	int error = match(&rule->re, key, matches, groups);

	if (error == 0)
		return !rule->negated;
	return error == REG_NOMATCH ? rule->negated : -1;
}

static enum table_result regexp_get(void *impl, struct slice key, struct strbuf *value)
{
	const struct regexp_table *t = impl;
	regmatch_t matches[MAX_GROUPS];
	size_t i = 0;

	while (i < t->count) {
		const struct rule *rule = &t->rules[i];
		int applies;

		if (rule->kind == RULE_ENDIF) {
			i++;
			continue;
		}
		if (rule->kind == RULE_BROKEN)
			return TABLE_ERROR;
		applies = try_rule(rule, key, matches, rule->max_sub + 1);
		if (applies < 0)
			return TABLE_ERROR;
		if (rule->kind == RULE_IF) {
			i = applies ? i + 1 : rule->after;
			continue;
		}
		if (!applies) {
			i++;
			continue;
		}
		if (rule->expands)
			expand(rule, key, matches, value);
		else
			strbuf_addstr(value, rule->result);
		return TABLE_FOUND;
	}
	return TABLE_NOT_FOUND;
}

static enum table_change regexp_refresh(void *impl)
{
	const struct regexp_table *t = impl;
	struct table_stamp now;

	if (t->is_inline)
		return TABLE_SAME;
	if (!table_stamp_at(AT_FDCWD, t->path, &now) || table_stamp_equal(&now, &t->stamp))
		return TABLE_SAME;
	return TABLE_CHANGED;
}

const struct table_type table_type_regexp = {
	.name = "regexp",
	.asks_nobody = true,
	.is_pattern = true,
	.open = regexp_open,
	.free = regexp_free,
	.get = regexp_get,
	.refresh = regexp_refresh,
};
