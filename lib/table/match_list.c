// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files are read into the list when it is made; what "!/file" holds is negated element by element.
 */
#include "table/match_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "table/table.h"
#include "table/table_build.h"
#include "table/table_type.h"

#define MAX_DEPTH 10 /* of files that name files */

enum item_kind {
	ITEM_TEXT, /* a name or a string, and perhaps a network */
	ITEM_TABLE,
	ITEM_BROKEN /* what cannot be read: an error to whoever comes to it */
};

struct item {
	enum item_kind kind;
	bool negated, has_block;
	bool bad_block; /* looks like a network and is none */
	char *text;
	struct net_block block;
	struct table *table;
};

struct match_list {
	char *name;
	bool parents; /* "example.com" means its subdomains, too */
	struct item *items;
	size_t count;
};

static struct item *add_item(struct match_list *list, enum item_kind kind, bool negated)
{
	struct item *item;

	if ((list->count & (list->count + 1)) == 0)
		list->items = xreallocarray(list->items, 2 * list->count + 2, sizeof(*item));
	item = &list->items[list->count++];
	*item = (struct item){ .kind = kind, .negated = negated };
	return item;
}

static void add_broken(struct match_list *list, bool negated, const char *why)
{
	log_warning("%s: %s", list->name, why);
	add_item(list, ITEM_BROKEN, negated);
}

static void add_text(struct match_list *list, struct slice text, bool negated)
{
	struct item *item = add_item(list, ITEM_TEXT, negated);

	item->text = xstrndup(text.ptr, text.len);
	item->has_block = net_block_parse(text, &item->block);
	item->bad_block =
	    !item->has_block && (slice_starts(text, "[") || slice_find(text, '/') >= 0);
}

static void add_elements(struct match_list *list, struct slice value, bool negated, unsigned depth);

static void add_file(struct match_list *list, const char *path, bool negated, unsigned depth)
{
	struct strbuf text = STRBUF_INIT(TABLE_TEXT_MAX);
	struct table_source source;
	struct table_stamp stamp;
	struct slice line;
	unsigned number;
	char *error = NULL;

	if (depth > MAX_DEPTH)
		error = xasprintf("%s: files are nested too deep", path);
	if (error || !table_read_file(path, &text, &stamp, &error)) {
		add_broken(list, negated, error);
		free(error);
	} else {
		table_source_init(&source, strbuf_slice(&text), false);
		while (table_source_line(&source, &line, &number))
			add_elements(list, line, negated, depth + 1);
		table_source_release(&source);
	}
	strbuf_release(&text);
}

static void add_element(struct match_list *list, struct slice word, bool negated, unsigned depth)
{
	char *text;

	while (slice_starts(word, "!")) {
		negated = !negated;
		word = slice_from(word, 1);
	}
	if (!word.len) {
		add_broken(list, negated, "no pattern after '!'");
		return;
	}
	text = xstrndup(word.ptr, word.len);
	if (text[0] == '/')
		add_file(list, text, negated, depth);
	else if (text[0] != '[' && strchr(text, ':'))
		add_item(list, ITEM_TABLE, negated)->table = table_open(text, 0);
	else
		add_text(list, word, negated);
	free(text);
}

static void add_elements(struct match_list *list, struct slice value, bool negated, unsigned depth)
{
	struct slice word;

	while (table_list_next(&value, &word))
		add_element(list, word, negated, depth);
}

bool match_list_has_parents(const struct postfix_params *params, const char *name)
{
	struct slice rest = slice_of(params->parent_domain_matches_subdomains), word;

	while (table_list_next(&rest, &word)) {
		if (slice_caseeq_str(word, name))
			return true;
	}
	return false;
}

struct match_list *match_list_new(
    const struct postfix_params *params, const char *name, const char *value)
{
	struct match_list *list = xcalloc(1, sizeof(*list));

	list->name = xstrdup(name);
	list->parents = match_list_has_parents(params, name);
	add_elements(list, slice_of(value), false, 0);
	return list;
}

void match_list_free(struct match_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++) {
		table_free(list->items[i].table);
		free(list->items[i].text);
	}
	free(list->items);
	free(list->name);
	free(list);
}

bool match_list_is_empty(const struct match_list *list)
{
	return list->count == 0;
}

