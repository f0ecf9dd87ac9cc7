// SPDX-License-Identifier: BSD-2-Clause
/* What the writer writes the reader reads; what is damaged it refuses, at every byte. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "queue/defer_log.h"
#include "queue/envelope.h"
#include "queue/queue_file.h"
#include "queue/spool.h"
#include "scratch.h"
#include "sys/file.h"

#define ARRIVAL_US INT64_C(1795160574129228)

static int new_file(void)
{
	static int number;
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "file%d", ++number);
	fd = openat(scratch_fd(), name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	return fd;
}

/* A message with two recipients, LINES lines and a last one without its end. */
static int write_sample(int lines)
{
	struct queue_writer w;
	int fd = new_file();

	queue_writer_init(&w, fd);
	queue_writer_begin(&w, ARRIVAL_US, SLICE_LIT("alice@virt.test"));
	queue_writer_attribute_str(&w, "rewrite_context", "local");
	queue_writer_record(&w, QR_FULL_NAME, SLICE_LIT("Alice"));
	queue_writer_recipient(
	    &w, SLICE_LIT("one@refuse.test"), SLICE_NULL, SLICE_LIT("rfc822;one@refuse.test"), 6);
	queue_writer_recipient(
	    &w, SLICE_LIT("two@refuse.test"), SLICE_LIT("alias@virt.test"), SLICE_NULL, 0);
	queue_writer_content(&w);
	queue_writer_line(&w, SLICE_LIT("Subject: hello"), true);
	queue_writer_line(&w, SLICE_LIT(""), true);
	for (int i = 0; i < lines; i++)
		queue_writer_line(
		    &w, SLICE_LIT("a line of the body, with its 46 characters..."), true);
	queue_writer_line(&w, SLICE_LIT("piece "), false);
	queue_writer_line(&w, SLICE_LIT("end"), true);
	queue_writer_extracted(&w);
	queue_writer_attribute_str(&w, "message_id", "<1@x>");
	want_int("finish", queue_writer_finish(&w, QUEUE_SENDOPT_SMTPUTF8), 0);
	want_int("recipients", w.recipient_count, 2);
	queue_writer_release(&w);
	return fd;
}

static void check_sample(int fd, enum envelope_check check, int lines)
{
	struct reason why = { .dsn = "" };
	struct envelope *env = envelope_read(fd, "ABCDEF0123", check, &why);
	struct content_reader content;
	struct slice line;
	bool whole;
	int seen = 0;

	if (!env)
		fail_msg("%s", why.text);
	want_str("sender", env->sender, "alice@virt.test");
	want_str("name", env->full_name, "Alice");
	want_int("arrival", env->arrival_us, ARRIVAL_US);
	want_int("ours", env->ours, true);
	want_int("sendopts", env->sendopts, QUEUE_SENDOPT_SMTPUTF8);
	want_int("count", env->recipient_count, 2);
	want_int("done", env->done_count, 0);
	want_str("address", env->recipients[0].address, "one@refuse.test");
	want_str("original", env->recipients[0].original, "");
	want_str("orcpt", env->recipients[0].orcpt, "rfc822;one@refuse.test");
	want_int("notify", env->recipients[0].notify, 6);
	want_str("original", env->recipients[1].original, "alias@virt.test");
	want_str("orcpt", env->recipients[1].orcpt, "");
	want_int("notify", env->recipients[1].notify, 0);
	want_str("context", envelope_attribute(env, "rewrite_context"), "local");
	want_str("message id", envelope_attribute(env, "message_id"), "<1@x>");
	assert_null(envelope_attribute(env, "nothing"));

	content_reader_init(&content, fd, env->data_offset);
	while (content_reader_next(&content, &line, &whole) == CONTENT_LINE) {
		if (seen == 0)
			want_slice("first", line, SLICE_LIT("Subject: hello"));
		if (seen == lines + 2)
			want_slice("piece", line, SLICE_LIT("piece "));
		want_int("whole", whole, seen != lines + 2);
		seen++;
	}
	want_int("lines", seen, lines + 4);
	want_int("end", content_reader_next(&content, &line, &whole), CONTENT_END);
	content_reader_release(&content);
	envelope_free(env);
}

