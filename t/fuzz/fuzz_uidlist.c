// SPDX-License-Identifier: BSD-2-Clause
/* A list of UIDs that is accepted, written and read again is the same list. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "store/maildir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct uidlist *list)
{
	struct strbuf text = STRBUF_INIT((size_t)1 << 26), again = STRBUF_INIT((size_t)1 << 26);
	struct uidlist copy;

	uidlist_format(list, &text);
	uidlist_init(&copy);
	ASSERT(uidlist_parse(&copy, strbuf_slice(&text)));
	ASSERT(!copy.torn && copy.count == list->count && copy.uidnext == list->uidnext);
	uidlist_format(&copy, &again);
	ASSERT(slice_eq(strbuf_slice(&text), strbuf_slice(&again)));
	uidlist_release(&copy);
	strbuf_release(&text);
	strbuf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice base, flags, in = slice_mem(data, size);
	struct strbuf name = STRBUF_INIT((size_t)1 << 20);
	struct uidlist list;

	uidlist_init(&list);
	if (uidlist_parse(&list, in))
		round_trip(&list);
	uidlist_release(&list);
	maildir_name_split(in, &base, &flags);
	(void)maildir_name_size(base, 'S');
	maildir_name_build(&name, base, flags, maildir_flags_parse(flags));
	strbuf_release(&name);
	return 0;
}
