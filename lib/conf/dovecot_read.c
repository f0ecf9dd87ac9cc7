// SPDX-License-Identifier: BSD-2-Clause
/*
 * The text of dovecot.conf.  Each file is read whole, cut into logical lines, and each line is
 * one of five things: nothing, an include, "}", an opening of a block, an assignment.  The built-in
 * services come first, through the same reader; what refers to another setting there ("user =
 * $default_internal_user") is replaced at the end, what the administrator writes at once, with the
 * value that the setting has at that line, as the peer does.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/dovecot_tree.h"
#include "sys/file.h"

#define INCLUDE_DEPTH_MAX 20
#define INCLUDE_FILES_MAX 1000

struct reader {
	struct dovecot_source *source;
	struct conf_errors *errors;
	struct dovecot_block *block; /* the innermost open one */
	const char *file;
	unsigned line;
	unsigned files_read;
	unsigned include_depth;
	bool is_builtin;
	bool no_files;	  /* includes and "<file" are not followed: for tests */
	bool has_version; /* a file of Dovecot 2.4: further findings would all be the same one */
};

static void __attribute__((format(printf, 3, 4)))
report(struct reader *r, enum conf_severity severity, const char *format, ...)
{
	va_list args;
	char text[600];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	conf_report(r->errors, severity, r->file, r->line, "%s", text);
}

/* --- logical lines --- */

/* The line without its comment: '#' at the start or after a blank, outside of quotes. */
static struct slice without_comment(struct reader *r, struct slice line)
{
	char quote = '\0';
	bool has_glued_hash = false;

	for (size_t i = 0; i < line.len; i++) {
		char c = line.ptr[i];

		if (c == '\\' && quote != '\'')
			i++;
		else if (quote)
			quote = c == quote ? '\0' : quote;
		else if (c == '"' || c == '\'')
			quote = c;
		else if (c == '#' && (i == 0 || ascii_isspace(line.ptr[i - 1])))
			return slice_trim(slice_first(line, i), " \t\r");
		else if (c == '#')
			has_glued_hash = true;
	}
	if (has_glued_hash)
		report(r, CONF_WARNING,
		    "'#' inside of a value: it does not start a comment; put the value in quotes");
	return line;
}

/* Takes the next logical line off *TEXT: "\" at the end joins with one blank. */
static bool next_line(struct reader *r, struct slice *text, struct strbuf *line)
{
	bool more = text->len > 0;

	strbuf_reset(line);
	for (bool joined = true; joined && text->len;) {
		ptrdiff_t lf = slice_find(*text, '\n');
		struct slice part = slice_first(*text, lf < 0 ? text->len : (size_t)lf);

		*text = slice_from(*text, lf < 0 ? text->len : (size_t)lf + 1);
		r->line++;
		part = slice_trim(part, " \t\r");
		/* A comment does not go on in the next line. */
		joined = slice_ends(part, "\\") && !slice_starts(part, "#");
		if (joined)
			part = slice_trim(slice_first(part, part.len - 1), " \t");
		if (line->len)
			strbuf_addch(line, ' ');
		strbuf_addslice(line, part);
	}
	if (slice_has_nul(strbuf_slice(line))) {
		report(r, CONF_ERROR, "NUL byte");
		strbuf_reset(line);
	}
	return more;
}

/* --- values --- */

/* Takes the quotes off a value that is quoted as a whole. */
static bool unquote(struct slice value, struct strbuf *out)
{
	if (value.len < 2 || value.ptr[0] != value.ptr[value.len - 1] ||
	    (value.ptr[0] != '"' && value.ptr[0] != '\'')) {
		strbuf_addslice(out, value);
		return false;
	}
	for (size_t i = 1; i + 1 < value.len; i++) {
		if (value.ptr[0] == '"' && value.ptr[i] == '\\' && i + 2 < value.len)
			i++;
		strbuf_addch(out, value.ptr[i]);
	}
	return true;
}

