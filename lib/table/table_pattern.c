// SPDX-License-Identifier: BSD-2-Clause
/*
 * A line is taken apart from left to right; what is wrong with it is said in the peer's words.  A
 * result without a '$' is copied; one with it was checked when it was read.
 */
#include "table/table_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "log/log.h"

#define BLANKS " \t\r\n\v\f"

struct pattern {
	bool negated;
	void *code; /* NULL: there is none */
	size_t groups;
};

struct condition {
	const struct pattern_engine *engine; /* whose code the patterns have */
	struct pattern first, second;	     /* both must hold */
	size_t spans; /* how many groups the result needs, the whole match too */
	bool expands;
};

static const struct pattern_engine *engine_of(const struct rules *rules)
{
	return (const struct pattern_engine *)(const void *)rules->type;
}

void pattern_free(void *arg)
{
	struct condition *c = arg;

	if (c->first.code)
		c->engine->free(c->first.code);
	if (c->second.code)
		c->engine->free(c->second.code);
	free(c);
}

/* ---- reading ---- */

struct parser {
	struct rules *rules;
	const struct pattern_engine *engine;
	unsigned line;
	struct cursor c;
};

/* Up to and with the closing delimiter; "\/" stays as it is: to the engines it is a '/'. */
static bool take_text(struct parser *p, char delimiter, struct strbuf *text)
{
	int ch;

	while ((ch = cursor_next(&p->c)) >= 0 && ch != (unsigned char)delimiter) {
		strbuf_addch(text, (char)ch);
		if (ch == '\\' && cursor_peek(&p->c) >= 0)
			strbuf_addch(text, (char)cursor_next(&p->c));
	}
	if (!p->c.failed && !slice_has_nul(strbuf_slice(text)))
		return true;
	rules_warn(p->rules, p->line, "no closing regexp delimiter \"%c\": %s this rule", delimiter,
	    p->engine->unclosed);
	return false;
}

static bool take_flags(struct parser *p, int *flags)
{
	int ch;

	*flags = p->engine->default_flags;
	while ((ch = cursor_peek(&p->c)) >= 0 && !ascii_isspace((char)ch) &&
	       !(ch == '!' && p->engine->has_second)) {
		cursor_next(&p->c);
		if (p->engine->take_flag(p->rules, p->line, (char)ch, flags))
			continue;
		rules_warn(p->rules, p->line, "unknown regexp option \"%c\": skipping this rule",
		    (char)ch);
		return false;
	}
	return true;
}

/* A pattern of the line that is not compiled yet. */
struct raw {
	struct strbuf text;
	int flags;
	bool is_there;
};

/* !/pattern/flags */
static bool take_pattern(struct parser *p, struct pattern *pattern, struct raw *raw)
{
	int delimiter;

	while (cursor_skip(&p->c, "!")) {
		pattern->negated = !pattern->negated;
		cursor_span(&p->c, BLANKS);
	}
	delimiter = cursor_peek(&p->c);
	if (delimiter < 0) {
		rules_warn(p->rules, p->line, "no regexp: skipping this rule");
		return false;
	}
	cursor_next(&p->c);
	raw->is_there = true;
	return take_text(p, (char)delimiter, &raw->text) && take_flags(p, &raw->flags);
}

static bool take_patterns(struct parser *p, struct condition *condition, struct raw raw[2])
{
	if (!take_pattern(p, &condition->first, &raw[0]))
		return false;
	if (p->engine->has_second && cursor_peek(&p->c) == '!')
		return take_pattern(p, &condition->second, &raw[1]);
	return true;
}

static bool compile(struct parser *p, struct pattern *pattern, const struct raw *raw)
{
	if (!raw->is_there)
		return true;
	pattern->code =
	    p->engine->compile(p->rules, p->line, raw->text.ptr, raw->flags, &pattern->groups);
	return pattern->code;
}

static bool compile_both(struct parser *p, struct condition *condition, const struct raw raw[2])
{
	return compile(p, &condition->first, &raw[0]) && compile(p, &condition->second, &raw[1]);
}

