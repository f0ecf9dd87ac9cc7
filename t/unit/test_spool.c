// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/spool.h"
#include "scratch.h"
#include "sys/file.h"

#define ID "1F8CC0000001"

static struct spool *open_spool(int depth)
{
	struct spool_config config = { .directory = scratch_path("spool"),
		.hash_names = "deferred, defer",
		.hash_depth = depth };
	struct reason why = { .dsn = "" };
	struct spool *spool;
	char path[64];

	for (int i = 0; i < SPOOL_QUEUES; i++) {
		snprintf(path, sizeof(path), "spool/%s", spool_queue_name((enum spool_queue)i));
		assert_int_equal(dir_make(scratch_fd(), path, 0700), 0);
	}
	spool = spool_open(&config, &why);
	if (!spool)
		fail_msg("%s", why.text);
	return spool;
}

static void make_file(const char *path, const char *text)
{
	int fd = openat(scratch_fd(), path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

	assert_true(fd != -1);
	assert_int_equal(file_write_all(fd, slice_of(text)), 0);
	close(fd);
}

static bool is_there(const char *path)
{
	return faccessat(scratch_fd(), path, F_OK, 0) == 0;
}

static void test_missing(void **state)
{
	struct spool_config config = { .directory = scratch_path("nowhere") };
	struct reason why = { .dsn = "" };

	(void)state;
	assert_null(spool_open(&config, &why));
	want_str("dsn", why.dsn, "4.3.0");
}

static void test_moves(void **state)
{
	struct spool *spool = open_spool(1);
	enum spool_queue queue;
	struct stat st;

	(void)state;
	make_file("spool/incoming/" ID, "x");
	assert_true(spool_find(spool, ID, &queue));
	want_int("found", queue, SPOOL_INCOMING);
	want_int("move", spool_move(spool, ID, SPOOL_INCOMING, SPOOL_DEFERRED, 12345), 0);
	assert_true(is_there("spool/deferred/1/" ID));
	assert_false(is_there("spool/incoming/" ID));
	want_int("stat", spool_stat(spool, SPOOL_DEFERRED, ID, &st), 0);
	want_int("mtime", st.st_mtime, 12345);
	/* The same queue: only the time. */
	want_int("stay", spool_move(spool, ID, SPOOL_DEFERRED, SPOOL_DEFERRED, 23456), 0);
	want_int("stat", spool_stat(spool, SPOOL_DEFERRED, ID, &st), 0);
	want_int("mtime", st.st_mtime, 23456);
	/* A move that a crash interrupted is finished. */
	assert_int_equal(
	    linkat(scratch_fd(), "spool/deferred/1/" ID, scratch_fd(), "spool/hold/" ID, 0), 0);
	assert_true(spool_find(spool, ID, &queue));
	want_int("the later one counts", queue, SPOOL_HOLD);
	want_int("finish", spool_move(spool, ID, SPOOL_DEFERRED, SPOOL_HOLD, -1), 0);
	assert_false(is_there("spool/deferred/1/" ID));
	assert_true(is_there("spool/hold/" ID));
	/* Another message of that name is in the way: nothing is lost. */
	make_file("spool/incoming/" ID, "another");
	want_int("in the way", spool_move(spool, ID, SPOOL_INCOMING, SPOOL_HOLD, -1), -1);
	want_int("errno", errno, EEXIST);
	assert_true(is_there("spool/incoming/" ID) && is_there("spool/hold/" ID));
	want_int("unlink", spool_unlink(spool, SPOOL_INCOMING, ID), 0);
	want_int("unlink", spool_unlink(spool, SPOOL_HOLD, ID), 0);
	want_int("again", spool_unlink(spool, SPOOL_HOLD, ID), -1);
	want_int("errno", errno, ENOENT);
	want_int("gone", spool_move(spool, ID, SPOOL_INCOMING, SPOOL_HOLD, -1), -1);
	assert_false(spool_find(spool, ID, &queue));
	spool_free(spool);
}

static bool count(const char *id, int dirfd, void *arg)
{
	(void)dirfd;
	assert_true(queue_id_is_valid(slice_of(id)));
	++*(int *)arg;
	return true;
}

static bool stop(const char *id, int dirfd, void *arg)
{
	(void)id;
	(void)dirfd;
	++*(int *)arg;
	return false;
}

/* Whatever depth an administrator had before. */
static void test_places(void **state)
{
	static const char *const paths[] = { "spool/deferred/2BCDEF000001",
		"spool/deferred/2/2BCDEF000002", "spool/deferred/2/B/2BCDEF000003" };
	static const char *const ids[] = { "2BCDEF000001", "2BCDEF000002", "2BCDEF000003" };
	int n = 0;

	(void)state;
	for (int depth = 0; depth <= 1; depth++) {
		struct spool *spool = open_spool(depth);

		assert_int_equal(dir_make(scratch_fd(), "spool/deferred/2/B", 0700), 0);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++)
			make_file(paths[i], "x");
		make_file("spool/deferred/12345.P1", "x"); /* no queue id */
		n = 0;
		want_int("scan", spool_scan(spool, SPOOL_DEFERRED, count, &n), 0);
		want_int("found", n, 3);
		n = 0;
		spool_scan(spool, SPOOL_DEFERRED, stop, &n);
		want_int("stopped", n, 1);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			int fd = spool_open_file(spool, SPOOL_DEFERRED, ids[i], O_RDONLY);

			assert_true(fd != -1);
			close(fd);
			want_int(paths[i], spool_unlink(spool, SPOOL_DEFERRED, ids[i]), 0);
		}
		unlinkat(scratch_fd(), "spool/deferred/12345.P1", 0);
		spool_free(spool);
	}
}

