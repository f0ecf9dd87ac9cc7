// SPDX-License-Identifier: BSD-2-Clause
/*
 * Address lists, token by token.  For each element of a list the scanner remembers where its
 * addr-spec stands (from the first to the last token that is no comment or blank, or what is in <>)
 * and builds its plain text: the same without the blanks and comments that obsolete syntax allows
 * around dots and '@'.  What separates elements decides what they were: ',' and the end finish one,
 * ':' makes what came before it a group's name, ';' ends the group.
 */
#include "base/check.h"
#include "base/cursor.h"
#include "mail/address.h"
#include "mail/header.h"

enum token { TOK_END, TOK_WORD, TOK_QUOTED, TOK_LITERAL, TOK_SPECIAL, TOK_BAD };

struct scan {
	struct cursor c;
	size_t start; /* of the current token */
	int special;  /* the character of TOK_SPECIAL */

	/* the element under way */
	size_t from, to;     /* its addr-spec, as offsets */
	struct strbuf plain; /* its plain text */
	enum token last;     /* kind of its last token, TOK_END before the first */
	bool in_angle, was_angle;
	bool bad;    /* no addr-spec so far; perhaps a display name */
	bool broken; /* no address whatever follows */

	bool in_group, ok, stopped;
	unsigned count;
	header_address_fn *each;
	void *arg;
};

/* RFC 5322 3.2.2; false when it does not end, or nests too deep. */
static bool skip_comment(struct cursor *c)
{
	unsigned depth = 0;
	int ch;

	do {
		ch = cursor_next(c);
		if (ch == '(')
			depth++;
		else if (ch == ')')
			depth--;
		else if (ch == '\\')
			cursor_next(c);
		if (ch < 0 || c->failed || depth > HEADER_COMMENT_DEPTH)
			return false;
	} while (depth);
	return true;
}

/* "..." or [...], with backslashes; the opening character comes next. */
static bool skip_enclosed(struct cursor *c, int close)
{
	int ch;

	cursor_next(c);
	while ((ch = cursor_next(c)) != close) {
		if (ch == '\\')
			cursor_next(c);
		if (ch < 0 || c->failed)
			return false;
	}
	return true;
}

static enum token next_token(struct scan *s)
{
	int ch;

	for (;;) {
		cursor_span(&s->c, " \t\r\n");
		s->start = s->c.at;
		ch = cursor_peek(&s->c);
		if (ch != '(')
			break;
		if (!skip_comment(&s->c))
			return TOK_BAD;
	}
	if (ch < 0)
		return TOK_END;
	if (ch == '"')
		return skip_enclosed(&s->c, '"') ? TOK_QUOTED : TOK_BAD;
	if (ch == '[')
		return skip_enclosed(&s->c, ']') ? TOK_LITERAL : TOK_BAD;
	if (slice_find(SLICE_LIT("<>@,;:.)"), (char)ch) >= 0) {
		s->special = cursor_next(&s->c);
		return TOK_SPECIAL;
	}
	while ((ch = cursor_peek(&s->c)) >= 0 &&
	       slice_find(SLICE_LIT(" \t\r\n()<>@,;:.\"[]"), (char)ch) < 0) {
		cursor_next(&s->c);
		if (ch == '\\' && !cursor_at_end(&s->c))
			cursor_next(&s->c);
	}
	/* A stray ']' makes no progress above. */
	if (s->c.at == s->start)
		cursor_next(&s->c);
	return TOK_WORD;
}

static void begin_spec(struct scan *s)
{
	s->from = s->to = s->c.at;
	strbuf_reset(&s->plain);
	s->last = TOK_END;
	s->bad = false;
}

static void begin_element(struct scan *s)
{
	begin_spec(s);
	s->in_angle = s->was_angle = s->broken = false;
}

static void add_to_spec(struct scan *s, enum token kind)
{
	bool word = kind != TOK_SPECIAL, after_word = s->last != TOK_END && s->last != TOK_SPECIAL;

	/* Two words side by side are a display name, or nothing that is an address. */
	if (word && after_word)
		s->bad = true;
	if (s->last == TOK_END)
		s->from = s->start;
	s->to = s->c.at;
	strbuf_addslice(&s->plain, slice_first(slice_from(s->c.in, s->start), s->c.at - s->start));
	s->last = kind;
}

static void report(struct scan *s, struct slice internal)
{
	struct header_address address = {
		.text = slice_first(slice_from(s->c.in, s->from), s->to - s->from),
		.internal = internal,
		.in_angle = s->was_angle,
		.in_group = s->in_group,
	};

	if (s->count >= HEADER_ADDRESSES_MAX) {
		s->ok = false;
		s->stopped = true;
		return;
	}
	s->count++;
	s->stopped = !s->each(&address, s->arg);
}