/* What NAME means at BLOCK: its own value or the one of a block around it, or the default. */
static const char *current_value(const struct dovecot_block *block, const char *name)
{
	const struct dovecot_entry *entry;
	struct dovecot_spec spec;

	for (const struct dovecot_block *b = block; b; b = b->parent) {
		entry = dovecot_tree_find(b, name);
		if (entry)
			return entry->value;
		if (dovecot_spec_find(b->kind, name, &spec))
			if (!dovecot_kinds[b->kind].is_filter || !b->parent)
				return spec.def;
	}
	return NULL;
}

/* Replaces each word "$name"; the blanks between words stay. */
static void expand_words(
    struct reader *r, const struct dovecot_block *block, struct slice value, struct strbuf *out)
{
	while (value.len) {
		size_t blanks = 0, len = 0;
		char name[128];
		const char *found = NULL;

		while (blanks < value.len && ascii_isspace(value.ptr[blanks]))
			blanks++;
		strbuf_addslice(out, slice_first(value, blanks));
		value = slice_from(value, blanks);
		while (len < value.len && !ascii_isspace(value.ptr[len]))
			len++;
		if (len > 1 && len < sizeof(name) && value.ptr[0] == '$') {
			memcpy(name, value.ptr + 1, len - 1);
			name[len - 1] = '\0';
			found = current_value(block, name);
			if (!found)
				report(r, CONF_ERROR, "unknown variable: $%s", name);
		}
		if (found)
			strbuf_addstr(out, found);
		else
			strbuf_addslice(out, slice_first(value, len));
		value = slice_from(value, len);
	}
}

static bool has_variable(struct slice value)
{
	for (size_t i = 0; i + 1 < value.len; i++)
		if (value.ptr[i] == '$' && (i == 0 || ascii_isspace(value.ptr[i - 1])))
			return true;
	return false;
}

/* PATH relative to the directory of the file that is being read. */
static void resolve_path(const struct reader *r, struct slice path, struct strbuf *out)
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

	resolve_path(r, path, &full);
	if (is_read_late(name) || r->no_files) {
		strbuf_addf(out, "<%s", full.ptr);
	} else if (file_read(AT_FDCWD, full.ptr, &content) < 0) {
		report(r, CONF_ERROR, "%s: cannot read %s: %s", name, full.ptr, strerror(errno));
	} else if (slice_has_nul(strbuf_slice(&content))) {
		report(r, CONF_ERROR, "%s: NUL byte in %s", name, full.ptr);
	} else {
		if (slice_ends(strbuf_slice(&content), "\n"))
			strbuf_truncate(&content, content.len - 1);
		strbuf_addslice(out, strbuf_slice(&content));
	}
	strbuf_release(&content);
	strbuf_release(&full);
}

static void assign(struct reader *r, const char *name, struct slice value)
{
	struct strbuf out = STRBUF_INIT(DOVECOT_FILE_MAX);
	struct dovecot_entry entry = {
		.file = r->file, .line = r->line, .is_builtin = r->is_builtin
	};

	if (slice_starts(value, "<") && value.len > 1)
		file_value(r, name, slice_trim(slice_from(value, 1), " \t"), &out);
	else if (has_variable(value) && value.ptr[0] != '"' && value.ptr[0] != '\'' &&
		 !r->is_builtin)
		expand_words(r, r->block, value, &out);
	else
		unquote(value, &out);
	if (out.overflow)
		report(r, CONF_ERROR, "%s: value too long", name);
	entry.name = arena_strdup(&r->source->arena, name);
	entry.value = arena_slicedup(&r->source->arena, strbuf_slice(&out));
	dovecot_tree_add(r->block, &entry);
	strbuf_release(&out);
}

/* --- files --- */

static void read_text(struct reader *r, const char *file, struct slice text);

