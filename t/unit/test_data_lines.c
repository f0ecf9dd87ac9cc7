// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where content ends.  Each case is fed whole lines at a time, and in pieces of every smaller size:
 * what comes out must not depend on it.
 */
#include "unit.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "smtpd/data_lines.h"

#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

struct row {
	const char *name;
	struct slice in;
	const char *rest; /* behind the end; NULL: it does not end */
	struct slice lines;
	bool bare_lf; /* one was seen */
};

static void keep(void *arg, struct slice text, bool complete)
{
	strbuf_addslice(arg, text);
	if (complete)
		strbuf_addch(arg, '\n');
}

/* As stream_read_line: up to and with LF, at most MAX bytes. */
static struct slice take_piece(struct slice *in, size_t max)
{
	struct slice piece = slice_first(*in, max);
	ptrdiff_t lf = slice_find(piece, '\n');

	if (lf >= 0)
		piece = slice_first(piece, (size_t)lf + 1);
	*in = slice_from(*in, piece.len);
	return piece;
}

static void run(const struct row *row, bool bare_allowed, size_t max)
{
	struct strbuf out = STRBUF_INIT(4096);
	struct data_lines d = { .keep = keep, .arg = &out, .bare_allowed = bare_allowed };
	struct slice in = row->in;
	bool ended = false;
	char name[100];

	snprintf(name, sizeof(name), "%s, pieces of %zu", row->name, max);
	while (!ended && in.len > 0)
		ended = data_lines_take(&d, take_piece(&in, max));
	want_int(name, ended, row->rest != NULL);
	if (ended)
		want_slice(name, in, slice_of(row->rest));
	want_slice(name, strbuf_slice(&out), row->lines);
	want_int(name, d.bare_lf_seen, row->bare_lf);
	strbuf_release(&out);
}

static void run_all(const struct row *rows, size_t count, bool bare_allowed)
{
	for (size_t i = 0; i < count; i++)
		for (size_t max = 1; max <= rows[i].in.len; max++)
			run(&rows[i], bare_allowed, max);
}

#define END "x\r\n.\r\n"

static void normal(void **state)
{
	static const struct row rows[] = {
		{ "CRLF.CRLF", BYTES("a\r\n.\r\nQUIT\r\n"), "QUIT\r\n", BYTES("a\n"), false },
		{ "nothing but the end", BYTES(".\r\nRSET\r\n"), "RSET\r\n", BYTES(""), false },
		{ "no end", BYTES("a\r\nb\r\n"), NULL, BYTES("a\nb\n"), false },
		{ "empty lines", BYTES("\r\n\r\n.\r\n"), "", BYTES("\n\n"), false },
		{ "LF.LF", BYTES("a\n.\n" END), "", BYTES("a\n\nx\n"), true },
		{ "CRLF.LF", BYTES("a\r\n.\n" END), "", BYTES("a\n\nx\n"), true },
		{ "LF.CRLF", BYTES("a\n.\r\n" END), "", BYTES("a\n\nx\n"), true },
		{ "CR.CR", BYTES("a\r.\r" END), "", BYTES("a\r.\rx\n"), false },
		{ "CRLF.CR", BYTES("a\r\n.\r" END), "", BYTES("a\n\rx\n"), false },
		{ "CRLF.CR at the end", BYTES("a\r\n.\r"), NULL, BYTES("a\n"), false },
		{ "CR.CRLF", BYTES("a\r.\r\n" END), "", BYTES("a\r.\nx\n"), false },
		{ "CRLF NUL.CRLF", BYTES("a\r\n\0.\r\n" END), "", BYTES("a\n\0.\nx\n"), false },
		{ "CRLF.NUL CRLF", BYTES("a\r\n.\0\r\n" END), "", BYTES("a\n\0\nx\n"), false },
		{ "CRLF.CRCRLF", BYTES("a\r\n.\r\r\n" END), "", BYTES("a\n\r\nx\n"), false },
		{ "CRLF.CRCRCRLF", BYTES("\r\n.\r\r\r\n" END), "", BYTES("\n\r\r\nx\n"), false },
		{ "CRCRLF.CRLF", BYTES("a\r\r\n.\r\n"), "", BYTES("a\r\n"), false },
		{ "dot-LF first", BYTES(".\n" END), "", BYTES("\nx\n"), true },
		{ "dot in the line", BYTES("a.\r\n" END), "", BYTES("a.\nx\n"), false },
		{ "dots", BYTES("..\r\n...\r\n.a\r\n" END), "", BYTES(".\n..\na\nx\n"), false },
		{ "two dots, bare", BYTES("..\n" END), "", BYTES(".\nx\n"), true },
		{ "blank behind the dot", BYTES(". \r\n" END), "", BYTES(" \nx\n"), false },
		{ "no line end, then a dot", BYTES("a.\r\n.\r\n"), "", BYTES("a.\n"), false },
		{ "CRs alone", BYTES("\r\r\ra\r\n" END), "", BYTES("\r\r\ra\nx\n"), false },
		{ "LFCR", BYTES("a\n\r.\r\n" END), "", BYTES("a\n\r.\nx\n"), true },
		{ "LFCRLF.CRLF", BYTES("a\n\r\n.\r\n"), "", BYTES("a\n\n"), true },
		{ "the end comes once", BYTES("a\r\n.\r\n.\r\n"), ".\r\n", BYTES("a\n"), false },
	};

	(void)state;
	run_all(rows, ARRAY_LEN(rows), false);
}

static void bare_newlines_allowed(void **state)
{
	static const struct row rows[] = {
		{ "CRLF.CRLF", BYTES("a\r\n.\r\nQ"), "Q", BYTES("a\n"), false },
		{ "LF.LF", BYTES("a\n.\nQ"), "Q", BYTES("a\n"), true },
		{ "CRLF.LF", BYTES("a\r\n.\nQ"), "Q", BYTES("a\n"), true },
		{ "LF.CRLF", BYTES("a\n.\r\nQ"), "Q", BYTES("a\n"), true },
		{ "CR.CR", BYTES("a\r.\r" END), "", BYTES("a\r.\rx\n"), false },
		{ "CRLF.CR", BYTES("a\r\n.\r" END), "", BYTES("a\n\rx\n"), false },
		{ "CRLF.CRCRLF", BYTES("a\r\n.\r\r\n" END), "", BYTES("a\n\r\nx\n"), false },
		{ "two dots", BYTES("..\n" END), "", BYTES(".\nx\n"), true },
	};

	(void)state;
	run_all(rows, ARRAY_LEN(rows), true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(normal),
		cmocka_unit_test(bare_newlines_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
