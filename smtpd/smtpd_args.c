// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/smtpd_args.h"

#include <string.h>

#include "base/codec.h"
#include "base/cursor.h"
#include "mail/dsn.h"

bool smtpd_args_keyword(struct slice *args, const char *keyword)
{
	struct slice rest = *args;

	if (!slice_casestarts(rest, keyword))
		return false;
	rest = slice_from(rest, strlen(keyword));
	if (!slice_starts(rest, ":"))
		return false;
	*args = slice_trim(slice_from(rest, 1), " \t");
	return true;
}

enum address_status smtpd_args_path(struct slice *args, unsigned flags, struct strbuf *out)
{
	enum address_status status = address_take_path(args, flags, out);
	bool empty = out->len == 0 && !(flags & ADDRESS_ALLOW_EMPTY);

	if (status != ADDRESS_OK)
		return status;
	/* `""` is nobody, and "user@" is at no place. */
	if (empty || slice_ends(strbuf_slice(out), "@"))
		return ADDRESS_SYNTAX;
	return args->len == 0 || args->ptr[0] == ' ' || args->ptr[0] == '\t' ? ADDRESS_OK
									     : ADDRESS_SYNTAX;
}

/* RFC 1870 6.1. */
static enum smtpd_option take_size(struct slice value, uint64_t *size)
{
	if (slice_uint(value, INT64_MAX, size))
		return OPTION_SIZE;
	if (value.len > 0 && slice_trim(value, "0123456789").len == 0)
		return OPTION_HUGE_SIZE;
	return OPTION_BAD_SIZE;
}

static bool is_printable(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_isprint(text.ptr[i]))
			return false;
	return true;
}

static int hex_digit(int c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c > 0 ? strchr(digits, ascii_lower((char)c)) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* RFC 3461 4 xtext, as the peer takes it: everything but '+' may stand for itself. */
static bool take_xtext(struct slice value, struct strbuf *out)
{
	struct cursor c = cursor_of(value);
	int ch;

	while ((ch = cursor_next(&c)) >= 0) {
		if (ch == '+') {
			int high = hex_digit(cursor_next(&c)), low = hex_digit(cursor_next(&c));

			if (high < 0 || low < 0)
				return false;
			ch = high << 4 | low;
		}
		strbuf_addch(out, (char)ch);
	}
	return !out->overflow && is_printable(strbuf_slice(out));
}

static void add_utf8(struct strbuf *out, unsigned code)
{
	if (code < 0x80) {
		strbuf_addch(out, (char)code);
		return;
	}
	if (code < 0x800) {
		strbuf_addch(out, (char)(0xc0 | code >> 6));
	} else {
		if (code < 0x10000) {
			strbuf_addch(out, (char)(0xe0 | code >> 12));
		} else {
			strbuf_addch(out, (char)(0xf0 | code >> 18));
			strbuf_addch(out, (char)(0x80 | (code >> 12 & 0x3f)));
		}
		strbuf_addch(out, (char)(0x80 | (code >> 6 & 0x3f)));
	}
	strbuf_addch(out, (char)(0x80 | (code & 0x3f)));
}

/* RFC 6533 3 EmbeddedUnicodeChar; "\x{" is taken. */
static bool take_embedded(struct cursor *c, struct strbuf *out)
{
	struct slice digits = cursor_until(c, "}");
	unsigned code = 0;

	if (digits.len == 0 || digits.len > 6 || !cursor_skip(c, "}"))
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		int digit = hex_digit((unsigned char)digits.ptr[i]);

		if (digit < 0)
			return false;
		code = code << 4 | (unsigned)digit;
	}
	if (code < 0x20 || code == 0x7f || code > 0x10ffff)
		return false;
	add_utf8(out, code);
	return true;
}

static bool take_unitext(struct slice value, struct strbuf *out)
{
	struct cursor c = cursor_of(value);

	while (!cursor_at_end(&c)) {
		if (cursor_skip(&c, "\\x{")) {
			if (!take_embedded(&c, out))
				return false;
			continue;
		}
		int ch = cursor_next(&c);

		if (ch < 0x20 || ch == 0x7f)
			return false;
		strbuf_addch(out, (char)ch);
	}
	/* No surrogate is UTF-8. */
	return !out->overflow && utf8_is_valid(strbuf_slice(out));
}

