// SPDX-License-Identifier: BSD-2-Clause
/*
 * Evaluation: defaults, then what stands outside of filters, then the filters that match, the least
 * specific first.  A filter inside of filters matches when all of them do; how specific it is comes
 * from all of them together: local_name before local before remote before protocol.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/dovecot_tree.h"

struct dovecot_eval {
	struct arena arena;
	const char **texts; /* by row */
};

/* Bits of an address block plus one; 0: no such filter. */
struct specificity {
	unsigned local, local_name, remote, protocol;
};

struct match {
	const struct dovecot_block *block;
	struct specificity key;
};

struct match_list {
	struct match *list;
	size_t count, alloc;
};

bool dovecot_net_contains(const struct dovecot_net *net, const char *address)
{
	unsigned char bytes[16];
	unsigned whole = net->prefix / 8, bits = net->prefix % 8;

	if (!address || inet_pton(net->family, address, bytes) != 1)
		return false;
	if (memcmp(bytes, net->bytes, whole) != 0)
		return false;
	return !bits || (bytes[whole] ^ net->bytes[whole]) >> (8 - bits) == 0;
}

static bool match_net(const char *label, const char *address, unsigned *bits)
{
	struct dovecot_net net;

	if (!dovecot_net_parse(label, &net) || !dovecot_net_contains(&net, address))
		return false;
	*bits = net.prefix + 1;
	return true;
}

static bool match_protocol(const char *label, const char *protocol)
{
	if (!protocol)
		return false;
	if (*label == '!')
		return strcmp(label + 1, protocol) != 0;
	return !strcmp(label, protocol);
}

/* Names separated by blanks; "*.x" stands for one label before x. */
static unsigned match_local_name(const char *label, const char *name)
{
	struct slice rest = slice_of(label), word, whole = slice_of(name);

	while (name && slice_token(&rest, " \t", &word)) {
		if (slice_caseeq(word, whole))
			return 2;
		if (slice_starts(word, "*.") && whole.len > word.len - 1 &&
		    slice_find(whole, '.') == (ptrdiff_t)(whole.len - (word.len - 1)) &&
		    slice_caseeq(
			slice_from(whole, whole.len - (word.len - 1)), slice_from(word, 1)))
			return 1;
	}
	return 0;
}

static bool match_filter(
    const struct dovecot_block *block, const struct dovecot_filter *filter, struct specificity *key)
{
	switch (block->kind) {
	case DOVECOT_PROTOCOL:
		key->protocol = 1;
		return match_protocol(block->label, filter->protocol);
	case DOVECOT_LOCAL:
		return match_net(block->label, filter->local_ip, &key->local);
	case DOVECOT_REMOTE:
		return match_net(block->label, filter->remote_ip, &key->remote);
	case DOVECOT_LOCAL_NAME:
		key->local_name = match_local_name(block->label, filter->local_name);
		return key->local_name > 0;
	default:
		return false;
	}
}

static void gather(const struct dovecot_block *parent, const struct dovecot_filter *filter,
    struct specificity outer, struct match_list *matches)
{
	for (const struct dovecot_block *b = parent->children; b; b = b->next) {
		struct specificity key = outer;

		if (!match_filter(b, filter, &key))
			continue;
		if (matches->count == matches->alloc) {
			matches->alloc = matches->alloc ? 2 * matches->alloc : 8;
			matches->list =
			    xreallocarray(matches->list, matches->alloc, sizeof(matches->list[0]));
		}
		matches->list[matches->count++] = (struct match){ b, key };
		gather(b, filter, key, matches);
	}
}

static void add_key(
    const struct dovecot_block *parent, const struct dovecot_filter *filter, struct strbuf *out)
{
	for (const struct dovecot_block *b = parent->children; b; b = b->next) {
		struct specificity key = { 0, 0, 0, 0 };

		if (!dovecot_kinds[b->kind].is_filter)
			continue;
		if (!match_filter(b, filter, &key)) {
			strbuf_addch(out, '-');
			continue;
		}
		strbuf_addch(out, (char)('0' + key.local_name));
		add_key(b, filter, out);
	}
}

void dovecot_filter_key(
    const struct dovecot_source *source, const struct dovecot_filter *filter, struct strbuf *out)
{
	add_key(source->root, filter, out);
}

