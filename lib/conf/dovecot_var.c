// SPDX-License-Identifier: BSD-2-Clause
/*
 * Variables of Dovecot 2.3: '%', a cut ("4", "2.1", "-2", "04"), modifiers, and a letter or a name
 * in braces.  The modifiers are applied in the order in which they are written, the cut last; a
 * hash modifier takes the cut's numbers for itself.  Names with a function are in
 * dovecot_var_function.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/cursor.h"
#include "base/digest.h"
#include "conf/dovecot_var_internal.h"

#define MODIFIERS_MAX 10
#define CUT_MAX	      99999

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

/* "[offset.]width" */
struct cut {
	bool zero_padded;
	long offset, width;
};

/* --- modifiers --- */

typedef void modifier(struct strbuf *value, struct cut *cut);

static void modify_case(struct strbuf *value, char (*change)(char))
{
	for (size_t i = 0; i < value->len; i++)
		value->ptr[i] = change(value->ptr[i]);
}

static void lower(struct strbuf *value, struct cut *cut)
{
	(void)cut;
	modify_case(value, ascii_lower);
}

static void upper(struct strbuf *value, struct cut *cut)
{
	(void)cut;
	modify_case(value, ascii_upper);
}

static void take_over(struct strbuf *value, struct strbuf *with)
{
	strbuf_release(value);
	*value = *with;
}

static void escape_quotes(struct strbuf *value, struct cut *cut)
{
	struct strbuf out = STRBUF_INIT(VAR_VALUE_MAX);

	(void)cut;
	for (size_t i = 0; i < value->len; i++) {
		if (value->ptr[i] && strchr("\"'\\", value->ptr[i]))
			strbuf_addch(&out, '\\');
		strbuf_addch(&out, value->ptr[i]);
	}
	take_over(value, &out);
}

static void dots_to_dc(struct strbuf *value, struct cut *cut)
{
	struct strbuf out = STRBUF_INIT(VAR_VALUE_MAX);

	(void)cut;
	for (size_t i = 0; i < value->len; i++) {
		if (value->ptr[i] == '.')
			strbuf_addstr(&out, ",dc=");
		else
			strbuf_addch(&out, value->ptr[i]);
	}
	take_over(value, &out);
}

static void reverse(struct strbuf *value, struct cut *cut)
{
	(void)cut;
	for (size_t i = 0; i < value->len / 2; i++) {
		char c = value->ptr[i];

		value->ptr[i] = value->ptr[value->len - 1 - i];
		value->ptr[value->len - 1 - i] = c;
	}
}

/* The number that the value begins with. */
static void to_hex(struct strbuf *value, struct cut *cut)
{
	struct cursor in = cursor_of(strbuf_slice(value));
	uint64_t number = 0;

	(void)cut;
	slice_uint(cursor_span(&in, "0123456789"), UINT64_MAX, &number);
	strbuf_reset(value);
	strbuf_addf(value, "%llx", (unsigned long long)number);
}

static void trim_right(struct strbuf *value, struct cut *cut)
{
	(void)cut;
	while (value->len && ascii_isspace(value->ptr[value->len - 1]))
		strbuf_truncate(value, value->len - 1);
}

/* "2.256N": the hash modulo 256 in at least two hex digits. */
static void put_hash(struct strbuf *value, struct cut *cut, uint64_t hash)
{
	if (cut->width > 0)
		hash %= (uint64_t)cut->width;
	strbuf_reset(value);
	strbuf_addf(value, "%0*x", (int)(cut->offset > 0 ? cut->offset : 1), (uint32_t)hash);
	cut->width = cut->offset = 0;
}

/* P. J. Weinberger's, which object files use for symbols. */
static void old_hash(struct strbuf *value, struct cut *cut)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < value->len; i++) {
		uint32_t high;

		hash = (hash << 4) + (unsigned char)value->ptr[i];
		high = hash & 0xf0000000U;
		hash ^= high >> 24;
		hash ^= high;
	}
	put_hash(value, cut, hash);
}

