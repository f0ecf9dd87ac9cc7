// SPDX-License-Identifier: BSD-2-Clause
/* if and endif are kept as jumps: a rule that is an "if" knows the rule behind its "endif". */
#include "table/table_rules.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "table/table_build.h"

#define BLANKS " \t\r\n"

void rules_free(void *impl)
{
	struct rules *r = impl;

	for (size_t i = 0; i < r->count; i++) {
		if (r->list[i].condition)
			r->type->free_condition(r->list[i].condition);
		free(r->list[i].result);
	}
	free(r->list);
	free(r->open_ifs);
	free(r->path);
	free(r);
}

void rules_warn(const struct rules *r, unsigned line, const char *format, ...)
{
	struct strbuf text = STRBUF_INIT(8192);
	va_list args;

	va_start(args, format);
	strbuf_vaddf(&text, format, args);
	va_end(args);
	log_warning("%s map %s, line %u: %s", r->type->name, r->path, line, text.ptr);
	strbuf_release(&text);
}

void rules_add(
    struct rules *r, enum rule_kind kind, unsigned line, void *condition, struct slice result)
{
	if ((r->count & (r->count + 1)) == 0)
		r->list = xreallocarray(r->list, 2 * r->count + 2, sizeof(*r->list));
	if (kind == RULE_IF) {
		if ((r->depth & (r->depth + 1)) == 0)
			r->open_ifs =
			    xreallocarray(r->open_ifs, 2 * r->depth + 2, sizeof(*r->open_ifs));
		r->open_ifs[r->depth++] = r->count;
	}
	r->list[r->count++] = (struct rule){
		.kind = kind,
		.line = line,
		.condition = condition,
		.result =
		    kind == RULE_MATCH ? xstrndup(result.len ? result.ptr : "", result.len) : NULL,
	};
}

bool rules_endif(struct rules *r, unsigned line)
{
	if (!r->depth)
		return false;
	rules_add(r, RULE_ENDIF, line, NULL, SLICE_NULL);
	r->list[r->open_ifs[--r->depth]].after = r->count;
	return true;
}

bool rules_is_word(struct slice line, const char *word)
{
	size_t len = strlen(word);

	return slice_casestarts(line, word) && (line.len == len || !ascii_isalnum(line.ptr[len]));
}

static void finish(struct rules *r)
{
	while (r->depth) {
		struct rule *rule = &r->list[r->open_ifs[--r->depth]];

		rules_warn(r, rule->line, "IF has no matching ENDIF");
		rule->after = r->count;
	}
	free(r->open_ifs);
	r->open_ifs = NULL;
}

static void warn_line(unsigned line, const char *text, void *arg)
{
	rules_warn(arg, line, "%s", text);
}

static struct rules *rules_new(const struct rules_type *type, const char *path, unsigned flags)
{
	struct rules *r = xcalloc(1, sizeof(*r));

	r->type = type;
	r->path = xstrdup(path);
	r->flags = flags;
	return r;
}

struct rules *rules_parse(
    const struct rules_type *type, const char *path, struct slice text, unsigned flags)
{
	struct rules *r = rules_new(type, path, flags);
	struct table_source source;
	struct slice line;
	unsigned number;

	table_source_init(&source, text, false);
	source.warn = warn_line;
	source.warn_arg = r;
	while (table_source_line(&source, &line, &number))
		type->line(r, line, number);
	table_source_release(&source);
	finish(r);
	return r;
}

/* {{RULE} {RULE}}: each group is a line of the file that is not there. */
static bool add_inline_rules(struct rules *r, struct slice text, char **error)
{
	struct slice rest, word;
	const char *why = NULL;
	unsigned number = 0;

	rest = word = text;
	if (!table_unbrace(&rest))
		why = "missing '}'";
	while (!why && table_list_next(&rest, &word)) {
		number++;
		if (!slice_starts(word, "{"))
			why = "no '{' at start of text";
		else if (!table_unbrace(&word))
			why = "syntax error after '}'";
		else if (word.len)
			r->type->line(r, word, number);
	}
	finish(r);
	if (why)
		*error = xasprintf("%s map: %s in \"%.*s\"", r->type->name, why, SLICE_ARG(word));
	return !why;
}

struct rules *rules_open(
    const struct rules_type *type, const char *name, unsigned flags, char **error)
{
	struct strbuf text = STRBUF_INIT(TABLE_TEXT_MAX);
	struct table_stamp stamp;
	struct rules *r = NULL;

	if (name[0] == '{') {
		r = rules_new(type, name, flags);
		r->is_inline = true;
		if (!add_inline_rules(r, slice_of(name), error)) {
			rules_free(r);
			r = NULL;
		}
	} else if (table_read_file(name, &text, &stamp, error)) {
		r = rules_parse(type, name, strbuf_slice(&text), flags);
		r->stamp = stamp;
	}
	strbuf_release(&text);
	return r;
}

enum table_change rules_refresh(void *impl)
{
	const struct rules *r = impl;
	struct table_stamp now;

	if (r->is_inline || !table_stamp_at(AT_FDCWD, r->path, &now) ||
	    table_stamp_equal(&now, &r->stamp))
		return TABLE_SAME;
	return TABLE_CHANGED;
}

enum table_result rules_get(const struct rules *r, const void *key, struct strbuf *value)
{
	size_t i = 0;

	while (i < r->count) {
		const struct rule *rule = &r->list[i];
		int applies = 1;

		if (rule->kind != RULE_ENDIF)
			applies = r->type->try(r, rule, key, value);
		if (applies < 0)
			return TABLE_ERROR;
		if (applies && rule->kind == RULE_MATCH)
			return TABLE_FOUND;
		i = applies || rule->kind != RULE_IF ? i + 1 : rule->after;
	}
	return TABLE_NOT_FOUND;
}
