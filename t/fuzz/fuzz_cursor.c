// SPDX-License-Identifier: BSD-2-Clause
/*
 * The first half of the input is a program, a byte for each operation; the second is what the
 * cursor reads.  Whatever the order, it stays within its slice and a failure is the end.
 */
#include <stdint.h>

#include "base/check.h"
#include "base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile char sink; /* reads that a compiler keeps */

/* Reads the bytes of a slice that an operation gave, which must be where the cursor was. */
static void touch(struct slice got, struct slice before)
{
	ASSERT(got.len <= before.len);
	ASSERT(got.len == 0 || got.ptr == before.ptr);
	for (size_t i = 0; i < got.len; i++)
		sink = got.ptr[i];
}

static void operate(struct cursor *c, unsigned int operation)
{
	struct slice before = cursor_rest(c);

	switch (operation % 10) {
	case 0:
		ASSERT((cursor_next(c) >= 0) == (before.len > 0));
		break;
	case 1:
		touch(cursor_take(c, operation / 10), before);
		break;
	case 2:
		touch(cursor_take(c, SIZE_MAX - operation), before);
		break;
	case 3:
		cursor_skip(c, "ab");
		break;
	case 4:
		cursor_caseskip(c, "AB");
		break;
	case 5:
		touch(cursor_span(c, "abc "), before);
		break;
	case 6:
		touch(cursor_until(c, "\r\n"), before);
		break;
	case 7:
		cursor_u8(c);
		break;
	case 8:
		cursor_be32(c);
		break;
	default:
		cursor_be64(c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_mem(data, size), program = slice_first(all, size / 2);
	struct cursor c = cursor_of(slice_from(all, size / 2));

	for (size_t i = 0; i < program.len; i++) {
		size_t at = c.at;
		bool failed = c.failed;

		operate(&c, (unsigned char)program.ptr[i]);
		ASSERT(c.at >= at && c.at <= c.in.len);
		ASSERT(c.failed || !failed);
		ASSERT(!c.failed || (cursor_at_end(&c) && cursor_peek(&c) == -1));
	}
	return 0;
}
