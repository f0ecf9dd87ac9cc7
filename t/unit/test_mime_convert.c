// SPDX-License-Identifier: BSD-2-Clause
/* A message made fit for a server without 8BITMIME, as the peer does it. */
#include "unit.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "mail/mime_convert.h"

#define CTE  "Content-Transfer-Encoding: "
#define MIX  "Content-Type: multipart/mixed; boundary=yy\n"
#define BODY "b\303\244r = x\ttab \nsecond  \nthird\t\n\nplain\n"
#define QP   "b=C3=A4r =3D x\ttab=20\nsecond =20\nthird=09\n\nplain\n"

static const struct {
	const char *name, *text, *want;
} cases[] = {
	{ "no word of 8bit", "Subject: a\n\n" BODY, "Subject: a\n\n" BODY },
	{ "text", CTE "8bit\nSubject: a\n\n" BODY, "Subject: a\n" CTE "quoted-printable\n\n" QP },
	{ "binary", CTE "BINARY\n\n" BODY, CTE "quoted-printable\n\n" QP },
	{ "comment and fold", CTE "\n (c) 8bit (d)\n\n" BODY, CTE "quoted-printable\n\n" QP },
	{ "7bit that lies", CTE "7bit\n\n" BODY, CTE "7bit\n\n" BODY },
	{ "encoded already", CTE "quoted-printable\n\n" BODY, CTE "quoted-printable\n\n" BODY },
	{ "unknown", CTE "x-foo\n\n" BODY, CTE "x-foo\n\n" BODY },
	{ "the last one counts", CTE "8bit\n" CTE "base64\n\n" BODY, CTE "base64\n\n" BODY },
	{ "the last one is dropped", CTE "base64\n" CTE "8bit\n\n" BODY,
	    CTE "base64\n" CTE "quoted-printable\n\n" QP },
	{ "8-bit header", "Subject: \303\244\n" CTE "8bit\n\n" BODY,
	    "Subject: \303\244\n" CTE "quoted-printable\n\n" QP },
	{ "no body", CTE "8bit\n", CTE "quoted-printable\n" },
	{ "empty body", CTE "8bit\n\n", CTE "quoted-printable\n\n" },
	{ "nothing", "", "" },
	{ "multipart",
	    MIX CTE "8bit\n\npro\303\244\n--yy\n" CTE "8bit\nContent-Type: image/png\n\n" BODY
		    "--yy\n" CTE "7bit\n\n" BODY "--yy\n\n" BODY "--yy--\nepi\303\244\n",
	    MIX CTE "7bit\n\npro\303\244\n--yy\nContent-Type: image/png\n" CTE
		    "quoted-printable\n\n" QP "--yy\n" CTE "7bit\n\n" BODY "--yy\n\n" BODY
		    "--yy--\nepi\303\244\n" },
	{ "multipart that says nothing", MIX "\n--yy\n" CTE "8bit\n\n" BODY "--yy--\n",
	    MIX "\n--yy\n" CTE "quoted-printable\n\n" QP "--yy--\n" },
	{ "multipart without a boundary", "Content-Type: multipart/mixed\n" CTE "8bit\n\n" BODY,
	    "Content-Type: multipart/mixed\n" CTE "7bit\n\n" BODY },
	{ "part without an empty line", MIX "\n--yy\n" CTE "8bit\nno header " BODY "--yy--\n",
	    MIX "\n--yy\n" CTE "quoted-printable\nno header " QP "--yy--\n" },
	{ "parts without bodies", MIX "\n--yy\n" CTE "8bit\n--yy\n" CTE "8bit\n--yy--\n",
	    MIX "\n--yy\n" CTE "quoted-printable\n--yy\n" CTE "quoted-printable\n--yy--\n" },
	{ "part without an end", MIX "\n--yy\n" CTE "8bit\n",
	    MIX "\n--yy\n" CTE "quoted-printable\n" },
	{ "multiparts in each other",
	    MIX "\n--yy\nContent-Type: multipart/related; boundary=zz\n" CTE "8bit\n\n--zz\n" CTE
		"8bit\n\n" BODY "--zz--\n\303\244\n--yy\n" CTE "8bit\n\n" BODY "--yy--\n",
	    MIX "\n--yy\nContent-Type: multipart/related; boundary=zz\n" CTE "7bit\n\n--zz\n" CTE
		"quoted-printable\n\n" QP "--zz--\n\303\244\n--yy\n" CTE "quoted-printable\n\n" QP
		"--yy--\n" },
	{ "an outer boundary ends all",
	    MIX "\n--yy\nContent-Type: multipart/related; boundary=zz\n\n--zz\n" CTE "8bit\n\n" BODY
		"--yy\n\n" BODY,
	    MIX "\n--yy\nContent-Type: multipart/related; boundary=zz\n\n--zz\n" CTE
		"quoted-printable\n\n" QP "--yy\n\n" BODY },
	{ "message",
	    "Content-Type: message/rfc822\n" CTE "8bit\n\nSubject: in\303\244\n" CTE
	    "8bit\n\n" BODY,
	    "Content-Type: message/rfc822\n" CTE "7bit\n\nSubject: in\303\244\n" CTE
	    "quoted-printable\n\n" QP },
	{ "message that says nothing", "Content-Type: message/rfc822\n\n" CTE "8bit\n\n" BODY,
	    "Content-Type: message/rfc822\n\n" CTE "quoted-printable\n\n" QP },
	{ "partial message", "Content-Type: message/partial\n" CTE "8bit\n\n" CTE "8bit\n\n" BODY,
	    "Content-Type: message/partial\n" CTE "7bit\n\n" CTE "8bit\n\n" QP },
	{ "global message, 8bit",
	    "Content-Type: message/global\n" CTE "8bit\n\n" CTE "8bit\n\n" BODY,
	    "Content-Type: message/global\n" CTE "quoted-printable\n\n" CTE "8bit\n\n" QP },
	{ "global message, 7bit", "Content-Type: message/global\n\n" CTE "8bit\n\n" BODY,
	    "Content-Type: message/global\n\n" CTE "quoted-printable\n\n" QP },
	{ "digest",
	    "Content-Type: multipart/digest; boundary=yy\n\n--yy\n" CTE "8bit\n\nSubject: a\n" CTE
	    "8bit\n\n" BODY "--yy\n\n" CTE "8bit\n\n" BODY "--yy--\n",
	    "Content-Type: multipart/digest; boundary=yy\n\n--yy\n" CTE "7bit\n\nSubject: a\n" CTE
	    "quoted-printable\n\n" QP "--yy\n\n" CTE "quoted-printable\n\n" QP "--yy--\n" },
	{ "8-bit boundary",
	    "Content-Type: multipart/mixed; boundary=\"y\303\"\n\n--y\303\n" CTE "8bit\n\n" BODY
	    "--y\303--\n",
	    "Content-Type: multipart/mixed; boundary=\"y\303\"\n\n--y\303\n" CTE
	    "quoted-printable\n\n" QP "--y\303--\n" },
	{ "not the header it could be", "no header\n" CTE "8bit\n\n" BODY,
	    "no header\n" CTE "8bit\n\n" BODY },
};

