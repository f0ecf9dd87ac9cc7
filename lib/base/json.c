// SPDX-License-Identifier: BSD-2-Clause
#include "base/json.h"

/* The letter behind a backslash; '\0': there is none. */
static char short_escape(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return '\0';
	}
}

void json_add_text(struct strbuf *out, struct slice text)
{
	strbuf_addch(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		char escape = short_escape(c);

		if (escape)
			strbuf_addf(out, "\\%c", escape);
		else if (c < ' ' || c == 0x7f)
			strbuf_addf(out, "\\u%04X", c);
		else
			strbuf_addch(out, (char)c);
	}
	strbuf_addch(out, '"');
}
