// SPDX-License-Identifier: BSD-2-Clause
/* For tests of smtp_content: messages in queue files, and what becomes of them. */
#ifndef PC_UNIT_CONTENT_FIXTURE_H
#define PC_UNIT_CONTENT_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "queue/envelope.h"
#include "queue/queue_file.h"
#include "scratch.h"
#include "smtp/smtp_content.h"
#include "unit.h"

static inline int new_file(void)
{
	static int number;
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "file%d", ++number);
	fd = openat(scratch_fd(), name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	unlinkat(scratch_fd(), name, 0);
	return fd;
}

/*
 * TEXT as a queue file's content, in records of at most CUT bytes (0: a line each).  Its LF end
 * lines; "\1" stands for an LF that does not.
 */
static inline int write_message(const char *text, size_t cut, off_t *data_offset)
{
	struct slice rest = slice_of(text);
	struct queue_writer w;
	int fd = new_file();

	queue_writer_init(&w, fd);
	queue_writer_begin(&w, 1795160574129228, SLICE_LIT("alice@virt.test"));
	queue_writer_recipient(&w, SLICE_LIT("bob@rem.test"), SLICE_NULL, SLICE_NULL, 0);
	queue_writer_content(&w);
	*data_offset = w.data_offset;
	while (rest.len > 0) {
		ptrdiff_t lf = slice_find(rest, '\n');
		size_t len = lf >= 0 ? (size_t)lf : rest.len;
		bool complete = lf >= 0;
		char line[9000];

		if (cut > 0 && len > cut) {
			len = cut;
			complete = false;
		}
		assert_true(len < sizeof(line));
		for (size_t i = 0; i < len; i++)
			line[i] = (char)(rest.ptr[i] == '\1' ? '\n' : rest.ptr[i]);
		queue_writer_line(&w, slice_mem(line, len), complete);
		rest = slice_from(rest, len + complete);
	}
	queue_writer_extracted(&w);
	want_int("finish", queue_writer_finish(&w, 0), 0);
	queue_writer_release(&w);
	return fd;
}

static inline struct delivery_request request_of(off_t data_offset)
{
	return (struct delivery_request){
		.id = "4TestQueueId",
		.sender = "alice@virt.test",
		.encoding = "",
		.rewrite_context = "local",
		.data_offset = data_offset,
	};
}

/* All of the content of FD, in pieces of about WANT bytes. */
static inline enum smtp_content_result send_file(int fd, off_t data_offset,
    const struct smtp_content_rules *rules, size_t want, bool is_plain, struct strbuf *out,
    struct smtp_failure *failure)
{
	struct delivery_request request = request_of(data_offset);
	struct smtp_content *content = smtp_content_open(&request, fd, rules);
	enum smtp_content_result result;
	bool ended = false;

	want_int("plain", smtp_content_is_plain(content), is_plain);
	do {
		size_t before = out->len;

		result = smtp_content_next(content, want, out, &ended, failure);
		assert_true(result != SMTP_CONTENT_SENT || ended || out->len >= before + want);
	} while (result == SMTP_CONTENT_SENT && !ended);
	smtp_content_close(content);
	return result;
}

#endif
