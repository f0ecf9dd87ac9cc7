// SPDX-License-Identifier: BSD-2-Clause
/*
 * Three states: the header of a multipart's part, the header of a message within the message, a
 * body.  A stack holds the boundaries of the multiparts around the present line; a line that begins
 * with one of them (the innermost first) ends all that is in it.  RFC 2046 5.1.1: what else stands
 * on the line does not matter.
 */
#include "mail/mime_walk.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "mail/header.h"

#define LOGGED_MAX 100 /* bytes of an error's text */

enum state { IN_OWN_HEADER, IN_PART_HEADER, IN_MESSAGE_HEADER, IN_BODY };
enum type { TYPE_OTHER, TYPE_MULTIPART, TYPE_MESSAGE, TYPE_GLOBAL, TYPE_OTHER_MESSAGE };

/* A multipart that is open. */
struct level {
	struct level *outer;
	bool is_digest; /* its parts are messages where they do not say what they are */
	struct strbuf boundary;
};

struct mime_walk {
	const struct mime_walk_rules *rules;
	const struct mime_walk_events *events;
	void *arg;
	enum state state;
	enum type type; /* of the part whose header this is, or was */
	/* Its transfer encoding: what it says, and what bytes that stands for. */
	bool is_encoded, is_7bit;
	struct slice encoding; /* one of ours */
	struct level *innermost;
	unsigned depth;
	struct strbuf field; /* that is being gathered */
	bool field_open, line_open;
	uint64_t offset;
	unsigned told; /* errors */
};

const char *mime_error_text(enum mime_error error)
{
	switch (error) {
	case MIME_ERROR_NESTING:
		return "MIME nesting exceeds safety limit";
	case MIME_ERROR_8BIT_HEADER:
		return "improper use of 8-bit data in message header";
	case MIME_ERROR_8BIT_BODY:
		return "improper use of 8-bit data in message body";
	case MIME_ERROR_ENCODING:
		return "invalid message/* or multipart/* encoding domain";
	}
	return "unknown error";
}

struct mime_walk *mime_walk_new(
    const struct mime_walk_rules *rules, const struct mime_walk_events *events, void *arg)
{
	struct mime_walk *w = xcalloc(1, sizeof(*w));

	w->rules = rules;
	w->events = events;
	w->arg = arg;
	w->is_7bit = true;
	strbuf_init(&w->field, rules->header_max);
	return w;
}

static void leave(struct mime_walk *w)
{
	struct level *level = w->innermost;

	w->innermost = level->outer;
	w->depth--;
	strbuf_release(&level->boundary);
	free(level);
}

void mime_walk_free(struct mime_walk *w)
{
	if (w == NULL)
		return;
	while (w->innermost != NULL)
		leave(w);
	strbuf_release(&w->field);
	free(w);
}

static void tell(struct mime_walk *w, enum mime_error error, struct slice text)
{
	if (!(w->rules->errors & error) || (w->told & error))
		return;
	w->told |= error;
	if (w->events->error != NULL)
		w->events->error(w->arg, error, slice_first(text, LOGGED_MAX));
}

static bool has_8bit(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] & 0x80)
			return true;
	return false;
}

/* ---- fields ---- */

static void enter(struct mime_walk *w, struct slice field, struct slice value, bool is_digest)
{
	struct strbuf boundary = STRBUF_INIT(w->rules->header_max);

	if (!mime_parameter(value, "boundary", &boundary)) {
		strbuf_release(&boundary);
		return;
	}
	if (w->depth >= w->rules->nesting_max) {
		tell(w, MIME_ERROR_NESTING, field);
		strbuf_release(&boundary);
		return;
	}
	struct level *level = xcalloc(1, sizeof(*level));

	level->outer = w->innermost;
	level->is_digest = is_digest;
	/* A copy of what counts: a hundred of what a header holds would be too much. */
	strbuf_init(&level->boundary, w->rules->boundary_max);
	strbuf_addslice(
	    &level->boundary, slice_first(strbuf_slice(&boundary), w->rules->boundary_max));
	strbuf_release(&boundary);
	w->innermost = level;
	w->depth++;
}

static void take_type(struct mime_walk *w, struct slice field, struct slice value)
{
	struct slice type, subtype;

	mime_content_type(value, &type, &subtype);
	if (slice_caseeq_str(type, "multipart")) {
		w->type = TYPE_MULTIPART;
		enter(w, field, value, slice_caseeq_str(subtype, "digest"));
	} else if (slice_caseeq_str(type, "message")) {
		if (slice_caseeq_str(subtype, "rfc822"))
			w->type = TYPE_MESSAGE;
		else
			w->type =
			    slice_caseeq_str(subtype, "global") ? TYPE_GLOBAL : TYPE_OTHER_MESSAGE;
	} else {
		w->type = TYPE_OTHER;
	}
}

/* RFC 2045 6.1 */
static void take_encoding(struct mime_walk *w, struct slice value)
{
	static const struct {
		const char *name;
		bool is_encoded, is_7bit;
	} rows[] = {
		{ "7bit", false, true },
		{ "8bit", false, false },
		{ "binary", false, false },
		{ "base64", true, true },
		{ "quoted-printable", true, true },
	};
	struct slice word, none;

	mime_content_type(value, &word, &none);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (slice_caseeq_str(word, rows[i].name)) {
			w->is_encoded = rows[i].is_encoded;
			w->is_7bit = rows[i].is_7bit;
			w->encoding = slice_of(rows[i].name);
		}
}

