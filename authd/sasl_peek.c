// SPDX-License-Identifier: BSD-2-Clause
#include "authd/sasl_peek.h"

#include <string.h>

#include "base/cursor.h"

void sasl_peek_plain(struct slice response, struct strbuf *authzid)
{
	ptrdiff_t nul = slice_find(response, '\0');

	if (nul > 0)
		strbuf_addslice(authzid, slice_first(response, (size_t)nul));
}

void sasl_peek_external(struct slice response, struct strbuf *authzid)
{
	strbuf_addslice(authzid, response);
}

/* RFC 5802 5.1: in a saslname '=' stands before "2C" and "3D" only. */
void sasl_peek_scram(struct slice response, struct strbuf *authzid)
{
	ptrdiff_t comma = slice_find(response, ',');
	struct slice rest, name;

	if (comma < 0)
		return;
	rest = slice_from(response, (size_t)comma + 1);
	comma = slice_find(rest, ',');
	if (comma < 0 || !slice_starts(rest, "a="))
		return;
	name = slice_from(slice_first(rest, (size_t)comma), 2);
	while (name.len) {
		bool is_comma = slice_starts(name, "=2C");

		if (is_comma || slice_starts(name, "=3D")) {
			strbuf_addch(authzid, is_comma ? ',' : '=');
			name = slice_from(name, 3);
			continue;
		}
		strbuf_addch(authzid, name.ptr[0]);
		name = slice_from(name, 1);
	}
}

/* RFC 2831 7.1: tokens or quoted strings, with commas and blanks between. */
static bool next_directive(struct cursor *c, struct slice *name, struct strbuf *value)
{
	cursor_span(c, ", \t");
	*name = cursor_until(c, "=");
	strbuf_reset(value);
	if (!cursor_skip(c, "="))
		return false;
	if (!cursor_skip(c, "\"")) {
		strbuf_addslice(value, cursor_until(c, ", \t"));
		return true;
	}
	while (!cursor_at_end(c) && !cursor_skip(c, "\"")) {
		cursor_skip(c, "\\");
		if (!cursor_at_end(c))
			strbuf_addch(value, (char)cursor_next(c));
	}
	return true;
}

bool sasl_digest_value(struct slice text, const char *wanted, struct strbuf *value)
{
	struct cursor c = cursor_of(text);
	struct slice name;

	while (next_directive(&c, &name, value))
		if (slice_caseeq_str(name, wanted))
			return true;
	strbuf_reset(value);
	return false;
}

void sasl_peek_digest(struct slice response, struct strbuf *authzid)
{
	sasl_digest_value(response, "authzid", authzid);
}
