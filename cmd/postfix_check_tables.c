// SPDX-License-Identifier: BSD-2-Clause
/*
 * The part of "postfix check" that opens every table of the configuration, as a daemon would: what
 * is of a type that we lack, or cannot be opened, defers the mail that needs it.  Mistakes in the
 * rules of a table are logged by the table itself.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/postfix.h"
#include "table/table.h"
#include "table/table_build.h"

struct tables_check {
	struct postfix_command *pf;
	struct table **open; /* so that none is opened, and complained about, twice */
	size_t count;
};

struct place {
	const char *name, *file;
	unsigned line;
};

/* The types of the peer's that nothing here can open. */
static bool is_foreign_type(struct slice type)
{
	static const char *const types[] = { "cdb", "dbm", "internal", "ldap", "memcache",
		"mongodb", "mysql", "netinfo", "nis", "nisplus", "pgsql", "sdbm", "socketmap",
		"sqlite", "tcp" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (slice_eq_str(type, types[i]))
			return true;
	return false;
}

/* A policy service may be at one. */
static bool is_socket(struct slice type, struct slice name)
{
	return slice_eq_str(type, "unix") && slice_find(name, '/') >= 0;
}

/* "hash:FILE" without FILE.lmdb is made at the start, from the text. */
static bool is_made_at_start(struct slice type, struct slice name)
{
	char *path;
	bool there;

	if (!table_type_is_built(type))
		return false;
	path = xstrndup(name.ptr, name.len);
	there = access(path, R_OK) == 0;
	free(path);
	return there;
}

static void report(struct tables_check *c, const struct place *at, const char *text)
{
	conf_report(&c->pf->errors, CONF_WARNING, at->file, at->line,
	    "%s: %s: what needs it is deferred", at->name, text);
}

static void try_table(struct tables_check *c, const struct place *at, struct slice spec)
{
	char *text = xstrndup(spec.ptr, spec.len);
	struct table *table = table_open(text, TABLE_QUIET);
	const char *trouble = table_trouble(table);

	free(text);
	if (trouble)
		report(c, at, trouble);
	c->open = xreallocarray(c->open, c->count + 1, sizeof(struct table *));
	c->open[c->count++] = table;
}

/* A start or reload makes it anew; until then what is in the text does not count. */
static void look_at_age(
    struct tables_check *c, const struct place *at, struct slice type, struct slice name)
{
	char *source;

	if (!table_type_is_built(type))
		return;
	source = xstrndup(name.ptr, name.len);
	if (table_age(source) == TABLE_AGE_OLDER)
		conf_report(&c->pf->errors, CONF_WARNING, at->file, at->line,
		    "%s: database %s.lmdb is older than source file %s (run postmap, or reload)",
		    at->name, source, source);
	free(source);
}

static void look_at_word(struct tables_check *c, const struct place *at, struct slice word);

/* "{hash:/a, pcre:/b}" of a pipemap or unionmap. */
static void look_inside(struct tables_check *c, const struct place *at, struct slice list)
{
	struct slice word;

	if (!slice_starts(list, "{") || !table_unbrace(&list))
		return;
	while (table_list_next(&list, &word))
		look_at_word(c, at, word);
}

static void look_at_word(struct tables_check *c, const struct place *at, struct slice word)
{
	struct slice type, name;
	ptrdiff_t colon;

	if (slice_starts(word, "!"))
		word = slice_from(word, 1);
	if (slice_starts(word, "proxy:"))
		word = slice_from(word, 6);
	colon = slice_find(word, ':');
	if (colon <= 0 || (size_t)colon + 1 == word.len)
		return;
	type = slice_first(word, (size_t)colon);
	name = slice_from(word, (size_t)colon + 1);
	look_at_age(c, at, type, name);
	if (slice_eq_str(type, "pipemap") || slice_eq_str(type, "unionmap"))
		look_inside(c, at, name);
	else if (is_foreign_type(type) || (table_type_is_known(type) && !is_socket(type, name) &&
					      !is_made_at_start(type, name)))
		try_table(c, at, word);
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* A file that postalias or a cache makes is no table to look something up in; nor is a socket. */
static bool may_name_tables(const char *name)
{
	const struct postfix_param_row *row = postfix_param_find(name);

	return !(row && !row->works) && !ends_with(name, "_database") &&
	       !ends_with(name, "_path") && !ends_with(name, "_transport") &&
	       !ends_with(name, "_filter");
}

static void look_at(struct tables_check *c, const struct postfix_params *params, const char *name,
    const char *file, unsigned line)
{
	const struct place at = { name, file, line };
	const char *value = postfix_param_lookup(params, name);
	struct slice rest, word;

	if (!value || !may_name_tables(name))
		return;
	rest = slice_of(value);
	while (table_list_next(&rest, &word))
		look_at_word(c, &at, word);
}

static void look_at_service(
    struct tables_check *c, const struct postfix_service *service, const char *file)
{
	struct postfix_params *own;

	if (service->override_count == 0)
		return;
	own = postfix_params_new(c->pf->source, service, NULL);
	for (size_t i = 0; i < service->override_count; i++)
		look_at(c, own, service->overrides[i].name, file, service->line);
	postfix_params_free(own);
}

void postfix_check_tables(struct postfix_command *pf)
{
	struct tables_check c = { .pf = pf };
	const char *dir = postfix_source_dir(pf->source);
	char *main_cf = xasprintf("%s/main.cf", dir), *master_cf = xasprintf("%s/master.cf", dir);

	for (size_t i = 0; i < postfix_source_set_count(pf->source); i++) {
		const char *name = postfix_source_set_name(pf->source, i);
		unsigned line = 0;

		postfix_source_raw(pf->source, name, &line);
		look_at(&c, pf->params, name, main_cf, line);
	}
	for (size_t i = 0; i < postfix_service_count(pf->source); i++)
		look_at_service(&c, postfix_service_at(pf->source, i), master_cf);
	while (c.count > 0)
		table_free(c.open[--c.count]);
	free(c.open);
	free(main_cf);
	free(master_cf);
}
