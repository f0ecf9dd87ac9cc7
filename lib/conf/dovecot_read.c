// SPDX-License-Identifier: BSD-2-Clause
/*
 * The text of dovecot.conf.  Each file is read whole, cut into logical lines, and each line is
 * one of five things: nothing, an include, "}", an opening of a block, an assignment.  The built-in
 * services come first, through the same reader; what refers to another setting there ("user =
 * $default_internal_user") is replaced at the end, what the administrator writes at once, with the
 * value that the setting has at that line, as the peer does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "conf/dovecot_obsolete.h"
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
	bool no_files;	    /* includes and "<file" are not followed: for tests */
	bool is_translated; /* the assignment stands for an obsolete one */
	bool is_lazy;	    /* for showing: values of other settings and files are not needed */
	bool has_version;   /* a file of Dovecot 2.4: further findings would all be the same one */
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

/* The line without its comment: '#' outside of quotes. */
static struct slice without_comment(struct reader *r, struct slice line)
{
	char quote = '\0';

	for (size_t i = 0; i < line.len; i++) {
		char c = line.ptr[i];

		if (c == '\\' && quote) {
			i++;
		} else if (quote) {
			quote = c == quote ? '\0' : quote;
		} else if (c == '"' || c == '\'') {
			quote = c;
		} else if (c == '#') {
			if (i > 0 && !ascii_isspace(line.ptr[i - 1]))
				report(r, CONF_WARNING,
				    "Ambiguous '#' character in line, treating it as comment. "
				    "Add a space before it to remove this warning.");
			return slice_trim(slice_first(line, i), " \t\r");
		}
	}
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

static bool is_quoted(struct slice value)
{
	return value.len >= 2 && value.ptr[0] == value.ptr[value.len - 1] &&
	       (value.ptr[0] == '"' || value.ptr[0] == '\'');
}

/* Takes the quotes off a value that is quoted as a whole. */
static void unquote(struct slice value, struct strbuf *out)
{
	if (!is_quoted(value)) {
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
				report(r, CONF_ERROR, "Unknown variable: $%s", name);
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
	if (is_read_late(name) || r->no_files || r->is_lazy) {
		strbuf_addf(out, "<%s", full.ptr);
	} else if (file_read(AT_FDCWD, full.ptr, &content) < 0) {
		report(
		    r, CONF_ERROR, "%s: Can't open file %s: %s", name, full.ptr, strerror(errno));
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

static const char *keep(struct reader *r, const struct strbuf *text)
{
	return arena_slicedup(&r->source->arena, strbuf_slice(text));
}

static void assign(struct reader *r, const char *name, struct slice value);

/* True when NAME is one of an older Dovecot: what it means today is assigned. */
static bool assign_obsolete(struct reader *r, const char *name, struct slice value)
{
	struct dovecot_block *outer = r->block;
	struct dovecot_today today;
	struct strbuf plain = STRBUF_INIT(DOVECOT_FILE_MAX);
	bool found;

	if (r->is_builtin || (outer->parent && !dovecot_kinds[outer->kind].is_filter))
		return false;
	unquote(value, &plain);
	found = dovecot_obsolete(name, plain.ptr ? plain.ptr : "", &today);
	strbuf_release(&plain);
	if (!found)
		return false;
	report(r, CONF_WARNING, "Obsolete setting: %s", today.warning);
	for (size_t i = 0; i < today.count; i++) {
		if (strchr(today.names[i], '/'))
			r->block = r->source->root;
		r->is_translated = true;
		assign(r, today.names[i], slice_of(today.value));
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
			report(r, CONF_WARNING,
			    "Global setting %s won't change the setting inside an earlier filter "
			    "at %s line %u (if this is intentional, avoid this warning by moving "
			    "the global setting before %s line %u)",
			    name, e->file, e->line, e->file, e->line);
		else
			check_earlier_filters(r, b, name);
	}
}

static void assign(struct reader *r, const char *name, struct slice value)
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
	} else if (has_variable(value) && !is_quoted(value) && !r->is_builtin) {
		expand_words(r, name, value, &out, &shown);
	} else {
		unquote(value, &out);
	}
	if (out.overflow)
		report(r, CONF_ERROR, "%s: value too long", name);
	entry.name = arena_slicedup(&r->source->arena, open_path(r, slice_of(name)));
	entry.value = keep(r, &out);
	if (shown.len)
		entry.shown = keep(r, &shown);
	dovecot_tree_add(r->block, &entry);
	r->block = outer;
	strbuf_release(&out);
	strbuf_release(&shown);
}

/* --- files --- */

static void read_text(struct reader *r, const char *file, struct slice text);

static void read_file(struct reader *r, const char *path, bool is_optional)
{
	struct strbuf content = STRBUF_INIT(DOVECOT_FILE_MAX);

	if (r->include_depth >= INCLUDE_DEPTH_MAX || r->files_read >= INCLUDE_FILES_MAX) {
		report(r, CONF_ERROR, "Recursive include file: %s", path);
		return;
	}
	r->files_read++;
	r->include_depth++;
	if (file_read(AT_FDCWD, path, &content) == 0)
		read_text(r, arena_strdup(&r->source->arena, path), strbuf_slice(&content));
	else if (!is_optional)
		report(r, CONF_ERROR, "Couldn't open include file %s: %s", path, strerror(errno));
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
	else if (glob(full.ptr, GLOB_BRACE, NULL, &found) != 0) {
		if (!is_optional)
			report(r, CONF_ERROR, "No matches");
	} else
		for (size_t i = 0; i < found.gl_pathc; i++)
			read_file(r, found.gl_pathv[i], is_optional);
	globfree(&found);
	strbuf_release(&full);
	strbuf_release(&plain);
}

/* --- lines --- */

/* Blocks that narrow others stand in this order, the first one outermost. */
static const enum dovecot_kind filter_order[] = { DOVECOT_LOCAL, DOVECOT_LOCAL_NAME, DOVECOT_REMOTE,
	DOVECOT_PROTOCOL };

static size_t filter_rank(enum dovecot_kind kind)
{
	size_t rank = 0;

	while (rank < ARRAY_LEN(filter_order) && filter_order[rank] != kind)
		rank++;
	return rank;
}

static void check_nesting(struct reader *r, enum dovecot_kind kind)
{
	const char *outer = dovecot_kinds[r->block->kind].name, *inner = dovecot_kinds[kind].name;

	if (!dovecot_kinds[kind].is_filter || !r->block->parent)
		return;
	if (kind == r->block->kind)
		report(r, CONF_ERROR, "Nested %s { %s { .. } } block not allowed", inner, inner);
	else if (filter_rank(kind) < filter_rank(r->block->kind))
		report(r, CONF_ERROR, "%s { %s { .. } } not allowed (use %s { %s { .. } } instead)",
		    outer, inner, inner, outer);
}

static unsigned depth_of(const struct dovecot_block *block)
{
	unsigned depth = 0;

	for (; block; block = block->parent)
		depth++;
	return depth;
}

static void unknown_block(struct reader *r, struct slice name, const char *label)
{
	const struct dovecot_block *outer = r->block;

	if (dovecot_kinds[outer->kind].is_filter || !outer->parent)
		report(r, CONF_ERROR, "Unknown setting: %.*s { %.*s", SLICE_ARG(name),
		    SLICE_ARG(*label ? slice_of(label) : name));
	else
		report(r, CONF_ERROR, "Unknown setting: %s { %.*s", dovecot_kinds[outer->kind].name,
		    SLICE_ARG(name));
}

/* A host's name stands for the address that it has now. */
static void resolve_label(struct reader *r, struct strbuf *label)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *slash = strchr(label->ptr, '/');
	struct dovecot_net net;
	struct addrinfo *found;
	char host[INET6_ADDRSTRLEN];
	int rc;

	if (r->no_files || dovecot_net_parse(label->ptr, &net))
		return;
	if (slash) {
		report(r, CONF_ERROR, "Invalid network mask: %s", slash + 1);
		return;
	}
	rc = getaddrinfo(label->ptr, NULL, &hints, &found);
	if (rc) {
		report(r, CONF_ERROR, "gethostbyname(%s) failed: %s", label->ptr, gai_strerror(rc));
		return;
	}
	if (getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof(host), NULL, 0,
		NI_NUMERICHOST) == 0) {
		strbuf_reset(label);
		strbuf_addstr(label, host);
	}
	freeaddrinfo(found);
}

