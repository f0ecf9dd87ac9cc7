// SPDX-License-Identifier: BSD-2-Clause
/*
 * The content of DATA.  The first byte says whether LF "." LF ends it, the second how the bytes
 * behind them are cut into pieces.  Any cut gives the same lines and the same end as none does, and
 * the end is behind CRLF "." CRLF, the first one there is.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
/* A fuzz target is one file and the library; this one is about a daemon's file. */
#include "smtpd/data_lines.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct strbuf lines;
	size_t used;
	bool ended, bare_lf_seen;
};

static void add(void *arg, struct slice text, bool complete)
{
	struct strbuf *out = arg;

	ASSERT(memchr(text.ptr != NULL ? text.ptr : "", '\n', text.len) == NULL);
	strbuf_addslice(out, text);
	if (complete)
		strbuf_addch(out, '\n');
}

/* SEED 0: pieces are lines; else a sequence of lengths from it. */
static void read_lines(struct slice in, bool bare_allowed, unsigned seed, struct result *r)
{
	struct data_lines d = { .keep = add, .arg = &r->lines, .bare_allowed = bare_allowed };
	unsigned n = seed;

	while (!r->ended && r->used < in.len) {
		struct slice piece = slice_from(in, r->used);
		ptrdiff_t lf = slice_find(piece, '\n');

		if (lf >= 0)
			piece = slice_first(piece, (size_t)lf + 1);
		if (seed != 0) {
			n = n * 1103515245 + 12345;
			piece = slice_first(piece, (n >> 16) % (seed % 7 + 1) + 1);
		}
		r->used += piece.len;
		r->ended = data_lines_take(&d, piece);
	}
	r->bare_lf_seen = d.bare_lf_seen;
}

static void check_end(struct slice in, bool bare_allowed, const struct result *r)
{
	static const char end[] = "\r\n.\r\n";
	struct slice used = slice_first(in, r->used);

	if (!r->ended || bare_allowed) {
		ASSERT(r->ended || r->used == in.len);
		return;
	}
	if (slice_eq_str(used, end + 2))
		return;
	ASSERT(slice_ends(used, end));
	ASSERT(slice_find_str(used, end) == (ptrdiff_t)(used.len - strlen(end)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole = { .lines = STRBUF_INIT(1 << 20) };
	struct result cut = { .lines = STRBUF_INIT(1 << 20) };

	if (size < 2 || size > 1 << 16)
		return 0;
	struct slice in = slice_mem(data + 2, size - 2);
	bool bare_allowed = data[0] & 1;

	read_lines(in, bare_allowed, 0, &whole);
	read_lines(in, bare_allowed, data[1] + 1U, &cut);
	ASSERT(whole.ended == cut.ended && whole.used == cut.used);
	ASSERT(whole.bare_lf_seen == cut.bare_lf_seen);
	ASSERT(slice_eq(strbuf_slice(&whole.lines), strbuf_slice(&cut.lines)));
	check_end(in, bare_allowed, &whole);
	/* The other way round: it does not overlook one. */
	if (!whole.ended)
		ASSERT(slice_find_str(in, "\r\n.\r\n") < 0 && !slice_starts(in, ".\r\n"));
	strbuf_release(&whole.lines);
	strbuf_release(&cut.lines);
	return 0;
}