/*
 * $name, ${name}, $(name); the cursor stands behind the '$'.  NULL, or what is wrong.
 */
static const char *take_name(struct cursor *c, struct slice *name)
{
	const char *close = cursor_skip(c, "{") ? "}" : cursor_skip(c, "(") ? ")" : NULL;
	struct slice rest = cursor_rest(c);
	size_t len = 0;

	if (close) {
		*name = cursor_until(c, close);
		if (!cursor_skip(c, close))
			return "truncated macro reference";
	} else {
		while (len < rest.len && (ascii_isalnum(rest.ptr[len]) || rest.ptr[len] == '_'))
			len++;
		*name = cursor_take(c, len);
	}
	return name->len ? NULL : "empty macro name";
}

/* A number in 1 to PATTERN_MAX_GROUPS - 1, or what is wrong. */
static const char *check_index(const struct parser *p, struct slice name, uint64_t *index)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!ascii_isdigit(name.ptr[i]))
			return "non-numeric";
	}
	if (!slice_uint(name, INT32_MAX, index))
		*index = 0;
	return *index ? NULL : p->engine->zero_index;
}

static bool bad_result(const struct parser *p)
{
	rules_warn(p->rules, p->line, "bad replacement syntax: skipping this rule");
	return false;
}

static bool check_name(const struct parser *p, struct slice name, struct condition *condition)
{
	uint64_t index = 0;
	const char *why = check_index(p, name, &index);

	if (why) {
		rules_warn(p->rules, p->line, "%s replacement index \"%.*s\"", why,
		    SLICE_ARG(slice_first(name, 100)));
		return bad_result(p);
	}
	if (index + 1 > condition->spans)
		condition->spans = (size_t)index + 1;
	return true;
}

static bool check_result(const struct parser *p, struct slice result, struct condition *condition)
{
	struct cursor c = cursor_of(result);
	struct slice name;

	while (cursor_until(&c, "$"), cursor_skip(&c, "$")) {
		const char *why;

		condition->expands = true;
		if (cursor_skip(&c, "$"))
			continue;
		why = take_name(&c, &name);
		if (why) {
			log_warning("%s: \"%.*s\"", why, SLICE_ARG(slice_first(result, 1000)));
			return bad_result(p);
		}
		if (!check_name(p, name, condition))
			return false;
	}
	return true;
}

/* Whether there may be numbers at all is known before the pattern is. */
static bool check_numbers(const struct parser *p, const struct condition *condition)
{
	if (condition->spans <= 1)
		return true;
	if (p->rules->flags & TABLE_NO_SUBSTITUTION)
		rules_warn(p->rules, p->line,
		    "regular expression substitution is not allowed: skipping this rule");
	else if (condition->first.negated)
		rules_warn(p->rules, p->line,
		    "$number found in negative match replacement text: skipping this rule");
	else
		return true;
	return false;
}

static bool check_groups(const struct parser *p, const struct condition *condition)
{
	size_t highest = condition->spans - 1;

	if (highest <= condition->first.groups && highest < PATTERN_MAX_GROUPS)
		return true;
	rules_warn(p->rules, p->line, "out of range replacement index \"%zu\": skipping this rule",
	    highest);
	return false;
}

static bool read_match(struct parser *p, struct condition *condition, struct raw raw[2])
{
	struct slice result;

	if (!take_patterns(p, condition, raw))
		return false;
	result = slice_trim(cursor_rest(&p->c), BLANKS);
	if (!result.len)
		rules_warn(p->rules, p->line, "no replacement text: using empty string");
	if (slice_has_nul(result))
		return bad_result(p);
	if (!check_result(p, result, condition) || !check_numbers(p, condition) ||
	    !compile_both(p, condition, raw) || !check_groups(p, condition))
		return false;
	rules_add(p->rules, RULE_MATCH, p->line, condition, result);
	return true;
}

