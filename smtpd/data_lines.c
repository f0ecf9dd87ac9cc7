// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/data_lines.h"

static void keep(struct data_lines *d, struct slice text, bool complete)
{
	/* It turned out to be content. */
	if (d->held_cr)
		d->keep(d->arg, SLICE_LIT("\r"), false);
	if (d->held_cr || text.len > 0)
		d->lone_dot = false;
	d->held_cr = false;
	if (text.len > 0 || complete)
		d->keep(d->arg, text, complete);
}

/* True if there was one at the end of *TEXT. */
static bool take_last(struct slice *text, const char *byte)
{
	if (!slice_ends(*text, byte))
		return false;
	text->len--;
	return true;
}

static void begin_line(struct data_lines *d, struct slice *text)
{
	d->inside = true;
	d->lone_dot = slice_starts(*text, ".");
	if (d->lone_dot)
		*text = slice_from(*text, 1); /* RFC 5321 4.5.2 */
}

static bool end_line(struct data_lines *d, struct slice text)
{
	bool after_crlf = !d->after_bare_lf, crlf;

	if (text.len > 0) {
		crlf = take_last(&text, "\r");
	} else {
		crlf = d->held_cr;
		d->held_cr = false;
	}
	d->bare_lf_seen |= !crlf;
	d->after_bare_lf = !crlf;
	d->inside = false;
	if (d->lone_dot && text.len == 0 && !d->held_cr &&
	    ((crlf && after_crlf) || d->bare_allowed))
		return true;
	keep(d, text, true);
	return false;
}

bool data_lines_take(struct data_lines *d, struct slice piece)
{
	bool ends = take_last(&piece, "\n");

	if (!d->inside && (piece.len > 0 || ends))
		begin_line(d, &piece);
	if (ends)
		return end_line(d, piece);
	if (piece.len > 0) {
		bool cr = take_last(&piece, "\r");

		keep(d, piece, false);
		d->held_cr = cr;
	}
	return false;
}
