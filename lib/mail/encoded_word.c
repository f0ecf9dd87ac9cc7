// SPDX-License-Identifier: BSD-2-Clause
/*
 * "Q" where most of the text stays readable, "B" elsewhere: the choice is made once for the whole
 * text.
 */
#include "mail/encoded_word.h"

#include <string.h>
#include <strings.h>

#include "base/codec.h"

#define WORD_MAX 75 /* RFC 2047 2 */
#define LINE_MAX 76
#define FRAME	 7 /* "=?", "?Q?", "?=" */

bool encoded_word_is_needed(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_isprint(text.ptr[i]))
			return true;
	return false;
}

/* RFC 2047 5 (3): what may stand for itself in a phrase. */
static bool is_plain(char c)
{
	return ascii_isalnum(c) || (c != '\0' && strchr("!*+-/", c) != NULL);
}

static size_t q_size(struct slice text)
{
	size_t size = 0;

	for (size_t i = 0; i < text.len; i++)
		size += is_plain(text.ptr[i]) || text.ptr[i] == ' ' ? 1 : 3;
	return size;
}

static size_t b_size(size_t len)
{
	return (len + 2) / 3 * 4;
}

/* The bytes of the first character. */
static size_t char_len(struct slice text, bool utf8)
{
	size_t len = 1;

	while (utf8 && len < text.len && len < 4 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
		len++;
	return len;
}

static void add_q(struct slice text, struct strbuf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == ' ')
			strbuf_addch(out, '_');
		else if (is_plain(text.ptr[i]))
			strbuf_addch(out, text.ptr[i]);
		else
			strbuf_addf(out, "=%02X", (unsigned char)text.ptr[i]);
	}
}

/* As many whole characters as have room, one at least. */
static struct slice take_fitting(struct slice *rest, size_t room, bool utf8, bool q)
{
	size_t len = 0;

	while (len < rest->len) {
		size_t next = len + char_len(slice_from(*rest, len), utf8);

		if (len > 0 && (q ? q_size(slice_first(*rest, next)) : b_size(next)) > room)
			break;
		len = next;
	}
	struct slice part = slice_first(*rest, len);

	*rest = slice_from(*rest, len);
	return part;
}

void encoded_word_phrase(struct slice text, const char *charset, size_t column, struct strbuf *out)
{
	bool utf8 = strcasecmp(charset, "utf-8") == 0, q = q_size(text) < 2 * text.len;
	size_t frame = FRAME + strlen(charset);

	while (text.len > 0) {
		size_t line = LINE_MAX > column ? LINE_MAX - column : 0;
		size_t word = line < WORD_MAX ? line : WORD_MAX;
		struct slice part = take_fitting(&text, word > frame ? word - frame : 0, utf8, q);

		strbuf_addf(out, "=?%s?%c?", charset, q ? 'Q' : 'B');
		if (q)
			add_q(part, out);
		else
			base64_encode(out, part);
		strbuf_addstr(out, text.len > 0 ? "?=\n " : "?=");
		column = 1;
	}
}
