// SPDX-License-Identifier: BSD-2-Clause
/* postconf -M, -F and -P. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/postconf.h"
#include "log/log.h"

#define BLANKS	   " \t\r\n\v\f"
#define LINE_LIMIT 80

static const char *const field_names[POSTFIX_COLUMNS + 1] = { "service", "type", "private",
	"unprivileged", "chroot", "wakeup", "process_limit", "command" };

/* ---- patterns: service/type/field, of which a shorter one stands for all below it ---- */

static bool part_matches(struct slice *pattern, const char *text)
{
	ptrdiff_t slash = slice_find(*pattern, '/');
	struct slice part = slash < 0 ? *pattern : slice_first(*pattern, (size_t)slash);
	bool any = pattern->len == 0 || slice_eq_str(part, "*");
	*pattern = slice_from(*pattern, slash < 0 ? pattern->len : (size_t)slash + 1);
	return any || slice_eq_str(part, text);
}

static bool pattern_matches(
    const char *pattern, const struct postfix_service *service, const char *field)
{
	struct slice rest = slice_of(pattern);
	return part_matches(&rest, service->name) && part_matches(&rest, service->type) &&
	       (!field || part_matches(&rest, field));
}

/* ---- lines ---- */

/* A word of the command that would not be one word again gets its braces back. */
static void add_word(
    struct strbuf *out, const struct postconf *pc, const char *word, bool is_override)
{
	char *expanded = NULL;
	/* Only the values of -o are expanded with names from main.cf. */
	if (pc->expand && is_override)
		expanded = postfix_param_expand(pc->params, word);
	const char *text = expanded ? expanded : word;
	bool braces = text[0] == '\0' || text[0] == '{' || strpbrk(text, BLANKS);
	strbuf_addf(out, braces ? "{%s}" : "%s", text);
	free(expanded);
}

static char *command_text(const struct postconf *pc, const struct postfix_service *service)
{
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool options = true, is_value = false;
	for (size_t i = 0; service->command[i]; i++) {
		is_value =
		    i > 0 && options && !is_value && strcmp(service->command[i - 1], "-o") == 0;
		options &= i == 0 || is_value || service->command[i][0] == '-';
		if (i > 0)
			strbuf_addstr(&out, " ");
		add_word(&out, pc, service->command[i], is_value);
	}
	return strbuf_detach(&out);
}

/* Columns stand where master.cf's heading puts them, as long as they fit. */
static char *head_text(const struct postfix_service *service)
{
	static const size_t column[POSTFIX_COLUMNS] = { 0, 11, 17, 25, 33, 41, 49 };
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++) {
		if (i > 0)
			strbuf_addch(&out, ' ');
		while (out.len < column[i])
			strbuf_addch(&out, ' ');
		strbuf_addstr(&out, service->columns[i]);
	}
	strbuf_addch(&out, ' ');
	while (out.len < 57)
		strbuf_addch(&out, ' ');
	return strbuf_detach(&out);
}

/* The options are a line each, what follows them is folded like any text. */
static void print_folded(
    const struct postconf *pc, const char *head, const struct postfix_service *service)
{
	size_t column = strlen(head);
	fputs(head, stdout);
	bool after_override = false, options = true;
	for (size_t i = 0; service->command[i]; i++) {
		struct strbuf word = STRBUF_INIT(STRBUF_NO_LIMIT);
		options &= i == 0 || service->command[i][0] == '-';
		bool is_override = options && strcmp(service->command[i], "-o") == 0;
		if (is_override) {
			strbuf_addstr(&word, "-o ");
			add_word(&word, pc, service->command[++i], true);
		} else {
			add_word(&word, pc, service->command[i], false);
		}
		if (i > 0 && (is_override || after_override || column + word.len >= LINE_LIMIT)) {
			fputs("\n    ", stdout);
			column = 4;
		} else if (i > 0) {
			putchar(' ');
			column++;
		}
		fputs(word.ptr, stdout);
		column += word.len;
		after_override = is_override;
		strbuf_release(&word);
	}
	putchar('\n');
}

static void print_entry(const struct postconf *pc, const struct postfix_service *service)
{
	char *head = head_text(service), *command = command_text(pc, service);
	if (pc->fold)
		print_folded(pc, head, service);
	else
		printf("%s%s\n", head, command);
	free(head);
	free(command);
}

static void print_member(const struct postconf *pc, const struct postfix_service *service,
    const char *member, const char *value)
{
	char *name = xasprintf("%s/%s/%s", service->name, service->type, member);
	postconf_print_assignment(pc, name, value);
	free(name);
}

static bool list_fields(
    const struct postconf *pc, const struct postfix_service *service, const char *pattern)
{
	bool found = false;
	for (size_t i = 0; i <= POSTFIX_COLUMNS; i++) {
		if (!pattern_matches(pattern, service, field_names[i]))
			continue;
		char *command = command_text(pc, service);
		print_member(pc, service, field_names[i],
		    i < POSTFIX_COLUMNS ? service->columns[i] : command);
		free(command);
		found = true;
	}
	return found;
}

static int compare_overrides(const void *a, const void *b)
{
	return strcmp(
	    ((const struct postfix_override *)a)->name, ((const struct postfix_override *)b)->name);
}

/* Sorted by name; of several settings of one name the last one counts. */
static bool list_overrides(
    const struct postconf *pc, const struct postfix_service *service, const char *pattern)
{
	size_t count = 0;
	bool found = false;
	struct postfix_override *sorted = xcalloc(service->override_count + 1, sizeof(*sorted));
	for (size_t i = 0; i < service->override_count; i++) {
		size_t at = 0;
		while (at < count && strcmp(sorted[at].name, service->overrides[i].name) != 0)
			at++;
		sorted[at] = service->overrides[i];
		count += at == count;
	}
	qsort(sorted, count, sizeof(*sorted), compare_overrides);
	for (size_t i = 0; i < count; i++) {
		if (!pattern_matches(pattern, service, sorted[i].name))
			continue;
		char *expanded =
		    pc->expand ? postfix_param_expand(pc->params, sorted[i].value) : NULL;
		print_member(pc, service, sorted[i].name, expanded ? expanded : sorted[i].value);
		free(expanded);
		found = true;
	}
	free(sorted);
	return found;
}

static bool list_service(
    const struct postconf *pc, const struct postfix_service *service, const char *pattern)
{
	if (pc->subject == POSTCONF_FIELDS)
		return list_fields(pc, service, pattern);
	if (pc->subject == POSTCONF_OVERRIDES)
		return list_overrides(pc, service, pattern);
	if (!pattern_matches(pattern, service, NULL))
		return false;
	print_entry(pc, service);
	return true;
}

static void list_pattern(const struct postconf *pc, const char *pattern)
{
	bool found = false;
	for (size_t i = 0; i < postfix_service_count(pc->source); i++)
		found |= list_service(pc, postfix_service_at(pc->source, i), pattern);
	if (!found && pattern[0] != '\0')
		log_warning("unmatched request: \"%s\"", pattern);
}

void postconf_list_master(const struct postconf *pc, char **patterns)
{
	if (!*patterns)
		list_pattern(pc, "");
	for (; *patterns; patterns++)
		list_pattern(pc, *patterns);
}