static void test_round_trip(void **state)
{
	/* 5,000 lines are several writes: the size record is patched in the file then. */
	static const int sizes[] = { 0, 1, 100, 5000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int fd = write_sample(sizes[i]);

		check_sample(fd, ENVELOPE_TRUST, sizes[i]);
		check_sample(fd, ENVELOPE_VERIFY, sizes[i]);
		close(fd);
	}
}

/* What is written over later: neither the checksum nor the length of anything changes. */
static void test_reports(void **state)
{
	struct reason why = { .dsn = "" };
	struct queue_writer w;
	struct envelope *env;
	int fd = new_file();

	(void)state;
	queue_writer_init(&w, fd);
	queue_writer_begin(&w, ARRIVAL_US, SLICE_LIT("alice@virt.test"));
	queue_writer_warn_time(&w, 1234567890);
	queue_writer_expanded(
	    &w, SLICE_LIT("all@virt.test"), SLICE_LIT("ALL@virt.test"), SLICE_LIT("rfc822;x@y"));
	queue_writer_recipient(
	    &w, SLICE_LIT("one@virt.test"), SLICE_LIT("ALL@virt.test"), SLICE_NULL, 1);
	queue_writer_content(&w);
	queue_writer_extracted(&w);
	want_int("finish", queue_writer_finish(&w, 0), 0);
	queue_writer_release(&w);

	env = envelope_read(fd, "ABCDEF0123", ENVELOPE_VERIFY, &why);
	assert_non_null(env);
	want_int("time", env->warn_s, 1234567890);
	want_int("recipients", env->recipient_count, 2);
	want_int("done", env->done_count, 1);
	want_int("expanded", env->recipients[0].expanded, true);
	want_int("notify", env->recipients[0].notify, 2);
	want_str("orcpt", env->recipients[0].orcpt, "rfc822;x@y");
	want_int("the other", env->recipients[1].expanded, false);
	want_int("his notify", env->recipients[1].notify, 1);
	want_int("warned", spool_mark_warned(fd, env->warn_offset), 0);
	want_int("mark", spool_mark_done(fd, env->recipients[0].offset), 0);
	envelope_free(env);

	env = envelope_read(fd, "ABCDEF0123", ENVELOPE_VERIFY, &why);
	if (!env)
		fail_msg("%s", why.text);
	want_int("no time", env->warn_s, 0);
	want_int("done", env->recipients[0].done, true);
	want_int("reported", env->recipients[0].expanded, false);
	envelope_free(env);
	close(fd);
}

/* sendmail -v: one report, and then none. */
static void test_trace(void **state)
{
	struct reason why = { .dsn = "" };
	struct envelope *env;
	struct queue_writer w;
	int fd = new_file();

	(void)state;
	queue_writer_init(&w, fd);
	queue_writer_begin(&w, ARRIVAL_US, SLICE_LIT("alice@virt.test"));
	queue_writer_attribute_str(&w, "trace_flags", "1024");
	queue_writer_record(&w, QR_VERP, SLICE_LIT("+="));
	queue_writer_recipient(&w, SLICE_LIT("one@virt.test"), SLICE_NULL, SLICE_NULL, 0);
	queue_writer_content(&w);
	queue_writer_extracted(&w);
	want_int("finish", queue_writer_finish(&w, 0), 0);
	queue_writer_release(&w);

	env = envelope_read(fd, "ABCDEF0123", ENVELOPE_VERIFY, &why);
	assert_non_null(env);
	want_int("trace", env->trace, ENVELOPE_TRACE_RECORD);
	want_str("verp", env->verp, "+=");
	want_int("mark", spool_mark_traced(fd, env->trace_offset), 0);
	want_int("mark again", spool_mark_traced(fd, env->trace_offset), 0);
	want_int("no attribute", spool_mark_traced(fd, env->recipients[0].offset), -1);
	envelope_free(env);

	env = envelope_read(fd, "ABCDEF0123", ENVELOPE_VERIFY, &why);
	if (!env)
		fail_msg("%s", why.text);
	want_int("no trace", env->trace, 0);
	envelope_free(env);
	close(fd);
}