static void new_hash(struct strbuf *value, struct cut *cut)
{
	unsigned char md5[DIGEST_MAX_SIZE];
	uint64_t hash = 0; /* of which the lower half is shown */

	digest_bytes("MD5", strbuf_slice(value), md5);
	for (size_t i = 0; i < sizeof(hash); i++)
		hash = hash << 8 | md5[i];
	put_hash(value, cut, hash);
}

static void md5_hex(struct strbuf *value, struct cut *cut)
{
	unsigned char md5[DIGEST_MAX_SIZE];
	size_t size = digest_bytes("MD5", strbuf_slice(value), md5);

	(void)cut;
	strbuf_reset(value);
	hex_encode(value, slice_mem(md5, size));
}

static const struct {
	char letter;
	modifier *modify;
} modifiers[] = {
	{ 'L', lower },
	{ 'U', upper },
	{ 'E', escape_quotes },
	{ 'X', to_hex },
	{ 'R', reverse },
	{ 'H', old_hash },
	{ 'N', new_hash },
	{ 'M', md5_hex },
	{ 'D', dots_to_dc },
	{ 'T', trim_right },
};

static modifier *modifier_of(int letter)
{
	for (size_t i = 0; i < ARRAY_LEN(modifiers); i++)
		if (modifiers[i].letter == letter)
			return modifiers[i].modify;
	return NULL;
}

/* --- one variable --- */

static bool read_number(struct cursor *in, long sign, long *number)
{
	struct slice digits = cursor_span(in, "0123456789");
	uint64_t value = 0;

	if (digits.len && !slice_uint(digits, CUT_MAX, &value))
		return false;
	*number = sign * (long)value;
	return true;
}

static bool read_cut(struct cursor *in, struct cut *cut)
{
	long sign = cursor_skip(in, "-") ? -1 : 1;

	cut->zero_padded = cursor_skip(in, "0");
	if (!read_number(in, 1, &cut->width))
		return false;
	/* A width alone has no sign. */
	if (!cursor_skip(in, "."))
		return true;
	cut->offset = sign * cut->width;
	cut->zero_padded = cursor_skip(in, "0");
	sign = cursor_skip(in, "-") ? -1 : 1;
	return read_number(in, sign, &cut->width);
}

/* Negative numbers count from the end: an offset, or a width that leaves so many out. */
static struct slice apply_cut(struct slice value, const struct cut *cut)
{
	size_t from_end = (size_t)-cut->offset, left_out = (size_t)-cut->width;

	if (cut->offset > 0)
		value = slice_from(value, (size_t)cut->offset);
	else if (cut->offset < 0 && value.len > from_end)
		value = slice_from(value, value.len - from_end);
	if (cut->zero_padded || cut->width == 0)
		return value;
	if (cut->width > 0)
		return slice_first(value, (size_t)cut->width);
	return value.len >= left_out ? slice_first(value, value.len - left_out) : value;
}

static void add_cut(struct strbuf *out, struct slice value, const struct cut *cut)
{
	value = apply_cut(value, cut);
	for (long pad = cut->zero_padded ? cut->width - (long)value.len : 0; pad > 0; pad--)
		strbuf_addch(out, '0');
	strbuf_addslice(out, value);
}

/* The text up to the brace that closes, which is taken; "\\}" does not close. */
static bool read_braced(struct cursor *in, struct slice *name)
{
	struct slice rest = cursor_rest(in);
	size_t depth = 1;

	for (size_t i = 0; i < rest.len; i++) {
		if (rest.ptr[i] == '\\' && i + 1 < rest.len)
			i++;
		else if (rest.ptr[i] == '{')
			depth++;
		else if (rest.ptr[i] == '}' && --depth == 0) {
			*name = slice_first(rest, i);
			cursor_take(in, i + 1);
			return true;
		}
	}
	return false;
}

static struct slice letter_name(const char *letter)
{
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (letters[i].letter == *letter)
			return slice_of(letters[i].name);
	return slice_mem(letter, 1);
}

bool var_fail(struct var_context *ctx, const char *format, ...)
{
	va_list args;

	if (!ctx->error)
		return true;
	va_start(args, format);
	if (!*ctx->error) {
		struct strbuf text = STRBUF_INIT(VAR_VALUE_MAX);

		strbuf_vaddf(&text, format, args);
		*ctx->error = strbuf_detach(&text);
	}
	va_end(args);
	return false;
}

