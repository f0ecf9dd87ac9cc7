// SPDX-License-Identifier: BSD-2-Clause
/*
 * Whatever the message: without conversion it comes out as it went in; a body that its header calls
 * 8-bit comes out as 7-bit lines of at most 76 bytes, which decode to what it was; and nothing is
 * invented but fields.
 */
#include <stdint.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/strbuf.h"
#include "mail/header.h"
#include "mail/mime_convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELD_MAX 4000

struct out {
	struct strbuf text;
	size_t longest;
	unsigned fresh;
	bool has_8bit;
};

static void on_field(void *arg, enum mime_part_class class, struct slice field, bool is_new)
{
	struct out *out = arg;

	ASSERT(class <= MIME_PART_OWN);
	ASSERT(field.len <= FIELD_MAX && header_is_header(field));
	out->fresh += is_new;
	strbuf_addslice(&out->text, field);
	strbuf_addch(&out->text, '\n');
}

static void on_body(void *arg, struct slice piece, bool complete)
{
	struct out *out = arg;

	for (size_t i = 0; i < piece.len; i++)
		out->has_8bit |= (unsigned char)piece.ptr[i] >= 0x80;
	if (piece.len > out->longest)
		out->longest = piece.len;
	strbuf_addslice(&out->text, piece);
	if (complete)
		strbuf_addch(&out->text, '\n');
}

static const struct mime_convert_events events = { .field = on_field, .body = on_body };

static void run(struct slice rest, size_t cut, bool to_7bit, struct out *out)
{
	const struct mime_convert_rules rules = {
		.walk = { .nesting_max = 5, .boundary_max = 20, .header_max = FIELD_MAX },
		.to_7bit = to_7bit,
	};
	struct mime_convert *c = mime_convert_new(&rules, &events, out);
	bool complete = true;

	while (rest.len > 0) {
		ptrdiff_t lf = slice_find(rest, '\n');
		size_t len = lf >= 0 ? (size_t)lf : rest.len;

		complete = lf >= 0 && len <= cut;
		len = len > cut ? cut : len;
		mime_convert_line(c, slice_first(rest, len), complete);
		rest = slice_from(rest, len + complete);
	}
	if (!complete)
		mime_convert_line(c, SLICE_NULL, true);
	mime_convert_end(c);
	mime_convert_free(c);
}

static int hex(char c)
{
	return ascii_isdigit(c) ? c - '0' : c - 'A' + 10;
}

/* RFC 2045 6.7, strictly. */
static void decode(struct slice text, struct strbuf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] != '=') {
			strbuf_addch(out, text.ptr[i]);
			continue;
		}
		ASSERT(i + 1 < text.len);
		if (text.ptr[i + 1] == '\n') {
			i++;
			continue;
		}
		ASSERT(i + 2 < text.len);
		strbuf_addch(out, (char)(16 * hex(text.ptr[i + 1]) + hex(text.ptr[i + 2])));
		i += 2;
	}
}

/* The input as the body of one 8-bit text. */
static void one_body(struct slice body, size_t cut)
{
	static const char head[] = "Content-Transfer-Encoding: 8bit\n\n";
	static const char new_head[] = "Content-Transfer-Encoding: quoted-printable\n\n";
	struct out out = { .text = STRBUF_INIT(STRBUF_NO_LIMIT) };
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT), decoded = STRBUF_INIT(STRBUF_NO_LIMIT);

	strbuf_addstr(&text, head);
	strbuf_addslice(&text, body);
	run(strbuf_slice(&text), cut, true, &out);
	ASSERT(!out.has_8bit && out.longest <= 76 && out.fresh == 1);
	ASSERT(slice_starts(strbuf_slice(&out.text), new_head));
	decode(slice_from(strbuf_slice(&out.text), sizeof(new_head) - 1), &decoded);
	if (body.len > 0 && !slice_ends(body, "\n"))
		strbuf_addch(&text, '\n');
	ASSERT(slice_eq(strbuf_slice(&decoded), slice_from(strbuf_slice(&text), sizeof(head) - 1)));
	strbuf_release(&text);
	strbuf_release(&decoded);
	strbuf_release(&out.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_mem((const char *)data, size);
	struct out out = { .text = STRBUF_INIT(STRBUF_NO_LIMIT) };
	size_t cut = size > 0 ? 32 + data[0] : 32;
	struct slice got;

	run(text, cut, true, &out);
	strbuf_reset(&out.text);
	out.fresh = 0;
	run(text, cut, false, &out);
	ASSERT(out.fresh == 0);
	got = strbuf_slice(&out.text);
	/* Fields may have been cut: compare only where none can be long. */
	if (size < FIELD_MAX)
		ASSERT(slice_eq(slice_first(got, text.len), text) && got.len <= text.len + 1);
	strbuf_release(&out.text);
	one_body(text, cut);
	return 0;
}