static void read_file(struct reader *r, const char *path, bool is_optional)
{
	struct strbuf content = STRBUF_INIT(DOVECOT_FILE_MAX);

	if (r->include_depth >= INCLUDE_DEPTH_MAX || r->files_read >= INCLUDE_FILES_MAX) {
		report(r, CONF_ERROR, "too many includes (does a file include itself?): %s", path);
		return;
	}
	r->files_read++;
	r->include_depth++;
	if (file_read(AT_FDCWD, path, &content) == 0)
		read_text(r, arena_strdup(&r->source->arena, path), strbuf_slice(&content));
	else if (!is_optional)
		report(r, CONF_ERROR, "cannot read %s: %s", path, strerror(errno));
	r->include_depth--;
	strbuf_release(&content);
}

static void include(struct reader *r, struct slice pattern, bool is_optional)
{
	struct strbuf plain = STRBUF_INIT(4096), full = STRBUF_INIT(4096);
	glob_t found = { 0 };

	unquote(pattern, &plain);
	resolve_path(r, strbuf_slice(&plain), &full);
	if (!plain.len || full.overflow)
		report(r, CONF_ERROR, "include without a file name");
	else if (r->no_files)
		report(r, CONF_WARNING, "not included: %s", full.ptr);
	else if (!strpbrk(full.ptr, "*?["))
		read_file(r, full.ptr, is_optional);
	else if (glob(full.ptr, GLOB_BRACE, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			read_file(r, found.gl_pathv[i], is_optional);
	globfree(&found);
	strbuf_release(&full);
	strbuf_release(&plain);
}

/* --- lines --- */

static void open_block(struct reader *r, struct slice name, struct slice rest)
{
	ptrdiff_t brace = slice_rfind(rest, '{');
	struct strbuf label = STRBUF_INIT(1024);
	struct slice before = slice_trim(slice_first(rest, (size_t)brace), " \t");
	unsigned depth = 0;
	int kind;

	kind = dovecot_tree_kind(r->block, name);
	unquote(before, &label);
	if (kind < 0) {
		report(r, CONF_ERROR, "unknown section %.*s in %s", SLICE_ARG(name),
		    r->block->parent ? dovecot_kinds[r->block->kind].name : "the file");
		/* Free-form, so that what stands in it is not reported line by line. */
		kind = DOVECOT_PLUGIN;
	} else if (!label.len && dovecot_kinds[kind].wants_label) {
		report(r, CONF_ERROR, "%.*s without a name", SLICE_ARG(name));
	}
	for (const struct dovecot_block *b = r->block; b; b = b->parent)
		depth++;
	if (depth > DOVECOT_DEPTH_MAX)
		report(r, CONF_ERROR, "blocks are nested too deep");
	else
		r->block = dovecot_tree_open(r->block, (enum dovecot_kind)kind,
		    arena_slicedup(&r->source->arena, strbuf_slice(&label)), r->file, r->line,
		    r->is_builtin);
	strbuf_release(&label);
}

static bool is_key_char(char c)
{
	return ascii_isalnum(c) || c == '_' || c == '-' || c == '/' || c == '!' || c == '.' ||
	       c == '@' || c == ':';
}

static void read_line(struct reader *r, struct slice line)
{
	size_t len = 0;
	struct slice key, rest;
	char name[128];

	while (len < line.len && is_key_char(line.ptr[len]))
		len++;
	key = slice_first(line, len);
	rest = slice_trim(slice_from(line, len), " \t");
	if (slice_eq_str(key, "!include") || slice_eq_str(key, "!include_try")) {
		include(r, rest, key.len > strlen("!include"));
	} else if (slice_starts(line, "}")) {
		if (line.len > 1)
			report(r, CONF_ERROR, "garbage after '}'");
		if (r->block->parent)
			r->block = r->block->parent;
		else
			report(r, CONF_ERROR, "'}' without a section");
	} else if (!key.len || key.len >= sizeof(name)) {
		report(r, CONF_ERROR, "expecting a setting's name: %.*s",
		    SLICE_ARG(slice_first(line, 60)));
	} else if (slice_starts(rest, "=")) {
		memcpy(name, key.ptr, key.len);
		name[key.len] = '\0';
		assign(r, name, slice_trim(slice_from(rest, 1), " \t"));
	} else if (slice_ends(rest, "{")) {
		open_block(r, key, rest);
	} else if (slice_find(rest, '{') >= 0) {
		report(r, CONF_ERROR, "garbage after '{'");
	} else {
		report(r, CONF_ERROR, "expecting '=' or '{' after %.*s",
		    SLICE_ARG(slice_first(key, 60)));
	}
}

/* Reads TEXT; blocks that it opens end with it. */
static void read_text(struct reader *r, const char *file, struct slice text)
{
	struct dovecot_block *outer = r->block;
	const char *outer_file = r->file;
	unsigned outer_line = r->line;
	struct strbuf line = STRBUF_INIT(DOVECOT_FILE_MAX);

	r->file = file;
	r->line = 0;
	while (!r->has_version && next_line(r, &text, &line)) {
		struct slice stripped = without_comment(r, strbuf_slice(&line));

		if (slice_starts(stripped, "dovecot_config_version") ||
		    slice_starts(stripped, "dovecot_storage_version")) {
			report(r, CONF_ERROR,
			    "this file is in the syntax of Dovecot 2.4, "
			    "which is not understood yet; write it in that of 2.3");
			r->has_version = true;
		} else if (stripped.len) {
			read_line(r, stripped);
		}
	}
	if (r->block != outer && !r->has_version)
		report(r, CONF_ERROR, "missing '}' (the section of line %u is still open)",
		    r->block->line);
	r->block = outer;
	r->file = outer_file;
	r->line = outer_line;
	strbuf_release(&line);
}

/* --- built-in services --- */

static const struct {
	const char *name;
	bool runs;
	const char *settings;
} services[] = {
#define PC_RUNS_YES			      true
#define PC_RUNS_NO			      false
#define SERVICE(service, works, its_settings) { service, PC_RUNS_##works, its_settings },
#include "conf/dovecot_services.def"
#undef SERVICE
};

bool dovecot_service_runs(const char *label)
{
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		if (!strcmp(services[i].name, label))
			return services[i].runs;
	return false;
}

static void read_builtin(struct reader *r)
{
	r->is_builtin = true;
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		struct dovecot_block *root = r->block;

		r->block = dovecot_tree_open(
		    root, DOVECOT_SERVICE, services[i].name, "(built-in)", 0, true);
		read_text(r, "(built-in)", slice_of(services[i].settings));
		r->block = root;
	}
	r->is_builtin = false;
}

static void expand_builtin(struct reader *r, struct dovecot_block *block)
{
	for (struct dovecot_entry *e = block->entries; e; e = e->next) {
		struct strbuf out = STRBUF_INIT(DOVECOT_FILE_MAX);

		if (!e->is_builtin || !has_variable(slice_of(e->value)))
			continue;
		expand_words(r, block, slice_of(e->value), &out);
		e->value = arena_slicedup(&r->source->arena, strbuf_slice(&out));
		strbuf_release(&out);
	}
	for (struct dovecot_block *b = block->children; b; b = b->next)
		expand_builtin(r, b);
}

static struct dovecot_source *read_all(
    const char *path, struct slice text, bool no_files, struct conf_errors *errors)
{
	struct dovecot_source *source = dovecot_tree_new(path);
	struct reader r = { .source = source,
		.errors = errors,
		.block = source->root,
		.file = "",
		.files_read = 1,
		.include_depth = 1,
		.no_files = no_files };

	read_builtin(&r);
	read_text(&r, source->path, text);
	expand_builtin(&r, source->root);
	return source;
}

struct dovecot_source *dovecot_source_parse(struct slice text, struct conf_errors *errors)
{
	return read_all("(text)", text, true, errors);
}

struct dovecot_source *dovecot_source_read(const char *path, struct conf_errors *errors)
{
	struct strbuf content = STRBUF_INIT(DOVECOT_FILE_MAX);
	struct dovecot_source *source = NULL;

	if (file_read(AT_FDCWD, path, &content) < 0)
		conf_report(errors, CONF_ERROR, path, 0, "cannot read: %s", strerror(errno));
	else
		source = read_all(path, strbuf_slice(&content), false, errors);
	strbuf_release(&content);
	return source;
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
