// SPDX-License-Identifier: BSD-2-Clause
/* postconf -M, -F and -P. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "conf/conf_lines.h"
#include "conf/postfix_source.h"
#include "log/log.h"
#include "sys/file.h"

#define SERVICES_MAX 10000

/* ---- reading ---- */

static void warn_argument(const char *text)
{
	log_warning("master.cf: %s", text);
}

static void add_entry(
    struct postconf *pc, const char *path, const struct conf_lines *lines, struct slice text)
{
	struct strbuf problem = STRBUF_INIT(4000);
	struct postfix_entry entry;
	if (pc->entry_count == SERVICES_MAX)
		fatal("file %s: more than %d entries", path, SERVICES_MAX);
	if (!postfix_entry_parse(&entry, text, &problem, warn_argument)) {
		if (strncmp(problem.ptr, "bad", 3) == 0)
			fatal("file %s: line %u: %s", path, lines->first, problem.ptr);
		fatal("%s", problem.ptr);
	}
	pc->entries = xreallocarray(pc->entries, pc->entry_count + 1, sizeof(*pc->entries));
	pc->entries[pc->entry_count++] = entry;
	strbuf_release(&problem);
}

void postconf_read_entries(struct postconf *pc)
{
	char *path = xasprintf("%s/master.cf", pc->dir);
	struct strbuf text = STRBUF_INIT(POSTFIX_FILE_LIMIT),
		      line = STRBUF_INIT(POSTFIX_FILE_LIMIT);
	struct conf_lines lines;
	if (file_read(AT_FDCWD, path, &text) < 0) {
		if (pc->subject != 'p')
			fatal("open %s: %s", path, strerror(errno));
		if (errno != ENOENT)
			log_warning("open %s: %s", path, strerror(errno));
	}
	conf_lines_init(&lines, strbuf_slice(&text));
	while (conf_lines_next(&lines, &line)) {
		if (ascii_isspace(line.ptr[0]))
			log_warning("%s: logical line must not start with whitespace: \"%.100s\"",
			    path, line.ptr);
		else
			add_entry(pc, path, &lines, strbuf_slice(&line));
	}
	strbuf_release(&line);
	strbuf_release(&text);
	free(path);
}

/* ---- patterns: service/type/member, of which a shorter one stands for all below it ---- */

struct pattern {
	const char *text;
	char *part[3]; /* NULL: any */
	size_t count;
	bool found;
};

static void parse_pattern(const struct postconf *pc, const char *text, struct pattern *pattern)
{
	size_t most = pc->subject == 'M' ? 2 : 3;
	struct slice rest = slice_of(text), word;
	*pattern = (struct pattern){ .text = text };
	bool bad = text[0] == '\0' || text[0] == '/';
	while (slice_token(&rest, "/", &word) && !bad) {
		bad = pattern->count == most;
		if (!bad)
			pattern->part[pattern->count++] =
			    slice_eq_str(word, "*") ? NULL : xstrndup(word.ptr, word.len);
	}
	if (bad)
		fatal("-%c option requires service_name[/type%s]", pc->subject,
		    pc->subject == 'M'	 ? ""
		    : pc->subject == 'F' ? "[/field]"
					 : "[/parameter]");
	bool known = pc->subject != 'F' || !pattern->part[2];
	for (size_t i = 0; i <= POSTFIX_COLUMNS && !known; i++)
		known = strcmp(pattern->part[2], postfix_entry_columns[i]) == 0;
	if (!known)
		fatal("invalid service attribute name: \"%s\"", pattern->part[2]);
}

static bool part_matches(const struct pattern *pattern, size_t part, const char *text)
{
	return !pattern->part[part] || strcmp(pattern->part[part], text) == 0;
}

/* ---- printing ---- */

/* A copy of ENTRY in which -x has replaced the names in the values of -o. */
static struct postfix_entry expanded(const struct postconf *pc, const struct postfix_entry *entry)
{
	struct postfix_entry copy = { .count = entry->count,
		.option_count = entry->option_count,
		.words = xcalloc(entry->count, sizeof(*copy.words)) };
	struct postfix_service role = { .name = entry->columns[0], .program = entry->words[0] };
	role.overrides = xcalloc(entry->count, sizeof(*role.overrides));
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++)
		copy.columns[i] = xstrdup(entry->columns[i]);
	for (size_t i = 0; i < entry->count; i++) {
		const char *equal = strchr(entry->words[i], '=');
		copy.words[i] = xstrdup(entry->words[i]);
		if (equal && postfix_entry_is_override(entry, i))
			role.overrides[role.override_count++] = (struct postfix_override){
				xstrndup(entry->words[i], (size_t)(equal - entry->words[i])),
				xstrdup(equal + 1)
			};
	}
	struct postfix_params *params = postfix_params_new(pc->source, &role, NULL);
	for (size_t i = 0, o = 0; i < entry->count && o < role.override_count; i++) {
		if (!postfix_entry_is_override(entry, i) || !strchr(entry->words[i], '='))
			continue;
		char *value = postfix_param_expand(params, role.overrides[o].value);
		if (value) {
			free(copy.words[i]);
			copy.words[i] = xasprintf("%s=%s", role.overrides[o].name, value);
		}
		free(value);
		free(role.overrides[o].name);
		free(role.overrides[o++].value);
	}
	postfix_params_free(params);
	free(role.overrides);
	return copy;
}

