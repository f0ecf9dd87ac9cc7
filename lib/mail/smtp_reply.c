// SPDX-License-Identifier: BSD-2-Clause
#include "mail/smtp_reply.h"

#include <string.h>

#include "base/check.h"

/* Cuts at MAX bytes, before the UTF-8 character that would be split. */
static struct slice cut(struct slice line, size_t max)
{
	if (line.len <= max)
		return line;
	while (max && ((unsigned char)line.ptr[max] & 0xc0) == 0x80)
		max--;
	return slice_first(line, max);
}

static void add_line(
    struct strbuf *out, unsigned code, const char *dsn, struct slice line, bool last)
{
	size_t start = out->len, head;

	strbuf_addf(out, "%03u%c", code, last ? ' ' : '-');
	if (dsn && dsn[0])
		strbuf_addf(out, "%s ", dsn);
	head = out->len - start;
	line = cut(line, SMTP_REPLY_LINE_MAX - head);
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		strbuf_addch(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
	}
	/* "250 " before the end of line is legal but looks odd; "250" is what the peer sends. */
	while (out->len > start + 3 && last && out->ptr[out->len - 1] == ' ')
		strbuf_truncate(out, out->len - 1);
	strbuf_addstr(out, "\r\n");
}

void smtp_reply_add(struct strbuf *out, unsigned code, const char *dsn, struct slice text)
{
	ptrdiff_t lf;

	ASSERT(code >= 200 && code <= 599);
	while ((lf = slice_find(text, '\n')) >= 0) {
		struct slice line = slice_first(text, (size_t)lf);

		text = slice_from(text, (size_t)lf + 1);
		if (slice_ends(line, "\r"))
			line.len--;
		/* A line end at the very end begins no line. */
		add_line(out, code, dsn, line, text.len == 0);
		if (!text.len)
			return;
	}
	if (slice_ends(text, "\r"))
		text.len--;
	add_line(out, code, dsn, text, true);
}

bool smtp_reply_split(struct slice reply, const char *default_dsn, unsigned *code,
    char dsn[DSN_CODE_TEXT], struct slice *text)
{
	struct slice digits = slice_first(reply, 3);
	uint64_t value;

	if (digits.len != 3 || !slice_uint(digits, 599, &value) || value < 200)
		return false;
	if (reply.len > 3 && !ascii_isspace(reply.ptr[3]))
		return false;
	*code = (unsigned)value;
	*text = slice_trim(slice_from(reply, 3), " \t");
	if (!dsn_take(text, dsn)) {
		const char *wanted = default_dsn ? default_dsn : "5.0.0";

		ASSERT(strlen(wanted) < DSN_CODE_TEXT);
		memcpy(dsn, wanted, strlen(wanted) + 1);
	}
	dsn_set_class(dsn, *code);
	return true;
}

void smtp_reply_soften(unsigned *code, char dsn[DSN_CODE_TEXT])
{
	if (*code >= 500 && *code <= 599)
		*code -= 100;
	if (dsn[0] == '5')
		dsn[0] = '4';
}
