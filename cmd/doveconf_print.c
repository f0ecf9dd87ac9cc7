// SPDX-License-Identifier: BSD-2-Clause
/* The layouts of doveconf's output, each the peer's byte for byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "cmd/doveconf.h"

#define HIDDEN_VALUE "# hidden, use -P to show it"
#define HIDDEN_WORD  "#hidden_use-P_to_show#"

static void indent(int depth)
{
	for (int i = 0; i < depth; i++)
		fputs("  ", stdout);
}

/* --- values --- */

static bool needs_quotes(const char *value)
{
	size_t len = strlen(value);

	return len &&
	       (strchr(" \t", value[0]) || strchr(" \t", value[len - 1]) || strchr(value, '#'));
}

static void print_quoted(const char *value)
{
	putchar('"');
	for (; *value; value++) {
		if (*value == '"' || *value == '\\' || *value == '\'')
			putchar('\\');
		putchar(*value);
	}
	putchar('"');
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && !strcmp(name + len - end_len, end);
}

static bool is_secret_name(const char *name)
{
	return !strcmp(name, "ssl_dh") || ends_with(name, "_password") || ends_with(name, "_key") ||
	       ends_with(name, "_nonce");
}

/* "password", "key", "a:secret_x": a word of that begins somewhere in what stands before '='. */
static bool is_secret_word(struct slice word)
{
	static const char *const secrets[] = { "key", "secret", "pass" };

	for (size_t at = 0; at < word.len; at++) {
		if (at > 0 && ascii_isalnum(word.ptr[at - 1]))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
			if (slice_starts(slice_from(word, at), secrets[i]))
				return true;
	}
	return false;
}

/* The word that ends before VALUE's byte AT, and blanks after it. */
static struct slice word_before(struct slice value, size_t at)
{
	size_t end = at, begin;

	while (end > 0 && value.ptr[end - 1] == ' ')
		end--;
	begin = end;
	while (begin > 0 && value.ptr[begin - 1] != ' ')
		begin--;
	return slice_first(slice_from(value, begin), end - begin);
}

/* How much of VALUE at AT is somebody's name and password in a URL; 0: nothing. */
static size_t url_login(struct slice value, size_t at)
{
	struct slice rest = slice_from(value, at);
	ptrdiff_t end;

	if (!slice_ends(slice_first(value, at), "http://") &&
	    !slice_ends(slice_first(value, at), "https://"))
		return 0;
	end = slice_find(rest, ' ');
	if (end >= 0)
		rest = slice_first(rest, (size_t)end);
	end = slice_find(rest, '@');
	return end > 0 ? (size_t)end : 0;
}

/* True when something was left out, and the rest printed. */
static bool print_without_secrets(struct slice value)
{
	size_t from = 0;
	bool hid = false;

	for (size_t i = 0; i < value.len; i++) {
		size_t login = url_login(value, i), end;

		if (login) {
			end = i + login;
		} else if (i > 0 && value.ptr[i - 1] == '=' &&
			   is_secret_word(word_before(value, i - 1))) {
			for (end = i;
			     end < value.len && value.ptr[end] != ' ' && value.ptr[end] != ':';)
				end++;
		} else {
			continue;
		}
		printf("%.*s%s", SLICE_ARG(slice_first(slice_from(value, from), i - from)),
		    HIDDEN_WORD);
		from = i = end;
		hid = true;
	}
	if (value.len && value.ptr[value.len - 1] == '=' && from < value.len &&
	    is_secret_word(word_before(value, value.len - 1))) {
		printf("%.*s%s", SLICE_ARG(slice_from(value, from)), HIDDEN_WORD);
		return true;
	}
	if (hid)
		printf("%.*s", SLICE_ARG(slice_from(value, from)));
	return hid;
}

static void print_value(const char *name, const char *value, const struct doveconf_options *options)
{
	if (!options->secrets && *value && is_secret_name(name)) {
		fputs(HIDDEN_VALUE, stdout);
		return;
	}
	if (!options->secrets && print_without_secrets(slice_of(value)))
		return;
	if (needs_quotes(value))
		print_quoted(value);
	else
		fputs(value, stdout);
}

/* --- blocks --- */

/* "192.0.2.1/32" is "192.0.2.1". */
static int label_length(const struct dovecot_block *block)
{
	struct dovecot_net net;

	if ((block->kind == DOVECOT_LOCAL || block->kind == DOVECOT_REMOTE) &&
	    dovecot_net_parse(block->label, &net) &&
	    net.prefix == (net.family == AF_INET ? 32 : 128))
		return (int)strcspn(block->label, "/");
	return (int)strlen(block->label);
}

static void print_head(const struct dovecot_block *block, int depth)
{
	bool is_filter = dovecot_kinds[block->kind].is_filter;
	bool has_label = *block->label && !dovecot_kinds[block->kind].is_free &&
			 block->kind != DOVECOT_PASSDB && block->kind != DOVECOT_USERDB;

	indent(depth);
	fputs(dovecot_kinds[block->kind].name, stdout);
	if (has_label)
		putchar(' ');
	if (has_label && !is_filter && strpbrk(block->label, " \t\"#"))
		print_quoted(block->label);
	else if (has_label)
		printf("%.*s", label_length(block), block->label);
	fputs(" {\n", stdout);
}

