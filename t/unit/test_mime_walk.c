// SPDX-License-Identifier: BSD-2-Clause
/*
 * MIME structure: which lines are fields of parts (M), of messages within (N), or body (B).  The
 * hostile ones are named for what they try.
 */
#include "mail/mime_walk.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "mail/header.h"
#include "unit.h"

static struct strbuf seen;
static unsigned errors;

static void add(char kind, struct slice text, bool complete)
{
	strbuf_addch(&seen, kind);
	for (size_t i = 0; i < text.len; i++)
		strbuf_addch(&seen, (char)(text.ptr[i] == '\n' ? '|' : text.ptr[i]));
	strbuf_addstr(&seen, complete ? "\n" : "\\\n");
}

static void on_field(void *arg, enum mime_part_class class, struct slice field)
{
	(void)arg;
	add(class == MIME_PART_MULTIPART ? 'M' : 'N', field, true);
}

static void on_body(void *arg, struct slice piece, bool complete, uint64_t offset)
{
	(void)arg;
	(void)offset;
	add('B', piece, complete);
}

static void on_error(void *arg, enum mime_error error, struct slice text)
{
	(void)arg;
	(void)text;
	assert_false(errors & error);
	errors |= error;
}

static const struct mime_walk_events events = {
	.field = on_field,
	.body = on_body,
	.error = on_error,
};

/* TEXT: header fields, an empty line, the rest.  A line that ends with '\\' goes on in the next. */
static void run(const struct mime_walk_rules *rules, const char *text)
{
	struct mime_walk *w = mime_walk_new(rules, &events, NULL);
	struct slice rest = slice_of(text);
	bool in_header = true;

	strbuf_reset(&seen);
	errors = 0;
	while (rest.len > 0) {
		ptrdiff_t lf = slice_find(rest, '\n');
		struct slice line = slice_first(rest, (size_t)lf);
		bool complete = !slice_ends(line, "\\");

		rest = slice_from(rest, (size_t)lf + 1);
		if (!complete)
			line.len--;
		if (!in_header) {
			mime_walk_line(w, line, complete);
		} else if (line.len > 0) {
			mime_walk_field(w, line);
		} else {
			mime_walk_end_header(w);
			in_header = false;
		}
	}
	if (!in_header)
		mime_walk_end(w);
	mime_walk_free(w);
}

#define MIXED "Content-Type: multipart/mixed; boundary=a\n\n"
static const struct {
	const char *name, *text, *want;
} rows[] = {
	{ "plain", "A: b\n\nC: d\n", "BC: d\n" },
	{ "parts", MIXED "pre\n--a\nC: d\n e\n\nx\n--a\nno field\n--a--\npost\n",
	    "Bpre\nB--a\nMC: d| e\nB\nBx\nB--a\nBno field\nB--a--\nBpost\n" },
	{ "prefix of a line", MIXED "--ab\nC: d\n\n--a--b\nE: f\n",
	    "B--ab\nMC: d\nB\nB--a--b\nBE: f\n" },
	{ "nested",
	    "Content-Type: message/rfc822\n\nC: d\nContent-Type: Message/RFC822\n\nE: f\n\nG: h\n",
	    "NC: d\nNContent-Type: Message/RFC822\nB\nNE: f\nB\nBG: h\n" },
	{ "other messages", "Content-Type: message/external-body\n\nC: d\n", "BC: d\n" },
	{ "digest",
	    "Content-Type: multipart/digest; boundary=a\n\n--a\n\nC: d\n\nE: f\n--a\n"
	    "Content-Type: text/plain\n\nC: d\n",
	    "B--a\nB\nNC: d\nB\nBE: f\nB--a\nMContent-Type: text/plain\nB\nBC: d\n" },
	{ "comments",
	    "Content-Type: (x) multipart (\\() / mixed (boundary=no); x=\"y;boundary=z\";"
	    " BOUNDARY = (c) \"b\\c\"\n\n--bc\nC: d\n",
	    "B--bc\nMC: d\n" },
	{ "no boundary", "Content-Type: multipart/mixed\n\n--\nC: d\n", "B--\nBC: d\n" },
	{ "an empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\nC: d\n",
	    "B--\nBC: d\n" },
	{ "the outer boundary ends the inner part",
	    MIXED
	    "--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nC: d\n\n--a\nE: f\n\n--b\nG: h\n",
	    "B--a\nMContent-Type: multipart/mixed; boundary=b\nB\nB--b\nMC: d\nB\nB--a\nME: f\nB\n"
	    "B--b\nBG: h\n" },
	{ "49 a boundary that is a prefix of the inner one",
	    MIXED "--a\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\nC: d\n\n--a\nE: f\n",
	    "B--a\nMContent-Type: multipart/mixed; boundary=ab\nB\nB--ab\nMC: d\nB\nB--a\nME: f\n" },
	{ "the inner boundary is the outer one",
	    MIXED
	    "--a\nContent-Type: multipart/mixed; boundary=a\n\n--a\nC: d\n\n--a--\n--a\nE: f\n",
	    "B--a\nMContent-Type: multipart/mixed; boundary=a\nB\nB--a\nMC: d\nB\nB--a--\nB--a\nME: f\n" },
	{ "a boundary within a header", MIXED "--a\nC: d\n--a\nE: f\n",
	    "B--a\nMC: d\nB--a\nME: f\n" },
	{ "two types: both boundaries, the last type",
	    "Content-Type: multipart/mixed; boundary=a\nContent-Type: text/plain\n\n--a\nC: d\n",
	    "B--a\nMC: d\n" },
	{ "pieces", MIXED "--a\nC: d\\\nE: f\n\nx\\\n--a\n--a\\\nG: h\nI: j\n",
	    "B--a\nMC: dE: f\nB\nBx\\\nB--a\nB--a\\\nBG: h\nMI: j\n" },
	{ "51 a blank first", MIXED "--a\n C: d\nE: f\n", "B--a\nB C: d\nBE: f\n" },
	{ "a header that never ends", MIXED "--a\nC: d\n", "B--a\nMC: d\n" },
	{ "an encoded message",
	    "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQQ==\n",
	    "BQQ==\n" },
};

