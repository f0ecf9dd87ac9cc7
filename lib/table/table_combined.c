// SPDX-License-Identifier: BSD-2-Clause
/* Tables made of others: pipemap and unionmap; and randmap, which is made of values. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "table/table_type.h"

struct combined {
	size_t count;
	struct table **parts; /* pipemap, unionmap */
	char **values;	      /* randmap */
};

static void combined_free(void *impl)
{
	struct combined *c = impl;

	for (size_t i = 0; i < c->count; i++) {
		if (c->parts)
			table_free_locked(c->parts[i]);
		if (c->values)
			free(c->values[i]);
	}
	free(c->parts);
	free(c->values);
	free(c);
}

/* The next part of "{a, b}"; false at the end. */
static bool open_braces(
    const char *type, const char *name, const char *what, struct slice *rest, char **error)
{
	*rest = slice_of(name);
	if (name[0] == '{' && table_unbrace(rest) && rest->len)
		return true;
	*error = xasprintf("bad syntax: \"%s:%s\"; need \"%s:{%s...}\"", type, name, type, what);
	return false;
}

static struct combined *open_parts(const char *type, const char *name, unsigned flags, char **error)
{
	struct combined *c;
	struct slice rest, word;

	if (!open_braces(type, name, "type:name", &rest, error))
		return NULL;
	c = xcalloc(1, sizeof(*c));
	while (table_list_next(&rest, &word)) {
		char *spec = xstrndup(word.ptr, word.len);
		struct table *part = table_open_locked(spec, flags | TABLE_QUIET);

		c->parts = xreallocarray(c->parts, c->count + 1, sizeof(struct table *));
		c->parts[c->count++] = part;
		/* One of them may be mended later, so this is no reason to have none. */
		if (table_trouble(part) && !*error)
			*error = xstrdup(table_trouble(part));
		free(spec);
	}
	return c;
}

/* Parts of keys are looked up as soon as one table has fixed keys. */
static bool parts_are_patterns(void *impl)
{
	const struct combined *c = impl;

	for (size_t i = 0; i < c->count; i++) {
		if (!table_is_pattern(c->parts[i]))
			return false;
	}
	return true;
}

static void *pipemap_open(const char *name, unsigned flags, char **error)
{
	return open_parts("pipemap", name, flags, error);
}

/* What one says is the key for the next. */
static enum table_result pipemap_get(void *impl, struct slice key, struct strbuf *value)
{
	const struct combined *c = impl;
	struct strbuf said[2] = { STRBUF_INIT(value->max), STRBUF_INIT(value->max) };
	enum table_result result = TABLE_FOUND;

	for (size_t i = 0; result == TABLE_FOUND && i < c->count; i++) {
		result = table_get(c->parts[i], key, &said[i % 2]);
		key = strbuf_slice(&said[i % 2]);
	}
	if (result == TABLE_FOUND)
		strbuf_addslice(value, key);
	strbuf_release(&said[0]);
	strbuf_release(&said[1]);
	return result;
}

static void *unionmap_open(const char *name, unsigned flags, char **error)
{
	return open_parts("unionmap", name, flags, error);
}

/* All that is said, with commas between. */
static enum table_result unionmap_get(void *impl, struct slice key, struct strbuf *value)
{
	const struct combined *c = impl;
	struct strbuf said = STRBUF_INIT(value->max);
	enum table_result result = TABLE_NOT_FOUND, one = TABLE_FOUND;

	for (size_t i = 0; one != TABLE_ERROR && i < c->count; i++) {
		one = table_get(c->parts[i], key, &said);
		if (one != TABLE_FOUND)
			continue;
		if (result == TABLE_FOUND)
			strbuf_addch(value, ',');
		strbuf_addslice(value, strbuf_slice(&said));
		result = TABLE_FOUND;
	}
	strbuf_release(&said);
	return one == TABLE_ERROR ? TABLE_ERROR : result;
}

static void *randmap_open(const char *name, unsigned flags, char **error)
{
	struct combined *c;
	struct slice rest, word;

	(void)flags;
	if (!open_braces("randmap", name, "value", &rest, error))
		return NULL;
	c = xcalloc(1, sizeof(*c));
	while (table_list_next(&rest, &word)) {
		c->values = xreallocarray(c->values, c->count + 1, sizeof(char *));
		c->values[c->count++] = xstrndup(word.ptr, word.len);
	}
	return c;
}

static enum table_result randmap_get(void *impl, struct slice key, struct strbuf *value)
{
	const struct combined *c = impl;
	uint32_t number;

	(void)key;
	if (!c->count || getrandom(&number, sizeof(number), 0) != sizeof(number))
		return TABLE_ERROR;
	strbuf_addstr(value, c->values[number % c->count]);
	return TABLE_FOUND;
}

const struct table_type table_type_pipemap = {
	.name = "pipemap",
	.keeps_case = true,
	.open = pipemap_open,
	.free = combined_free,
	.get = pipemap_get,
	.has_patterns = parts_are_patterns,
};

const struct table_type table_type_unionmap = {
	.name = "unionmap",
	.keeps_case = true,
	.open = unionmap_open,
	.free = combined_free,
	.get = unionmap_get,
	.has_patterns = parts_are_patterns,
};

const struct table_type table_type_randmap = {
	.name = "randmap",
	.asks_nobody = true,
	.open = randmap_open,
	.free = combined_free,
	.get = randmap_get,
};
