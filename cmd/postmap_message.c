// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/postmap_message.h"

#include "mail/header.h"
#include "mail/mime_walk.h"

struct reader {
	const struct postmap_message *what;
	void (*key)(struct slice key, void *arg);
	void *arg;
};

static void on_field(void *arg, enum mime_part_class class, struct slice field)
{
	const struct reader *r = arg;

	(void)class;
	if (r->what->headers)
		r->key(field, r->arg);
}

/* Lines come whole, since the message is in memory. */
static void on_body(void *arg, struct slice piece, bool complete, uint64_t offset)
{
	const struct reader *r = arg;

	(void)complete;
	(void)offset;
	if (r->what->body)
		r->key(piece, r->arg);
}

static bool take_line(struct slice *rest, struct slice *line)
{
	ptrdiff_t end = slice_find(*rest, '\n');

	if (rest->len == 0)
		return false;
	*line = end < 0 ? *rest : slice_first(*rest, (size_t)end);
	*rest = slice_from(*rest, end < 0 ? rest->len : (size_t)end + 1);
	return true;
}

/* A field with its folds, off REST.  False: what comes is no field. */
static bool take_field(struct slice *rest, struct slice *field)
{
	struct slice after = *rest, line;
	const char *start = rest->ptr;

	if (!take_line(&after, &line) || !header_is_header(line))
		return false;
	while (header_is_continuation(after) && take_line(&after, &line))
		continue;
	*field = slice_mem(start, (size_t)(line.ptr + line.len - start));
	*rest = after;
	return true;
}

void postmap_message_keys(const struct postmap_message *what, const struct postfix_params *params,
    struct slice text, void (*key)(struct slice key, void *arg), void *arg)
{
	const struct mime_walk_rules rules = {
		.nesting_max = (unsigned)params->mime_nesting_limit,
		.boundary_max = (size_t)params->mime_boundary_length_limit,
		.header_max = (size_t)params->header_size_limit,
		.opaque = !what->mime,
	};
	static const struct mime_walk_events events = { .field = on_field, .body = on_body };
	struct reader reader = { .what = what, .key = key, .arg = arg };
	struct mime_walk *walk = mime_walk_new(&rules, &events, &reader);
	struct slice rest = text, line;

	while (take_field(&rest, &line)) {
		if (what->headers)
			key(line, arg);
		mime_walk_field(walk, line);
	}
	mime_walk_end_header(walk);
	while (take_line(&rest, &line))
		mime_walk_line(walk, line, true);
	mime_walk_end(walk);
	mime_walk_free(walk);
}
