// SPDX-License-Identifier: BSD-2-Clause
#include <string.h>

#include "log/log.h"
#include "smtp/smtp_content_private.h"

void smtp_content_lines_init(
    struct smtp_content_lines *lines, const char *id, size_t limit, bool dots)
{
	*lines = (struct smtp_content_lines){
		.id = id,
		/* Of a line that goes on one byte is the blank: with less nothing would move. */
		.limit = limit == 1 ? 2 : limit,
		.dots = dots,
	};
}

/* A CR or LF within a line would end it for another reader (cleanup_replace_stray_cr_lf). */
static void clean(char *text, size_t len)
{
	char *end = text + len;

	for (char *p = text; (p = memchr(p, '\r', (size_t)(end - p))) != NULL; p++)
		*p = ' ';
	for (char *p = text; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		*p = ' ';
}

/* What fits into the line; its end, when ENDS. */
static void put(struct smtp_content_lines *l, struct slice text, bool ends)
{
	struct strbuf *out = l->out;
	char *to;

	if (!strbuf_reserve(out, text.len + 3)) {
		out->overflow = true;
		return;
	}
	to = out->ptr + out->len;
	if (text.len > 0) {
		if (text.ptr[0] == '.' && l->used == 0 && l->dots)
			*to++ = '.';
		memcpy(to, text.ptr, text.len);
		clean(to, text.len);
		to += text.len;
	}
	l->used += text.len;
	if (ends) {
		*to++ = '\r';
		*to++ = '\n';
		l->used = 0;
	}
	out->len = (size_t)(to - out->ptr);
	out->ptr[out->len] = '\0';
}

/* TEXT has more than what is left of the line, or as much and goes on. */
static void break_line(struct smtp_content_lines *l)
{
	put(l, SLICE_NULL, true);
	strbuf_addch(l->out, ' ');
	l->used = 1;
	if (!l->told)
		log_info("%s: breaking line > %zu bytes with <CR><LF>SPACE", l->id, l->limit);
	l->told = true;
}

void smtp_content_put(struct smtp_content_lines *l, struct slice piece, bool complete)
{
	while (l->limit > 0 && piece.len >= l->limit - l->used) {
		size_t fits = l->limit - l->used;

		if (piece.len == fits && complete)
			break;
		put(l, slice_first(piece, fits), false);
		piece = slice_from(piece, fits);
		break_line(l);
	}
	put(l, piece, complete);
	l->open = !complete;
}

void smtp_content_put_end(struct smtp_content_lines *l)
{
	if (l->open)
		smtp_content_put(l, SLICE_NULL, true);
}

void smtp_content_put_text(struct smtp_content_lines *l, struct slice text)
{
	ptrdiff_t lf;

	smtp_content_put_end(l);
	while ((lf = slice_find(text, '\n')) >= 0) {
		smtp_content_put(l, slice_first(text, (size_t)lf), true);
		text = slice_from(text, (size_t)lf + 1);
	}
	smtp_content_put(l, text, true);
}
