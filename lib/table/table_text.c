// SPDX-License-Identifier: BSD-2-Clause
/* texthash (a postmap source, read as it is) and inline: both are one map in memory. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "log/log.h"
#include "table/table_build.h"
#include "table/table_type.h"

struct text_entry {
	struct text_entry *next; /* in the order of the text */
	char *value;
	size_t value_len;
	struct slice key; /* the map's copy is folded, this one is the same */
	char key_bytes[];
};

struct text_table {
	struct map map;
	struct text_entry *first, **end;
	char *path; /* NULL: inline */
	struct table_stamp stamp;
};

static struct text_table *text_new(void)
{
	struct text_table *t = xcalloc(1, sizeof(*t));

	t->end = &t->first;
	return t;
}

static void text_free(void *impl)
{
	struct text_table *t = impl;

	map_release(&t->map, NULL);
	while (t->first) {
		struct text_entry *e = t->first;

		t->first = e->next;
		free(e->value);
		free(e);
	}
	free(t->path);
	free(t);
}

/* False when the key is there already: the first one stays. */
static bool text_add(struct text_table *t, struct slice key, struct slice value, unsigned flags)
{
	struct text_entry *e = xcalloc(1, sizeof(*e) + key.len + 1);

	if (key.len)
		memcpy(e->key_bytes, key.ptr, key.len);
	if (!(flags & TABLE_NO_FOLD))
		ascii_tolower(e->key_bytes, key.len);
	e->key = slice_mem(e->key_bytes, key.len);
	if (map_get(&t->map, e->key)) {
		free(e);
		return false;
	}
	e->value = xstrndup(value.len ? value.ptr : "", value.len);
	e->value_len = value.len;
	map_put(&t->map, e->key, e);
	*t->end = e;
	t->end = &e->next;
	return true;
}

static enum table_result text_get(void *impl, struct slice key, struct strbuf *value)
{
	const struct text_table *t = impl;
	const struct text_entry *e = map_get(&t->map, key);

	if (!e)
		return TABLE_NOT_FOUND;
	strbuf_add(value, e->value, e->value_len);
	return TABLE_FOUND;
}

static bool text_each(void *impl, table_each_fn *each, void *arg)
{
	const struct text_table *t = impl;

	for (const struct text_entry *e = t->first; e; e = e->next) {
		if (!each(e->key, slice_mem(e->value, e->value_len), arg))
			break;
	}
	return true;
}

static void warn_line(unsigned line, const char *text, void *arg)
{
	log_warning("%s, line %u: %s", (const char *)arg, line, text);
}

static void *texthash_open(const char *path, unsigned flags, char **error)
{
	struct strbuf text = STRBUF_INIT(TABLE_TEXT_MAX);
	struct text_table *t = text_new();
	struct table_source source;
	struct slice key, value;
	unsigned line;

	t->path = xstrdup(path);
	if (!table_read_file(path, &text, &t->stamp, error)) {
		strbuf_release(&text);
		text_free(t);
		return NULL;
	}
	table_source_init(&source, strbuf_slice(&text), false);
	source.warn = warn_line;
	source.warn_arg = t->path;
	while (table_source_next(&source, &key, &value, &line)) {
		if (!text_add(t, key, value, flags))
			log_warning(
			    "%s, line %u: duplicate entry: \"%.*s\"", path, line, SLICE_ARG(key));
	}
	table_source_release(&source);
	strbuf_release(&text);
	return t;
}

/* A file that is gone, or half-way through being replaced, is no reason to restart. */
static enum table_change texthash_refresh(void *impl)
{
	const struct text_table *t = impl;
	struct table_stamp now;

	if (!table_stamp_at(AT_FDCWD, t->path, &now) || table_stamp_equal(&now, &t->stamp))
		return TABLE_SAME;
	return TABLE_CHANGED;
}

/* "key = value"; both trimmed. */
static bool split_pair(struct slice pair, struct slice *key, struct slice *value)
{
	ptrdiff_t equals;

	if (!table_unbrace(&pair) || (equals = slice_find(pair, '=')) < 0)
		return false;
	*key = slice_trim(slice_first(pair, (size_t)equals), " \t\r\n");
	*value = slice_trim(slice_from(pair, (size_t)equals + 1), " \t\r\n");
	return key->len > 0;
}

static void *inline_open(const char *name, unsigned flags, char **error)
{
	struct text_table *t = text_new();
	struct slice rest = slice_of(name), word, key, value;
	const char *why = NULL;

	if (!slice_starts(rest, "{") || !table_unbrace(&rest) || !rest.len)
		why = "bad syntax";
	while (!why && table_list_next(&rest, &word)) {
		if (!split_pair(word, &key, &value))
			why = "missing '=' after attribute name";
		else if (!text_add(t, key, value, flags))
			log_warning("inline:%s: duplicate entry: \"%.*s\"", name, SLICE_ARG(key));
	}
	if (!why && !t->first)
		why = "bad syntax";
	if (!why)
		return t;
	*error = xasprintf("%s: \"inline:%s\"; need \"inline:{name=value...}\"", why, name);
	text_free(t);
	return NULL;
}

const struct table_type table_type_texthash = {
	.name = "texthash",
	.asks_nobody = true,
	.open = texthash_open,
	.free = text_free,
	.get = text_get,
	.each = text_each,
	.refresh = texthash_refresh,
};

const struct table_type table_type_inline = {
	.name = "inline",
	.asks_nobody = true,
	.open = inline_open,
	.free = text_free,
	.get = text_get,
	.each = text_each,
};
