// SPDX-License-Identifier: BSD-2-Clause
/*
 * Variables of Dovecot 2.3: '%', modifiers, and a letter or a name in braces.  The modifiers are
 * applied in the order in which they are written, the cut (offset and width) last.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "conf/dovecot_conf.h"

#define MODIFIERS_MAX 8
#define VALUE_MAX     (64 * 1024)

static const struct {
	char letter;
	const char *name;
} letters[] = {
	{ 'u', "user" },
	{ 'n', "username" },
	{ 'd', "domain" },
	{ 'h', "home" },
	{ 's', "service" },
	{ 'p', "pid" },
	{ 'i', "uid" },
	{ 'w', "password" },
	{ '$', "message" },
	{ 'r', "rip" },
	{ 'l', "lip" },
	{ 'a', "lport" },
	{ 'b', "rport" },
	{ 'c', "secured" },
	{ 'k', "cert" },
	{ 'm', "mech" },
	{ 'e', "mail_pid" },
};

struct spec {
	char modifiers[MODIFIERS_MAX];
	size_t modifier_count;
	bool has_offset, has_width, zero_padded;
	long offset, width;
	char name[128];
};

static bool fail(char **error, const char *what, const char *text)
{
	if (error)
		*error = xasprintf("%s in \"%s\"", what, text);
	return false;
}

/* "-" and digits, of which there are few. */
static bool read_number(struct cursor *in, long *number)
{
	bool negative = cursor_skip(in, "-");
	struct slice digits = cursor_span(in, "0123456789");
	uint64_t value;

	if (!slice_uint(digits, 99999, &value))
		return false;
	*number = negative ? -(long)value : (long)value;
	return true;
}

static bool is_number_start(int c)
{
	return c == '-' || (c >= '0' && c <= '9');
}

static bool read_cut(struct cursor *in, struct spec *spec)
{
	if (!is_number_start(cursor_peek(in)))
		return true;
	spec->zero_padded = cursor_peek(in) == '0';
	if (!read_number(in, &spec->width))
		return false;
	spec->has_width = true;
	if (cursor_skip(in, ".")) {
		spec->offset = spec->width;
		spec->has_offset = true;
		spec->zero_padded = false;
		return read_number(in, &spec->width);
	}
	return true;
}