/* What comes out. */
struct out {
	struct strbuf text;
	unsigned errors, fresh;
};

static void on_field(void *arg, enum mime_part_class class, struct slice field, bool is_new)
{
	struct out *out = arg;

	(void)class;
	out->fresh += is_new;
	strbuf_addslice(&out->text, field);
	strbuf_addch(&out->text, '\n');
}

static void on_body(void *arg, struct slice piece, bool complete)
{
	struct out *out = arg;

	strbuf_addslice(&out->text, piece);
	if (complete)
		strbuf_addch(&out->text, '\n');
}

static void on_error(void *arg, enum mime_error error, struct slice text)
{
	struct out *out = arg;

	(void)text;
	out->errors |= error;
}

static const struct mime_convert_events events = { on_field, on_body, on_error };

/* Lines are given in pieces of at most CUT bytes. */
static void run(
    struct slice text, size_t cut, const struct mime_convert_rules *rules, struct out *out)
{
	struct mime_convert *c = mime_convert_new(rules, &events, out);

	strbuf_reset(&out->text);
	out->errors = out->fresh = 0;
	while (text.len > 0) {
		ptrdiff_t lf = slice_find(text, '\n');
		size_t len = lf >= 0 ? (size_t)lf : text.len;
		bool complete = len <= cut;

		len = complete ? len : cut;
		mime_convert_line(c, slice_first(text, len), complete);
		text = slice_from(text, len + complete);
	}
	mime_convert_end(c);
	mime_convert_free(c);
}

static const struct mime_convert_rules to_7bit = {
	.walk = { .nesting_max = 10,
	    .boundary_max = 100,
	    .header_max = 1000,
	    .errors = MIME_ERROR_NESTING },
	.to_7bit = true,
};

static void as_the_peer(void **state)
{
	struct out out = { .text = STRBUF_INIT(STRBUF_NO_LIMIT) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* A name, and what may be a boundary, is in a line's first piece. */
		for (size_t cut = 35; cut < 100; cut += 7) {
			run(slice_of(cases[i].text), cut, &to_7bit, &out);
			want_str(cases[i].name, out.text.ptr, cases[i].want);
			want_int(cases[i].name, out.errors, 0);
		}
	}
	strbuf_release(&out.text);
}

