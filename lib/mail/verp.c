// SPDX-License-Identifier: BSD-2-Clause
#include "mail/verp.h"

#include <string.h>

bool verp_is_valid(struct slice delimiters, const char *allowed)
{
	return delimiters.len == 2 && slice_find(slice_of(allowed), delimiters.ptr[0]) >= 0 &&
	       slice_find(slice_of(allowed), delimiters.ptr[1]) >= 0;
}

static size_t local_length(struct slice address)
{
	ptrdiff_t at = slice_rfind(address, '@');

	return at < 0 ? address.len : (size_t)at;
}

void verp_sender(
    const char *delimiters, struct slice sender, struct slice recipient, struct strbuf *out)
{
	size_t local = local_length(sender), user = local_length(recipient);

	strbuf_addslice(out, slice_first(sender, local));
	strbuf_addch(out, delimiters[0]);
	strbuf_addslice(out, slice_first(recipient, user));
	if (user < recipient.len) {
		strbuf_addch(out, delimiters[1]);
		strbuf_addslice(out, slice_from(recipient, user + 1));
	}
	strbuf_addslice(out, slice_from(sender, local));
}
