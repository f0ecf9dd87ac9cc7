// SPDX-License-Identifier: BSD-2-Clause
/* Schemes that keep the password itself. */
#include "auth/scheme_row.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/digest.h"

bool scheme_make_text(const struct scheme_use *use, struct strbuf *out)
{
	/* Files of passwords have lines. */
	if (slice_has_nul(use->password) || slice_find(use->password, '\n') >= 0)
		return scheme_cannot_make(use, "password with NUL or line feed");
	strbuf_addslice(out, use->password);
	return true;
}

/*
 * "length-text": passwords longer than that were cut when they were stored.  With length 0 the peer
 * lets everybody in.
 */
enum password_result scheme_verify_trunc(const struct scheme_use *use, struct slice data)
{
	struct cursor c = cursor_of(data);
	uint64_t length;

	if (!slice_uint(cursor_span(&c, "0123456789"), UINT64_MAX, &length))
		length = cursor_rest(&c).len < data.len ? UINT64_MAX : 0;
	if (!cursor_skip(&c, "-"))
		return scheme_unusable(use, "PLAIN-TRUNC missing length: prefix");
	if (!length)
		return scheme_unusable(use, "PLAIN-TRUNC of length 0 would fit every password");
	return scheme_compare(
	    cursor_rest(&c), slice_first(use->password, length < SIZE_MAX ? length : SIZE_MAX));
}
