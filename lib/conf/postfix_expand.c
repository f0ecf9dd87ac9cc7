// SPDX-License-Identifier: BSD-2-Clause
/*
 * A recursive descent over the text.  Braces are matched first and without regard to what is inside
 * of them, as the peer does it; then the inside is taken apart.
 */
#include "conf/postfix_expand.h"

#include <string.h>

#include "base/codec.h"
#include "base/cursor.h"
#include "conf/postfix_value.h"

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
#define BLANKS	   " \t\r\n\v\f"
#define NAME_LIMIT 256

struct expansion {
	postfix_expand_lookup *lookup;
	void *arg;
	struct strbuf *error;
	unsigned depth;
};

static bool expand_text(struct expansion *x, struct strbuf *out, struct slice text);

static bool complain(struct expansion *x, const char *what, struct slice at)
{
	strbuf_addf(x->error, "%s at \"%.*s\"", what, SLICE_ARG(slice_first(at, 60)));
	return false;
}

/* Takes a balanced bracket, which must come next, and gives its inside. */
static bool take_brackets(struct cursor *c, struct slice *inside)
{
	char open = (char)cursor_peek(c), close = open == '(' ? ')' : '}';
	struct slice rest = cursor_rest(c);
	unsigned depth = 0;
	for (size_t i = 0; i < rest.len; i++) {
		if (rest.ptr[i] == open)
			depth++;
		else if (rest.ptr[i] == close && --depth == 0) {
			*inside = slice_mem(rest.ptr + 1, i - 1);
			cursor_take(c, i + 1);
			return true;
		}
	}
	return false;
}

/* Takes "{text}" when that is what comes next after blanks; the blanks inside are not part of it.
 */
static bool take_payload(struct cursor *c, struct slice *payload)
{
	struct cursor ahead = *c;
	cursor_span(&ahead, BLANKS);
	if (cursor_peek(&ahead) != '{' || !take_brackets(&ahead, payload))
		return false;
	*payload = slice_trim(*payload, BLANKS);
	*c = ahead;
	return true;
}

static struct slice take_rest(struct cursor *c)
{
	return cursor_take(c, cursor_rest(c).len);
}

/*
 * What stands behind a condition: "?text", "?{a}:{b}", "?{a}", ":text" or ":{b}".  Only a text in
 * braces can be followed by an alternative.
 */
static bool take_choice(struct expansion *x, struct cursor *c, struct slice *yes, struct slice *no)
{
	struct slice whole = cursor_rest(c);
	if (cursor_peek(c) == '?') {
		cursor_next(c);
		if (!take_payload(c, yes)) {
			*yes = take_rest(c);
			return true;
		}
		cursor_span(c, BLANKS);
		if (cursor_at_end(c))
			return true;
		if (cursor_peek(c) != ':')
			return complain(x, "\":\" expected", cursor_rest(c));
	}
	cursor_next(c);
	if (!take_payload(c, no)) {
		*no = take_rest(c);
		return true;
	}
	cursor_span(c, BLANKS);
	return cursor_at_end(c) || complain(x, "unexpected input", whole);
}

enum comparison { CMP_EQ, CMP_NE, CMP_LE, CMP_GE, CMP_LT, CMP_GT, CMP_COUNT };

static bool comparison_holds(enum comparison op, int order)
{
	switch (op) {
	case CMP_EQ:
		return order == 0;
	case CMP_NE:
		return order != 0;
	case CMP_LE:
		return order <= 0;
	case CMP_GE:
		return order >= 0;
	case CMP_LT:
		return order < 0;
	default:
		return order > 0;
	}
}

static bool take_operator(struct cursor *c, enum comparison *op, bool *levels)
{
	/* The longer spellings come first. */
	static const char *const spelling[CMP_COUNT] = { "==", "!=", "<=", ">=", "<", ">" };
	cursor_span(c, BLANKS);
	for (unsigned i = 0; i < CMP_COUNT; i++) {
		if (cursor_skip(c, spelling[i])) {
			*op = (enum comparison)i;
			*levels = cursor_skip(c, "level");
			cursor_span(c, BLANKS);
			return cursor_peek(c) == '{';
		}
	}
	return false;
}

