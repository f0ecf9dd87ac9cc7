// SPDX-License-Identifier: BSD-2-Clause
#include "smtp/smtp_content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "queue/envelope.h"
#include "smtp/smtp_content_private.h"

struct smtp_content {
	const char *id;
	struct content_reader reader;
	struct smtp_content_lines lines;
	struct smtp_content_filter *filter; /* NULL: the lines go as they are */
	bool open;			    /* the last piece was not the end of its line */
	bool ended;
};

void smtp_content_prepare(const struct postfix_params *params)
{
	smtp_content_generic_prepare(params);
	smtp_content_checks_prepare(params);
	smtp_content_filter_prepare(params);
}

struct smtp_content *smtp_content_open(
    const struct delivery_request *request, int fd, const struct smtp_content_rules *rules)
{
	struct smtp_content *c = xcalloc(1, sizeof(*c));
	long limit = SMTP_PARAM(line_length_limit);

	c->id = request->id;
	content_reader_init(&c->reader, fd, request->data_offset);
	smtp_content_lines_init(&c->lines, c->id, limit > 0 ? (size_t)limit : 0, rules->dots);
	c->filter = smtp_content_filter_new(rules, &c->lines);
	return c;
}

void smtp_content_close(struct smtp_content *c)
{
	if (c == NULL)
		return;
	smtp_content_filter_free(c->filter);
	content_reader_release(&c->reader);
	free(c);
}

bool smtp_content_is_plain(const struct smtp_content *c)
{
	return c->filter == NULL;
}

static enum smtp_content_result damaged(
    const struct smtp_content *c, const char *what, struct smtp_failure *failure)
{
	log_warning("%s: queue file read error: %s", c->id, what);
	memset(failure, 0, sizeof(*failure));
	reason_set(&failure->why, "4.3.0", "queue file read error: %s", what);
	return SMTP_CONTENT_DAMAGED;
}

/* False: refused. */
static bool take_piece(struct smtp_content *c, struct slice piece, bool complete)
{
	c->open = !complete;
	if (c->filter != NULL)
		return smtp_content_filter_line(c->filter, piece, complete);
	smtp_content_put(&c->lines, piece, complete);
	return true;
}

static bool end_message(struct smtp_content *c)
{
	bool ok = !c->open || take_piece(c, SLICE_NULL, true);

	c->ended = true;
	return ok && (c->filter == NULL || smtp_content_filter_end(c->filter));
}

static enum smtp_content_result take_next(struct smtp_content *c, struct smtp_failure *failure)
{
	struct slice piece;
	bool whole, ok = true;

	switch (content_reader_next(&c->reader, &piece, &whole)) {
	case CONTENT_LINE:
		ok = take_piece(c, piece, whole);
		break;
	case CONTENT_END:
		ok = end_message(c);
		break;
	case CONTENT_DAMAGED:
		return damaged(c, errno != 0 ? strerror(errno) : "damaged queue file", failure);
	}
	if (ok)
		return SMTP_CONTENT_SENT;
	*failure = *smtp_content_filter_why(c->filter);
	return SMTP_CONTENT_REFUSED;
}

enum smtp_content_result smtp_content_next(struct smtp_content *c, size_t want, struct strbuf *out,
    bool *ended, struct smtp_failure *failure)
{
	enum smtp_content_result result = SMTP_CONTENT_SENT;
	size_t before = out->len;

	c->lines.out = out;
	/* There is progress whatever is wanted. */
	while (!c->ended && result == SMTP_CONTENT_SENT) {
		result = take_next(c, failure);
		if (out->len - before >= want || out->overflow)
			break;
	}
	if (result == SMTP_CONTENT_SENT && out->overflow)
		return damaged(c, "no room for a line", failure);
	*ended = c->ended && result == SMTP_CONTENT_SENT;
	return result;
}
