// SPDX-License-Identifier: BSD-2-Clause
/*
 * "name = value": quotes, the values of other settings, files, and names of older versions, which
 * are assigned as what they mean today.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/check.h"
#include "conf/dovecot_obsolete.h"
#include "conf/dovecot_read_internal.h"
#include "sys/file.h"

bool reader_is_quoted(struct slice value)
{
	return value.len >= 2 && value.ptr[0] == value.ptr[value.len - 1] &&
	       (value.ptr[0] == '"' || value.ptr[0] == '\'');
}

void reader_unquote(struct slice value, struct strbuf *out)
{
	if (!reader_is_quoted(value)) {
		strbuf_addslice(out, value);
		return;
	}
	for (size_t i = 1; i + 1 < value.len; i++) {
		if (value.ptr[i] == '\\' && i + 2 < value.len)
			i++;
		strbuf_addch(out, value.ptr[i]);
	}
}

/* What the global setting NAME is at BLOCK: filters have values of their own. */
static const struct dovecot_entry *current_entry(
    const struct dovecot_block *block, const char *name, const char **def)
{
	const struct dovecot_entry *entry;
	struct dovecot_spec spec;

	for (const struct dovecot_block *b = block; b; b = b->parent) {
		if (!dovecot_kinds[b->kind].is_filter && b->parent)
			continue;
		entry = dovecot_tree_find(b, name);
		if (entry)
			return entry;
	}
	*def = dovecot_spec_find(DOVECOT_ROOT, name, &spec) ? spec.def : NULL;
	return NULL;
}

/*
 * Replaces each word "$name"; the blanks between words stay.  SHOWN gets what is shown of it: only
 * what refers to the setting itself is replaced there.
 */
static void expand_words(struct reader *r, const char *self, struct slice value, struct strbuf *out,
    struct strbuf *shown)
{
	while (value.len) {
		size_t blanks = 0, len = 0;
		const struct dovecot_entry *entry = NULL;
		const char *def = NULL;
		char name[128] = "";
		struct slice word;

		while (blanks < value.len && ascii_isspace(value.ptr[blanks]))
			blanks++;
		strbuf_addslice(out, slice_first(value, blanks));
		strbuf_addslice(shown, slice_first(value, blanks));
		value = slice_from(value, blanks);
		while (len < value.len && !ascii_isspace(value.ptr[len]))
			len++;
		word = slice_first(value, len);
		value = slice_from(value, len);
		if (len > 1 && len < sizeof(name) && word.ptr[0] == '$') {
			memcpy(name, word.ptr + 1, len - 1);
			entry = current_entry(r->block, name, &def);
			if (!entry && !def && !r->is_lazy)
				reader_report(r, CONF_ERROR, "Unknown variable: $%s", name);
		}
		if (entry || def)
			strbuf_addstr(out, entry ? entry->value : def);
		else
			strbuf_addslice(out, word);
		if ((entry || def) && !strcmp(self, name))
			strbuf_addstr(shown, !entry	    ? def
					     : entry->shown ? entry->shown
							    : entry->value);
		else
			strbuf_addslice(shown, word);
	}
}

static bool has_variable(struct slice value)
{
	for (size_t i = 0; i + 1 < value.len; i++)
		if (value.ptr[i] == '$' && (i == 0 || ascii_isspace(value.ptr[i - 1])))
			return true;
	return false;
}

void reader_resolve_path(const struct reader *r, struct slice path, struct strbuf *out)
{
	ptrdiff_t slash = slice_rfind(slice_of(r->file), '/');

	if (!slice_starts(path, "/") && slash >= 0)
		strbuf_addslice(out, slice_first(slice_of(r->file), (size_t)slash + 1));
	strbuf_addslice(out, path);
}

/* Keys and certificates stay paths: only the process that needs one reads it. */
static bool is_read_late(const char *name)
{
	return !strncmp(name, "ssl_", 4);
}

static void file_value(struct reader *r, const char *name, struct slice path, struct strbuf *out)
{
	struct strbuf full = STRBUF_INIT(4096), content = STRBUF_INIT(DOVECOT_FILE_MAX);

	reader_resolve_path(r, path, &full);
	if (is_read_late(name) || r->no_files || r->is_lazy) {
		strbuf_addf(out, "<%s", full.ptr);
	} else if (file_read(AT_FDCWD, full.ptr, &content) < 0) {
		reader_report(
		    r, CONF_ERROR, "%s: Can't open file %s: %s", name, full.ptr, strerror(errno));
	} else if (slice_has_nul(strbuf_slice(&content))) {
		reader_report(r, CONF_ERROR, "%s: NUL byte in %s", name, full.ptr);
	} else {
		if (slice_ends(strbuf_slice(&content), "\n"))
			strbuf_truncate(&content, content.len - 1);
		strbuf_addslice(out, strbuf_slice(&content));
	}
	strbuf_release(&content);
	strbuf_release(&full);
}

/* "service/auth/client_limit": opens the blocks on the way to the last word, which is returned. */
static struct slice open_path(struct reader *r, struct slice path)
{
	ptrdiff_t slash;