static bool is_all_digits(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_isdigit(s.ptr[i]))
			return false;
	return s.len > 0;
}

static int compare_digits(struct slice a, struct slice b)
{
	while (a.len > 1 && a.ptr[0] == '0')
		a = slice_from(a, 1);
	while (b.len > 1 && b.ptr[0] == '0')
		b = slice_from(b, 1);
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return slice_cmp(a, b);
}

static bool compare(struct expansion *x, struct slice a, struct slice b, bool levels, int *order)
{
	uint64_t la, lb;
	if (!levels) {
		*order =
		    is_all_digits(a) && is_all_digits(b) ? compare_digits(a, b) : slice_cmp(a, b);
		return true;
	}
	if (!postfix_value_level(a, &la))
		return complain(x, "malformed compatibility level", a);
	if (!postfix_value_level(b, &lb))
		return complain(x, "malformed compatibility level", b);
	*order = la < lb ? -1 : la > lb;
	return true;
}

static bool expand_sides(
    struct expansion *x, struct slice left, struct slice right, bool levels, int *order)
{
	struct strbuf a = STRBUF_INIT(POSTFIX_VALUE_LIMIT), b = STRBUF_INIT(POSTFIX_VALUE_LIMIT);
	bool ok = expand_text(x, &a, left) && expand_text(x, &b, right) &&
		  compare(x, strbuf_slice(&a), strbuf_slice(&b), levels, order);
	strbuf_release(&a);
	strbuf_release(&b);
	return ok;
}

static bool expand_relation(struct expansion *x, struct strbuf *out, struct slice inside)
{
	struct cursor c = cursor_of(inside);
	struct slice left, right, yes = SLICE_LIT("true"), no = SLICE_NULL;
	enum comparison op;
	bool levels;
	int order = 0;
	if (!take_payload(&c, &left))
		return complain(x, "\"}\" missing", inside);
	if (!take_operator(&c, &op, &levels))
		return complain(x, "comparison expected", cursor_rest(&c));
	if (!take_payload(&c, &right))
		return complain(x, "\"}\" missing", cursor_rest(&c));
	cursor_span(&c, BLANKS);
	if (!cursor_at_end(&c)) {
		if (cursor_peek(&c) != '?' && cursor_peek(&c) != ':')
			return complain(x, "\"?\" or \":\" expected", cursor_rest(&c));
		yes = SLICE_NULL;
		if (!take_choice(x, &c, &yes, &no))
			return false;
	}
	return expand_sides(x, left, right, levels, &order) &&
	       expand_text(x, out, comparison_holds(op, order) ? yes : no);
}

/* A domain in its ASCII form.  Names of this host are ASCII, so there is nothing to convert. */
static bool domain_to_ascii(struct expansion *x, struct strbuf *out, struct slice domain)
{
	if (!ascii_is_valid(domain))
		return complain(x, "domain_to_ascii: not an ASCII domain", domain);
	strbuf_addslice(out, domain);
	return true;
}

static bool expand_function(
    struct expansion *x, struct strbuf *out, struct slice name, struct cursor *c)
{
	struct slice payload;
	if (!slice_eq_str(name, "domain_to_ascii"))
		return complain(x, "unknown function", name);
	if (!take_payload(c, &payload))
		return complain(x, "\"}\" missing", cursor_rest(c));
	cursor_span(c, BLANKS);
	if (!cursor_at_end(c))
		return complain(x, "unexpected input", cursor_rest(c));
	struct strbuf argument = STRBUF_INIT(POSTFIX_VALUE_LIMIT);
	bool ok =
	    expand_text(x, &argument, payload) && domain_to_ascii(x, out, strbuf_slice(&argument));
	strbuf_release(&argument);
	return ok;
}