static bool is_taken(const struct reader *r, int kind, const char *label)
{
	for (const struct dovecot_block *b = r->block->children; b; b = b->next)
		if ((int)b->kind == kind && *label && !strcmp(b->label, label))
			return true;
	return false;
}

static const char *label_of(struct reader *r, int kind, struct strbuf *label)
{
	const char *name = dovecot_kinds[kind].name;
	const char *now = dovecot_obsolete_label(name, label->ptr);

	if (now) {
		report(r, CONF_WARNING, "Obsolete setting: %s %s {} has been replaced by %s %s { }",
		    name, label->ptr, name, now);
		strbuf_reset(label);
		strbuf_addstr(label, now);
	}
	if (label->len && (kind == DOVECOT_LOCAL || kind == DOVECOT_REMOTE))
		resolve_label(r, label);
	if ((kind == DOVECOT_PASSDB || kind == DOVECOT_USERDB) && is_taken(r, kind, label->ptr))
		report(r, CONF_ERROR, "%s/%s already exists", name, label->ptr);
	return keep(r, label);
}

static void open_block(struct reader *r, struct slice name, struct slice rest)
{
	ptrdiff_t brace = slice_rfind(rest, '{');
	struct strbuf label = STRBUF_INIT(1024);
	struct slice before = slice_trim(slice_first(rest, (size_t)brace), " \t");
	int kind = dovecot_tree_kind(r->block, name);

	unquote(before, &label);
	if (!is_quoted(before) && memchr(before.ptr, ' ', before.len))
		report(r, CONF_ERROR, "Expecting '{'");
	if (kind < 0) {
		unknown_block(r, name, label.ptr);
		/* Free-form, so that what stands in it is not reported line by line. */
		kind = DOVECOT_PLUGIN;
	} else {
		check_nesting(r, (enum dovecot_kind)kind);
	}
	if (depth_of(r->block) > DOVECOT_DEPTH_MAX)
		report(r, CONF_ERROR, "blocks are nested too deep");
	else
		r->block = dovecot_tree_open(r->block, (enum dovecot_kind)kind,
		    label_of(r, kind, &label), r->file, r->line, r->is_builtin);
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
			report(r, CONF_ERROR, "Garbage after '}'");
		if (r->block->parent)
			r->block = r->block->parent;
		else
			report(r, CONF_ERROR, "Unexpected '}'");
	} else if (key.len && key.len < sizeof(name) && slice_starts(rest, "=")) {
		memcpy(name, key.ptr, key.len);
		name[key.len] = '\0';
		assign(r, name, slice_trim(slice_from(rest, 1), " \t"));
	} else if (key.len && slice_ends(rest, "{")) {
		open_block(r, key, rest);
	} else if (slice_find(rest, '{') >= 0) {
		report(r, CONF_ERROR, "Garbage after '{'");
	} else {
		report(r, CONF_ERROR, "Expecting '{'");
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
		conf_report(r->errors, CONF_ERROR, r->file, 0,
		    "Missing '}' (section started at %s:%u)", r->block->file, r->block->line);
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
		struct strbuf shown = STRBUF_INIT(DOVECOT_FILE_MAX);

		if (!e->is_builtin || !has_variable(slice_of(e->value)))
			continue;
		expand_words(r, "", slice_of(e->value), &out, &shown);
		e->shown = e->value;
		e->value = keep(r, &out);
		strbuf_release(&out);
		strbuf_release(&shown);
	}
	for (struct dovecot_block *b = block->children; b; b = b->next)
		expand_builtin(r, b);
}

