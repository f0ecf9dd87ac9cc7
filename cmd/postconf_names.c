// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which names a configuration defines and makes use of.
 *
 * A name of the administrator's own in main.cf is used when any value refers to it.  One that an
 * entry of master.cf sets is used when main.cf, a default or that entry refers to it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "conf/postfix_expand.h"
#include "conf/postfix_param_list.h"
#include "log/log.h"

#define BLANKS	      " \t\r\n\v\f"
#define COMMENT_SHOWN 20 /* bytes of the comment's text */

static char present;

static const char *find_override(const struct postconf *pc, const char *name)
{
	for (size_t i = pc->override_count; i-- > 0;)
		if (strcmp(pc->overrides[i].name, name) == 0)
			return pc->overrides[i].value;
	return NULL;
}

size_t postconf_set_count(const struct postconf *pc)
{
	return pc->defaults ? 0 : postfix_source_set_count(pc->source) + pc->override_count;
}

const char *postconf_set_name(const struct postconf *pc, size_t i)
{
	size_t count = postfix_source_set_count(pc->source);
	return i < count ? postfix_source_set_name(pc->source, i) : pc->overrides[i - count].name;
}

const char *postconf_find_set(const struct postconf *pc, const char *name)
{
	const char *value = pc->defaults ? NULL : find_override(pc, name);
	/* The directory is always one that was chosen. */
	if (strcmp(name, "config_directory") == 0 && !pc->defaults)
		return pc->dir;
	return value || pc->defaults ? value : postfix_source_raw(pc->source, name, NULL);
}

/* A row of the list that is there for the sake of a service of that name. */
static bool is_row_of_service(const struct postfix_param_row *row)
{
	struct slice transport;
	const char *fallback = postfix_transport_fallback(row->name, &transport);
	return fallback && row->def[0] == '$' && strcmp(row->def + 1, fallback) == 0;
}

/* Only what runs foreign programs has a time limit, and spawn has nothing else. */
static bool program_defines(const char *program, const char *form)
{
	static const char *const agents[] = { "error", "lmtp", "local", "smtp", "virtual" };
	bool is_time = strcmp(form, "_time_limit") == 0;
	if (strcmp(program, "spawn") == 0 || strcmp(program, "pipe") == 0)
		return is_time || strcmp(program, "pipe") == 0;
	for (size_t i = 0; i < ARRAY_LEN(agents) && !is_time; i++)
		if (strcmp(program, agents[i]) == 0)
			return true;
	return false;
}

static bool is_defined_by_service(const struct postconf *pc, const char *name)
{
	struct slice transport;
	if (!postfix_transport_fallback(name, &transport))
		return false;
	for (size_t i = 0; i < pc->entry_count; i++) {
		const struct postfix_entry *entry = &pc->entries[i];
		if (slice_eq_str(transport, entry->columns[0]) &&
		    strcmp(entry->columns[1], "unix") == 0 &&
		    program_defines(entry->words[0], name + transport.len))
			return true;
	}
	return false;
}

enum postconf_class postconf_class_of(const struct postconf *pc, const char *name)
{
	const struct postfix_param_row *row = postfix_param_find(name);
	if (row && !row->is_old && !is_row_of_service(row))
		return POSTCONF_BUILTIN;
	if (is_defined_by_service(pc, name))
		return POSTCONF_SERVICE;
	return postfix_usage_has(&pc->usage, name) && postconf_find_set(pc, name)
		   ? POSTCONF_USER
		   : POSTCONF_UNKNOWN;
}

/* ---- references ---- */

static bool is_expanded(const char *name)
{
	const struct postfix_param_row *row = postfix_param_find(name);
	return !row || row->type != PARAM_RAW;
}

static void note_reference(struct slice name, void *map)
{
	map_put(map, name, &present);
}

struct noting {
	struct postconf *pc;
	const char *name;
};

