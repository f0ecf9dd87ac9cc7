// SPDX-License-Identifier: BSD-2-Clause
/*
 * One pass over the external form: a token of the local part or of the domain at a time, each
 * appended to the output without its quotes.  Everything is written into a buffer of our own first,
 * so that a failure leaves the caller's as it was.
 */
#include "mail/address.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/cursor.h"

/* RFC 5322 3.2.3 "specials"; what is left of the printable characters makes atoms. */
#define SPECIALS "()<>[]:;@\\,.\""

struct parse {
	struct cursor c;
	unsigned flags;
	struct strbuf out;
	size_t local_end; /* length of OUT before the last '@' */
	bool has_at;
	enum address_status status;
};

static bool is_control(int ch)
{
	return ch < 0x20 || ch == 0x7f;
}

static bool is_special(int ch)
{
	return slice_find(SLICE_LIT(SPECIALS), (char)ch) >= 0;
}

static bool fail(struct parse *p, enum address_status status)
{
	if (p->status == ADDRESS_OK)
		p->status = status;
	return false;
}

/* What no address may hold, wherever it stands. */
static enum address_status check_bytes(struct slice text, unsigned flags)
{
	for (size_t i = 0; i < text.len; i++) {
		if (is_control((unsigned char)text.ptr[i]))
			return ADDRESS_CONTROL;
	}
	if (!ascii_is_valid(text) && (!(flags & ADDRESS_UTF8) || !utf8_is_valid(text)))
		return ADDRESS_NON_ASCII;
	return ADDRESS_OK;
}

/* RFC 5321 4.1.2 Quoted-string; the opening quote is taken. */
static bool take_quoted(struct parse *p)
{
	int ch;

	while ((ch = cursor_next(&p->c)) != '"') {
		if (ch == '\\')
			ch = cursor_next(&p->c);
		if (ch < 0)
			return fail(p, ADDRESS_SYNTAX);
		strbuf_addch(&p->out, (char)ch);
	}
	return true;
}

/*
 * RFC 5321 4.1.3; the opening bracket is taken, the literal must end the address.  Nothing but what
 * addresses are made of: with an '@' in it the internal form would end elsewhere.
 */