static void test_done(void **state)
{
	struct reason why = { .dsn = "" };
	int fd = write_sample(3);
	struct envelope *env = envelope_read(fd, "ABCDEF0123", ENVELOPE_VERIFY, &why);

	(void)state;
	assert_non_null(env);
	want_int("mark", spool_mark_done(fd, env->recipients[1].offset), 0);
	want_int("mark again", spool_mark_done(fd, env->recipients[1].offset), 0);
	want_int("no recipient", spool_mark_done(fd, env->recipients[1].offset + 1), -1);
	envelope_free(env);
	/* The checksum does not care. */
	env = envelope_read(fd, "ABCDEF0123", ENVELOPE_VERIFY, &why);
	assert_non_null(env);
	want_int("done", env->done_count, 1);
	want_int("first", env->recipients[0].done, false);
	want_int("second", env->recipients[1].done, true);
	envelope_free(env);
	close(fd);
}

/* Cut anywhere, or with any byte changed, it is refused (the size record is not summed up). */
static void test_damage(void **state)
{
	struct strbuf good = STRBUF_INIT(100000);
	int fd = write_sample(2), copy = new_file();
	size_t checksum;

	(void)state;
	want_int("read", file_read_fd(fd, &good), 0);
	checksum = (size_t)slice_find_str(strbuf_slice(&good), "postcote_crc32c=");
	close(fd);
	for (size_t len = 0; len < good.len; len++) {
		struct reason why = { .dsn = "" };

		assert_int_equal(ftruncate(copy, 0), 0);
		file_pwrite_all(copy, slice_first(strbuf_slice(&good), len), 0);
		if (envelope_read(copy, "ABCDEF0123", ENVELOPE_VERIFY, &why))
			fail_msg("taken when cut at %zu", len);
		want_str("dsn", why.dsn, "5.3.0");
	}
	file_pwrite_all(copy, strbuf_slice(&good), 0);
	for (size_t at = 97; at < good.len; at++) {
		struct reason why = { .dsn = "" };
		char c = (char)(good.ptr[at] ^ 1);

		/* Without the checksum's record it is a file of Postfix's. */
		if (at >= checksum - 2 && at < checksum + strlen("postcote_crc32c="))
			continue;
		file_pwrite_all(copy, slice_mem(&c, 1), (off_t)at);
		if (envelope_read(copy, "ABCDEF0123", ENVELOPE_VERIFY, &why))
			fail_msg("taken with another byte at %zu", at);
		file_pwrite_all(copy, slice_mem(&good.ptr[at], 1), (off_t)at);
	}
	strbuf_release(&good);
	close(copy);
}

struct raw {
	int type;
	const char *data;
};

/* A file from records; the size record is made to fit. */
static int write_raw(const struct raw *records, size_t count)
{
	struct strbuf out = STRBUF_INIT(1000000);
	off_t data = 0, end = 0;
	char size[100];
	int fd = new_file();

	for (int pass = 0; pass < 2; pass++) {
		strbuf_reset(&out);
		snprintf(size, sizeof(size), "%15lld %15lld %15d %15d %15d %15d",
		    (long long)(end - data), (long long)data, 1, 0, 0, 0);
		queue_record_add(&out, 'C', slice_of(size));
		for (size_t i = 0; i < count; i++) {
			if (records[i].type == 'X')
				end = (off_t)out.len;
			queue_record_add(&out, records[i].type, slice_of(records[i].data));
			if (records[i].type == 'M')
				data = (off_t)out.len;
		}
	}
	file_write_all(fd, strbuf_slice(&out));
	strbuf_release(&out);
	return fd;
}

