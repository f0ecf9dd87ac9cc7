// SPDX-License-Identifier: BSD-2-Clause
#include "conf/postfix_entry.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "conf/postfix_source.h"

#define BLANKS	   " \t\r\n\v\f"
#define LINE_WIDTH 80

const char *const postfix_entry_columns[POSTFIX_COLUMNS + 1] = { "service", "type", "private",
	"unprivileged", "chroot", "wakeup", "process_limit", "command" };

static char *dup_slice(struct slice s)
{
	return xstrndup(s.ptr ? s.ptr : "", s.len);
}

void postfix_entry_release(struct postfix_entry *entry)
{
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++)
		free(entry->columns[i]);
	for (size_t i = 0; i < entry->count; i++)
		free(entry->words[i]);
	free(entry->words);
	*entry = (struct postfix_entry){ 0 };
}

/* ---- taking a line apart ---- */

/* A brace that nothing closes makes what stands behind the word part of it. */
static bool is_open(const char *text)
{
	unsigned depth = 0;
	for (; *text != '\0'; text++) {
		depth += *text == '{';
		depth -= *text == '}' && depth > 0;
	}
	return depth > 0;
}

static void insert_word(struct postfix_entry *entry, size_t at, char *text)
{
	entry->words = xreallocarray(entry->words, entry->count + 1, sizeof(*entry->words));
	memmove(entry->words + at + 1, entry->words + at, (entry->count - at) * sizeof(char *));
	entry->words[at] = text;
	entry->count++;
}

static void remove_word(struct postfix_entry *entry, size_t at)
{
	free(entry->words[at]);
	entry->count--;
	memmove(entry->words + at, entry->words + at + 1, (entry->count - at) * sizeof(char *));
}

/*
 * A word, or "{...}", whose braces and the blanks inside of them go away.  Of one that is never
 * closed *MISSING braces inside of it are.
 */
static bool take_word(
    struct cursor *c, struct slice *word, unsigned *missing, void (*warn)(const char *text))
{
	*missing = 0;
	cursor_span(c, BLANKS);
	if (cursor_at_end(c))
		return false;
	struct slice rest = cursor_rest(c);
	size_t len = 0;
	unsigned depth = 0;
	for (; len < rest.len && (depth > 0 || !ascii_isspace(rest.ptr[len])); len++) {
		if (rest.ptr[len] == '{')
			depth++;
		else if (rest.ptr[len] == '}' && depth > 0 && --depth == 0 && rest.ptr[0] == '{') {
			len++;
			break;
		}
	}
	*word = cursor_take(c, len);
	if (word->ptr[0] != '{')
		return true;
	bool closed = depth == 0;
	*missing = closed ? 0 : depth - 1;
	if (!closed && warn) {
		char *text = xasprintf("missing '}' in \"%.*s\"", SLICE_ARG(*word));
		warn(text);
		free(text);
	}
	*word = slice_trim(slice_mem(word->ptr + 1, len - 1 - closed), BLANKS);
	return true;
}

/* The word with its missing braces, so that it can be written again. */
static char *close_word(struct slice word, unsigned missing)
{
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);
	strbuf_addslice(&text, word);
	while (missing-- > 0)
		strbuf_addch(&text, '}');
	strbuf_addstr(&text, "");
	return strbuf_detach(&text);
}

static char *override_text(struct slice text, void (*warn)(const char *text))
{
	struct slice name, value;
	const char *problem = postfix_split_assignment(text, &name, &value);
	if (!problem)
		return xasprintf("%.*s=%.*s", SLICE_ARG(name), SLICE_ARG(value));
	if (warn) {
		char *line = xasprintf("%s: \"%.*s\"", problem, SLICE_ARG(text));
		warn(line);
		free(line);
	}
	return dup_slice(text);
}

/* What stands behind "-o": TEXT is what is left of that word. */
static void take_override(
    struct postfix_entry *entry, struct cursor *c, struct slice text, void (*warn)(const char *))
{
	unsigned missing = 0;
	insert_word(entry, entry->count, xstrdup("-o"));
	cursor_span(c, BLANKS);
	bool braces = text.len == 0 && cursor_peek(c) == '{';
	if (text.len == 0 && !take_word(c, &text, &missing, warn))
		return;
	struct cursor glued = cursor_of(text);
	struct slice inside;
	unsigned lacks;
	/* "-o{name = value}" */
	if (!braces && cursor_peek(&glued) == '{' && take_word(&glued, &inside, &lacks, NULL) &&
	    cursor_at_end(&glued)) {
		text = inside;
		missing = lacks;
	}
	char *closed = close_word(text, missing);
	insert_word(entry, entry->count, override_text(slice_of(closed), braces ? warn : NULL));
	free(closed);
}

