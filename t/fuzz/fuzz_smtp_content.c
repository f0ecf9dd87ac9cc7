// SPDX-License-Identifier: BSD-2-Clause
/*
 * Any queue file's content, converted or not: what leaves has no CR or LF but CRLF, no line over
 * the limit, no line that is a dot alone, and nothing of a damaged file passes for a whole one. The
 * first two bytes choose, the rest are the records.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "queue/queue_record.h"
#include "smtp/smtp_content_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 50

bool smtp_is_lmtp;
static struct postfix_params params;
const struct postfix_params *smtp_params = &params;

static void check_wire(struct slice wire, size_t limit, bool dots)
{
	while (wire.len > 0) {
		ptrdiff_t cr = slice_find(wire, '\r');
		struct slice line;

		ASSERT(cr >= 0 && (size_t)cr + 1 < wire.len && wire.ptr[cr + 1] == '\n');
		line = slice_first(wire, (size_t)cr);
		ASSERT(slice_find(line, '\n') < 0);
		ASSERT(!dots || !slice_starts(line, ".") || slice_starts(line, ".."));
		ASSERT(limit == 0 || line.len <= limit + (dots && slice_starts(line, ".")));
		wire = slice_from(wire, (size_t)cr + 2);
	}
}

/* Whether the file has an end. */
static bool is_whole(int fd)
{
	struct queue_reader reader;
	struct queue_record record;
	enum queue_read result;

	queue_reader_init(&reader, fd, 0);
	do
		result = queue_reader_next(&reader, &record);
	while (result == QUEUE_READ_RECORD && record.type != QR_EXTRACTED);
	queue_reader_release(&reader);
	return result == QUEUE_READ_RECORD;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_prepared;
	struct delivery_request request = { .id = "fuzz", .sender = "", .encoding = "" };
	struct smtp_content_rules rules = { .to_7bit = false };
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
	enum smtp_content_result result;
	struct smtp_failure failure;
	struct smtp_content *content;
	bool ended = false;
	size_t want;
	int fd;

	if (!is_prepared) {
		params.mime_nesting_limit = 3;
		params.mime_boundary_length_limit = 20;
		params.header_size_limit = 300;
		smtp_content_filter_prepare(&params);
		is_prepared = true;
	}
	if (size < 2)
		return 0;
	rules.to_7bit = data[0] & 1;
	rules.dots = data[0] & 2;
	params.smtp_line_length_limit = data[0] & 4 ? LIMIT : 0;
	want = data[1];
	fd = memfd_create("content", MFD_CLOEXEC);
	ASSERT(fd != -1 && write(fd, data + 2, size - 2) == (ssize_t)(size - 2));
	content = smtp_content_open(&request, fd, &rules);
	do
		result = smtp_content_next(content, want, &out, &ended, &failure);
	while (result == SMTP_CONTENT_SENT && !ended);
	smtp_content_close(content);
	if (result == SMTP_CONTENT_SENT) {
		ASSERT(is_whole(fd));
		check_wire(strbuf_slice(&out), params.smtp_line_length_limit, rules.dots);
	} else {
		ASSERT(failure.why.dsn[0] != '\0' && failure.why.text[0] != '\0');
	}
	strbuf_release(&out);
	close(fd);
	return 0;
}