static enum match_result ask_table(
    const struct match_list *list, struct table *table, struct slice key)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum table_result result = table_get(table, key, &value);

	strbuf_release(&value);
	if (result == TABLE_ERROR)
		log_warning("%s: %s: table lookup problem", list->name, table_spec(table));
	return result == TABLE_FOUND ? MATCH_YES : (result == TABLE_ERROR ? MATCH_ERROR : MATCH_NO);
}

static enum match_result table_has_domain(
    const struct match_list *list, struct table *table, struct slice domain)
{
	enum match_result result = ask_table(list, table, domain);

	while (result == MATCH_NO && !table_is_pattern(table)) {
		ptrdiff_t dot = slice_find(slice_from(domain, 1), '.');

		if (dot < 0)
			break;
		/* From "a.b.c" to "b.c", or to ".b.c" and on to ".c". */
		domain = slice_from(domain, (size_t)dot + 1 + list->parents);
		result = ask_table(list, table, domain);
	}
	return result;
}

static bool text_has_domain(const struct match_list *list, const char *text, struct slice domain)
{
	size_t len = strlen(text);

	if (slice_caseeq_str(domain, text))
		return true;
	if (domain.len <= len || !slice_caseeq_str(slice_from(domain, domain.len - len), text))
		return false;
	return list->parents ? domain.ptr[domain.len - len - 1] == '.' : text[0] == '.';
}

static enum match_result item_domain(
    const struct match_list *list, const struct item *item, struct slice domain)
{
	if (item->kind == ITEM_BROKEN)
		return MATCH_ERROR;
	if (item->kind == ITEM_TABLE)
		return table_has_domain(list, item->table, domain);
	return text_has_domain(list, item->text, domain) ? MATCH_YES : MATCH_NO;
}

static enum match_result item_string(
    const struct match_list *list, const struct item *item, struct slice string)
{
	if (item->kind == ITEM_BROKEN)
		return MATCH_ERROR;
	if (item->kind == ITEM_TABLE)
		return ask_table(list, item->table, string);
	return slice_caseeq_str(string, item->text) ? MATCH_YES : MATCH_NO;
}

static enum match_result item_addr(
    const struct match_list *list, const struct item *item, const struct net_addr *addr)
{
	char text[NET_ADDR_TEXT];

	if (item->kind == ITEM_BROKEN)
		return MATCH_ERROR;
	if (!addr->len)
		return MATCH_NO;
	if (item->kind == ITEM_TABLE)
		return ask_table(list, item->table, slice_of(net_addr_text(addr, text)));
	if (item->bad_block) {
		log_warning("%s: bad net/mask pattern: \"%s\"", list->name, item->text);
		return MATCH_ERROR;
	}
	return item->has_block && net_block_contains(&item->block, addr) ? MATCH_YES : MATCH_NO;
}

static enum match_result decide(const struct item *item, enum match_result matched)
{
	if (matched == MATCH_YES && item->negated)
		return MATCH_NO;
	return matched;
}

enum match_result match_list_domain(const struct match_list *list, struct slice domain)
{
	for (size_t i = 0; i < list->count; i++) {
		enum match_result m = item_domain(list, &list->items[i], domain);

		if (m != MATCH_NO)
			return decide(&list->items[i], m);
	}
	return MATCH_NO;
}

enum match_result match_list_string(const struct match_list *list, struct slice string)
{
	for (size_t i = 0; i < list->count; i++) {
		enum match_result m = item_string(list, &list->items[i], string);

		if (m != MATCH_NO)
			return decide(&list->items[i], m);
	}
	return MATCH_NO;
}

enum match_result match_list_client(
    const struct match_list *list, struct slice name, const struct net_addr *addr)
{
	bool has_name = name.len && !slice_eq_str(name, "unknown");

	for (size_t i = 0; i < list->count; i++) {
		enum match_result m = MATCH_NO;

		if (has_name)
			m = item_domain(list, &list->items[i], name);
		if (m == MATCH_NO)
			m = item_addr(list, &list->items[i], addr);
		if (m != MATCH_NO)
			return decide(&list->items[i], m);
	}
	return MATCH_NO;
}

enum match_result match_list_addr(const struct match_list *list, const struct net_addr *addr)
{
	for (size_t i = 0; i < list->count; i++) {
		enum match_result m = item_addr(list, &list->items[i], addr);

		if (m != MATCH_NO)
			return decide(&list->items[i], m);
	}
	return MATCH_NO;
}