/* False when the name is too long or its value has an error; *VALUE is NULL when undefined. */
static bool look_up(struct expansion *x, struct slice name, const char **value)
{
	char text[NAME_LIMIT];
	if (name.len >= sizeof(text))
		return complain(x, "name too long", name);
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	bool failed = false;
	*value = x->lookup(text, x->arg, &failed);
	return !failed;
}

static bool expand_choice(
    struct expansion *x, struct strbuf *out, struct slice name, struct cursor *c)
{
	struct slice yes = SLICE_NULL, no = SLICE_NULL;
	const char *value;
	if (!take_choice(x, c, &yes, &no) || !look_up(x, name, &value))
		return false;
	return expand_text(x, out, value && value[0] != '\0' ? yes : no);
}

static bool expand_name(struct expansion *x, struct strbuf *out, struct slice name)
{
	const char *value;
	if (!look_up(x, name, &value))
		return false;
	strbuf_addstr(out, value ? value : "");
	return true;
}

static bool expand_inside(struct expansion *x, struct strbuf *out, struct slice inside)
{
	struct cursor c = cursor_of(inside);
	cursor_span(&c, BLANKS);
	if (cursor_peek(&c) == '{')
		return expand_relation(x, out, cursor_rest(&c));
	struct slice name = cursor_span(&c, NAME_BYTES);
	if (name.len == 0)
		return complain(x, "name expected", inside);
	cursor_span(&c, BLANKS);
	switch (cursor_peek(&c)) {
	case -1:
		return expand_name(x, out, name);
	case '?':
	case ':':
		return expand_choice(x, out, name, &c);
	case '{':
		return expand_function(x, out, name, &c);
	default:
		return complain(x, "bad name", cursor_rest(&c));
	}
}

/* After a dollar sign. */
static bool expand_reference(struct expansion *x, struct strbuf *out, struct cursor *c)
{
	struct slice rest = cursor_rest(c), inside;
	switch (cursor_peek(c)) {
	case '$':
		cursor_next(c);
		strbuf_addch(out, '$');
		return true;
	case '(':
	case '{':
		if (!take_brackets(c, &inside))
			return complain(x, "truncated reference", rest);
		return expand_inside(x, out, inside);
	default:
		inside = cursor_span(c, NAME_BYTES);
		if (inside.len == 0)
			return complain(x, "name expected after \"$\"", rest);
		return expand_name(x, out, inside);
	}
}

static bool expand_text(struct expansion *x, struct strbuf *out, struct slice text)
{
	if (x->depth >= POSTFIX_EXPAND_DEPTH)
		return complain(x, "nested too deep", text);
	x->depth++;
	struct cursor c = cursor_of(text);
	bool ok = true;
	while (ok && !cursor_at_end(&c)) {
		strbuf_addslice(out, cursor_until(&c, "$"));
		if (cursor_skip(&c, "$"))
			ok = expand_reference(x, out, &c);
	}
	x->depth--;
	if (ok && out->overflow) {
		strbuf_addstr(x->error, "the value becomes too long");
		ok = false;
	}
	return ok;
}

bool postfix_expand(struct strbuf *out, struct slice text, postfix_expand_lookup *lookup, void *arg,
    struct strbuf *error)
{
	struct expansion x = { .lookup = lookup, .arg = arg, .error = error };
	return expand_text(&x, out, text);
}

void postfix_expand_references(
    const char *text, void (*reference)(struct slice name, void *arg), void *arg)
{
	struct cursor c = cursor_of(slice_of(text));
	while (!cursor_at_end(&c)) {
		cursor_until(&c, "$");
		cursor_skip(&c, "$");
		if (cursor_skip(&c, "$"))
			continue;
		if (cursor_skip(&c, "{") || cursor_skip(&c, "("))
			cursor_span(&c, BLANKS);
		struct slice name = cursor_span(&c, NAME_BYTES);
		if (name.len > 0)
			reference(name, arg);
	}
}
