// SPDX-License-Identifier: BSD-2-Clause
/*
 * Each coder asks the buffer for room for the whole result first, writes behind its end and counts
 * the bytes in when all went well: a refused input leaves nothing behind.
 */
#include "base/codec.h"

#include <string.h>

static char *room_for(struct strbuf *out, size_t len)
{
	if (!strbuf_reserve(out, len)) {
		out->overflow = true;
		return NULL;
	}
	return out->ptr + out->len;
}

static void count_in(struct strbuf *out, const char *end)
{
	out->len = (size_t)(end - out->ptr);
	out->ptr[out->len] = '\0';
}

/* A refused input's half result must not show behind the length, nor the NUL be missing. */
static bool refuse(struct strbuf *out)
{
	strbuf_truncate(out, out->len);
	return false;
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct strbuf *out, struct slice in)
{
	char *to = room_for(out, (in.len / 3 + (in.len % 3 != 0)) * 4);

	if (!to)
		return;
	for (; in.len; in = slice_from(in, 3)) {
		unsigned char group[3] = { 0 };

		memcpy(group, in.ptr, in.len < 3 ? in.len : 3);
		*to++ = base64_alphabet[group[0] >> 2];
		*to++ = base64_alphabet[(group[0] & 3) << 4 | group[1] >> 4];
		*to++ = in.len > 1 ? base64_alphabet[(group[1] & 15) << 2 | group[2] >> 6] : '=';
		*to++ = in.len > 2 ? base64_alphabet[group[2] & 63] : '=';
	}
	count_in(out, to);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes LEN (2 to 4) characters to LEN - 1 bytes; NULL for a bad one or non-zero spare bits. */
static char *base64_group(char *to, const char *from, size_t len)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < len; i++) {
		int value = base64_value(from[i]);

		if (value < 0)
			return NULL;
		bits |= (uint32_t)value << (18 - 6 * i);
	}
	if (bits & (0xffffffu >> (8 * (len - 1))) & 0xffffff)
		return NULL;
	for (size_t i = 0; i + 1 < len; i++)
		*to++ = (char)(bits >> (16 - 8 * i));
	return to;
}

bool base64_decode(struct strbuf *out, struct slice in)
{
	size_t padding = 0;
	char *to;

	if (in.len % 4)
		return false;
	while (padding < 2 && padding < in.len && in.ptr[in.len - 1 - padding] == '=')
		padding++;
	to = room_for(out, in.len / 4 * 3 - padding);
	if (!to)
		return false;
	for (; in.len; in = slice_from(in, 4)) {
		to = base64_group(to, in.ptr, in.len == 4 ? 4 - padding : 4);
		if (!to)
			return refuse(out);
	}
	count_in(out, to);
	return true;
}

void hex_encode(struct strbuf *out, struct slice in)
{
	static const char digits[] = "0123456789abcdef";
	char *to = room_for(out, in.len * 2);

	if (!to)
		return;
	for (size_t i = 0; i < in.len; i++) {
		*to++ = digits[(unsigned char)in.ptr[i] >> 4];
		*to++ = digits[in.ptr[i] & 15];
	}
	count_in(out, to);
}

