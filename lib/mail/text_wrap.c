// SPDX-License-Identifier: BSD-2-Clause
#include "mail/text_wrap.h"

size_t text_wrap(struct slice text, size_t room)
{
	ptrdiff_t blank;

	if (text.len <= room)
		return text.len;
	/* A blank may stand in the column behind. */
	blank = slice_rfind(slice_first(text, room + 1), ' ');
	if (blank <= 0)
		blank = slice_find(text, ' ');
	return blank <= 0 ? text.len : (size_t)blank;
}
