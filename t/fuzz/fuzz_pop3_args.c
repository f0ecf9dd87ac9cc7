// SPDX-License-Identifier: BSD-2-Clause
/* A command line: verb and arguments stay within it, and a number that is taken is in range. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
/* A fuzz target is one file and the library; this one is about a daemon's file. */
#include "pop3d/pop3_args.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct slice part, struct slice whole)
{
	ASSERT(part.len <= whole.len);
	ASSERT(part.len == 0 ||
	       (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice line = slice_mem(data, size), verb, args;
	char error[160];
	uint64_t lines;
	size_t index;

	pop3_split(line, &verb, &args);
	check_inside(verb, line);
	check_inside(args, line);
	memset(error, 'x', sizeof(error));
	if (!pop3_take_message(&args, 1000, &index, error)) {
		ASSERT(memchr(error, '\0', sizeof(error)) != NULL);
		return 0;
	}
	ASSERT(index < 1000);
	check_inside(args, line);
	if (pop3_take_size(&args, &lines, error))
		ASSERT(lines <= UINT32_MAX);
	check_inside(args, line);
	(void)pop3_no_more(args, "size", error);
	return 0;
}