static void end_element(struct scan *s)
{
	struct strbuf internal = STRBUF_INIT(ADDRESS_MAX);
	struct slice plain = strbuf_slice(&s->plain);

	if (s->in_angle || s->bad || s->broken || s->plain.overflow)
		s->ok = false;
	else if (plain.len) {
		if (address_internal(plain, ADDRESS_UTF8, &internal) == ADDRESS_OK)
			report(s, strbuf_slice(&internal));
		else
			s->ok = false;
	}
	strbuf_release(&internal);
	begin_element(s);
}

static void begin_group(struct scan *s)
{
	/* "<a@b>: ..." and "a@b: ..." name no group: whoever reads the one or the other as the
	 * author would be right, so nobody is. */
	if (s->in_group || s->was_angle || slice_find(strbuf_slice(&s->plain), '@') >= 0) {
		s->broken = true;
		return;
	}
	begin_element(s);
	s->in_group = true;
}

static void take_special(struct scan *s)
{
	switch (s->special) {
	case '<':
		if (s->in_angle || s->was_angle) {
			s->bad = true;
			return;
		}
		begin_spec(s);
		s->in_angle = true;
		return;
	case '>':
		if (!s->in_angle)
			s->bad = true;
		s->in_angle = false;
		s->was_angle = true;
		return;
	case ',':
		/* A source route has commas: <@a,@b:c@d>. */
		if (s->in_angle)
			add_to_spec(s, TOK_SPECIAL);
		else
			end_element(s);
		return;
	case ':':
		if (s->in_angle)
			add_to_spec(s, TOK_SPECIAL);
		else
			begin_group(s);
		return;
	case ';':
		if (s->in_angle)
			s->bad = true;
		else {
			end_element(s);
			s->in_group = false;
		}
		return;
	case ')':
		s->broken = true;
		return;
	default:
		if (s->was_angle)
			s->bad = true;
		else
			add_to_spec(s, TOK_SPECIAL);
	}
}

bool header_each_address(struct slice value, header_address_fn *each, void *arg)
{
	struct scan s = { .c = cursor_of(value),
		.plain = STRBUF_INIT(4 * ADDRESS_MAX),
		.ok = true,
		.each = each,
		.arg = arg };
	enum token kind = TOK_END;

	begin_element(&s);
	while (!s.stopped && (kind = next_token(&s)) != TOK_END) {
		if (kind == TOK_BAD) {
			s.ok = false;
			break;
		}
		if (kind == TOK_SPECIAL)
			take_special(&s);
		else if (s.was_angle)
			s.bad = true;
		else
			add_to_spec(&s, kind);
	}
	if (!s.stopped && kind == TOK_END)
		end_element(&s);
	strbuf_release(&s.plain);
	return s.ok;
}

size_t header_address_extent(struct slice value, size_t tokens)
{
	struct scan s = { .c = cursor_of(value) };
	size_t whole = 0;

	if (value.len <= tokens)
		return value.len;
	for (size_t count = 0; count < tokens; count++) {
		enum token kind = next_token(&s);

		if (kind == TOK_END || kind == TOK_BAD)
			return value.len;
		if (kind == TOK_SPECIAL && s.special == ',')
			whole = s.c.at;
	}
	if (whole == 0 || next_token(&s) == TOK_END)
		return s.c.at;
	return whole;
}

struct rewriting {
	struct slice value;
	size_t done; /* offset up to which VALUE is in OUT */
	struct strbuf *out;
	bool changed;
	header_rewrite_fn *rewrite;
	void *arg;
};

static bool rewrite_one(const struct header_address *address, void *arg)
{
	struct rewriting *r = arg;
	struct strbuf fresh = STRBUF_INIT(ADDRESS_MAX);
	size_t at = (size_t)(address->text.ptr - r->value.ptr);

	if (r->rewrite(address, &fresh, r->arg) && !fresh.overflow && fresh.len &&
	    !slice_eq(strbuf_slice(&fresh), address->internal)) {
		strbuf_addslice(r->out, slice_first(slice_from(r->value, r->done), at - r->done));
		address_external(strbuf_slice(&fresh), r->out);
		r->done = at + address->text.len;
		r->changed = true;
	}
	strbuf_release(&fresh);
	return true;
}

bool header_rewrite_addresses(
    struct slice value, header_rewrite_fn *rewrite, void *arg, struct strbuf *out)
{
	struct rewriting r = { .value = value, .out = out, .rewrite = rewrite, .arg = arg };

	header_each_address(value, rewrite_one, &r);
	strbuf_addslice(out, slice_from(value, r.done));
	return r.changed;
}