/* WRITTEN is how the text calls it. */
static bool look_up(
    struct var_context *ctx, struct slice name, struct slice written, struct strbuf *value)
{
	char key[VAR_NAME_MAX];
	struct slice found;

	if (name.len >= sizeof(key) || slice_has_nul(name))
		return var_fail(ctx, "Too long a variable name");
	memcpy(key, name.ptr ? name.ptr : "", name.len);
	key[name.len] = '\0';
	found = ctx->lookup(key, ctx->arg);
	if (!found.ptr && var_common(key, value))
		return true;
	if (!found.ptr)
		return var_fail(ctx, "Unknown variable '%%%.*s'", SLICE_ARG(written));
	strbuf_addslice(value, found);
	return true;
}

static struct slice first_word(struct slice name)
{
	struct cursor in = cursor_of(name);

	return cursor_until(&in, ":;");
}

bool var_get(struct var_context *ctx, struct slice name, struct strbuf *value)
{
	bool good;

	if (var_function(ctx, name, value, &good))
		return good;
	return look_up(ctx, name, first_word(name), value);
}

/* After the '%'.  What is cut off by the end of the text is nothing. */
static bool expand_one(struct var_context *ctx, struct cursor *in, struct strbuf *out)
{
	struct strbuf value = STRBUF_INIT(VAR_VALUE_MAX);
	modifier *modify[MODIFIERS_MAX];
	struct cut cut = { false, 0, 0 };
	size_t count = 0;
	struct slice name;
	char letter[2] = "";
	bool good;

	if (!read_cut(in, &cut))
		return var_fail(ctx, "Too large a width of a variable");
	while (count < MODIFIERS_MAX && (modify[count] = modifier_of(cursor_peek(in)))) {
		cursor_next(in);
		count++;
	}
	if (cursor_at_end(in))
		return true;
	letter[0] = (char)cursor_next(in);
	if (letter[0] != '{')
		good = look_up(ctx, letter_name(letter), slice_mem(letter, 1), &value);
	else if (read_braced(in, &name))
		good = var_get(ctx, name, &value);
	else
		return var_fail(ctx, "Unknown variable '%%{'");
	for (size_t i = 0; good && i < count; i++)
		modify[i](&value, &cut);
	if (good)
		add_cut(out, strbuf_slice(&value), &cut);
	secret_release(&value);
	return good;
}

bool var_expand(struct var_context *ctx, struct slice text, struct strbuf *out)
{
	struct cursor in = cursor_of(text);
	bool good = true;

	if (ctx->depth == VAR_DEPTH_MAX)
		return var_fail(ctx, "Variables are nested too deeply");
	ctx->depth++;
	while (good && !cursor_at_end(&in)) {
		strbuf_addslice(out, cursor_until(&in, "%"));
		if (cursor_at_end(&in))
			break;
		cursor_next(&in);
		if (cursor_skip(&in, "%"))
			strbuf_addch(out, '%');
		else
			good = expand_one(ctx, &in, out);
	}
	ctx->depth--;
	return good;
}

bool dovecot_var_expand(
    struct strbuf *out, const char *text, dovecot_var_lookup *lookup, void *arg, char **error)
{
	struct var_context ctx = { .lookup = lookup, .arg = arg, .error = error };

	if (error)
		*error = NULL;
	if (!var_expand(&ctx, slice_of(text), out))
		return false;
	if (!out->overflow)
		return true;
	var_fail(&ctx, "Value too long");
	return false;
}

struct slice dovecot_var_user(const char *name, struct slice user)
{
	ptrdiff_t at = slice_find(user, '@');

	if (!strcmp(name, "user"))
		return user;
	if (!strcmp(name, "username"))
		return at < 0 ? user : slice_first(user, (size_t)at);
	if (!strcmp(name, "domain"))
		return at < 0 ? SLICE_LIT("") : slice_from(user, (size_t)at + 1);
	return SLICE_NULL;
}
