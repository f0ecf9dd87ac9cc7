// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/chunk_lines.h"

void chunk_lines_init(struct chunk_lines *c, size_t max, chunk_lines_keep *keep, void *arg)
{
	*c = (struct chunk_lines){ .keep = keep, .arg = arg };
	strbuf_init(&c->held, max);
}

void chunk_lines_release(struct chunk_lines *c)
{
	strbuf_release(&c->held);
}

/* Gives a part of a line; a CR at its end may belong to the line's end and waits. */
static void keep_part(struct chunk_lines *c)
{
	struct slice part = strbuf_slice(&c->held);
	bool cr = slice_ends(part, "\r");

	part.len -= cr;
	c->keep(c->arg, part, false);
	c->inside = true;
	strbuf_reset(&c->held);
	if (cr)
		strbuf_addch(&c->held, '\r');
}

static void hold(struct chunk_lines *c, struct slice text)
{
	while (text.len > 0) {
		size_t room = c->held.max - c->held.len;

		strbuf_addslice(&c->held, slice_first(text, room));
		text = slice_from(text, room);
		if (c->held.len == c->held.max)
			keep_part(c);
	}
}

static void end_line(struct chunk_lines *c, struct slice text)
{
	if (c->held.len > 0 || text.len > c->held.max) {
		hold(c, text);
		text = strbuf_slice(&c->held);
	}
	if (slice_ends(text, "\r"))
		text.len--;
	else
		c->bare_lf_seen = true;
	c->keep(c->arg, text, true);
	c->inside = false;
	strbuf_reset(&c->held);
}

void chunk_lines_take(struct chunk_lines *c, struct slice bytes)
{
	ptrdiff_t lf;

	while ((lf = slice_find(bytes, '\n')) >= 0) {
		end_line(c, slice_first(bytes, (size_t)lf));
		bytes = slice_from(bytes, (size_t)lf + 1);
	}
	hold(c, bytes);
}

void chunk_lines_end(struct chunk_lines *c)
{
	if (c->inside || c->held.len > 0)
		c->keep(c->arg, strbuf_slice(&c->held), true);
	c->inside = false;
	chunk_lines_release(c);
}
