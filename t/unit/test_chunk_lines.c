// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lines of BDAT.  Each case is fed whole, and in chunks of every smaller size: what comes out must
 * not depend on it.
 */
#include "unit.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "smtpd/chunk_lines.h"

#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static const struct {
	const char *name;
	struct slice in, lines; /* as they come out, LF behind each */
	bool bare_lf;
} rows[] = {
	{ "lines", BYTES("a\r\nb\r\n"), BYTES("a\nb\n"), false },
	{ "nothing", BYTES(""), BYTES(""), false },
	{ "an empty line", BYTES("\r\n"), BYTES("\n"), false },
	{ "no line end", BYTES("a\r\nb"), BYTES("a\nb\n"), false },
	{ "bare LF", BYTES("a\nb\r\n"), BYTES("a\nb\n"), true },
	{ "a dot is content", BYTES("a\r\n.\r\n..\r\n.b\r\n"), BYTES("a\n.\n..\n.b\n"), false },
	{ "LF.LF", BYTES("a\n.\nb\r\n"), BYTES("a\n.\nb\n"), true },
	{ "CR alone", BYTES("a\rb\r\n"), BYTES("a\rb\n"), false },
	{ "CRs before CRLF", BYTES("a\r\r\r\n"), BYTES("a\r\r\n"), false },
	{ "CR at the end", BYTES("a\r"), BYTES("a\r\n"), false },
	{ "NUL", BYTES("a\0b\r\n"), BYTES("a\0b\n"), false },
	{ "a long line", BYTES("0123456789abcdef\r\nx\r\n"), BYTES("0123456789abcdef\nx\n"),
	    false },
	{ "CR where the room ends", BYTES("0123456\r\n1234567\r8\r\n"),
	    BYTES("0123456\n1234567\r8\n"), false },
	{ "room for the line and no more", BYTES("01234567\r\n01234567\n"),
	    BYTES("01234567\n01234567\n"), true },
	{ "room, then the end", BYTES("01234567"), BYTES("01234567\n"), false },
};

static void keep(void *arg, struct slice text, bool complete)
{
	strbuf_addslice(arg, text);
	if (complete)
		strbuf_addch(arg, '\n');
}

static void all_cuts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t size = 1; size <= 24; size++) {
			struct strbuf out = STRBUF_INIT(4096);
			struct chunk_lines c;
			struct slice in = rows[i].in;
			char name[100];

			snprintf(name, sizeof(name), "%s, chunks of %zu", rows[i].name, size);
			chunk_lines_init(&c, 8, keep, &out);
			for (; in.len > 0; in = slice_from(in, size))
				chunk_lines_take(&c, slice_first(in, size));
			chunk_lines_end(&c);
			want_slice(name, strbuf_slice(&out), rows[i].lines);
			want_int(name, c.bare_lf_seen, rows[i].bare_lf);
			strbuf_release(&out);
			chunk_lines_release(&c);
		}
}

/* hostile-input row 13: a million chunks of one byte hold no more than a line's part. */
static void tiny_chunks(void **state)
{
	struct strbuf out = STRBUF_INIT(2000000);
	struct chunk_lines c;

	(void)state;
	chunk_lines_init(&c, 2048, keep, &out);
	for (unsigned i = 0; i < 1000000; i++) {
		chunk_lines_take(&c, SLICE_LIT("x"));
		if (c.held.len > 2048 || c.held.alloc > 4096)
			fail_msg("%zu bytes are held", c.held.alloc);
	}
	chunk_lines_end(&c);
	want_int("bytes", (long long)out.len, 1000001);
	strbuf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_cuts),
		cmocka_unit_test(tiny_chunks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
