// SPDX-License-Identifier: BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "table/table.h"
#include "table/table_type.h"

struct tables {
	char *name;
	struct table **list;
	size_t count;
};

static _Thread_local const struct table *last;

static bool is_separator(char c)
{
	return c == ',' || ascii_isspace(c);
}

bool table_list_next(struct slice *rest, struct slice *word)
{
	size_t len = 0;
	long depth = 0;

	while (rest->len && is_separator(rest->ptr[0]))
		*rest = slice_from(*rest, 1);
	while (len < rest->len && (depth > 0 || !is_separator(rest->ptr[len]))) {
		if (rest->ptr[len] == '{')
			depth++;
		if (rest->ptr[len] == '}')
			depth--;
		len++;
	}
	*word = slice_first(*rest, len);
	*rest = slice_from(*rest, len);
	return len > 0;
}

/* The index behind the brace that closes the one TEXT begins with; 0: there is none. */
static size_t closing(struct slice text)
{
	long depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '{')
			depth++;
		if (text.ptr[i] == '}' && --depth == 0)
			return i + 1;
	}
	return 0;
}

bool table_unbrace(struct slice *text)
{
	struct slice inner = slice_trim(*text, " \t\r\n");

	if (!slice_starts(inner, "{"))
		return true;
	if (closing(inner) != inner.len)
		return false;
	*text = slice_trim(slice_mem(inner.ptr + 1, inner.len - 2), " \t\r\n");
	return true;
}

struct tables *tables_open(const char *name, const char *value, unsigned flags)
{
	struct tables *t = xcalloc(1, sizeof(*t));
	struct slice rest = slice_of(value), word;

	t->name = xstrdup(name);
	while (table_list_next(&rest, &word)) {
		char *spec = xstrndup(word.ptr, word.len);

		t->list = xreallocarray(t->list, t->count + 1, sizeof(*t->list));
		t->list[t->count++] = table_open(spec, flags);
		free(spec);
	}
	return t;
}

void tables_free(struct tables *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		table_free(t->list[i]);
	free(t->list);
	free(t->name);
	free(t);
}

bool tables_is_empty(const struct tables *t)
{
	return t->count == 0;
}

bool tables_ask_nobody(const struct tables *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (!table_asks_nobody(t->list[i]))
			return false;
	return true;
}

const char *tables_name(const struct tables *t)
{
	return t->name;
}

const char *tables_last(void)
{
	return last ? table_spec(last) : "";
}

enum table_result tables_get(
    struct tables *t, struct slice key, enum tables_key whole, struct strbuf *value)
{
	strbuf_reset(value);
	for (size_t i = 0; i < t->count; i++) {
		enum table_result result;

		if (whole == TABLES_PARTIAL && table_is_pattern(t->list[i]))
			continue;
		last = t->list[i];
		result = table_get(t->list[i], key, value);
		if (result == TABLE_ERROR)
			log_warning("%s lookup error for \"%.*s\"", table_spec(t->list[i]),
			    SLICE_ARG(slice_first(key, 100)));
		if (result == TABLE_FOUND && !value->len) {
			log_warning("%s lookup of %.*s returns an empty string result", t->name,
			    SLICE_ARG(slice_first(key, 200)));
			log_warning("%s should return NO RESULT in case of NOT FOUND", t->name);
			return TABLE_ERROR;
		}
		if (result != TABLE_NOT_FOUND)
			return result;
	}
	return TABLE_NOT_FOUND;
}
