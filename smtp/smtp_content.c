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
	bool ended;
};

void smtp_content_prepare(const struct postfix_params *params)
{
	(void)params;
}

bool smtp_content_address(const char *address, struct strbuf *out, struct smtp_failure *failure)
{
	(void)failure;
	strbuf_addstr(out, address);
	return true;
}

struct smtp_content *smtp_content_open(
    const struct delivery_request *request, int fd, const struct smtp_content_rules *rules)
{
	struct smtp_content *c = xcalloc(1, sizeof(*c));
	int limit = SMTP_PARAM(line_length_limit);

	c->id = request->id;
	content_reader_init(&c->reader, fd, request->data_offset);
	smtp_content_lines_init(&c->lines, c->id, limit > 0 ? (size_t)limit : 0, rules->dots);
	return c;
}

void smtp_content_close(struct smtp_content *c)
{
	if (c == NULL)
		return;
	content_reader_release(&c->reader);
	free(c);
}

bool smtp_content_is_plain(const struct smtp_content *c)
{
	(void)c;
	return true;
}

static enum smtp_content_result damaged(
    const struct smtp_content *c, const char *what, struct smtp_failure *failure)
{
	log_warning("%s: queue file read error: %s", c->id, what);
	memset(failure, 0, sizeof(*failure));
	reason_set(&failure->why, "4.3.0", "queue file read error: %s", what);
	return SMTP_CONTENT_DAMAGED;
}

enum smtp_content_result smtp_content_next(struct smtp_content *c, size_t want, struct strbuf *out,
    bool *ended, struct smtp_failure *failure)
{
	size_t before = out->len;
	struct slice piece;
	bool whole;

	c->lines.out = out;
	while (!c->ended && out->len - before < want && !out->overflow) {
		switch (content_reader_next(&c->reader, &piece, &whole)) {
		case CONTENT_LINE:
			smtp_content_put(&c->lines, piece, whole);
			break;
		case CONTENT_END:
			smtp_content_put_end(&c->lines);
			c->ended = true;
			break;
		case CONTENT_DAMAGED:
			return damaged(
			    c, errno != 0 ? strerror(errno) : "damaged queue file", failure);
		}
	}
	if (out->overflow)
		return damaged(c, "no room for a line", failure);
	*ended = c->ended;
	return SMTP_CONTENT_SENT;
}