enum how { AS_TEXT, WHOLE, LAZILY };

static struct dovecot_source *read_all(
    const char *path, struct slice text, enum how how, struct conf_errors *errors)
{
	struct dovecot_source *source = dovecot_tree_new(path);
	struct reader r = { .source = source,
		.errors = errors,
		.block = source->root,
		.file = "",
		.files_read = 1,
		.include_depth = 1,
		.no_files = how == AS_TEXT,
		.is_lazy = how == LAZILY };

	read_builtin(&r);
	read_text(&r, source->path, text);
	expand_builtin(&r, source->root);
	return source;
}

struct dovecot_source *dovecot_source_parse(struct slice text, struct conf_errors *errors)
{
	return read_all("(text)", text, AS_TEXT, errors);
}

static struct dovecot_source *read_path(const char *path, enum how how, struct conf_errors *errors)
{
	struct strbuf content = STRBUF_INIT(DOVECOT_FILE_MAX);
	struct dovecot_source *source = NULL;

	if (file_read(AT_FDCWD, path, &content) < 0)
		conf_report(errors, CONF_ERROR, path, 0, "cannot read: %s", strerror(errno));
	else
		source = read_all(path, strbuf_slice(&content), how, errors);
	strbuf_release(&content);
	return source;
}

struct dovecot_source *dovecot_source_read(const char *path, struct conf_errors *errors)
{
	return read_path(path, WHOLE, errors);
}

struct dovecot_source *dovecot_source_read_lazily(const char *path, struct conf_errors *errors)
{
	return read_path(path, LAZILY, errors);
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
