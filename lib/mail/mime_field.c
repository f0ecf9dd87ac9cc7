// SPDX-License-Identifier: BSD-2-Clause
/* Fields of MIME: tokens, comments and parameters (RFC 2045 5.1). */
#include "base/check.h"
#include "base/cursor.h"
#include "base/strbuf.h"
#include "mail/header.h"
#include "mail/mime_walk.h"

#define PARAMETERS_MAX 1000

bool mime_is_mime_field(struct slice name)
{
	static const char *const names[] = { "Content-Type", "Content-Transfer-Encoding",
		"Content-Disposition", "Content-Description", "Content-Id", "MIME-Version" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_caseeq_str(name, names[i]))
			return true;
	return false;
}

static void skip_comment(struct cursor *c)
{
	unsigned depth = 0;
	int ch;

	do {
		ch = cursor_next(c);
		if (ch == '\\')
			cursor_next(c);
		else if (ch == '(')
			depth++;
		else if (ch == ')')
			depth--;
	} while (depth > 0 && ch >= 0 && !c->failed);
}

static void skip_blanks(struct cursor *c)
{
	for (;;) {
		cursor_span(c, " \t\r\n");
		if (cursor_peek(c) != '(')
			return;
		skip_comment(c);
	}
}

static struct slice take_token(struct cursor *c)
{
	skip_blanks(c);
	return cursor_until(c, " \t\r\n()<>@,;:\\\"/[]?=");
}

/* Without its quotes; what it is to be after a missing end is as good as any. */
static void take_quoted(struct cursor *c, struct strbuf *out)
{
	int ch;

	cursor_next(c);
	while (!cursor_at_end(c) && (ch = cursor_next(c)) != '"') {
		if (ch == '\\' && !cursor_at_end(c))
			ch = cursor_next(c);
		strbuf_addch(out, (char)ch);
	}
}

void mime_content_type(struct slice value, struct slice *type, struct slice *subtype)
{
	struct cursor c = cursor_of(value);

	*type = take_token(&c);
	*subtype = SLICE_NULL;
	skip_blanks(&c);
	if (cursor_peek(&c) == '/') {
		cursor_next(&c);
		*subtype = take_token(&c);
	}
}

/* To the ';' that begins the next parameter, or the end. */
static bool next_parameter(struct cursor *c)
{
	struct strbuf ignored = STRBUF_INIT(0);
	int ch;

	while ((ch = cursor_peek(c)) >= 0 && ch != ';') {
		if (ch == '(')
			skip_comment(c);
		else if (ch == '"')
			take_quoted(c, &ignored);
		else
			cursor_next(c);
	}
	strbuf_release(&ignored);
	if (ch < 0)
		return false;
	cursor_next(c);
	return true;
}

/* Bytes that a token may not hold are taken all the same: many a boundary is not quoted. */
static void take_value(struct cursor *c, struct strbuf *out)
{
	skip_blanks(c);
	if (cursor_peek(c) == '"')
		take_quoted(c, out);
	else
		strbuf_addslice(out, cursor_until(c, " \t\r\n;(\""));
}

bool mime_parameter(struct slice value, const char *name, struct strbuf *out)
{
	struct cursor c = cursor_of(value);
	size_t before = out->len;

	for (unsigned count = 0; count < PARAMETERS_MAX && next_parameter(&c); count++) {
		struct slice word = take_token(&c);

		skip_blanks(&c);
		if (cursor_peek(&c) != '=' || !slice_caseeq_str(word, name))
			continue;
		cursor_next(&c);
		take_value(&c, out);
		return out->len > before;
	}
	return false;
}
