// SPDX-License-Identifier: BSD-2-Clause
/* The fields of a line lie in it, in order, and hold no colon where they end at one. */
#include <stdint.h>

#include "auth/passwd_line.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_mem(data, size);
	struct arena arena = ARENA_INIT;
	struct passwd_line line;

	if (passwd_line_split(text, &line)) {
		const struct slice fields[] = { line.name, line.password, line.uid, line.gid,
			line.home };
		const char *end = text.ptr;

		ASSERT(line.name.len > 0);
		for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
			if (!fields[i].len)
				continue;
			ASSERT(fields[i].ptr >= end);
			ASSERT(slice_find(fields[i], ':') < 0);
			end = fields[i].ptr + fields[i].len;
			ASSERT(end <= text.ptr + text.len);
		}
		ASSERT(!line.extra.len || line.extra.ptr > end);
		ASSERT(passwd_line_password(&line, &arena));
	}
	arena_release(&arena);
	return 0;
}