static void note_of_main(struct slice name, void *arg)
{
	const struct noting *n = arg;
	if (n->pc->verbose)
		log_info("$%.*s in the value of %s in main.cf makes use of %.*s", SLICE_ARG(name),
		    n->name, SLICE_ARG(name));
	note_reference(name, &n->pc->main_references);
}

void postconf_names_init(struct postconf *pc)
{
	postfix_usage_init(&pc->usage, pc->source);
	for (size_t i = 0; i < postconf_set_count(pc); i++) {
		const char *name = postconf_set_name(pc, i);
		struct noting n = { pc, name };
		if (is_expanded(name))
			postfix_expand_references(postconf_find_set(pc, name), note_of_main, &n);
	}
}

void postconf_names_release(struct postconf *pc)
{
	postfix_usage_release(&pc->usage);
	map_release(&pc->main_references, NULL);
}

struct reference {
	const struct postconf *pc;
	const struct postfix_entry *entry; /* NULL: in main.cf */
};

static void warn_if_undefined(struct slice name, void *arg)
{
	const struct reference *r = arg;
	char *text = xstrndup(name.ptr, name.len);
	if (!postfix_param_find(text) && !is_defined_by_service(r->pc, text) &&
	    !postconf_find_set(r->pc, text) && !(r->entry && postfix_entry_find(r->entry, name)))
		log_warning("%s/%s: undefined parameter: %s", r->pc->dir,
		    r->entry ? "master.cf" : "main.cf", text);
	free(text);
}

/* Calls LOOK for each parameter that ENTRY sets, with the value that counts, once. */
static void each_override(const struct postfix_entry *entry,
    void (*look)(struct slice name, const char *value, void *arg), void *arg)
{
	for (size_t i = 1; i < entry->option_count; i++) {
		struct slice text = slice_of(entry->words[i]);
		ptrdiff_t equal = slice_find(text, '=');
		if (!postfix_entry_is_override(entry, i) || equal <= 0)
			continue;
		struct slice name = slice_first(text, (size_t)equal);
		const char *value = entry->words[i] + equal + 1;
		if (postfix_entry_find(entry, name) == value)
			look(name, value, arg);
	}
}

static void look_for_undefined(struct slice name, const char *value, void *arg)
{
	char *text = xstrndup(name.ptr, name.len);
	if (is_expanded(text))
		postfix_expand_references(value, warn_if_undefined, arg);
	free(text);
}

struct unused {
	const struct postconf *pc;
	struct map references; /* of the entry itself */
};

static void note_references(struct slice name, const char *value, void *arg)
{
	struct unused *u = arg;
	(void)name;
	postfix_expand_references(value, note_reference, &u->references);
}

/* Somebody meant it for a comment; it is part of the value. */
static void warn_comment(const struct postconf *pc, const char *file, const char *value)
{
	struct slice whole = slice_of(value), rest = whole, word;
	while (slice_token(&rest, BLANKS, &word)) {
		if (word.ptr[0] != '#')
			continue;
		rest = slice_from(whole, (size_t)(word.ptr - value) + word.len + 1);
		rest = slice_first(rest, COMMENT_SHOWN);
		log_warning("%s/%s: #comment after other text is not allowed: %.*s %.*s...",
		    pc->dir, file, SLICE_ARG(word), SLICE_ARG(rest));
		break;
	}
}

/* Is the name, which an entry sets, made use of? */
static bool is_used(const struct postconf *pc, const struct map *in_entry, const char *name)
{
	enum postconf_class class = postconf_class_of(pc, name);
	return class == POSTCONF_BUILTIN || class == POSTCONF_SERVICE ||
	       map_get_str(&pc->main_references, name) || map_get_str(in_entry, name) ||
	       map_get_str(&pc->usage.from_defaults, name) ||
	       postfix_usage_names_table(&pc->usage, name);
}

static void look_for_comment(struct slice name, const char *value, void *arg)
{
	const struct unused *u = arg;
	char *text = xstrndup(name.ptr, name.len);
	if (is_used(u->pc, &u->references, text))
		warn_comment(u->pc, "master.cf", value);
	free(text);
}