static void print_entry(const struct postconf *pc, const struct postfix_entry *entry)
{
	struct strbuf line = STRBUF_INIT(STRBUF_NO_LIMIT);
	if (pc->json) {
		char *name = xasprintf("%s/%s", entry->columns[0], entry->columns[1]);
		for (size_t i = 0; i < POSTFIX_COLUMNS; i++)
			strbuf_addf(&line, "%s ", entry->columns[i]);
		postfix_entry_print_command(entry, false, 0, &line);
		postconf_print_json(name, line.ptr);
		free(name);
	} else {
		postfix_entry_print(entry, pc->fold, &line);
		puts(line.ptr);
	}
	strbuf_release(&line);
}

static char *member_name(const struct postfix_entry *entry, const char *member)
{
	return xasprintf("%s/%s/%s", entry->columns[0], entry->columns[1], member);
}

/* The command is laid out as in an entry, with the blanks that it has. */
static void print_command(const struct postconf *pc, const struct postfix_entry *entry)
{
	char *name = member_name(entry, postfix_entry_columns[POSTFIX_COLUMNS]);
	struct strbuf line = STRBUF_INIT(STRBUF_NO_LIMIT);
	if (pc->json) {
		postfix_entry_print_command(entry, false, 0, &line);
		postconf_print_json(name, line.ptr);
	} else {
		if (!pc->no_name)
			strbuf_addf(&line, pc->no_value ? "%s" : "%s = ", name);
		if (!pc->no_value)
			postfix_entry_print_command(entry, pc->fold, line.len, &line);
		puts(line.ptr ? line.ptr : "");
	}
	strbuf_release(&line);
	free(name);
}

static void list_columns(
    const struct postconf *pc, const struct postfix_entry *entry, struct pattern *pattern)
{
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++) {
		if (!part_matches(pattern, 2, postfix_entry_columns[i]))
			continue;
		char *name = member_name(entry, postfix_entry_columns[i]);
		postconf_print_assignment(pc, name, entry->columns[i]);
		free(name);
	}
	if (part_matches(pattern, 2, postfix_entry_columns[POSTFIX_COLUMNS]))
		print_command(pc, entry);
	pattern->found = true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted by name; of several settings of one name the last one counts. */
static void list_overrides(
    const struct postconf *pc, const struct postfix_entry *entry, struct pattern *pattern)
{
	char **names = xcalloc(entry->count, sizeof(*names));
	size_t count = 0;
	for (size_t i = 0; i < entry->count; i++) {
		const char *equal = strchr(entry->words[i], '=');
		if (!postfix_entry_is_override(entry, i) || !equal || equal == entry->words[i])
			continue;
		struct slice name = slice_mem(entry->words[i], (size_t)(equal - entry->words[i]));
		if (postfix_entry_find(entry, name) == equal + 1)
			names[count++] = xstrndup(name.ptr, name.len);
	}
	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (part_matches(pattern, 2, names[i])) {
			char *name = member_name(entry, names[i]);
			postconf_print_assignment(
			    pc, name, postfix_entry_find(entry, slice_of(names[i])));
			free(name);
			pattern->found = true;
		}
		free(names[i]);
	}
	free(names);
}

static void list_entry(
    const struct postconf *pc, const struct postfix_entry *entry, struct pattern *pattern)
{
	if (!part_matches(pattern, 0, entry->columns[0]) ||
	    !part_matches(pattern, 1, entry->columns[1]))
		return;
	if (pc->subject == 'P') {
		list_overrides(pc, entry, pattern);
	} else if (pc->subject == 'F') {
		list_columns(pc, entry, pattern);
	} else {
		print_entry(pc, entry);
		pattern->found = true;
	}
}

static void list_patterns(const struct postconf *pc, struct pattern *patterns, size_t count)
{
	for (size_t i = 0; i < pc->entry_count; i++) {
		struct postfix_entry copy = { .count = 0 };
		if (pc->expand)
			copy = expanded(pc, &pc->entries[i]);
		for (size_t p = 0; p < count; p++)
			list_entry(pc, pc->expand ? &copy : &pc->entries[i], &patterns[p]);
		postfix_entry_release(&copy);
	}
}

void postconf_list_master(const struct postconf *pc, char **args)
{
	struct pattern everything = { .text = "" };
	struct pattern *patterns = NULL;
	size_t count = 0;
	for (; args[count]; count++) {
		patterns = xreallocarray(patterns, count + 1, sizeof(*patterns));
		parse_pattern(pc, args[count], &patterns[count]);
	}
	list_patterns(pc, count > 0 ? patterns : &everything, count > 0 ? count : 1);
	for (size_t i = 0; i < count; i++) {
		if (!patterns[i].found)
			log_warning("unmatched request: \"%s\"", patterns[i].text);
		for (size_t p = 0; p < ARRAY_LEN(patterns[i].part); p++)
			free(patterns[i].part[p]);
	}
	free(patterns);
}