static bool take_literal(struct parse *p)
{
	struct slice inner = cursor_span(
	    &p->c, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_");

	if (!inner.len || !cursor_skip(&p->c, "]") || !cursor_at_end(&p->c))
		return fail(p, ADDRESS_SYNTAX);
	strbuf_addch(&p->out, '[');
	strbuf_addslice(&p->out, inner);
	strbuf_addch(&p->out, ']');
	return true;
}

/* (@domain ",")* @domain ":" in front is dropped: RFC 5321 4.1.1.3 and appendix C. */
static bool skip_route(struct parse *p)
{
	if (cursor_peek(&p->c) != '@')
		return true;
	cursor_until(&p->c, ":\"\\<> ");
	return cursor_skip(&p->c, ":") || fail(p, ADDRESS_SYNTAX);
}

static bool take_at(struct parse *p)
{
	if (p->has_at && (p->flags & ADDRESS_STRICT))
		return fail(p, ADDRESS_SYNTAX);
	p->has_at = true;
	p->local_end = p->out.len;
	strbuf_addch(&p->out, '@');
	return true;
}

/* One token; AFTER_WORD: a word has just ended, so that no quoted string may follow. */
static bool take_token(struct parse *p, bool *after_word)
{
	int ch = cursor_next(&p->c);
	bool word = *after_word;

	*after_word = false;
	switch (ch) {
	case '@':
		return take_at(p);
	case '.':
		strbuf_addch(&p->out, '.');
		return true;
	case '[':
		if (!p->has_at || p->out.len != p->local_end + 1)
			return fail(p, ADDRESS_SYNTAX);
		return take_literal(p);
	case '"':
		*after_word = true;
		return !word && !p->has_at ? take_quoted(p) : fail(p, ADDRESS_SYNTAX);
	case '\\':
		if (p->has_at || (p->flags & ADDRESS_STRICT) || cursor_at_end(&p->c))
			return fail(p, ADDRESS_SYNTAX);
		strbuf_addch(&p->out, (char)cursor_next(&p->c));
		return true;
	default:
		if (ch == ' ' || is_special(ch))
			return fail(p, ADDRESS_SYNTAX);
		strbuf_addch(&p->out, (char)ch);
		while ((ch = cursor_peek(&p->c)) >= 0 && ch != ' ' && !is_special(ch))
			strbuf_addch(&p->out, (char)cursor_next(&p->c));
		*after_word = true;
		return true;
	}
}

static bool is_dotty(struct slice s)
{
	return !s.len || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.' || slice_find_str(s, "..") >= 0;
}

/* What the grammar of RFC 5321 has and the lax one does not ask for. */
static bool check_strict(struct parse *p, struct slice text, struct slice domain)
{
	bool quoted = slice_starts(text, "\"");

	if (!quoted && is_dotty(slice_first(strbuf_slice(&p->out), p->local_end)))
		return fail(p, ADDRESS_SYNTAX);
	if (p->has_at && !slice_starts(domain, "[") && is_dotty(domain))
		return fail(p, ADDRESS_SYNTAX);
	return true;
}

static bool check_whole(struct parse *p, struct slice text)
{
	struct slice whole, domain;

	if (!p->has_at) {
		p->local_end = p->out.len;
		/* "a@b" alone: the internal form would have a domain. */
		if (slice_find(strbuf_slice(&p->out), '@') >= 0)
			return fail(p, ADDRESS_SYNTAX);
	}
	whole = strbuf_slice(&p->out);
	domain = p->has_at ? slice_from(whole, p->local_end + 1) : SLICE_NULL;
	if (p->out.overflow || domain.len > ADDRESS_DOMAIN_MAX)
		return fail(p, ADDRESS_TOO_LONG);
	if (p->has_at && !domain.len)
		return fail(p, ADDRESS_SYNTAX);
	/* An empty local part has to be said: ""@example.com. */
	if (!p->local_end && !slice_starts(text, "\"\""))
		return fail(p, ADDRESS_SYNTAX);
	if ((p->flags & ADDRESS_NEED_DOMAIN) && !domain.len &&
	    !slice_caseeq_str(whole, "postmaster"))
		return fail(p, ADDRESS_SYNTAX);
	return !(p->flags & ADDRESS_STRICT) || check_strict(p, text, domain);
}

static bool take_address(struct parse *p)
{
	bool after_word = false;
	struct slice text;

	if (!skip_route(p))
		return false;
	text = cursor_rest(&p->c);
	if (!text.len)
		return fail(p, ADDRESS_SYNTAX);
	while (!cursor_at_end(&p->c)) {
		if (!take_token(p, &after_word))
			return false;
	}
	return check_whole(p, text);
}

enum address_status address_internal(struct slice text, unsigned flags, struct strbuf *out)
{
	struct parse p = { .c = cursor_of(text),
		.flags = flags,
		.out = STRBUF_INIT(ADDRESS_MAX),
		.status = check_bytes(text, flags) };

	if (!text.len)
		return flags & ADDRESS_ALLOW_EMPTY ? ADDRESS_OK : ADDRESS_SYNTAX;
	if (p.status == ADDRESS_OK && take_address(&p))
		strbuf_addslice(out, strbuf_slice(&p.out));
	strbuf_release(&p.out);
	return p.status;
}

/* Moves C over text up to one of SET that is neither quoted nor escaped. */
static struct slice take_unquoted(struct cursor *c, const char *set)
{
	size_t start = c->at;
	bool quoted = false;
	int ch;

	while ((ch = cursor_peek(c)) >= 0) {
		if (!quoted && slice_find(slice_of(set), (char)ch) >= 0)
			break;
		cursor_next(c);
		if (ch == '"')
			quoted = !quoted;
		if (ch == '\\' && !cursor_at_end(c))
			cursor_next(c);
	}
	return slice_first(slice_from(c->in, start), c->at - start);
}

enum address_status address_take_path(struct slice *rest, unsigned flags, struct strbuf *out)
{
	struct cursor c = cursor_of(*rest);
	enum address_status status;
	struct slice text;
	bool angle;

	cursor_span(&c, " \t");
	angle = cursor_skip(&c, "<");
	if (!angle && ((flags & ADDRESS_STRICT) || cursor_at_end(&c)))
		return ADDRESS_SYNTAX;
	text = take_unquoted(&c, angle ? ">" : " \t");
	if (angle && !cursor_skip(&c, ">"))
		return ADDRESS_SYNTAX;
	if (!cursor_at_end(&c) && cursor_peek(&c) != ' ' && cursor_peek(&c) != '\t')
		return ADDRESS_SYNTAX;
	if (!(flags & ADDRESS_STRICT))
		text = slice_trim(text, " \t");
	status = address_internal(text, flags, out);
	if (status == ADDRESS_OK)
		*rest = cursor_rest(&c);
	return status;
}

static bool needs_quotes(struct slice local)
{
	if (is_dotty(local))
		return true;
	for (size_t i = 0; i < local.len; i++) {
		unsigned char ch = (unsigned char)local.ptr[i];

		if (ch == ' ' || is_control(ch) || (ch != '.' && is_special(ch)))
			return true;
	}
	return false;
}

static void add_clean(struct strbuf *out, struct slice s, const char *escape)
{
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		if (is_control((unsigned char)ch))
			ch = '?';
		if (slice_find(slice_of(escape), ch) >= 0)
			strbuf_addch(out, '\\');
		strbuf_addch(out, ch);
	}
}