static void test_rows(void **state)
{
	struct mime_walk_rules rules = { 100, 2048, 100000, 0, false, false };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		run(&rules, rows[i].text);
		want_str(rows[i].name, seen.ptr, rows[i].want);
	}
	rules.opaque = true;
	run(&rules, rows[1].text);
	want_str(
	    "opaque", seen.ptr, "Bpre\nB--a\nBC: d\nB e\nB\nBx\nB--a\nBno field\nB--a--\nBpost\n");
}

static void test_limits(void **state)
{
	struct mime_walk_rules rules = { 2, 3, 20, ~0u, false, false };

	(void)state;
	run(&rules, "Content-Type: multipart/mixed; boundary=abcd\n\n--abcX\nC: d\n");
	want_str("a boundary that is cut", seen.ptr, "B--abcX\nMC: d\n");
	run(&rules, MIXED "--a\nC: 0123456789012345678901234567890\n 0123\nE: f\n");
	want_str("a field that is cut", seen.ptr, "B--a\nMC: 01234567890123456\nME: f\n");
	rules.header_max = 100;
	run(&rules, MIXED "--a\nContent-Type: multipart/x; boundary=b\n\n--b\n"
			  "Content-Type: multipart/x; boundary=c\n\n--c\nC: d\n");
	assert_int_equal(errors, MIME_ERROR_NESTING);
	assert_true(slice_ends(strbuf_slice(&seen), "B--c\nBC: d\n"));
}

static void test_errors(void **state)
{
	static const struct {
		const char *text;
		unsigned want;
	} cases[] = {
		{ "A: b\n\nc\n", 0 },
		{ "A: \xc3\xa4\n\nc\n", MIME_ERROR_8BIT_HEADER },
		{ "A: b\n\n\xc3\xa4\n", MIME_ERROR_8BIT_BODY },
		{ "Content-Transfer-Encoding: 8BIT\n\n\xc3\xa4\n", 0 },
		{ "Content-Transfer-Encoding: (c) binary\n\n\xc3\xa4\n", 0 },
		{ "Content-Transfer-Encoding: base64\n\n\xc3\xa4\n", MIME_ERROR_8BIT_BODY },
		{ MIXED "--a\nA: \xff\n\nx\n", MIME_ERROR_8BIT_HEADER },
		{ MIXED "--a\nContent-Transfer-Encoding: 8bit\n\n\xff\n--a\n\n7bit\n", 0 },
		{ MIXED "--a\nContent-Transfer-Encoding: 8bit\n\nx\n--a\n\n\xff\n",
		    MIME_ERROR_8BIT_BODY },
		{ "Content-Transfer-Encoding: base64\n" MIXED, MIME_ERROR_ENCODING },
		{ MIXED "--a\nContent-Type: message/rfc822\n"
			"Content-Transfer-Encoding: quoted-printable\n\n",
		    MIME_ERROR_ENCODING },
		{ "Content-Transfer-Encoding: 8bit\n" MIXED, 0 },
	};
	struct mime_walk_rules rules = { 100, 2048, 100000, ~0u, false, false };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		run(&rules, cases[i].text);
		want_int(cases[i].text, errors, cases[i].want);
	}
	rules.errors = 0;
	run(&rules, cases[1].text);
	assert_int_equal(errors, 0);
}

