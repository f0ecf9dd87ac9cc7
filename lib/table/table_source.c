// SPDX-License-Identifier: BSD-2-Clause
/*
 * The text format of tables.  Physical lines make logical lines: one that begins with a blank
 * continues the one before; empty lines and comments vanish, also in the middle of a logical line.
 * A logical line of one physical line (nearly all of them) is a slice of the text, not a copy.
 */
#include <stdio.h>

#include "base/check.h"
#include "table/table_build.h"

#define LINE_MAX_BYTES ((size_t)16 << 20)
#define BLANKS	       " \t\r\n\v\f"

void table_source_init(struct table_source *source, struct slice text, bool aliases)
{
	*source = (struct table_source){ .rest = text, .next_line = 1, .aliases = aliases };
	strbuf_init(&source->logical, LINE_MAX_BYTES);
	strbuf_init(&source->key_buf, LINE_MAX_BYTES);
}

void table_source_release(struct table_source *source)
{
	strbuf_release(&source->logical);
	strbuf_release(&source->key_buf);
}

static void warn(struct table_source *source, unsigned line, const char *text)
{
	if (source->warn)
		source->warn(line, text, source->warn_arg);
}

/* Without the line end. */
static struct slice take_physical(struct table_source *source)
{
	ptrdiff_t lf = slice_find(source->rest, '\n');
	struct slice line = lf < 0 ? source->rest : slice_first(source->rest, (size_t)lf);

	source->rest = slice_from(source->rest, lf < 0 ? line.len : (size_t)lf + 1);
	source->next_line++;
	return line;
}

static bool is_blank(char c)
{
	return ascii_isspace(c);
}

static bool is_ignored(struct slice line)
{
	size_t i = 0;

	while (i < line.len && is_blank(line.ptr[i]))
		i++;
	return i == line.len || line.ptr[i] == '#';
}

/* Is there a continuation, with nothing but ignored lines before it? */
static bool continues(const struct table_source *source)
{
	struct slice rest = source->rest;

	while (rest.len) {
		ptrdiff_t lf = slice_find(rest, '\n');
		struct slice line = lf < 0 ? rest : slice_first(rest, (size_t)lf);

		if (!is_ignored(line))
			return is_blank(line.ptr[0]);
		if (lf < 0)
			return false;
		rest = slice_from(rest, (size_t)lf + 1);
	}
	return false;
}

static struct slice take_continued(struct table_source *source, struct slice first)
{
	strbuf_reset(&source->logical);
	strbuf_addslice(&source->logical, first);
	while (continues(source)) {
		struct slice more;

		do {
			more = take_physical(source);
		} while (is_ignored(more));
		strbuf_addslice(&source->logical, more);
	}
	return strbuf_slice(&source->logical);
}

bool table_source_line(struct table_source *source, struct slice *line, unsigned *number)
{
	while (source->rest.len) {
		*number = source->next_line;
		*line = take_physical(source);
		if (is_ignored(*line))
			continue;
		if (is_blank(line->ptr[0])) {
			warn(source, *number, "logical line must not start with whitespace");
			continue;
		}
		if (continues(source)) {
			*line = take_continued(source, *line);
			if (source->logical.overflow) {
				warn(source, *number,
				    "logical line is too long -- ignoring this line");
				continue;
			}
		}
		*line = slice_trim(*line, BLANKS);
		return true;
	}
	return false;
}

/* How much of LINE is the key: up to a blank (aliases: a colon) outside of quotes. */
static size_t key_length(struct slice line, bool aliases)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < line.len; i++) {
		char c = line.ptr[i];

		if (c == '\\' && quoted && i + 1 < line.len)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (aliases ? c == ':' : is_blank(c)))
			break;
	}
	return i;
}

static struct slice unquote(struct table_source *source, struct slice key)
{
	struct strbuf *buf = &source->key_buf;

	if (slice_find(key, '"') < 0 && slice_find(key, '\\') < 0)
		return key;
	strbuf_reset(buf);
	for (size_t i = 0; i < key.len; i++) {
		if (key.ptr[i] == '"')
			continue;
		if (key.ptr[i] == '\\' && i + 1 < key.len)
			i++;
		strbuf_addch(buf, key.ptr[i]);
	}
	return strbuf_slice(buf);
}

static bool split_alias(struct table_source *source, struct slice line, unsigned number,
    struct slice *key, struct slice *value)
{
	size_t len = key_length(line, true);

	*key = slice_trim(slice_first(line, len), BLANKS);
	*value = slice_trim(slice_from(line, len + 1), BLANKS);
	if (len == line.len || !key->len || !value->len) {
		warn(source, number, "need name:value pair");
		return false;
	}
	*key = unquote(source, *key);
	return true;
}

static bool split_entry(struct table_source *source, struct slice line, unsigned number,
    struct slice *key, struct slice *value)
{
	size_t len = key_length(line, false);

	*key = slice_first(line, len);
	*value = slice_trim(slice_from(line, len), BLANKS);
	if (!value->len) {
		warn(source, number, "expected format: key whitespace value");
		return false;
	}
	if (slice_ends(*key, ":"))
		warn(source, number, "record is in \"key: value\" format; is this an alias file?");
	return true;
}

bool table_source_next(
    struct table_source *source, struct slice *key, struct slice *value, unsigned *line)
{
	struct slice text;

	while (table_source_line(source, &text, line)) {
		if (source->aliases ? split_alias(source, text, *line, key, value)
				    : split_entry(source, text, *line, key, value))
			return true;
	}
	return false;
}