static void letter_name(int c, char name[128])
{
	name[0] = (char)c;
	name[1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (letters[i].letter == c)
			snprintf(name, 128, "%s", letters[i].name);
}

/* Modifiers and the cut in any order, then the name.  False: *WHAT says why. */
static bool read_spec(struct cursor *in, struct spec *spec, const char **what)
{
	int c;

	memset(spec, 0, sizeof(*spec));
	for (;;) {
		*what = "bad width";
		if (!read_cut(in, spec))
			return false;
		c = cursor_next(in);
		*what = "variable cut off";
		if (c < 0)
			return false;
		*what = "too many modifiers";
		if (!strchr("LUEXRNMDHT", c) || c == '\0')
			break;
		*what = "hash modifiers are not supported";
		if (strchr("NMH", c))
			return false;
		*what = "too many modifiers";
		if (spec->modifier_count == MODIFIERS_MAX)
			return false;
		spec->modifiers[spec->modifier_count++] = (char)c;
	}
	if (c == '{') {
		struct slice name = cursor_until(in, "}");

		*what = "variable without '}'";
		if (!cursor_skip(in, "}") || !name.len || name.len >= sizeof(spec->name))
			return false;
		memcpy(spec->name, name.ptr, name.len);
		*what = "conditions and hashes are not supported";
		return !memchr(name.ptr, ';', name.len);
	}
	letter_name(c, spec->name);
	return true;
}

static void modify_case(struct strbuf *value, char (*change)(char))
{
	for (size_t i = 0; i < value->len; i++)
		value->ptr[i] = change(value->ptr[i]);
}

static void escape_quotes(struct strbuf *value)
{
	struct strbuf out = STRBUF_INIT(VALUE_MAX);

	for (size_t i = 0; i < value->len; i++) {
		if (strchr("\"'\\", value->ptr[i]) && value->ptr[i])
			strbuf_addch(&out, '\\');
		strbuf_addch(&out, value->ptr[i]);
	}
	strbuf_release(value);
	*value = out;
}

static void dots_to_dc(struct strbuf *value)
{
	struct strbuf out = STRBUF_INIT(VALUE_MAX);

	for (size_t i = 0; i < value->len; i++) {
		if (value->ptr[i] == '.')
			strbuf_addstr(&out, ",dc=");
		else
			strbuf_addch(&out, value->ptr[i]);
	}
	strbuf_release(value);
	*value = out;
}

static void reverse(struct strbuf *value)
{
	for (size_t i = 0; i < value->len / 2; i++) {
		char c = value->ptr[i];

		value->ptr[i] = value->ptr[value->len - 1 - i];
		value->ptr[value->len - 1 - i] = c;
	}
}

static void to_hex(struct strbuf *value)
{
	uint64_t number = 0;

	slice_uint(strbuf_slice(value), UINT64_MAX, &number);
	strbuf_reset(value);
	strbuf_addf(value, "%llx", (unsigned long long)number);
}

static void trim_right(struct strbuf *value)
{
	while (value->len && ascii_isspace(value->ptr[value->len - 1]))
		strbuf_truncate(value, value->len - 1);
}

static void modify(struct strbuf *value, char modifier)
{
	switch (modifier) {
	case 'L':
		modify_case(value, ascii_lower);
		break;
	case 'U':
		modify_case(value, ascii_upper);
		break;
	case 'E':
		escape_quotes(value);
		break;
	case 'X':
		to_hex(value);
		break;
	case 'R':
		reverse(value);
		break;
	case 'D':
		dots_to_dc(value);
		break;
	case 'T':
		trim_right(value);
		break;
	}
}

/* Negative numbers count from the end: an offset, or a width that leaves so many out. */
static struct slice cut(struct slice value, const struct spec *spec)
{
	size_t len = value.len;
	long offset = spec->has_offset ? spec->offset : 0, width = spec->width;

	if (offset < 0)
		offset = (size_t)-offset > len ? 0 : (long)len + offset;
	value = slice_from(value, (size_t)offset);
	if (width < 0)
		width = (size_t)-width > value.len ? 0 : (long)value.len + width;
	return spec->has_offset && spec->width == 0 ? value : slice_first(value, (size_t)width);
}

static void add_value(struct strbuf *out, struct slice found, const struct spec *spec)
{
	struct strbuf value = STRBUF_INIT(VALUE_MAX);
	struct slice text;

	strbuf_addslice(&value, found);
	for (size_t i = 0; i < spec->modifier_count; i++)
		modify(&value, spec->modifiers[i]);
	text = strbuf_slice(&value);
	if (spec->zero_padded) {
		for (long pad = spec->width - (long)text.len; pad > 0; pad--)
			strbuf_addch(out, '0');
	} else if (spec->has_width) {
		text = cut(text, spec);
	}
	strbuf_addslice(out, text);
	strbuf_release(&value);
}

bool dovecot_var_expand(
    struct strbuf *out, const char *text, dovecot_var_lookup *lookup, void *arg, char **error)
{
	struct cursor in = cursor_of(slice_of(text));
	const char *what;
	struct spec spec;
	struct slice found;

	while (!cursor_at_end(&in)) {
		strbuf_addslice(out, cursor_until(&in, "%"));
		if (cursor_at_end(&in))
			break;
		cursor_next(&in);
		if (cursor_skip(&in, "%")) {
			strbuf_addch(out, '%');
			continue;
		}
		if (!read_spec(&in, &spec, &what))
			return fail(error, what, text);
		found = lookup(spec.name, arg);
		if (!found.ptr && error)
			return fail(error, "unknown variable", text);
		add_value(out, found, &spec);
	}
	return out->overflow ? fail(error, "value too long", text) : true;
}
