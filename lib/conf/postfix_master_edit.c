// SPDX-License-Identifier: BSD-2-Clause
/*
 * Goes from one first line of an entry to the next: all lines in between are the region of an
 * entry, with comments and blank lines in it.
 */
#include "conf/postfix_master_edit.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "conf/postfix_source.h"

#define BLANKS " \t\r\n\v\f"

struct editor {
	struct strbuf *out, *problem;
	enum postfix_edit_action action;
	enum postfix_master_part part;
	struct postfix_master_edit *edits;
	size_t count;
};

static struct slice take_line(struct slice *rest)
{
	ptrdiff_t end = slice_find(*rest, '\n');
	struct slice line = end < 0 ? *rest : slice_first(*rest, (size_t)end);
	*rest = slice_from(*rest, end < 0 ? rest->len : (size_t)end + 1);
	return line;
}

static bool is_aside(struct slice line)
{
	struct slice text = slice_trim(line, BLANKS);
	return text.len == 0 || text.ptr[0] == '#';
}

static bool begins_entry(struct slice line)
{
	return !is_aside(line) && !ascii_isspace(line.ptr[0]);
}

static void add_line(struct strbuf *out, const char *prefix, struct slice line)
{
	strbuf_addstr(out, prefix);
	strbuf_addslice(out, line);
	strbuf_addch(out, '\n');
}

/* Takes what belongs to the entry in whose first line REST begins. */
static struct slice take_region(struct slice *rest)
{
	struct slice region = *rest, line = take_line(rest);
	while (rest->len > 0) {
		struct slice ahead = *rest;
		line = take_line(&ahead);
		if (begins_entry(line))
			break;
		*rest = ahead;
	}
	return slice_first(region, region.len - rest->len);
}

static void join_lines(struct slice region, struct strbuf *text)
{
	while (region.len > 0) {
		struct slice line = take_line(&region);
		if (!is_aside(line))
			strbuf_addslice(text, line);
	}
}

static bool part_matches(const char *pattern, struct slice text)
{
	return strcmp(pattern, "*") == 0 || slice_eq_str(text, pattern);
}

static bool is_for(const struct postfix_master_edit *edit, struct slice text)
{
	struct cursor c = cursor_of(text);
	cursor_span(&c, BLANKS);
	struct slice service = cursor_until(&c, BLANKS);
	cursor_span(&c, BLANKS);
	struct slice type = cursor_until(&c, BLANKS);
	return part_matches(edit->service, service) && part_matches(edit->type, type);
}

static bool parse(struct editor *e, struct postfix_entry *entry, struct slice text)
{
	return postfix_entry_parse(entry, text, e->problem, NULL);
}

static bool print_value(struct editor *e, const struct postfix_master_edit *edit)
{
	struct postfix_entry entry;
	bool ok = parse(e, &entry, slice_of(edit->value));
	if (ok) {
		postfix_entry_print(&entry, true, e->out);
		strbuf_addch(e->out, '\n');
	}
	postfix_entry_release(&entry);
	return ok;
}

static bool change(
    struct editor *e, struct postfix_entry *entry, const struct postfix_master_edit *edit)
{
	if (e->part == POSTFIX_MASTER_OVERRIDE) {
		if (e->action == POSTFIX_EDIT_SET)
			postfix_entry_set(entry, edit->member, edit->value);
		else
			postfix_entry_unset(entry, edit->member);
		return true;
	}
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++) {
		if (strcmp(postfix_entry_columns[i], edit->member) != 0)
			continue;
		free(entry->columns[i]);
		entry->columns[i] = xstrdup(edit->value);
		return true;
	}
	return postfix_entry_set_command(entry, edit->value);
}

static bool change_part(struct editor *e, struct slice text)
{
	struct postfix_entry entry;
	bool ok = parse(e, &entry, text);
	for (size_t i = 0; i < e->count && ok; i++) {
		if (!is_for(&e->edits[i], text))
			continue;
		ok = change(e, &entry, &e->edits[i]);
		if (!ok)
			strbuf_addstr(e->problem, "an entry needs a command");
	}
	if (ok) {
		postfix_entry_print(&entry, true, e->out);
		strbuf_addch(e->out, '\n');
	}
	postfix_entry_release(&entry);
	return ok;
}

/* All lines of the region but those of the entry; COMMENT makes comments of these. */
static void keep_asides(struct editor *e, struct slice region, bool comment)
{
	while (region.len > 0) {
		struct slice line = take_line(&region);
		if (is_aside(line))
			add_line(e->out, "", line);
		else if (comment)
			add_line(e->out, "#", line);
	}
}

static bool edit_region(struct editor *e, struct slice region)
{
	struct strbuf text = STRBUF_INIT(POSTFIX_FILE_LIMIT);
	bool matches = false, ok = true;
	join_lines(region, &text);
	for (size_t i = 0; i < e->count && ok; i++) {
		struct postfix_master_edit *edit = &e->edits[i];
		if (!is_for(edit, strbuf_slice(&text)))
			continue;
		matches = true;
		if (edit->found++ == 0 && e->part == POSTFIX_MASTER_ENTRY &&
		    e->action == POSTFIX_EDIT_SET)
			ok = print_value(e, edit);
	}
	if (!matches)
		strbuf_addslice(e->out, region);
	else if (ok)
		keep_asides(e, region, e->action == POSTFIX_EDIT_COMMENT);
	if (matches && ok && e->part != POSTFIX_MASTER_ENTRY)
		ok = change_part(e, strbuf_slice(&text));
	strbuf_release(&text);
	return ok;
}

bool postfix_master_edit(struct strbuf *out, struct slice in, enum postfix_edit_action action,
    enum postfix_master_part part, struct postfix_master_edit *edits, size_t count,
    struct strbuf *problem)
{
	struct editor e = { out, problem, action, part, edits, count };
	bool ok = true;
	for (size_t i = 0; i < count; i++)
		edits[i].found = 0;
	while (in.len > 0 && ok) {
		struct slice ahead = in, line = take_line(&ahead);
		if (begins_entry(line)) {
			ok = edit_region(&e, take_region(&in));
		} else {
			add_line(out, "", line);
			in = ahead;
		}
	}
	if (out->len > 0 && out->ptr[out->len - 1] != '\n')
		strbuf_addch(out, '\n');
	if (part == POSTFIX_MASTER_ENTRY && action == POSTFIX_EDIT_SET)
		for (size_t i = 0; i < count && ok; i++)
			if (edits[i].found == 0)
				ok = print_value(&e, &edits[i]);
	return ok;
}