void address_external(struct slice internal, struct strbuf *out)
{
	struct slice local, domain;
	bool has_at = address_split(internal, &local, &domain);

	if (!internal.len)
		return;
	if (needs_quotes(local)) {
		strbuf_addch(out, '"');
		add_clean(out, local, "\"\\");
		strbuf_addch(out, '"');
	} else {
		strbuf_addslice(out, local);
	}
	if (has_at) {
		strbuf_addch(out, '@');
		add_clean(out, domain, "");
	}
}

static bool logs_internal;

void address_log_internal(bool internal)
{
	logs_internal = internal;
}

void address_logged(struct slice internal, struct strbuf *out)
{
	if (logs_internal)
		add_clean(out, internal, "");
	else
		address_external(internal, out);
}

bool address_split(struct slice internal, struct slice *local, struct slice *domain)
{
	ptrdiff_t at = slice_rfind(internal, '@');

	*local = at < 0 ? internal : slice_first(internal, (size_t)at);
	*domain =
	    at < 0 ? SLICE_NULL : slice_mem(internal.ptr + at + 1, internal.len - (size_t)at - 1);
	return at >= 0;
}

static bool is_never_split(struct slice local, char delimiter)
{
	if (slice_caseeq_str(local, "postmaster") || slice_caseeq_str(local, "mailer-daemon") ||
	    slice_caseeq_str(local, "double-bounce"))
		return true;
	return delimiter == '-' &&
	       (slice_casestarts(local, "owner-") ||
		   (local.len > 8 &&
		       slice_caseeq_str(slice_from(local, local.len - 8), "-request")));
}

bool address_split_extension(struct slice local, const char *delimiters, struct slice *user,
    struct slice *extension, char *delimiter)
{
	*user = local;
	*extension = SLICE_NULL;
	for (size_t i = 1; i + 1 < local.len; i++) {
		if (slice_find(slice_of(delimiters), local.ptr[i]) < 0)
			continue;
		if (is_never_split(local, local.ptr[i]))
			return false;
		*user = slice_first(local, i);
		*extension = slice_from(local, i + 1);
		*delimiter = local.ptr[i];
		return true;
	}
	return false;
}

bool address_equal(struct slice a, struct slice b)
{
	struct slice local_a, domain_a, local_b, domain_b;

	return address_split(a, &local_a, &domain_a) == address_split(b, &local_b, &domain_b) &&
	       slice_eq(local_a, local_b) && slice_caseeq(domain_a, domain_b);
}

void address_fold(struct slice internal, struct strbuf *out)
{
	size_t start = out->len;

	strbuf_addslice(out, internal);
	if (out->len > start)
		ascii_tolower(out->ptr + start, out->len - start);
}
