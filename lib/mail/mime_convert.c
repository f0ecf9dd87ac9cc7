// SPDX-License-Identifier: BSD-2-Clause
#include "mail/mime_convert.h"

#include <stdlib.h>

#include "base/check.h"
#include "mail/header.h"

/* A line with more than this gets a soft break before its next byte: with that byte as "=XX" and
 * the break's "=" it has 76 (RFC 2045 6.7). */
#define SOFT_LIMIT 72
#define LINE_MAX   76

struct mime_convert {
	struct mime_convert_rules rules;
	struct mime_convert_events events;
	void *arg;
	struct mime_walk *walk;
	struct strbuf field; /* of the own header */
	bool in_header, line_open;
	bool encodes; /* the present body is to be quoted-printable */
	char line[LINE_MAX];
	size_t used;
};

/* ---- quoted-printable ---- */

static void flush(struct mime_convert *c)
{
	size_t used = c->used;

	c->used = 0;
	c->events.body(c->arg, slice_mem(c->line, used), true);
}

static void put_hex(struct mime_convert *c, unsigned char byte)
{
	static const char digits[] = "0123456789ABCDEF";

	c->line[c->used++] = '=';
	c->line[c->used++] = digits[byte >> 4];
	c->line[c->used++] = digits[byte & 15];
}

static void put_byte(struct mime_convert *c, unsigned char byte)
{
	if (c->used > SOFT_LIMIT) {
		c->line[c->used++] = '=';
		flush(c);
	}
	if ((byte < ' ' && byte != '\t') || byte == '=' || byte > '~')
		put_hex(c, byte);
	else
		c->line[c->used++] = (char)byte;
}

static void encode(struct mime_convert *c, struct slice piece, bool complete)
{
	for (size_t i = 0; i < piece.len; i++)
		put_byte(c, (unsigned char)piece.ptr[i]);
	if (!complete)
		return;
	/* A blank at a line's end would be lost on the way. */
	if (c->used > 0 && (c->line[c->used - 1] == ' ' || c->line[c->used - 1] == '\t')) {
		c->used--;
		put_hex(c, (unsigned char)c->line[c->used]);
	}
	flush(c);
}

/* ---- events of the walk ---- */

/* What an encoding that is not kept said is said anew at the header's end. */
static bool is_dropped(const struct mime_convert *c, struct slice field)
{
	struct slice name, value;

	return c->rules.to_7bit && !mime_walk_is_7bit(c->walk) &&
	       header_split(field, &name, &value) &&
	       slice_caseeq_str(name, "Content-Transfer-Encoding");
}

static void on_field(void *arg, enum mime_part_class class, struct slice field)
{
	struct mime_convert *c = arg;

	if (!is_dropped(c, field))
		c->events.field(c->arg, class, field, false);
}

static void on_header_end(void *arg, const struct mime_part *part)
{
	struct mime_convert *c = arg;

	c->encodes = false;
	if (!c->rules.to_7bit || part->is_7bit)
		return;
	c->encodes = !part->is_multipart;
	c->events.field(c->arg, part->class,
	    part->is_multipart || part->is_message
		? SLICE_LIT("Content-Transfer-Encoding: 7bit")
		: SLICE_LIT("Content-Transfer-Encoding: quoted-printable"),
	    true);
}

static void on_body(void *arg, struct slice piece, bool complete, uint64_t offset)
{
	struct mime_convert *c = arg;

	(void)offset;
	if (c->encodes)
		encode(c, piece, complete);
	else
		c->events.body(c->arg, piece, complete);
}

static void on_boundary(void *arg, struct slice piece, bool complete)
{
	struct mime_convert *c = arg;

	c->encodes = false;
	c->events.body(c->arg, piece, complete);
}

static void on_error(void *arg, enum mime_error error, struct slice text)
{
	struct mime_convert *c = arg;

	if (c->events.error != NULL)
		c->events.error(c->arg, error, text);
}

static const struct mime_walk_events walk_events = {
	.field = on_field,
	.body = on_body,
	.error = on_error,
	.header_end = on_header_end,
	.boundary = on_boundary,
};

/* ---- the own header ---- */

static void end_field(struct mime_convert *c)
{
	struct slice field = strbuf_slice(&c->field);

	if (field.len == 0)
		return;
	mime_walk_field(c->walk, field);
	on_field(c, MIME_PART_OWN, field);
	strbuf_reset(&c->field);
}

static void end_header(struct mime_convert *c)
{
	end_field(c);
	c->in_header = false;
	mime_walk_end_header(c->walk);
}

static void add_to_field(struct mime_convert *c, struct slice text)
{
	strbuf_addslice(&c->field, slice_first(text, c->field.max - c->field.len));
}

/* The first piece of a line. */
static void take_header_line(struct mime_convert *c, struct slice line, bool complete)
{
	if (header_is_continuation(line) && c->field.len > 0) {
		add_to_field(c, SLICE_LIT("\n"));
		add_to_field(c, line);
	} else if (header_is_header(line)) {
		end_field(c);
		add_to_field(c, line);
	} else if (line.len == 0 && complete) {
		end_header(c);
		c->events.body(c->arg, line, true);
	} else if (line.len > 0) {
		end_header(c);
		mime_walk_line(c->walk, line, complete);
	}
}

/* ---- */

struct mime_convert *mime_convert_new(
    const struct mime_convert_rules *rules, const struct mime_convert_events *events, void *arg)
{
	struct mime_convert *c = xcalloc(1, sizeof(*c));

	c->rules = *rules;
	/* Such a body may be encoded, and it would be hard to say where in it a header is. */
	c->rules.walk.global_is_body = rules->to_7bit;
	c->events = *events;
	c->arg = arg;
	c->in_header = true;
	strbuf_init(&c->field, rules->walk.header_max);
	c->walk = mime_walk_new(&c->rules.walk, &walk_events, c);
	return c;
}

void mime_convert_free(struct mime_convert *c)
{
	if (c == NULL)
		return;
	mime_walk_free(c->walk);
	strbuf_release(&c->field);
	free(c);
}

void mime_convert_line(struct mime_convert *c, struct slice piece, bool complete)
{
	if (!c->in_header)
		mime_walk_line(c->walk, piece, complete);
	else if (c->line_open)
		add_to_field(c, piece);
	else
		take_header_line(c, piece, complete);
	/* An empty piece is not yet the beginning of a line. */
	c->line_open = !complete && (c->line_open || piece.len > 0);
}

void mime_convert_end(struct mime_convert *c)
{
	if (c->in_header)
		end_header(c);
	mime_walk_end(c->walk);
}