static bool read_if(struct parser *p, struct condition *condition, struct raw raw[2])
{
	struct slice rest;

	cursor_span(&p->c, BLANKS);
	if (!take_patterns(p, condition, raw))
		return false;
	rest = slice_trim(cursor_rest(&p->c), BLANKS);
	if (rest.len) {
		rules_warn(p->rules, p->line, "ignoring extra text after IF statement: \"%.*s\"",
		    SLICE_ARG(slice_first(rest, 1000)));
		rules_warn(p->rules, p->line,
		    "do not prepend whitespace to statements between IF and ENDIF");
	}
	if (!compile_both(p, condition, raw))
		return false;
	rules_add(p->rules, RULE_IF, p->line, condition, SLICE_NULL);
	return true;
}

static void read_endif(struct parser *p)
{
	if (slice_trim(cursor_rest(&p->c), BLANKS).len)
		rules_warn(p->rules, p->line, "ignoring extra text after ENDIF");
	if (!rules_endif(p->rules, p->line))
		rules_warn(p->rules, p->line, "ignoring ENDIF without matching IF");
}

static void read_rule(struct parser *p, struct slice line)
{
	struct condition *condition = xcalloc(1, sizeof(*condition));
	struct raw raw[2] = { { .text = STRBUF_INIT(1 << 20) }, { .text = STRBUF_INIT(1 << 20) } };
	bool ok;

	condition->engine = p->engine;
	condition->spans = 1;
	if (rules_is_word(line, "if")) {
		cursor_take(&p->c, 2);
		ok = read_if(p, condition, raw);
	} else
		ok = read_match(p, condition, raw);
	if (!ok)
		pattern_free(condition);
	strbuf_release(&raw[0].text);
	strbuf_release(&raw[1].text);
}

void pattern_line(struct rules *rules, struct slice line, unsigned number)
{
	struct parser p = { rules, engine_of(rules), number, cursor_of(line) };

	if (rules_is_word(line, "endif")) {
		cursor_take(&p.c, 5);
		read_endif(&p);
	} else if (ascii_isalnum(line.ptr[0]) && !rules_is_word(line, "if"))
		rules_warn(rules, number, "ignoring unrecognized request");
	else
		read_rule(&p, line);
}

/* ---- asking ---- */

static void expand(
    const char *result, struct slice key, const struct pattern_span *spans, struct strbuf *value)
{
	struct cursor c = cursor_of(slice_of(result));
	struct slice name;
	uint64_t index;

	for (;;) {
		strbuf_addslice(value, cursor_until(&c, "$"));
		if (!cursor_skip(&c, "$"))
			return;
		if (cursor_skip(&c, "$"))
			strbuf_addch(value, '$');
		else if (!take_name(&c, &name) && slice_uint(name, PATTERN_MAX_GROUPS, &index) &&
			 spans[index].start >= 0)
			strbuf_addslice(
			    value, slice_mem(key.ptr + spans[index].start,
				       (size_t)(spans[index].end - spans[index].start)));
	}
}

int pattern_try(
    const struct rules *rules, const struct rule *rule, const void *arg, struct strbuf *value)
{
	const struct condition *c = rule->condition;
	const struct pattern_engine *engine = c->engine;
	const struct slice *key = arg;
	struct pattern_span spans[PATTERN_MAX_GROUPS], unused[1];
	int found = engine->match(rules, rule, c->first.code, *key, spans, c->spans);

	if (found >= 0 && c->first.negated)
		found = !found;
	if (found <= 0)
		return found;
	if (c->second.code) {
		found = engine->match(rules, rule, c->second.code, *key, unused, 1);
		if (found >= 0 && c->second.negated)
			found = !found;
		if (found <= 0)
			return found;
	}
	if (rule->kind == RULE_MATCH && c->expands)
		expand(rule->result, *key, spans, value);
	else if (rule->kind == RULE_MATCH)
		strbuf_addstr(value, rule->result);
	return 1;
}

enum table_result pattern_get(void *rules, struct slice key, struct strbuf *value)
{
	return rules_get(rules, &key, value);
}