static void test_records(void **state)
{
	static const struct {
		const char *name;
		struct raw records[12];
		const char *want; /* reason, or NULL: read */
		size_t recipients;
	} cases[] = {
		{ "as Postfix writes it",
		    { { 'T', "1795160574 129228" }, { 'A', "create_time=1795160574" },
			{ 'F', "root" }, { 'S', "a@b" }, { 'O', "x@y" }, { 'R', "x@y" },
			{ 'M', "" }, { 'N', "Subject: x" }, { 'X', "" }, { 'E', "" } },
		    NULL, 1 },
		{ "recipients extracted from the content",
		    { { 'T', "1795160574" }, { 'S', "" }, { 'M', "" }, { 'N', "To: x@y" },
			{ 'X', "" }, { 'R', "x@y" }, { 'D', "z@y" }, { 'E', "" } },
		    NULL, 2 },
		{ "a cancelled recipient",
		    { { 'T', "1" }, { 'S', "" }, { 'O', "x@y" }, { '/', "x@y" }, { 'R', "z@y" },
			{ 'M', "" }, { 'X', "" }, { 'E', "" } },
		    NULL, 1 },
		{ "no sender",
		    { { 'T', "1" }, { 'R', "x@y" }, { 'M', "" }, { 'X', "" }, { 'E', "" } },
		    "malformed queue file: incomplete envelope", 0 },
		{ "no time", { { 'S', "" }, { 'R', "x@y" }, { 'M', "" }, { 'X', "" }, { 'E', "" } },
		    "malformed queue file: incomplete envelope", 0 },
		{ "content in the envelope",
		    { { 'T', "1" }, { 'S', "" }, { 'N', "x" }, { 'M', "" }, { 'X', "" },
			{ 'E', "" } },
		    "malformed queue file: record out of place", 0 },
		{ "a recipient in the content",
		    { { 'T', "1" }, { 'S', "" }, { 'M', "" }, { 'R', "x@y" }, { 'X', "" },
			{ 'E', "" } },
		    "malformed queue file: record out of place", 0 },
		{ "a line end in an address",
		    { { 'T', "1" }, { 'S', "a\nb" }, { 'M', "" }, { 'X', "" }, { 'E', "" } },
		    "malformed queue file: control character in the envelope", 0 },
		{ "a bad time",
		    { { 'T', "soon" }, { 'S', "" }, { 'M', "" }, { 'X', "" }, { 'E', "" } },
		    "malformed queue file: arrival time", 0 },
		{ "no end", { { 'T', "1" }, { 'S', "" }, { 'M', "" }, { 'X', "" } },
		    "malformed queue file: no end", 0 },
		{ "an unknown record", { { 'T', "1" }, { 'Z', "" } },
		    "malformed queue file: bad record", 0 },
		{ "a pointer to itself", { { 'T', "1" }, { 'p', "             97" } },
		    "malformed queue file: bad record", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct reason why = { .dsn = "" };
		struct envelope *env;
		size_t count = 0;
		int fd;

		while (count < ARRAY_LEN(cases[i].records) && cases[i].records[count].type)
			count++;
		fd = write_raw(cases[i].records, count);
		env = envelope_read(fd, "ABCDEF0123", ENVELOPE_VERIFY, &why);
		if (!env != !!cases[i].want)
			fail_msg("%s: %s", cases[i].name, env ? "read" : why.text);
		if (env)
			want_int(cases[i].name, env->recipient_count, cases[i].recipients);
		else
			want_str(cases[i].name, why.text, cases[i].want);
		envelope_free(env);
		close(fd);
	}
}

/* A file and a log that Postfix 3.7 made. */
static void test_postfix(void **state)
{
	const char *source = getenv("PC_SRCDIR");
	char *path = xasprintf("%s/t/data/postfix-3.7-queue-file", source ? source : ".");
	char *log_path = xasprintf("%s/t/data/postfix-3.7-defer-log", source ? source : ".");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct strbuf log = STRBUF_INIT(100000), again = STRBUF_INIT(100000);
	struct arena arena = ARENA_INIT;
	struct defer_entry *entries;
	struct reason why = { .dsn = "" };
	struct envelope *env;

	(void)state;
	assert_true(fd != -1);
	env = envelope_read(fd, "E5890A74441", ENVELOPE_VERIFY, &why);
	if (!env)
		fail_msg("%s", why.text);
	want_str("sender", env->sender, "joe smith@virt.test");
	want_int("arrival", env->arrival_us, INT64_C(1795170908935028));
	want_int("size", env->size, 3306);
	want_int("ours", env->ours, false);
	want_int("recipients", env->recipient_count, 2);
	want_str("first", env->recipients[0].address, "a b@virt.test");
	want_str("orcpt", env->recipients[0].orcpt, "rfc822;\"a b\"@virt.test");
	want_int("notify", env->recipients[0].notify, 0);
	want_str("second", env->recipients[1].address, "one@refuse.test");
	want_int("notify", env->recipients[1].notify, 12);
	want_str("helo", envelope_attribute(env, "log_helo_name"), "x");

	want_int("log", file_read(AT_FDCWD, log_path, &log), 0);
	want_int("entries", defer_log_parse(strbuf_slice(&log), &arena, &entries), 2);
	want_str("recipient", entries[1].recipient, "\"a b\"@virt.test");
	want_int("offset", entries[1].offset, env->recipients[0].offset);
	want_int("offset", entries[0].offset, env->recipients[1].offset);
	want_str("dsn", entries[0].why.dsn, "4.3.0");
	want_str("reason", entries[0].why.text, "mail transport unavailable");
	want_int("notify", entries[0].notify, 12);
	/* We write the very same. */
	entries[1].recipient = env->recipients[0].address;
	for (size_t i = 0; i < 2; i++)
		defer_log_add(&again, &entries[i]);
	want_slice("log", strbuf_slice(&again), strbuf_slice(&log));
	/* backwards_bounce_logfile_compatibility = no */
	strbuf_reset(&again);
	entries[0].no_text = true;
	defer_log_add(&again, &entries[0]);
	want_int("begins", slice_starts(strbuf_slice(&again), "recipient="), true);
	arena_release(&arena);
	strbuf_release(&log);
	strbuf_release(&again);
	envelope_free(env);
	close(fd);
	free(path);
	free(log_path);
}

/* What the reader would set aside as corrupt is not written: nobody may be told that it is safe. */
static void test_refused(void **state)
{
	static const struct {
		const char *name;
		struct slice text;
	} cases[] = {
		{ "NUL", SLICE_LIT("a\0b@x.test") },
		{ "LF", SLICE_LIT("a\nb@x.test") },
		{ "CR", SLICE_LIT("a@x.test\r") },
	};
	struct queue_writer w;

	(void)state;
	for (size_t i = 0; i < 3 * ARRAY_LEN(cases); i++) {
		struct slice text = cases[i / 3].text;
		int fd = new_file();

		queue_writer_init(&w, fd);
		queue_writer_begin(&w, ARRIVAL_US, SLICE_LIT("alice@virt.test"));
		if (i % 3 == 0)
			queue_writer_recipient(&w, text, SLICE_NULL, SLICE_NULL, 0);
		else if (i % 3 == 1)
			queue_writer_record(&w, QR_REDIRECT, text);
		queue_writer_content(&w);
		queue_writer_line(&w, text, true);
		queue_writer_extracted(&w);
		if (i % 3 == 2)
			queue_writer_attribute(&w, "message_id", text);
		want_int(cases[i / 3].name, queue_writer_finish(&w, 0), EINVAL);
		queue_writer_release(&w);
		close(fd);
	}
}

static void test_too_many_recipients(void **state)
{
	struct queue_writer w;
	int fd = new_file();

	(void)state;
	queue_writer_init(&w, fd);
	queue_writer_begin(&w, ARRIVAL_US, SLICE_LIT("alice@virt.test"));
	for (unsigned i = 0; i <= ENVELOPE_MAX_RECIPIENTS; i++)
		queue_writer_recipient(&w, SLICE_LIT("a@b"), SLICE_NULL, SLICE_NULL, 0);
	queue_writer_content(&w);
	queue_writer_extracted(&w);
	want_int("one more than is read", queue_writer_finish(&w, 0), EMSGSIZE);
	queue_writer_release(&w);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_postfix),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many_recipients),
	};

	return cmocka_run_group_tests_name("queue_file", tests, NULL, NULL);
}