static void test_logs(void **state)
{
	struct spool *spool = open_spool(1);
	const struct timespec old[2] = { { .tv_sec = 77 }, { .tv_sec = 77 } };
	struct strbuf text = STRBUF_INIT(100);
	struct stat st;

	(void)state;
	want_int("write", spool_write_log(spool, SPOOL_DEFER, ID, SLICE_LIT("a longer one")), 0);
	want_int("again", spool_write_log(spool, SPOOL_DEFER, ID, SLICE_LIT("short")), 0);
	assert_int_equal(file_read(scratch_fd(), "spool/defer/1/" ID, &text), 0);
	want_str("text", text.ptr, "short");
	/* What it says already is not written. */
	assert_int_equal(utimensat(scratch_fd(), "spool/defer/1/" ID, old, 0), 0);
	want_int("same", spool_write_log(spool, SPOOL_DEFER, ID, SLICE_LIT("short")), 0);
	want_int("stat", spool_stat(spool, SPOOL_DEFER, ID, &st), 0);
	want_int("not written", st.st_mtime, 77);
	want_int("longer", spool_write_log(spool, SPOOL_DEFER, ID, SLICE_LIT("shorter")), 0);
	strbuf_reset(&text);
	assert_int_equal(file_read(scratch_fd(), "spool/defer/1/" ID, &text), 0);
	want_str("text", text.ptr, "shorter");
	want_int("unlink", spool_unlink(spool, SPOOL_DEFER, ID), 0);
	strbuf_release(&text);
	spool_free(spool);
}

/* The same names at each depth, and back. */
static void test_depths(void **state)
{
	static const struct {
		int depth;
		const char *path;
	} rows[] = {
		{ 2, "spool/deferred/1/F/" ID },
		{ 0, "spool/deferred/" ID },
		{ 4, "spool/deferred/1/F/8/C/" ID },
		{ 1, "spool/deferred/1/" ID },
		{ 3, "spool/deferred/1/F/8/" ID },
	};

	(void)state;
	make_file("spool/deferred/" ID, "x");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spool *spool = open_spool(rows[i].depth);
		int n = 0;

		/* Four levels are found only where they are configured. */
		if (i > 0 && rows[i - 1].depth == 4) {
			spool_free(spool);
			spool = open_spool(4);
			want_int("back", spool_move(spool, ID, SPOOL_DEFERRED, SPOOL_HOLD, -1), 0);
			spool_free(spool);
			spool = open_spool(rows[i].depth);
			want_int("on", spool_move(spool, ID, SPOOL_HOLD, SPOOL_DEFERRED, -1), 0);
		}
		want_int("replace", spool_replace(spool, SPOOL_DEFERRED, ID), 0);
		want_int("again", spool_replace(spool, SPOOL_DEFERRED, ID), 0);
		if (!is_there(rows[i].path))
			fail_msg("%s is not there", rows[i].path);
		want_int("scan", spool_scan(spool, SPOOL_DEFERRED, count, &n), 0);
		want_int("one name", n, 1);
		spool_free(spool);
	}
}

/* What settles is where it belongs; who is in the way stays. */
static void test_replace(void **state)
{
	struct spool *spool = open_spool(1);
	struct stat st;

	(void)state;
	spool_unlink(spool, SPOOL_DEFERRED, ID);
	while (spool_unlink(spool, SPOOL_DEFERRED, ID) == 0)
		;
	make_file("spool/deferred/" ID, "x");
	want_int("settle", spool_move(spool, ID, SPOOL_DEFERRED, SPOOL_DEFERRED, 77), 0);
	assert_true(is_there("spool/deferred/1/" ID) && !is_there("spool/deferred/" ID));
	make_file("spool/deferred/" ID, "another");
	want_int("in the way", spool_replace(spool, SPOOL_DEFERRED, ID), -1);
	assert_true(is_there("spool/deferred/1/" ID) && is_there("spool/deferred/" ID));
	/* Of two logs the one in the right place is the newer one. */
	make_file("spool/defer/" ID, "old");
	want_int("write", spool_write_log(spool, SPOOL_DEFER, ID, SLICE_LIT("new")), 0);
	want_int("log", spool_replace(spool, SPOOL_DEFER, ID), 0);
	assert_true(is_there("spool/defer/1/" ID) && !is_there("spool/defer/" ID));
	want_int("expire", spool_expire(spool, SPOOL_DEFERRED, ID), 1);
	want_int("once", spool_expire(spool, SPOOL_DEFERRED, ID), 0);
	want_int("stat", spool_stat(spool, SPOOL_DEFERRED, ID, &st), 0);
	want_int("mode", st.st_mode & 07777, 0710);
	assert_true(spool_is_expired(st.st_mode));
	want_int("nobody", spool_expire(spool, SPOOL_HOLD, ID), -1);
	spool_free(spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_depths),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_logs),
	};

	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