static void take_words(struct postfix_entry *entry, struct cursor *c, void (*warn)(const char *))
{
	struct slice word;
	unsigned missing;
	bool options = true;
	while (entry->count < POSTFIX_ENTRY_WORDS && take_word(c, &word, &missing, warn)) {
		char *text = close_word(word, missing);
		options &= entry->count == 0 || text[0] == '-';
		if (options && entry->count > 0 && strncmp(text, "-o", 2) == 0) {
			take_override(entry, c, slice_trim(slice_of(text + 2), BLANKS), warn);
			free(text);
		} else {
			insert_word(entry, entry->count, text);
		}
		if (options)
			entry->option_count = entry->count;
	}
}

static bool is_flag(const char *text)
{
	return strcmp(text, "y") == 0 || strcmp(text, "n") == 0 || strcmp(text, "-") == 0;
}

static bool is_count(const char *text, const char *suffix)
{
	struct slice digits = slice_of(text);
	if (strcmp(text, "-") == 0)
		return true;
	if (suffix[0] != '\0' && slice_ends(digits, suffix))
		digits.len--;
	for (size_t i = 0; i < digits.len; i++)
		if (!ascii_isdigit(digits.ptr[i]))
			return false;
	return digits.len > 0;
}

static bool is_type(const char *text)
{
	static const char *const types[] = { "inet", "unix", "unix-dgram", "fifo", "pass" };
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i], text) == 0)
			return true;
	return false;
}

static bool column_is_valid(size_t column, const char *text)
{
	switch (column) {
	case 0:
		return true;
	case 1:
		return is_type(text);
	case 5:
		return is_count(text, "?");
	case 6:
		return is_count(text, "");
	default:
		return is_flag(text);
	}
}

bool postfix_entry_parse(struct postfix_entry *entry, struct slice line, struct strbuf *problem,
    void (*warn)(const char *text))
{
	struct cursor c = cursor_of(line);
	*entry = (struct postfix_entry){ 0 };
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++) {
		cursor_span(&c, BLANKS);
		entry->columns[i] = dup_slice(cursor_until(&c, BLANKS));
	}
	take_words(entry, &c, warn);
	if (entry->count == 0 || entry->words[0][0] == '\0') {
		strbuf_addstr(problem, "bad field count");
		return false;
	}
	if (is_open(entry->words[0])) {
		strbuf_addf(problem, "missing '}' in \"%s\"", entry->words[0]);
		return false;
	}
	cursor_span(&c, BLANKS);
	if (!cursor_at_end(&c)) {
		strbuf_addf(problem, "more than %d words", POSTFIX_ENTRY_WORDS);
		return false;
	}
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++) {
		if (column_is_valid(i, entry->columns[i]))
			continue;
		strbuf_addf(problem, "invalid %s field \"%s\" in \"%.*s\"",
		    postfix_entry_columns[i], entry->columns[i], SLICE_ARG(line));
		return false;
	}
	return true;
}

/* ---- options ---- */

bool postfix_entry_is_word(const char *text)
{
	unsigned depth = 0;
	for (const char *p = text; *p != '\0'; p++) {
		depth += *p == '{';
		depth -= *p == '}' && depth > 0;
		if (ascii_isspace(*p) && depth == 0)
			return false;
	}
	return depth == 0;
}

/*
 * Two "-o" in a row are an option and its value, hence the parity: the words before WORD that are
 * "-o" without a gap.
 */
bool postfix_entry_is_override(const struct postfix_entry *entry, size_t word)
{
	size_t options = 0;
	if (word >= entry->option_count)
		return false;
	while (options + 1 < word && strcmp(entry->words[word - options - 1], "-o") == 0)
		options++;
	return options % 2 == 1;
}

static bool sets_name(const struct postfix_entry *entry, size_t word, struct slice name)
{
	if (!postfix_entry_is_override(entry, word))
		return false;
	struct slice text = slice_of(entry->words[word]);
	ptrdiff_t equal = slice_find(text, '=');
	return equal >= 0 && slice_eq(slice_first(text, (size_t)equal), name);
}

const char *postfix_entry_find(const struct postfix_entry *entry, struct slice name)
{
	for (size_t i = entry->option_count; i-- > 1;)
		if (sets_name(entry, i, name))
			return entry->words[i] + name.len + 1;
	return NULL;
}