/* RFC 3461 4.2 "addr-type ; xtext", RFC 6533 3 for the type utf-8. */
static bool take_orcpt(struct slice value, struct strbuf *out)
{
	struct strbuf address = STRBUF_INIT(SMTPD_OPTION_TEXT_MAX);
	ptrdiff_t at = slice_find(value, ';');
	struct slice type = slice_first(value, at < 0 ? 0 : (size_t)at);
	struct slice rest = slice_from(value, type.len + 1);
	bool ok = type.len > 0 && is_printable(type) &&
		  (slice_caseeq_str(type, "utf-8") ? take_unitext(rest, &address)
						   : take_xtext(rest, &address));

	if (ok) {
		strbuf_addslice(out, type);
		strbuf_addch(out, ';');
		strbuf_addslice(out, strbuf_slice(&address));
	}
	strbuf_release(&address);
	return ok && !out->overflow;
}

/* RFC 3461 4.1; the peer minds no empty word between commas. */
static bool take_notify(struct slice value, uint64_t *notify)
{
	struct slice word;
	unsigned sum = 0, bits;

	while (slice_token(&value, ",", &word)) {
		if (!dsn_notify_parse(word, &bits))
			return false;
		sum |= bits;
	}
	*notify = sum;
	return sum != 0 && (!(sum & DSN_NOTIFY_NEVER) || sum == DSN_NOTIFY_NEVER);
}

static bool take_ret(struct slice value, uint64_t *number)
{
	unsigned ret;

	if (!dsn_ret_parse(value, &ret))
		return false;
	*number = ret;
	return true;
}

/* Takes "NAME=" off *OPTION. */
static bool take_name(struct slice *option, const char *name)
{
	struct slice rest = *option;

	if (!slice_casestarts(rest, name))
		return false;
	rest = slice_from(rest, strlen(name));
	if (!slice_starts(rest, "="))
		return false;
	*option = slice_from(rest, 1);
	return true;
}

enum smtpd_option smtpd_args_mail_option(struct slice option, struct smtpd_option_value *value)
{
	struct slice arg = option;

	value->number = 0;
	strbuf_reset(&value->text);
	if (take_name(&arg, "SIZE"))
		return take_size(arg, &value->number);
	if (take_name(&arg, "AUTH")) {
		strbuf_addslice(&value->text, arg);
		return OPTION_AUTH;
	}
	if (take_name(&arg, "RET"))
		return take_ret(arg, &value->number) ? OPTION_RET : OPTION_BAD_RET;
	if (take_name(&arg, "ENVID"))
		return arg.len > 0 && take_xtext(arg, &value->text) ? OPTION_ENVID
								    : OPTION_BAD_ENVID;
	if (slice_caseeq_str(option, "BODY=8BITMIME"))
		return OPTION_BODY_8BIT;
	if (slice_caseeq_str(option, "BODY=7BIT"))
		return OPTION_BODY_7BIT;
	if (slice_caseeq_str(option, "SMTPUTF8"))
		return OPTION_SMTPUTF8;
	if (take_name(&arg, "XVERP")) {
		value->number = 1;
		strbuf_addslice(&value->text, arg);
		return OPTION_XVERP;
	}
	if (slice_caseeq_str(option, "XVERP"))
		return OPTION_XVERP;
	return OPTION_UNKNOWN;
}

enum smtpd_option smtpd_args_rcpt_option(struct slice option, struct smtpd_option_value *value)
{
	struct slice arg = option;

	value->number = 0;
	strbuf_reset(&value->text);
	if (take_name(&arg, "NOTIFY"))
		return take_notify(arg, &value->number) ? OPTION_NOTIFY : OPTION_BAD_NOTIFY;
	if (take_name(&arg, "ORCPT"))
		return take_orcpt(arg, &value->text) ? OPTION_ORCPT : OPTION_BAD_ORCPT;
	return OPTION_UNKNOWN;
}

bool smtpd_args_chunk(struct slice args, uint64_t *size, bool *last)
{
	struct slice count, word;

	if (!slice_token(&args, " \t", &count) || !slice_uint(count, INT64_MAX, size))
		return false;
	*last = slice_token(&args, " \t", &word);
	return !*last || (slice_caseeq_str(word, "LAST") && slice_trim(args, " \t").len == 0);
}