static size_t add_labels(const struct dovecot_block *parent, const char *kind, const char **labels,
    size_t count, size_t max)
{
	for (const struct dovecot_block *b = parent->children; b; b = b->next) {
		if (!dovecot_kinds[b->kind].is_filter)
			continue;
		if (count < max && strcmp(dovecot_kinds[b->kind].name, kind) == 0)
			labels[count++] = b->label;
		count = add_labels(b, kind, labels, count, max);
	}
	return count;
}

size_t dovecot_filter_labels(
    const struct dovecot_source *source, const char *kind, const char **labels, size_t max)
{
	return add_labels(source->root, kind, labels, 0, max);
}

static int compare_specificity(const struct specificity *a, const struct specificity *b)
{
	if (a->local_name != b->local_name)
		return a->local_name < b->local_name ? -1 : 1;
	if (a->local != b->local)
		return a->local < b->local ? -1 : 1;
	if (a->remote != b->remote)
		return a->remote < b->remote ? -1 : 1;
	return (a->protocol > b->protocol) - (a->protocol < b->protocol);
}

/* Stable: of two that are equally specific the later one wins. */
static void sort_matches(struct match_list *matches)
{
	for (size_t i = 1; i < matches->count; i++) {
		struct match m = matches->list[i];
		size_t at = i;

		while (at > 0 && compare_specificity(&m.key, &matches->list[at - 1].key) < 0) {
			matches->list[at] = matches->list[at - 1];
			at--;
		}
		matches->list[at] = m;
	}
}

size_t dovecot_tree_matching(const struct dovecot_source *source,
    const struct dovecot_filter *filter, const struct dovecot_block ***list)
{
	struct match_list matches = { NULL, 0, 0 };

	gather(source->root, filter, (struct specificity){ 0, 0, 0, 0 }, &matches);
	sort_matches(&matches);
	*list = xcalloc(matches.count + 1, sizeof(**list));
	for (size_t i = 0; i < matches.count; i++)
		(*list)[i] = matches.list[i].block;
	free(matches.list);
	return matches.count;
}

/* What a filter asks for, whoever the client is; of names only that there is one. */
static struct specificity conditions(const struct dovecot_block *block)
{
	struct specificity key = { 0, 0, 0, 0 };
	struct dovecot_net net;

	for (; block->parent; block = block->parent) {
		if (block->kind == DOVECOT_PROTOCOL)
			key.protocol = 1;
		else if (block->kind == DOVECOT_LOCAL_NAME)
			key.local_name = 1;
		else if (!dovecot_net_parse(block->label, &net))
			continue;
		else if (block->kind == DOVECOT_LOCAL)
			key.local = net.prefix + 1;
		else if (block->kind == DOVECOT_REMOTE)
			key.remote = net.prefix + 1;
	}
	return key;
}

int dovecot_tree_compare_filters(const struct dovecot_block *a, const struct dovecot_block *b)
{
	struct specificity of_a = conditions(a), of_b = conditions(b);

	return compare_specificity(&of_a, &of_b);
}

bool dovecot_tree_may_match(const struct dovecot_block *block, const struct dovecot_filter *filter)
{
	struct specificity key = { 0, 0, 0, 0 };

	for (; block->parent; block = block->parent) {
		bool asked = (block->kind == DOVECOT_PROTOCOL && filter->protocol) ||
			     (block->kind == DOVECOT_LOCAL_NAME && filter->local_name) ||
			     (block->kind == DOVECOT_LOCAL && filter->local_ip) ||
			     (block->kind == DOVECOT_REMOTE && filter->remote_ip);

		if (asked && !match_filter(block, filter, &key))
			return false;
	}
	return true;
}

static void store(struct dovecot_settings *settings, const struct dovecot_row *row,
    const char *text, uint64_t number)
{
	char *field = (char *)settings + row->field;

	switch (row->type) {
	case DOVECOT_STR:
	case DOVECOT_ENUM:
		memcpy(field, &text, sizeof(text));
		break;
	case DOVECOT_BOOL:
		*(bool *)(void *)field = number != 0;
		break;
	case DOVECOT_UINT:
		*(unsigned long *)(void *)field = number;
		break;
	case DOVECOT_OCTAL:
		*(unsigned *)(void *)field = (unsigned)number;
		break;
	case DOVECOT_SIZE:
		*(uint64_t *)(void *)field = number;
		break;
	case DOVECOT_TIME:
	case DOVECOT_TIME_MS:
		*(int64_t *)(void *)field = (int64_t)number;
		break;
	}
}

