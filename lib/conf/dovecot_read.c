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
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "conf/dovecot_obsolete.h"
#include "conf/dovecot_read_internal.h"
#include "sys/file.h"

#define INCLUDE_DEPTH_MAX 20
#define INCLUDE_FILES_MAX 1000

void reader_report(struct reader *r, enum conf_severity severity, const char *format, ...)
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
				reader_report(r, CONF_WARNING,
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
		reader_report(r, CONF_ERROR, "NUL byte");
		strbuf_reset(line);
	}
	return more;
}

/* --- files --- */

static void read_text(struct reader *r, const char *file, struct slice text);

static void read_file(struct reader *r, const char *path, bool is_optional)
{
	struct strbuf content = STRBUF_INIT(DOVECOT_FILE_MAX);

	if (r->include_depth >= INCLUDE_DEPTH_MAX || r->files_read >= INCLUDE_FILES_MAX) {
		reader_report(r, CONF_ERROR, "Recursive include file: %s", path);
		return;
	}
	r->files_read++;
	r->include_depth++;
	if (file_read(AT_FDCWD, path, &content) == 0)
		read_text(r, arena_strdup(&r->source->arena, path), strbuf_slice(&content));
	else if (!is_optional)
		reader_report(
		    r, CONF_ERROR, "Couldn't open include file %s: %s", path, strerror(errno));
	r->include_depth--;
	strbuf_release(&content);
}

static void include(struct reader *r, struct slice pattern, bool is_optional)
{
	struct strbuf plain = STRBUF_INIT(4096), full = STRBUF_INIT(4096);
	glob_t found = { 0 };

	reader_unquote(pattern, &plain);
	reader_resolve_path(r, strbuf_slice(&plain), &full);
	if (!plain.len || full.overflow)
		reader_report(r, CONF_ERROR, "include without a file name");
	else if (r->no_files)
		reader_report(r, CONF_WARNING, "not included: %s", full.ptr);
	else if (glob(full.ptr, GLOB_BRACE, NULL, &found) != 0) {
		if (!is_optional)
			reader_report(r, CONF_ERROR, "No matches");
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
		reader_report(
		    r, CONF_ERROR, "Nested %s { %s { .. } } block not allowed", inner, inner);
	else if (filter_rank(kind) < filter_rank(r->block->kind))
		reader_report(r, CONF_ERROR,
		    "%s { %s { .. } } not allowed (use %s { %s { .. } } instead)", outer, inner,
		    inner, outer);
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
		reader_report(r, CONF_ERROR, "Unknown setting: %.*s { %.*s", SLICE_ARG(name),
		    SLICE_ARG(*label ? slice_of(label) : name));
	else
		reader_report(r, CONF_ERROR, "Unknown setting: %s { %.*s",
		    dovecot_kinds[outer->kind].name, SLICE_ARG(name));
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
		reader_report(r, CONF_ERROR, "Invalid network mask: %s", slash + 1);
		return;
	}
	rc = getaddrinfo(label->ptr, NULL, &hints, &found);
	if (rc) {
		reader_report(
		    r, CONF_ERROR, "gethostbyname(%s) failed: %s", label->ptr, gai_strerror(rc));
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
		reader_report(r, CONF_WARNING,
		    "Obsolete setting: %s %s {} has been replaced by %s %s { }", name, label->ptr,
		    name, now);
		strbuf_reset(label);
		strbuf_addstr(label, now);
	}
	if (label->len && (kind == DOVECOT_LOCAL || kind == DOVECOT_REMOTE))
		resolve_label(r, label);
	if ((kind == DOVECOT_PASSDB || kind == DOVECOT_USERDB) && is_taken(r, kind, label->ptr))
		reader_report(r, CONF_ERROR, "%s/%s already exists", name, label->ptr);
	return reader_keep(r, label);
}

static void open_block(struct reader *r, struct slice name, struct slice rest)
{
	ptrdiff_t brace = slice_rfind(rest, '{');
	struct strbuf label = STRBUF_INIT(1024);
	struct slice before = slice_trim(slice_first(rest, (size_t)brace), " \t");
	int kind = dovecot_tree_kind(r->block, name);

	reader_unquote(before, &label);
	if (!reader_is_quoted(before) && memchr(before.ptr, ' ', before.len))
		reader_report(r, CONF_ERROR, "Expecting '{'");
	if (kind < 0) {
		unknown_block(r, name, label.ptr);
		/* Free-form, so that what stands in it is not reported line by line. */
		kind = DOVECOT_PLUGIN;
	} else {
		check_nesting(r, (enum dovecot_kind)kind);
	}
	if (depth_of(r->block) > DOVECOT_DEPTH_MAX)
		reader_report(r, CONF_ERROR, "blocks are nested too deep");
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
			reader_report(r, CONF_ERROR, "Garbage after '}'");
		if (r->block->parent)
			r->block = r->block->parent;
		else
			reader_report(r, CONF_ERROR, "Unexpected '}'");
	} else if (key.len && key.len < sizeof(name) && slice_starts(rest, "=")) {
		memcpy(name, key.ptr, key.len);
		name[key.len] = '\0';
		reader_assign(r, name, slice_trim(slice_from(rest, 1), " \t"));
	} else if (key.len && slice_ends(rest, "{")) {
		open_block(r, key, rest);
	} else if (slice_find(rest, '{') >= 0) {
		reader_report(r, CONF_ERROR, "Garbage after '{'");
	} else {
		reader_report(r, CONF_ERROR, "Expecting '{'");
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
			reader_report(r, CONF_ERROR,
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
	reader_expand_builtin(&r, source->root);
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
