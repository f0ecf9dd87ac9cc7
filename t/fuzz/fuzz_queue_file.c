// SPDX-License-Identifier: BSD-2-Clause
/* Any bytes as a queue file, as a log of reasons, and as a listing: refused or read, never
 * believed. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "queue/defer_log.h"
#include "queue/envelope.h"
#include "queue/showq.h"
#include "sys/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_content(int fd, off_t offset)
{
	struct content_reader content;
	struct slice line;
	bool whole;

	content_reader_init(&content, fd, offset);
	while (content_reader_next(&content, &line, &whole) == CONTENT_LINE)
		ASSERT(line.len <= QUEUE_RECORD_MAX);
	content_reader_release(&content);
}

static void read_file(struct slice text, enum envelope_check check)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct reason why = { .dsn = "" };
	struct envelope *env;

	ASSERT(fd != -1 && file_write_all(fd, text) == 0);
	env = envelope_read(fd, "ABCDEF0123", check, &why);
	if (env) {
		ASSERT(env->done_count <= env->recipient_count);
		for (size_t i = 0; i < env->recipient_count; i++)
			ASSERT(env->recipients[i].offset < (off_t)text.len);
		read_content(fd, env->data_offset);
	} else {
		ASSERT(dsn_is_valid(why.dsn));
	}
	envelope_free(env);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_mem(data, size);
	struct arena arena = ARENA_INIT;
	struct defer_entry *entries;
	struct showq_reader reader;
	struct showq_message message;

	read_file(text, ENVELOPE_TRUST);
	read_file(text, ENVELOPE_VERIFY);
	for (size_t i = defer_log_parse(text, &arena, &entries); i-- > 0;)
		ASSERT(entries[i].recipient && dsn_is_valid(entries[i].why.dsn));
	showq_reader_init(&reader);
	showq_reader_feed(&reader, text);
	while (showq_reader_next(&reader, &arena, &message))
		ASSERT(message.sender);
	showq_reader_release(&reader);
	arena_release(&arena);
	return 0;
}
