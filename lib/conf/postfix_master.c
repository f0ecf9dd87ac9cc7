// SPDX-License-Identifier: BSD-2-Clause
/* The lines of master.cf. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "conf/conf_lines.h"
#include "conf/nearest.h"
#include "conf/postfix_source.h"
#include "conf/postfix_value.h"

#define BLANKS	    " \t\r\n\v\f"
#define WAKEUP_MAX  8640000
#define MAXPROC_MAX 1000000
#define ARGS_MAX    1000

/* One line while it is taken apart. */
struct entry {
	const struct postfix_source *source;
	unsigned line;
	struct conf_errors *errors;
	bool bad;
	char *columns[POSTFIX_COLUMNS]; /* as written, without the command */
	struct postfix_service service;
	size_t arg_count, word_count; /* of all words those of -o count twice */
};

#define COMPLAIN(e, ...)                                                                           \
	do {                                                                                       \
		conf_report(                                                                       \
		    (e)->errors, CONF_ERROR, (e)->source->master_path, (e)->line, __VA_ARGS__);    \
		(e)->bad = true;                                                                   \
	} while (0)

void postfix_service_release(struct postfix_service *service)
{
	free(service->name);
	free(service->type);
	free(service->program);
	for (char **arg = service->args; arg && *arg; arg++)
		free(*arg);
	free(service->args);
	for (size_t i = 0; i < service->override_count; i++) {
		free(service->overrides[i].name);
		free(service->overrides[i].value);
	}
	free(service->overrides);
	*service = (struct postfix_service){ 0 };
}

static char *dup_slice(struct slice s)
{
	return xstrndup(s.ptr ? s.ptr : "", s.len);
}

/* A word, or "{...}", whose braces and the blanks inside of them go away. */
static bool take_word(struct entry *e, struct cursor *c, struct slice *word)
{
	cursor_span(c, BLANKS);
	if (cursor_at_end(c))
		return false;
	struct slice rest = cursor_rest(c);
	size_t len = 0;
	unsigned depth = 0;
	for (; len < rest.len && (depth > 0 || !ascii_isspace(rest.ptr[len])); len++) {
		if (rest.ptr[len] == '{')
			depth++;
		else if (rest.ptr[len] == '}' && depth > 0)
			depth--;
	}
	*word = cursor_take(c, len);
	if (word->ptr[0] != '{')
		return true;
	if (depth > 0 || word->ptr[len - 1] != '}') {
		COMPLAIN(e, "syntax after \"{\" in argument: \"%.*s\"", SLICE_ARG(*word));
		return false;
	}
	*word = slice_trim(slice_mem(word->ptr + 1, len - 2), BLANKS);
	return true;
}

static void add_argument(struct entry *e, struct slice text)
{
	struct postfix_service *s = &e->service;
	s->args = xreallocarray(s->args, e->arg_count + 2, sizeof(*s->args));
	s->args[e->arg_count++] = dup_slice(text);
	s->args[e->arg_count] = NULL;
	e->word_count++;
}

static void add_override(struct entry *e, struct slice text)
{
	struct postfix_service *s = &e->service;
	struct slice name, value;
	const char *problem = postfix_split_assignment(text, &name, &value);
	if (problem) {
		COMPLAIN(e, "-o: %s: \"%.*s\"", problem, SLICE_ARG(text));
		return;
	}
	e->word_count += 2;
	s->overrides = xreallocarray(s->overrides, s->override_count + 1, sizeof(*s->overrides));
	s->overrides[s->override_count++] = (struct postfix_override){
		.name = dup_slice(name),
		.value = dup_slice(value),
	};
}

/* -o is an option only in front of the first word that is none: behind it it is pipe's or spawn's.
 */
static void parse_arguments(struct entry *e, struct cursor *c)
{
	struct slice word;
	bool options = true;
	while (e->word_count < ARGS_MAX && take_word(e, c, &word)) {
		if (word.len == 0 || word.ptr[0] != '-')
			options = false;
		if (options && slice_starts(word, "-o")) {
			struct slice text = slice_from(word, 2);
			if (word.len == 2 && !take_word(e, c, &text)) {
				COMPLAIN(e, "-o without name=value");
				return;
			}
			add_override(e, text);
			continue;
		}
		add_argument(e, word);
	}
	if (!cursor_at_end(c) && !e->bad)
		COMPLAIN(e, "more than %d arguments", ARGS_MAX);
}

static bool parse_flag(struct entry *e, const char *column, const char *text, bool dash)
{
	if (strcmp(text, "-") == 0)
		return dash;
	if (strcmp(text, "y") != 0 && strcmp(text, "n") != 0)
		COMPLAIN(e, "column \"%s\" is \"%s\" (want y, n or -)", column, text);
	return text[0] == 'y';
}

static void parse_wakeup(struct entry *e, const char *text)
{
	struct slice digits = slice_of(text);
	uint64_t seconds = 0;
	if (slice_ends(digits, "?")) {
		e->service.wakeup_if_used = true;
		digits.len--;
	}
	if (strcmp(text, "-") != 0 && !slice_uint(digits, WAKEUP_MAX, &seconds))
		COMPLAIN(e, "column \"wakeup\" is \"%s\" (want seconds, seconds? or -)", text);
	e->service.wakeup_s = (unsigned)seconds;
}

static void parse_maxproc(struct entry *e, const char *text)
{
	uint64_t count = 0;
	if (strcmp(text, "-") == 0) {
		e->service.max_processes = -1;
		return;
	}
	if (!slice_uint(slice_of(text), MAXPROC_MAX, &count))
		COMPLAIN(e, "column \"maxproc\" is \"%s\" (want a number or -)", text);
	e->service.max_processes = (long)count;
}

