// SPDX-License-Identifier: BSD-2-Clause
/*
 * BDAT: the first two bytes say how the bytes behind them are cut into chunks and how much of a
 * line is held.  Any cut gives the same lines, and they are the content with CRLF and LF as ends.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
/* A fuzz target is one file and the library; these are about a daemon's files. */
#include "smtpd/chunk_lines.c"
#include "smtpd/smtpd_args.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t part_max;

static void add(void *arg, struct slice text, bool complete)
{
	struct strbuf *out = arg;

	ASSERT(memchr(text.ptr != NULL ? text.ptr : "", '\n', text.len) == NULL);
	ASSERT(part_max == 0 || text.len <= part_max);
	strbuf_addslice(out, text);
	if (complete)
		strbuf_addch(out, '\n');
}

static bool read_lines(struct slice in, size_t max, unsigned seed, struct strbuf *out)
{
	struct chunk_lines c;
	unsigned n = seed;

	part_max = max;
	chunk_lines_init(&c, max, add, out);
	while (in.len > 0) {
		size_t len = in.len;

		if (seed != 0) {
			n = n * 1103515245 + 12345;
			len = (n >> 16) % (seed % 7 + 1) + 1;
		}
		chunk_lines_take(&c, slice_first(in, len));
		in = slice_from(in, len);
		ASSERT(c.held.len < max);
	}
	chunk_lines_end(&c);
	return c.bare_lf_seen;
}

/* The plain way to say it. */
static bool convert(struct slice in, struct strbuf *out)
{
	bool bare_lf = false;

	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == '\n' && (i == 0 || in.ptr[i - 1] != '\r'))
			bare_lf = true;
		if (in.ptr[i] == '\r' && i + 1 < in.len && in.ptr[i + 1] == '\n')
			continue;
		strbuf_addch(out, in.ptr[i]);
	}
	if (in.len > 0 && in.ptr[in.len - 1] != '\n')
		strbuf_addch(out, '\n');
	return bare_lf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf whole = STRBUF_INIT(1 << 18), cut = STRBUF_INIT(1 << 18);
	struct strbuf want = STRBUF_INIT(1 << 18);
	uint64_t count;
	bool last;

	if (size < 2 || size > 1 << 16)
		return 0;
	struct slice in = slice_mem(data + 2, size - 2);

	if (smtpd_args_chunk(slice_first(in, 100), &count, &last))
		ASSERT(count <= INT64_MAX);
	bool bare = convert(in, &want);
	ASSERT(read_lines(in, 2048, 0, &whole) == bare);
	ASSERT(read_lines(in, data[1] % 20U + 2, data[0] + 1U, &cut) == bare);
	ASSERT(slice_eq(strbuf_slice(&whole), strbuf_slice(&want)));
	ASSERT(slice_eq(strbuf_slice(&cut), strbuf_slice(&want)));
	strbuf_release(&whole);
	strbuf_release(&cut);
	strbuf_release(&want);
	return 0;
}