void mime_walk_field(struct mime_walk *w, struct slice field)
{
	struct slice name, value;

	if (w->rules->errors & MIME_ERROR_8BIT_HEADER && has_8bit(field))
		tell(w, MIME_ERROR_8BIT_HEADER, field);
	if (w->rules->opaque || !header_split(field, &name, &value))
		return;
	if (slice_caseeq_str(name, "Content-Type"))
		take_type(w, field, value);
	else if (slice_caseeq_str(name, "Content-Transfer-Encoding"))
		take_encoding(w, value);
}

static void end_field(struct mime_walk *w)
{
	struct slice field = strbuf_slice(&w->field);
	enum mime_part_class class =
	    w->state == IN_PART_HEADER ? MIME_PART_MULTIPART : MIME_PART_NESTED;

	if (!w->field_open)
		return;
	w->field_open = false;
	mime_walk_field(w, field);
	w->events->field(w->arg, class, field);
	strbuf_reset(&w->field);
}

static void begin_part(struct mime_walk *w, enum state state, enum type type)
{
	w->state = state;
	w->type = type;
	w->is_encoded = false;
	w->is_7bit = true;
	w->offset = 0;
}

static void tell_header_end(struct mime_walk *w)
{
	const struct mime_part part = {
		.class = w->state == IN_OWN_HEADER    ? MIME_PART_OWN
			 : w->state == IN_PART_HEADER ? MIME_PART_MULTIPART
						      : MIME_PART_NESTED,
		.is_7bit = w->is_7bit,
		.is_multipart = w->type == TYPE_MULTIPART,
		.is_message = w->type == TYPE_MESSAGE || w->type == TYPE_OTHER_MESSAGE,
	};

	if (w->events->header_end != NULL)
		w->events->header_end(w->arg, &part);
}

static void end_header(struct mime_walk *w)
{
	end_field(w);
	tell_header_end(w);
	if (w->type != TYPE_OTHER && w->is_encoded)
		tell(w, MIME_ERROR_ENCODING, w->encoding);
	w->state = IN_BODY;
	w->offset = 0;
}

/* The lines behind a header. */
static void begin_body(struct mime_walk *w)
{
	bool is_message = w->type == TYPE_MESSAGE ||
			  (w->type == TYPE_GLOBAL && (w->is_7bit || !w->rules->global_is_body));

	if (is_message && !w->rules->opaque)
		begin_part(w, IN_MESSAGE_HEADER, TYPE_OTHER);
}

void mime_walk_end_header(struct mime_walk *w)
{
	ASSERT(w->state == IN_OWN_HEADER);
	end_header(w);
	begin_body(w);
}

/* ---- lines ---- */

static void give_body(struct mime_walk *w, struct slice piece, bool complete)
{
	if (w->is_7bit && (w->rules->errors & MIME_ERROR_8BIT_BODY) && has_8bit(piece))
		tell(w, MIME_ERROR_8BIT_BODY, piece);
	w->events->body(w->arg, piece, complete, w->offset);
	w->offset += piece.len + complete;
}

/* The multipart whose boundary LINE begins with. */
static struct level *boundary_of(const struct mime_walk *w, struct slice line)
{
	if (!slice_starts(line, "--"))
		return NULL;
	line = slice_from(line, 2);
	for (struct level *level = w->innermost; level != NULL; level = level->outer)
		if (slice_eq(
			slice_first(line, level->boundary.len), strbuf_slice(&level->boundary)))
			return level;
	return NULL;
}

/* The line that begins or ends a part of LEVEL; it belongs to no body. */
static void take_boundary(
    struct mime_walk *w, struct level *level, struct slice line, bool complete)
{
	bool last = slice_starts(slice_from(line, 2 + level->boundary.len), "--");

	if (w->state != IN_BODY)
		end_header(w);
	while (w->innermost != level)
		leave(w);
	if (w->events->boundary != NULL)
		w->events->boundary(w->arg, line, complete);
	else
		w->events->body(w->arg, line, complete, last ? 0 : w->offset);
	begin_part(w, last ? IN_BODY : IN_PART_HEADER,
	    !last && level->is_digest ? TYPE_MESSAGE : TYPE_OTHER);
	if (last)
		leave(w);
}

/* True: it was of a part's header. */
static bool take_header_line(struct mime_walk *w, struct slice line)
{
	if (header_is_continuation(line) && w->field_open) {
		strbuf_addch(&w->field, '\n');
	} else if (header_is_header(line)) {
		end_field(w);
		w->field_open = true;
	} else {
		return false;
	}
	strbuf_addslice(&w->field, slice_first(line, w->field.max - w->field.len));
	return true;
}

static void take_line(struct mime_walk *w, struct slice line, bool complete)
{
	struct level *level = boundary_of(w, line);

	if (level != NULL) {
		take_boundary(w, level, line, complete);
		return;
	}
	if (w->state != IN_BODY) {
		if (take_header_line(w, line))
			return;
		end_header(w);
		/* A message within begins behind the empty line; without one there is none. */
		if (line.len == 0 && complete) {
			give_body(w, line, complete);
			begin_body(w);
			return;
		}
	}
	give_body(w, line, complete);
}

void mime_walk_line(struct mime_walk *w, struct slice piece, bool complete)
{
	ASSERT(w->state != IN_OWN_HEADER);
	if (!w->line_open)
		take_line(w, piece, complete);
	else if (w->field_open)
		strbuf_addslice(&w->field, slice_first(piece, w->field.max - w->field.len));
	else
		give_body(w, piece, complete);
	w->line_open = !complete;
}

void mime_walk_end(struct mime_walk *w)
{
	if (w->state != IN_OWN_HEADER && w->state != IN_BODY)
		end_header(w);
}

bool mime_walk_is_7bit(const struct mime_walk *w)
{
	return w->is_7bit;
}