void postfix_entry_set(struct postfix_entry *entry, const char *name, const char *value)
{
	bool found = false;
	for (size_t i = 1; i < entry->option_count; i++) {
		if (!sets_name(entry, i, slice_of(name)))
			continue;
		free(entry->words[i]);
		entry->words[i] = xasprintf("%s=%s", name, value);
		found = true;
	}
	if (found || entry->count + 2 > POSTFIX_ENTRY_WORDS)
		return;
	/* An option without its argument would take ours. */
	if (entry->option_count > 1 && strcmp(entry->words[entry->option_count - 1], "-o") == 0 &&
	    !postfix_entry_is_override(entry, entry->option_count - 1))
		remove_word(entry, --entry->option_count);
	size_t at = entry->option_count;
	/* What nothing closes has to stay the last. */
	if (at > 1 && is_open(entry->words[at - 1]))
		at -= postfix_entry_is_override(entry, at - 1) ? 2 : 1;
	insert_word(entry, at, xasprintf("%s=%s", name, value));
	insert_word(entry, at, xstrdup("-o"));
	entry->option_count += 2;
}

void postfix_entry_unset(struct postfix_entry *entry, const char *name)
{
	for (size_t i = entry->option_count; i-- > 1;) {
		if (i >= entry->option_count || !sets_name(entry, i, slice_of(name)))
			continue;
		remove_word(entry, i);
		remove_word(entry, i - 1);
		entry->option_count -= 2;
	}
}

bool postfix_entry_set_command(struct postfix_entry *entry, const char *text)
{
	struct cursor c = cursor_of(slice_of(text));
	while (entry->count > 0)
		remove_word(entry, entry->count - 1);
	entry->option_count = 0;
	take_words(entry, &c, NULL);
	return entry->count > 0 && entry->words[0][0] != '\0' && !is_open(entry->words[0]);
}

/* ---- layout ---- */

static bool reads_as(const char *format, const char *text)
{
	struct strbuf written = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct slice word = SLICE_NULL;
	unsigned missing;
	strbuf_addstr(&written, format);
	strbuf_addstr(&written, text);
	if (format[0] == '{')
		strbuf_addch(&written, '}');
	struct cursor c = cursor_of(strbuf_slice(&written));
	bool same =
	    take_word(&c, &word, &missing, NULL) && slice_eq_str(word, text) && cursor_at_end(&c);
	strbuf_release(&written);
	return same;
}

/*
 * Text that would not be one word again gets braces; where they would make it another one, it was
 * written without.
 */
static void add_word(struct strbuf *out, const char *text)
{
	bool braces = text[0] == '\0' || text[0] == '{' || strpbrk(text, BLANKS);
	strbuf_addf(out, braces && reads_as("{", text) ? "{%s}" : "%s", text);
}

static void add_break(struct strbuf *out, bool new_line, size_t *column)
{
	strbuf_addstr(out, new_line ? "\n    " : " ");
	*column = new_line ? 4 : *column + 1;
}

void postfix_entry_print_words(struct slice text, bool fold, size_t column, struct strbuf *out)
{
	struct slice word;
	while (slice_token(&text, BLANKS, &word)) {
		if (column > 0)
			add_break(out, fold && column + word.len >= LINE_WIDTH, &column);
		strbuf_addslice(out, word);
		column += word.len;
	}
}

void postfix_entry_print_command(
    const struct postfix_entry *entry, bool fold, size_t column, struct strbuf *out)
{
	bool after_override = false;
	for (size_t i = 0; i < entry->count; i++) {
		struct strbuf word = STRBUF_INIT(STRBUF_NO_LIMIT);
		bool is_override = postfix_entry_is_override(entry, i + 1);
		if (is_override)
			strbuf_addstr(&word, "-o ");
		add_word(&word, entry->words[is_override ? ++i : i]);
		/* At the start of a line it would be a comment. */
		bool may_break = fold && word.ptr[0] != '#';
		if (i > 0)
			add_break(out,
			    may_break &&
				(is_override || after_override || column + word.len >= LINE_WIDTH),
			    &column);
		strbuf_addslice(out, strbuf_slice(&word));
		column += word.len;
		after_override = is_override;
		strbuf_release(&word);
	}
}

/* Columns stand where master.cf's heading puts them, as long as they fit. */
void postfix_entry_print(const struct postfix_entry *entry, bool fold, struct strbuf *out)
{
	static const size_t columns[POSTFIX_COLUMNS + 1] = { 0, 11, 17, 25, 33, 41, 49, 57 };
	size_t start = out->len;
	for (size_t i = 0; i <= POSTFIX_COLUMNS; i++) {
		if (i > 0)
			strbuf_addch(out, ' ');
		while (out->len - start < columns[i])
			strbuf_addch(out, ' ');
		if (i < POSTFIX_COLUMNS)
			strbuf_addstr(out, entry->columns[i]);
	}
	postfix_entry_print_command(entry, fold, out->len - start, out);
}