static int distance(const struct dovecot_block *block, const struct dovecot_block *top)
{
	int steps = 0;

	for (; block && block != top && block->parent && !dovecot_kinds[block->kind].is_filter;
	     block = block->parent)
		steps++;
	return steps;
}

static bool contains(const struct dovecot_block *outer, const struct dovecot_block *inner)
{
	while (inner && inner != outer)
		inner = inner->parent;
	return inner != NULL;
}

/* Opens the blocks between those that are open and BLOCK, the outermost first. */
static void open_blocks(const struct dovecot_block *block, const struct dovecot_block *open,
    const struct dovecot_block *top, int depth)
{
	if (block == open || distance(block, top) == 0 || (open && contains(block, open)))
		return;
	open_blocks(block->parent, open, top, depth);
	print_head(block, depth + distance(block, top) - 1);
}

static const struct dovecot_block *close_blocks(const struct dovecot_block *open,
    const struct dovecot_block *next, const struct dovecot_block *top, int depth)
{
	while (distance(open, top) > 0 && !(next && contains(open, next))) {
		indent(depth + distance(open, top) - 1);
		puts("}");
		open = open->parent;
	}
	return open;
}

void doveconf_print(const struct doveconf_items *items, const struct dovecot_block *top, int depth,
    const struct doveconf_options *options)
{
	const struct dovecot_block *open = top;

	for (size_t i = 0; i < items->count; i++) {
		const struct doveconf_item *item = &items->list[i];

		open = close_blocks(open, item->block, top, depth);
		open_blocks(item->block, open, top, depth);
		open = item->block;
		indent(depth + distance(item->block, top));
		printf("%s = ", item->name);
		print_value(item->name, item->value, options);
		putchar('\n');
	}
	close_blocks(open, NULL, top, depth);
}

/* --- filters --- */

struct filter_list {
	const struct dovecot_block **list;
	size_t count, alloc;
};

static void gather(const struct dovecot_block *parent, struct filter_list *filters)
{
	for (const struct dovecot_block *b = parent->children; b; b = b->next) {
		size_t at;

		if (!dovecot_kinds[b->kind].is_filter)
			continue;
		if (filters->count == filters->alloc) {
			filters->alloc = filters->alloc ? 2 * filters->alloc : 16;
			filters->list =
			    xreallocarray(filters->list, filters->alloc, sizeof(filters->list[0]));
		}
		for (at = filters->count++;
		     at > 0 && dovecot_tree_compare_filters(b, filters->list[at - 1]) < 0; at--)
			filters->list[at] = filters->list[at - 1];
		filters->list[at] = b;
		gather(b, filters);
	}
}

static int print_filter_heads(const struct dovecot_block *block)
{
	int depth;

	if (!block->parent)
		return 0;
	depth = print_filter_heads(block->parent);
	print_head(block, depth);
	return depth + 1;
}

static void print_filter(const struct dovecot_block *block, const struct doveconf_options *options)
{
	struct doveconf_items items;
	int depth;

	doveconf_collect_filter(&items, block, options);
	if (items.count) {
		depth = print_filter_heads(block);
		doveconf_print(&items, block, depth, options);
		while (depth-- > 0) {
			indent(depth);
			puts("}");
		}
	}
	doveconf_items_release(&items);
}

void doveconf_print_filters(
    const struct dovecot_source *source, const struct doveconf_options *options)
{
	struct filter_list filters = { NULL, 0, 0 };

	gather(source->root, &filters);
	for (size_t i = 0; i < filters.count; i++)
		if (dovecot_tree_may_match(filters.list[i], &options->filter))
			print_filter(filters.list[i], options);
	free(filters.list);
}

/* --- by name --- */

/* Who asks for a password by name gets it. */
static void print_only(const struct doveconf_item *item, bool only_value)
{
	struct doveconf_options plain = { .secrets = true };

	if (only_value) {
		puts(item->value);
		return;
	}
	printf("%s = ", item->path);
	print_value(item->name, item->value, &plain);
	putchar('\n');
}

void doveconf_print_named(const struct doveconf_items *items, const char *name, bool only_value,
    const struct doveconf_options *options)
{
	struct doveconf_items part = { .list = NULL };
	size_t len = strlen(name), first = 0;

	while (len > 1 && name[len - 1] == '/')
		len--;
	for (; first < items->count; first++) {
		const char *path = items->list[first].path;

		if (strncmp(path, name, len) != 0)
			continue;
		if (!path[len]) {
			print_only(&items->list[first], only_value);
			return;
		}
		if (path[len] == '/')
			break;
	}
	part.list = items->list + first;
	while (first + part.count < items->count &&
	       !strncmp(part.list[part.count].path, name, len) &&
	       part.list[part.count].path[len] == '/')
		part.count++;
	doveconf_print(&part, NULL, 0, options);
}