static void set(struct dovecot_settings *settings, const struct dovecot_row *row, const char *text,
    uint64_t number)
{
	const char *copy = arena_strdup(&settings->eval->arena, text);

	settings->eval->texts[row - dovecot_row(0)] = copy;
	store(settings, row, copy, number);
}

static void set_default(struct dovecot_settings *settings, const struct dovecot_row *row)
{
	struct dovecot_spec spec;
	char error[160];
	uint64_t number;

	dovecot_spec_of(row, &spec);
	ASSERT(dovecot_value_parse(&spec, spec.def, &number, error));
	set(settings, row, spec.def, number);
}

static void apply(struct dovecot_settings *settings, const struct dovecot_block *block,
    struct conf_errors *errors)
{
	for (const struct dovecot_entry *e = block->entries; e; e = e->next) {
		const struct dovecot_row *row = dovecot_row_find(e->name);
		struct dovecot_spec spec;
		char error[160];
		uint64_t number;

		if (!row)
			continue;
		dovecot_spec_of(row, &spec);
		if (dovecot_value_parse(&spec, e->value, &number, error))
			set(settings, row, e->value, number);
		else if (errors)
			conf_report(errors, CONF_ERROR, e->file, e->line, "%s: %s", e->name, error);
	}
}

/* What the peer makes of its settings, whatever doveconf prints. */
static void imply(struct dovecot_settings *settings)
{
	settings->auth_debug |= settings->auth_debug_passwords;
	settings->auth_verbose |= settings->auth_debug;
}

struct dovecot_settings *dovecot_settings_new(const struct dovecot_source *source,
    const struct dovecot_filter *filter, struct conf_errors *errors)
{
	static const struct dovecot_filter no_filter = { NULL, NULL, NULL, NULL };
	struct dovecot_settings *settings = xcalloc(1, sizeof(*settings));
	const struct dovecot_block **matching;
	size_t count;

	settings->eval = xcalloc(1, sizeof(*settings->eval));
	settings->eval->texts = xcalloc(dovecot_row_count(), sizeof(settings->eval->texts[0]));
	for (size_t i = 0; i < dovecot_row_count(); i++)
		set_default(settings, dovecot_row(i));
	apply(settings, source->root, errors);
	count = dovecot_tree_matching(source, filter ? filter : &no_filter, &matching);
	for (size_t i = 0; i < count; i++)
		apply(settings, matching[i], errors);
	imply(settings);
	free(matching);
	return settings;
}

void dovecot_settings_free(struct dovecot_settings *settings)
{
	if (!settings)
		return;
	arena_release(&settings->eval->arena);
	free(settings->eval->texts);
	free(settings->eval);
	free(settings);
}

const char *dovecot_setting_text(const struct dovecot_settings *settings, const char *name)
{
	const struct dovecot_row *row = dovecot_row_find(name);

	return row ? settings->eval->texts[row - dovecot_row(0)] : NULL;
}

const char *dovecot_log_path(const struct dovecot_settings *settings, enum dovecot_log log)
{
	if (log == DOVECOT_LOG_DEBUG && *settings->debug_log_path)
		return settings->debug_log_path;
	if (log != DOVECOT_LOG_ERRORS && *settings->info_log_path)
		return settings->info_log_path;
	return settings->log_path;
}

/* --- settings of blocks --- */

const char *dovecot_block_get(const struct dovecot_block *block, const char *name)
{
	const struct dovecot_entry *entry = dovecot_tree_find(block, name);
	struct dovecot_spec spec;

	if (entry)
		return entry->value;
	return dovecot_spec_find(block->kind, name, &spec) ? spec.def : NULL;
}

/* The value in force; a bad one, which the check reports, gives way to the default. */
static uint64_t block_number(const struct dovecot_block *block, const char *name)
{
	const struct dovecot_entry *entry = dovecot_tree_find(block, name);
	struct dovecot_spec spec;
	char error[160];
	uint64_t number;

	ASSERT(dovecot_spec_find(block->kind, name, &spec));
	if (entry && dovecot_value_parse(&spec, entry->value, &number, error))
		return number;
	ASSERT(dovecot_value_parse(&spec, spec.def, &number, error));
	return number;
}

unsigned long dovecot_block_uint(const struct dovecot_block *block, const char *name)
{
	return block_number(block, name);
}

bool dovecot_block_bool(const struct dovecot_block *block, const char *name)
{
	return block_number(block, name) != 0;
}