static void parse_columns(struct entry *e, bool chroot_default)
{
	static const char *const types[] = { "inet", "unix", "unix-dgram", "fifo", "pass" };
	struct postfix_service *s = &e->service;
	struct nearest nearest;
	bool known = false;
	nearest_init(&nearest, e->columns[1]);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		known |= strcmp(e->columns[1], types[i]) == 0;
		nearest_try(&nearest, types[i]);
	}
	if (!known)
		COMPLAIN(e,
		    "service type \"%s\" is unknown (want inet, unix, unix-dgram, fifo or pass%s%s%s)",
		    e->columns[1], nearest.found ? "; did you mean " : "",
		    nearest.found ? nearest.found : "", nearest.found ? "?" : "");
	s->name = xstrdup(e->columns[0]);
	s->type = xstrdup(e->columns[1]);
	s->is_private = parse_flag(e, "private", e->columns[2], true);
	s->unprivileged = parse_flag(e, "unpriv", e->columns[3], true);
	s->chroot = parse_flag(e, "chroot", e->columns[4], chroot_default);
	parse_wakeup(e, e->columns[5]);
	parse_maxproc(e, e->columns[6]);
	if (strcmp(s->type, "inet") == 0 && s->is_private)
		COMPLAIN(e,
		    "service %s: an inet service cannot be private (want n in column "
		    "\"private\")",
		    s->name);
}

static bool parse_entry(struct entry *e, struct slice text, bool chroot_default)
{
	struct cursor c = cursor_of(text);
	struct slice word;
	struct postfix_service *s = &e->service;
	s->line = e->line;
	s->args = xcalloc(1, sizeof(*s->args));
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++) {
		cursor_span(&c, BLANKS);
		if (cursor_at_end(&c)) {
			COMPLAIN(
			    e, "%zu of 8 columns: \"%.*s\"", i, SLICE_ARG(slice_first(text, 60)));
			return false;
		}
		e->columns[i] = dup_slice(cursor_until(&c, BLANKS));
	}
	parse_columns(e, chroot_default);
	if (!take_word(e, &c, &word)) {
		if (!e->bad)
			COMPLAIN(e, "7 of 8 columns: \"%.*s\"", SLICE_ARG(slice_first(text, 60)));
		return false;
	}
	s->program = dup_slice(word);
	e->word_count = 1;
	parse_arguments(e, &c);
	return !e->bad;
}

static struct postfix_service *find_service(
    const struct postfix_source *source, const char *name, const char *type)
{
	for (size_t i = 0; i < source->service_count; i++) {
		struct postfix_service *s = &source->services[i];
		if (strcmp(s->name, name) == 0 && (!type || strcmp(s->type, type) == 0))
			return s;
	}
	return NULL;
}

/* Takes the service over, unless it is one too many.  Of two with one name and type the later one
 * counts, in the first's place. */
static void add_service(struct postfix_source *source, struct entry *e)
{
	struct postfix_service *old = find_service(source, e->service.name, e->service.type);
	if (old) {
		conf_report(e->errors, CONF_WARNING, source->master_path, e->line,
		    "duplicate entry for service \"%s\" (%s), replaces that of line %u", old->name,
		    old->type, old->line);
		postfix_service_release(old);
		*old = e->service;
		return;
	}
	if (source->service_count == POSTFIX_SERVICE_LIMIT) {
		COMPLAIN(e, "more than %d services", POSTFIX_SERVICE_LIMIT);
		return;
	}
	if (source->service_count == source->service_alloc) {
		source->service_alloc = source->service_alloc ? 2 * source->service_alloc : 32;
		source->services = xreallocarray(
		    source->services, source->service_alloc, sizeof(*source->services));
	}
	source->services[source->service_count++] = e->service;
}

/* Until compatibility level 1 a dash in the chroot column meant yes. */
static bool is_chroot_default(const struct postfix_source *source)
{
	char *value = postfix_source_value(source, "compatibility_level");
	uint64_t level = 0, one = 1;
	bool known = value && postfix_value_level(slice_of(value), &level);
	postfix_value_level(SLICE_LIT("1"), &one);
	free(value);
	return !known || level < one;
}

void postfix_master_parse(struct postfix_source *source, struct conf_errors *errors)
{
	bool chroot_default = is_chroot_default(source);
	struct conf_lines lines;
	struct strbuf line = STRBUF_INIT(POSTFIX_FILE_LIMIT);
	conf_lines_init(&lines, strbuf_slice(&source->master_text));
	while (conf_lines_next(&lines, &line)) {
		struct slice text = strbuf_slice(&line);
		struct entry e = { .source = source, .line = lines.first, .errors = errors };
		if (slice_has_nul(text))
			COMPLAIN(&e, "NUL byte in line");
		else if (ascii_isspace(text.ptr[0]))
			COMPLAIN(&e, "continues a line, but there is none before it");
		else if (parse_entry(&e, text, chroot_default))
			add_service(source, &e);
		if (e.bad)
			postfix_service_release(&e.service);
		for (size_t i = 0; i < POSTFIX_COLUMNS; i++)
			free(e.columns[i]);
	}
	strbuf_release(&line);
}

size_t postfix_service_count(const struct postfix_source *source)
{
	return source->service_count;
}

const struct postfix_service *postfix_service_at(const struct postfix_source *source, size_t i)
{
	ASSERT(i < source->service_count);
	return &source->services[i];
}

const struct postfix_service *postfix_service_find(
    const struct postfix_source *source, const char *name, const char *type)
{
	return find_service(source, name, type);
}