/* Calls LOOK for what each entry sets, with what the entry itself refers to. */
static void each_in_entries(
    const struct postconf *pc, void (*look)(struct slice name, const char *value, void *arg))
{
	for (size_t i = 0; i < pc->entry_count; i++) {
		struct unused u = { .pc = pc };
		each_override(&pc->entries[i], note_references, &u);
		each_override(&pc->entries[i], look, &u);
		map_release(&u.references, NULL);
	}
}

void postconf_warn_comments(const struct postconf *pc)
{
	each_in_entries(pc, look_for_comment);
	for (size_t i = 0; i < postconf_set_count(pc); i++) {
		const char *name = postconf_set_name(pc, i);
		if (postconf_class_of(pc, name) != POSTCONF_UNKNOWN)
			warn_comment(pc, "main.cf", postconf_find_set(pc, name));
	}
}

void postconf_warn_undefined(const struct postconf *pc)
{
	struct reference main_cf = { .pc = pc };
	for (size_t i = 0; i < pc->entry_count; i++) {
		struct reference r = { .pc = pc, .entry = &pc->entries[i] };
		each_override(&pc->entries[i], look_for_undefined, &r);
	}
	for (size_t i = 0; i < postconf_set_count(pc); i++) {
		const char *name = postconf_set_name(pc, i);
		if (is_expanded(name))
			postfix_expand_references(
			    postconf_find_set(pc, name), warn_if_undefined, &main_cf);
	}
}

/* ---- values that cannot be expanded ---- */

struct soundness {
	const struct postconf *pc;
	struct map done;
	struct strbuf error;
	unsigned depth;
};

static bool is_sound(struct soundness *s, const char *name);

static const char *visit(const char *name, void *arg, bool *failed)
{
	*failed = !is_sound(arg, name);
	/* Not empty, so that a choice is looked into. */
	return "1";
}

static bool is_sound(struct soundness *s, const char *name)
{
	const char *value = postconf_find_set(s->pc, name);
	if (!value || !is_expanded(name) || map_get_str(&s->done, name))
		return true;
	if (++s->depth > POSTFIX_EXPAND_DEPTH) {
		strbuf_addf(&s->error, "the value of %s refers to itself", name);
		return false;
	}
	struct strbuf out = STRBUF_INIT(POSTFIX_VALUE_LIMIT);
	bool ok = postfix_expand(&out, slice_of(value), visit, s, &s->error);
	strbuf_release(&out);
	s->depth--;
	if (ok)
		map_put_str(&s->done, name, &present);
	return ok;
}

void postconf_need_sound_values(const struct postconf *pc)
{
	struct soundness s = { .pc = pc, .error = STRBUF_INIT(4000) };
	for (size_t i = 0; i < postconf_set_count(pc); i++) {
		const char *name = postconf_set_name(pc, i);
		if (!is_sound(&s, name))
			fatal("%s/main.cf: bad value of %s: %s", pc->dir, name, s.error.ptr);
	}
	map_release(&s.done, NULL);
	strbuf_release(&s.error);
}

/* ---- what nothing uses ---- */

static void look_for_unused(struct slice name, const char *value, void *arg)
{
	const struct unused *u = arg;
	char *text = xstrndup(name.ptr, name.len);
	if (!is_used(u->pc, &u->references, text))
		log_warning("%s/master.cf: unused parameter: %s=%s", u->pc->dir, text, value);
	free(text);
}

void postconf_warn_unused(const struct postconf *pc, bool main_too)
{
	for (size_t i = 0; i < postconf_set_count(pc) && main_too; i++) {
		const char *name = postconf_set_name(pc, i);
		if (postconf_class_of(pc, name) == POSTCONF_UNKNOWN)
			log_warning("%s/main.cf: unused parameter: %s=%s", pc->dir, name,
			    postconf_find_set(pc, name));
	}
	each_in_entries(pc, look_for_unused);
}