static void nothing_to_convert(void **state)
{
	struct mime_convert_rules rules = to_7bit;
	struct out out = { .text = STRBUF_INIT(STRBUF_NO_LIMIT) };

	(void)state;
	for (int opaque = 0; opaque < 2; opaque++)
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			rules.to_7bit = false;
			rules.walk.opaque = opaque;
			run(slice_of(cases[i].text), 1000, &rules, &out);
			want_str(cases[i].name, out.text.ptr, cases[i].text);
			want_int(cases[i].name, out.fresh, 0);
		}
	strbuf_release(&out.text);
}

/* COUNT times C, and AFTER. */
static const struct {
	unsigned count;
	const char *text, *after;
	unsigned first; /* of TEXT in the first line */
	const char *first_end, *second;
} lengths[] = {
	{ 73, "a", "", 73, "\n", "" },
	{ 74, "a", "", 73, "=\n", "a\n" },
	{ 77, "a", "", 73, "=\n", "aaaa\n" },
	{ 72, "a", " ", 72, "=20\n", "" },
	{ 73, "a", " ", 73, "=\n", "=20\n" },
	{ 71, "a", "\t", 71, "=09\n", "" },
	{ 72, "a", "==", 72, "=3D=\n", "=3D\n" },
	{ 73, "a", "=", 73, "=\n", "=3D\n" },
	{ 25, "\303", "", 25, "\n", "" },
	{ 26, "\303", "", 25, "=\n", "=C3\n" },
	{ 1, "\177", "~", 1, "~\n", "" },
	{ 1, "\001", "\r", 1, "=0D\n", "" },
};

static void line_lengths(void **state)
{
	struct strbuf text = STRBUF_INIT(10000), want = STRBUF_INIT(10000);
	struct out out = { .text = STRBUF_INIT(STRBUF_NO_LIMIT) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct mime_convert *c = mime_convert_new(&to_7bit, &events, &out);
		unsigned char first = (unsigned char)lengths[i].text[0];

		strbuf_reset(&text);
		strbuf_reset(&want);
		strbuf_reset(&out.text);
		for (unsigned n = 0; n < lengths[i].count; n++) {
			strbuf_addstr(&text, lengths[i].text);
			if (n < lengths[i].first)
				strbuf_addf(
				    &want, first < 127 && first > 31 ? "%c" : "=%02X", first);
		}
		strbuf_addstr(&text, lengths[i].after);
		strbuf_addf(&want, "%s%s", lengths[i].first_end, lengths[i].second);
		mime_convert_line(c, SLICE_LIT(CTE "8bit"), true);
		mime_convert_line(c, SLICE_NULL, true);
		/* Byte by byte, with nothing in between. */
		for (size_t n = 0; n < text.len; n++) {
			mime_convert_line(c, slice_mem(text.ptr + n, 1), false);
			mime_convert_line(c, SLICE_NULL, false);
		}
		mime_convert_line(c, SLICE_NULL, true);
		mime_convert_end(c);
		mime_convert_free(c);
		want_slice("line",
		    slice_from(strbuf_slice(&out.text), strlen(CTE "quoted-printable\n\n")),
		    strbuf_slice(&want));
	}
	strbuf_release(&text);
	strbuf_release(&want);
	strbuf_release(&out.text);
}

static void too_deep(void **state)
{
	struct out out = { .text = STRBUF_INIT(STRBUF_NO_LIMIT) };
	struct strbuf text = STRBUF_INIT(10000);

	(void)state;
	strbuf_addstr(&text, "Content-Type: multipart/mixed; boundary=b0.\n\n");
	for (int i = 0; i < 11; i++) {
		run(strbuf_slice(&text), 1000, &to_7bit, &out);
		want_int("depth", out.errors, i < 10 ? 0 : MIME_ERROR_NESTING);
		strbuf_addf(
		    &text, "--b%d.\nContent-Type: multipart/mixed; boundary=b%d.\n\n", i, i + 1);
	}
	strbuf_release(&text);
	strbuf_release(&out.text);
}

/* A field has its limit; the rest of it is dropped, and what comes next is not. */
static void long_field(void **state)
{
	struct out out = { .text = STRBUF_INIT(STRBUF_NO_LIMIT) };
	struct mime_convert_rules rules = to_7bit;

	(void)state;
	rules.walk.header_max = 10;
	run(SLICE_LIT("a: 456789012345\n more\n\tof it\nb: c\n\nbody\n"), 1000, &rules, &out);
	want_str("long", out.text.ptr, "a: 4567890\nb: c\n\nbody\n");
	run(SLICE_LIT("a: 456789012345\n more\n\tof it\nb: c\n\nbody\n"), 5, &rules, &out);
	want_str("long, cut", out.text.ptr, "a: 4567890\nb: c\n\nbody\n");
	strbuf_release(&out.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_peer),
		cmocka_unit_test(nothing_to_convert),
		cmocka_unit_test(line_lengths),
		cmocka_unit_test(too_deep),
		cmocka_unit_test(long_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