static int hex_value(char c)
{
	if (ascii_isdigit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_byte(const char *digits)
{
	int high = hex_value(digits[0]), low = hex_value(digits[1]);

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool hex_decode(struct strbuf *out, struct slice in)
{
	char *to;

	if (in.len % 2)
		return false;
	to = room_for(out, in.len / 2);
	if (!to)
		return false;
	for (size_t i = 0; i < in.len; i += 2) {
		int byte = hex_byte(in.ptr + i);

		if (byte < 0)
			return refuse(out);
		*to++ = (char)byte;
	}
	count_in(out, to);
	return true;
}

static bool is_xchar(char c)
{
	return c > 0x20 && c < 0x7f && c != '+' && c != '=';
}

void xtext_encode(struct strbuf *out, struct slice in)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t need = in.len;
	char *to;

	for (size_t i = 0; i < in.len; i++)
		need += is_xchar(in.ptr[i]) ? 0 : 2;
	to = room_for(out, need);
	if (!to)
		return;
	for (size_t i = 0; i < in.len; i++) {
		if (is_xchar(in.ptr[i])) {
			*to++ = in.ptr[i];
			continue;
		}
		*to++ = '+';
		*to++ = digits[(unsigned char)in.ptr[i] >> 4];
		*to++ = digits[in.ptr[i] & 15];
	}
	count_in(out, to);
}

/* RFC 3461 4: the digits are upper case. */
static bool is_hexchar(struct slice s)
{
	return s.len >= 3 && s.ptr[0] == '+' && hex_byte(s.ptr + 1) >= 0 &&
	       ascii_upper(s.ptr[1]) == s.ptr[1] && ascii_upper(s.ptr[2]) == s.ptr[2];
}

/* Length of the result, or -1 for what is not xtext. */
static ptrdiff_t xtext_decoded_len(struct slice in)
{
	ptrdiff_t len = 0;

	for (; in.len; len++) {
		if (!is_xchar(in.ptr[0]) && !is_hexchar(in))
			return -1;
		in = slice_from(in, in.ptr[0] == '+' ? 3 : 1);
	}
	return len;
}

bool xtext_decode(struct strbuf *out, struct slice in)
{
	ptrdiff_t len = xtext_decoded_len(in);
	char *to = len < 0 ? NULL : room_for(out, (size_t)len);

	if (!to)
		return false;
	for (; in.len; in = slice_from(in, in.ptr[0] == '+' ? 3 : 1))
		*to++ = in.ptr[0] == '+' ? (char)hex_byte(in.ptr + 1) : in.ptr[0];
	count_in(out, to);
	return true;
}

void escape_encode(struct strbuf *out, struct slice in)
{
	static const char bytes[] = "\a\b\f\n\r\t\v\\", letters[] = "abfnrtv\\";

	for (size_t i = 0; i < in.len; i++) {
		const char *found = in.ptr[i] == '\0' ? NULL : strchr(bytes, in.ptr[i]);

		if (found != NULL)
			strbuf_addf(out, "\\%c", letters[found - bytes]);
		else if (ascii_isprint(in.ptr[i]))
			strbuf_addch(out, in.ptr[i]);
		else
			strbuf_addf(out, "\\%03o", (unsigned char)in.ptr[i]);
	}
}

/* RFC 3629 4: by lead byte, how many bytes follow and in which range the first of them lies. */
static const struct utf8_form {
	unsigned char first, last, follow, low, high;
} utf8_forms[] = {
	{ 0x00, 0x7f, 0, 0, 0 },
	{ 0xc2, 0xdf, 1, 0x80, 0xbf },
	{ 0xe0, 0xe0, 2, 0xa0, 0xbf },
	{ 0xe1, 0xec, 2, 0x80, 0xbf },
	{ 0xed, 0xed, 2, 0x80, 0x9f },
	{ 0xee, 0xef, 2, 0x80, 0xbf },
	{ 0xf0, 0xf0, 3, 0x90, 0xbf },
	{ 0xf1, 0xf3, 3, 0x80, 0xbf },
	{ 0xf4, 0xf4, 3, 0x80, 0x8f },
};

/* Length of the character at the start of S, which is not empty; 0 if it is none. */
static size_t utf8_length(struct slice s)
{
	const unsigned char *byte = (const unsigned char *)s.ptr;
	const struct utf8_form *form = utf8_forms;

	while (byte[0] > form->last && form->last != 0xf4)
		form++;
	if (byte[0] < form->first || byte[0] > form->last || s.len <= form->follow)
		return 0;
	for (size_t i = 1; i <= form->follow; i++) {
		unsigned char low = i == 1 ? form->low : 0x80, high = i == 1 ? form->high : 0xbf;

		if (byte[i] < low || byte[i] > high)
			return 0;
	}
	return (size_t)form->follow + 1;
}

bool utf8_is_valid(struct slice in)
{
	while (in.len) {
		size_t len = utf8_length(in);

		if (!len)
			return false;
		in = slice_from(in, len);
	}
	return true;
}

bool ascii_is_valid(struct slice in)
{
	for (size_t i = 0; i < in.len; i++) {
		if ((unsigned char)in.ptr[i] > 0x7f)
			return false;
	}
	return true;
}