	while ((slash = slice_find(path, '/')) > 0) {
		int kind = dovecot_tree_kind(r->block, slice_first(path, (size_t)slash));
		struct slice label = SLICE_LIT("");

		if (kind < 0)
			break;
		path = slice_from(path, (size_t)slash + 1);
		slash = slice_find(path, '/');
		if (!dovecot_kinds[kind].is_free && slash > 0) {
			label = slice_first(path, (size_t)slash);
			path = slice_from(path, (size_t)slash + 1);
		}
		r->block = dovecot_tree_open(r->block, (enum dovecot_kind)kind,
		    arena_slicedup(&r->source->arena, label), r->file, r->line, r->is_builtin);
	}
	return path;
}

const char *reader_keep(struct reader *r, const struct strbuf *text)
{
	return arena_slicedup(&r->source->arena, strbuf_slice(text));
}

/* True when NAME is one of an older Dovecot: what it means today is assigned. */
static bool assign_obsolete(struct reader *r, const char *name, struct slice value)
{
	struct dovecot_block *outer = r->block;
	struct dovecot_today today;
	struct strbuf plain = STRBUF_INIT(DOVECOT_FILE_MAX);
	bool found;

	if (r->is_builtin || (outer->parent && !dovecot_kinds[outer->kind].is_filter))
		return false;
	reader_unquote(value, &plain);
	found = dovecot_obsolete(name, plain.ptr ? plain.ptr : "", &today);
	strbuf_release(&plain);
	if (!found)
		return false;
	reader_report(r, CONF_WARNING, "Obsolete setting: %s", today.warning);
	for (size_t i = 0; i < today.count; i++) {
		if (strchr(today.names[i], '/'))
			r->block = r->source->root;
		r->is_translated = true;
		reader_assign(r, today.names[i], slice_of(today.value));
		r->is_translated = false;
		r->block = outer;
	}
	return true;
}

/* The peer's words: what stands in filters that were read before keeps what it was made of. */
static void check_earlier_filters(
    struct reader *r, const struct dovecot_block *block, const char *name)
{
	for (const struct dovecot_block *b = block->children; b; b = b->next) {
		const struct dovecot_entry *e;

		if (!dovecot_kinds[b->kind].is_filter)
			continue;
		e = dovecot_tree_find(b, name);
		if (e)
			reader_report(r, CONF_WARNING,
			    "Global setting %s won't change the setting inside an earlier filter "
			    "at %s line %u (if this is intentional, avoid this warning by moving "
			    "the global setting before %s line %u)",
			    name, e->file, e->line, e->file, e->line);
		else
			check_earlier_filters(r, b, name);
	}
}

void reader_assign(struct reader *r, const char *name, struct slice value)
{
	struct strbuf out = STRBUF_INIT(DOVECOT_FILE_MAX), shown = STRBUF_INIT(DOVECOT_FILE_MAX);
	struct dovecot_entry entry = {
		.file = r->file, .line = r->line, .is_builtin = r->is_builtin
	};
	struct dovecot_block *outer = r->block;

	if (!r->is_translated && assign_obsolete(r, name, value))
		return;
	if (!r->block->parent && !r->is_builtin)
		check_earlier_filters(r, r->block, name);
	if (slice_starts(value, "<") && value.len > 1) {
		file_value(r, name, slice_trim(slice_from(value, 1), " \t"), &out);
		strbuf_addslice(&shown, value);
	} else if (has_variable(value) && !reader_is_quoted(value) && !r->is_builtin) {
		expand_words(r, name, value, &out, &shown);
	} else {
		reader_unquote(value, &out);
	}
	if (out.overflow)
		reader_report(r, CONF_ERROR, "%s: value too long", name);
	entry.name = arena_slicedup(&r->source->arena, open_path(r, slice_of(name)));
	entry.value = reader_keep(r, &out);
	if (shown.len)
		entry.shown = reader_keep(r, &shown);
	dovecot_tree_add(r->block, &entry);
	r->block = outer;
	strbuf_release(&out);
	strbuf_release(&shown);
}

void reader_expand_builtin(struct reader *r, struct dovecot_block *block)
{
	for (struct dovecot_entry *e = block->entries; e; e = e->next) {
		struct strbuf out = STRBUF_INIT(DOVECOT_FILE_MAX);
		struct strbuf shown = STRBUF_INIT(DOVECOT_FILE_MAX);

		if (!e->is_builtin || !has_variable(slice_of(e->value)))
			continue;
		expand_words(r, "", slice_of(e->value), &out, &shown);
		e->shown = e->value;
		e->value = reader_keep(r, &out);
		strbuf_release(&out);
		strbuf_release(&shown);
	}
	for (struct dovecot_block *b = block->children; b; b = b->next)
		reader_expand_builtin(r, b);
}

char *dovecot_read_file_value(const char *value, char **error)
{
	struct strbuf content = STRBUF_INIT(DOVECOT_FILE_MAX);

	if (*value != '<')
		return xstrdup(value);
	if (file_read(AT_FDCWD, value + 1, &content) < 0) {
		*error = xasprintf("cannot read %s: %s", value + 1, strerror(errno));
		strbuf_release(&content);
		return NULL;
	}
	return strbuf_detach(&content);
}