static uint64_t last_offset;

static void note_offset(void *arg, struct slice piece, bool complete, uint64_t offset)
{
	(void)arg;
	(void)complete;
	if (slice_starts(piece, "x"))
		last_offset = offset;
}

static void test_offsets(void **state)
{
	static const struct mime_walk_events watch = { .field = on_field, .body = note_offset };
	static const char *const lines[] = { "12", "x", "--a", "", "345", "x" };
	static const uint64_t want[] = { 0, 3, 3, 3, 3, 4 };
	struct mime_walk_rules rules = { 100, 2048, 1000, ~0u, false, false };
	struct mime_walk *w = mime_walk_new(&rules, &watch, NULL);

	(void)state;
	last_offset = 0;
	mime_walk_field(w, SLICE_LIT("Content-Type: multipart/mixed; boundary=a"));
	mime_walk_end_header(w);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		mime_walk_line(w, slice_of(lines[i]), true);
		want_int(lines[i], last_offset, want[i] + (i == 5));
	}
	mime_walk_end(w);
	mime_walk_free(w);
}

/* 47, 48, 58: many of everything, in time that grows with the input only. */
static void test_many(void **state)
{
	struct mime_walk_rules rules = { 100, 2048, 102400, ~0u, false, false };
	struct mime_walk *w = mime_walk_new(&rules, &events, NULL);
	struct strbuf params = STRBUF_INIT(1000000);

	(void)state;
	errors = 0;
	mime_walk_field(w, SLICE_LIT("Content-Type: multipart/mixed; boundary=b"));
	mime_walk_end_header(w);
	for (unsigned i = 0; i < 100000; i++) {
		char field[80];

		snprintf(field, sizeof(field), "Content-Type: multipart/x; boundary=\"b%u\"", i);
		mime_walk_line(w, SLICE_LIT("--b"), true);
		strbuf_reset(&seen);
		mime_walk_line(w, slice_of(field), true);
	}
	mime_walk_end(w);
	mime_walk_free(w);
	assert_false(errors & MIME_ERROR_NESTING); /* each began where the last one ended */

	errors = 0;
	w = mime_walk_new(&rules, &events, NULL);
	mime_walk_field(w, SLICE_LIT("Content-Type: multipart/mixed; boundary=b"));
	mime_walk_end_header(w);
	for (unsigned i = 0; i < 20000; i++) {
		char line[80];

		snprintf(line, sizeof(line), "--b%s%u", i ? "x" : "", i ? i - 1 : 0);
		if (i == 0)
			line[3] = '\0';
		mime_walk_line(w, slice_of(line), true);
		snprintf(line, sizeof(line), "Content-Type: multipart/x; boundary=bx%u", i);
		mime_walk_line(w, slice_of(line), true);
		mime_walk_line(w, SLICE_NULL, true);
		strbuf_reset(&seen);
	}
	mime_walk_end(w);
	mime_walk_free(w);

	strbuf_addstr(&params, "multipart/mixed");
	for (unsigned i = 0; i < 10000; i++)
		strbuf_addf(&params, "; p%u=\"v;\"", i);
	struct strbuf found = STRBUF_INIT(100);

	assert_true(mime_parameter(strbuf_slice(&params), "p999", &found));
	want_str("a parameter", found.ptr, "v;");
	strbuf_reset(&found);
	/* The limit of parameters. */
	assert_false(mime_parameter(strbuf_slice(&params), "p1000", &found));
	strbuf_release(&found);
	strbuf_release(&params);
}

/* Of a boundary only what counts is kept, however long the field was. */
static void test_memory(void **state)
{
	static const struct mime_walk_rules deep = {
		.nesting_max = 100, .boundary_max = 70, .header_max = 100000
	};
	struct mime_walk *w = mime_walk_new(&deep, &events, NULL);
	struct strbuf field = STRBUF_INIT(200000);
	size_t before = mallinfo2().uordblks;

	(void)state;
	strbuf_addstr(&field, "Content-Type: multipart/mixed; boundary=");
	for (int i = 0; i < 90000; i++)
		strbuf_addch(&field, 'b');
	for (int i = 0; i < 100; i++)
		mime_walk_field(w, strbuf_slice(&field));
	assert_true(mallinfo2().uordblks < before + 1000000);
	mime_walk_free(w);
	strbuf_release(&field);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_memory),
	};

	strbuf_init(&seen, 10000000);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	strbuf_release(&seen);
	return failed;
}
