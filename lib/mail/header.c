// SPDX-License-Identifier: BSD-2-Clause
#include "mail/header.h"

#include "base/check.h"

static struct slice without_line_end(struct slice s)
{
	if (slice_ends(s, "\n"))
		s.len--;
	if (slice_ends(s, "\r"))
		s.len--;
	return s;
}

bool header_split(struct slice line, struct slice *name, struct slice *value)
{
	size_t len = 0, colon;

	while (len < line.len && line.ptr[len] > 32 && line.ptr[len] < 127 && line.ptr[len] != ':')
		len++;
	colon = len;
	while (colon < line.len && (line.ptr[colon] == ' ' || line.ptr[colon] == '\t'))
		colon++;
	if (!len || len > HEADER_NAME_MAX || colon >= line.len || line.ptr[colon] != ':')
		return false;
	*name = slice_first(line, len);
	*value = without_line_end(slice_from(line, colon + 1));
	while (value->len && (value->ptr[0] == ' ' || value->ptr[0] == '\t'))
		*value = slice_from(*value, 1);
	return true;
}

bool header_is_header(struct slice line)
{
	struct slice name, value;

	return header_split(line, &name, &value);
}

bool header_is_continuation(struct slice line)
{
	return line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
}

void header_unfold(struct slice value, struct strbuf *out)
{
	value = without_line_end(value);
	for (size_t i = 0; i < value.len; i++) {
		bool crlf = value.ptr[i] == '\r' && i + 1 < value.len && value.ptr[i + 1] == '\n';

		if (value.ptr[i] != '\n' && !crlf)
			strbuf_addch(out, value.ptr[i]);
	}
}

void header_fold(struct slice name, struct slice value, struct strbuf *out)
{
	size_t column = name.len + 2;
	struct slice word;

	strbuf_addslice(out, name);
	strbuf_addstr(out, ":");
	while (slice_token(&value, " \t\r\n", &word)) {
		bool first = column == name.len + 2;

		if (!first && column + 1 + word.len > 78) {
			strbuf_addstr(out, "\n");
			column = 8;
			strbuf_addstr(out, "\t");
		} else {
			strbuf_addstr(out, " ");
			column += first ? 0 : 1;
		}
		strbuf_addslice(out, word);
		column += word.len;
	}
}

enum header_address_class header_address_class(struct slice name, bool *resent)
{
	static const struct {
		const char *name;
		enum header_address_class class;
	} rows[] = {
		{ "Apparently-To", HEADER_RECIPIENT },
		{ "Bcc", HEADER_RECIPIENT },
		{ "Cc", HEADER_RECIPIENT },
		{ "Disposition-Notification-To", HEADER_SENDER },
		{ "Errors-To", HEADER_SENDER },
		{ "From", HEADER_SENDER },
		{ "Mail-Followup-To", HEADER_SENDER },
		{ "Reply-To", HEADER_SENDER },
		{ "Resent-Bcc", HEADER_RECIPIENT },
		{ "Resent-Cc", HEADER_RECIPIENT },
		{ "Resent-From", HEADER_SENDER },
		{ "Resent-Reply-To", HEADER_SENDER },
		{ "Resent-Sender", HEADER_SENDER },
		{ "Resent-To", HEADER_RECIPIENT },
		{ "Return-Receipt-To", HEADER_SENDER },
		{ "Sender", HEADER_SENDER },
		{ "To", HEADER_RECIPIENT },
	};

	if (resent)
		*resent = slice_casestarts(name, "Resent-");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (slice_caseeq_str(name, rows[i].name))
			return rows[i].class;
	}
	return HEADER_NO_ADDRESS;
}
