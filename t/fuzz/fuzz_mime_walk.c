// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every line of the body comes out once, as field or body, in order and unchanged but for the cut
 * of long fields; and the limits hold.
 */
#include <stdint.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "mail/header.h"
#include "mail/mime_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELD_MAX 200

struct out {
	struct strbuf text;
	uint64_t offset;
};

static void on_field(void *arg, enum mime_part_class class, struct slice field)
{
	struct out *out = arg;

	ASSERT(class == MIME_PART_MULTIPART || class == MIME_PART_NESTED);
	ASSERT(field.len <= FIELD_MAX && header_is_header(field));
	strbuf_addslice(&out->text, field);
	strbuf_addch(&out->text, '\n');
}

static void on_body(void *arg, struct slice piece, bool complete, uint64_t offset)
{
	struct out *out = arg;

	ASSERT(offset == 0 || offset <= out->offset);
	out->offset = offset + piece.len + complete;
	strbuf_addslice(&out->text, piece);
	if (complete)
		strbuf_addch(&out->text, '\n');
}

static void on_error(void *arg, enum mime_error error, struct slice text)
{
	(void)arg;
	ASSERT(text.len <= 100 && mime_error_text(error)[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mime_walk_rules rules = { 3, 10, FIELD_MAX, ~0u, false, false };
	static const struct mime_walk_events events = {
		.field = on_field,
		.body = on_body,
		.error = on_error,
	};
	struct slice rest = slice_mem((const char *)data, size), body = SLICE_NULL;
	struct out out = { .text = STRBUF_INIT(STRBUF_NO_LIMIT) };
	struct mime_walk *w = mime_walk_new(&rules, &events, &out);
	bool in_header = true, cut = false;

	while (rest.len > 0) {
		ptrdiff_t lf = slice_find(rest, '\n');
		bool complete = lf >= 0;
		struct slice line = slice_first(rest, complete ? (size_t)lf : rest.len);

		cut |= line.len > FIELD_MAX / 4;
		rest = slice_from(rest, line.len + 1);
		if (!in_header) {
			mime_walk_line(w, line, complete);
		} else if (line.len > 0 && complete) {
			mime_walk_field(w, line);
		} else {
			mime_walk_end_header(w);
			in_header = false;
			body = rest;
		}
	}
	if (!in_header)
		mime_walk_end(w);
	/* Folded fields may have been cut: compare only where no field can be long. */
	if (!cut && body.len < FIELD_MAX && body.len > 0) {
		if (!slice_ends(body, "\n") && slice_ends(strbuf_slice(&out.text), "\n"))
			strbuf_truncate(&out.text, out.text.len - 1);
		ASSERT(slice_eq(strbuf_slice(&out.text), body));
	}
	mime_walk_free(w);
	strbuf_release(&out.text);
	return 0;
}
