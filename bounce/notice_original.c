// SPDX-License-Identifier: BSD-2-Clause
/* A look into the header of the message that a notice is about. */
#include "bounce/bounce.h"
#include "mail/header.h"
#include "queue/envelope.h"

#define FIELD_MAX    (NOTICE_MESSAGE_ID_MAX + 200) /* of what is longer nothing is used */
#define HEADER_LINES 20000

struct scan {
	struct notice_original *original;
	struct strbuf field; /* with its folds */
};

/* The first word; comments are not taken apart. */
static struct slice first_word(struct slice value)
{
	struct slice word;

	return slice_token(&value, " \t\r\n", &word) ? word : SLICE_NULL;
}

static void take_field(struct scan *scan)
{
	struct slice name, value;

	if (scan->field.overflow || !header_split(strbuf_slice(&scan->field), &name, &value))
		return;
	if (slice_caseeq_str(name, "Message-Id") && scan->original->message_id.len == 0) {
		value = slice_trim(value, " \t\r\n");
		if (slice_find(value, '\n') < 0)
			strbuf_addslice(&scan->original->message_id, value);
	}
	if (slice_caseeq_str(name, "TLS-Required") && slice_caseeq_str(first_word(value), "no"))
		scan->original->tls_not_required = true;
}

static void take_line(struct scan *scan, struct slice line, bool starts_line)
{
	if (starts_line && !header_is_continuation(line)) {
		take_field(scan);
		strbuf_reset(&scan->field);
	} else if (starts_line) {
		strbuf_addch(&scan->field, '\n');
	}
	strbuf_addslice(&scan->field, line);
}

void notice_original_read(struct notice_original *original, int fd, off_t data_offset)
{
	struct scan scan = { .original = original, .field = STRBUF_INIT(FIELD_MAX) };
	struct content_reader reader;
	struct slice line;
	bool whole, starts_line = true;

	*original = (struct notice_original){ .tls_not_required = false };
	strbuf_init(&original->message_id, NOTICE_MESSAGE_ID_MAX);
	content_reader_init(&reader, fd, data_offset);
	for (unsigned i = 0; i < HEADER_LINES; i++) {
		if (content_reader_next(&reader, &line, &whole) != CONTENT_LINE ||
		    (starts_line && line.len == 0))
			break;
		take_line(&scan, line, starts_line);
		starts_line = whole;
	}
	take_field(&scan);
	content_reader_release(&reader);
	strbuf_release(&scan.field);
}
