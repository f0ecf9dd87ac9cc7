// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/file.h"

static void put(const char *name, size_t size)
{
	char *data = xmalloc(size);
	int fd = openat(scratch_fd(), name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	memset(data, 'x', size);
	assert_true(fd != -1);
	assert_int_equal(file_write_all(fd, slice_mem(data, size)), 0);
	close(fd);
	free(data);
}

static void test_read(void **state)
{
	static const struct {
		const char *name;
		size_t size, max, want_len;
		int want_errno;
	} cases[] = {
		{ "empty", 0, 10, 0, 0 },
		{ "empty into nothing", 0, 0, 0, 0 },
		{ "fits", 9, 10, 9, 0 },
		{ "fits exactly", 10, 10, 10, 0 },
		{ "one too many", 11, 10, 0, EFBIG },
		{ "several steps", 100000, 200000, 100000, 0 },
		{ "several steps too many", 100000, 99999, 0, EFBIG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(cases[i].max);

		put("file", cases[i].size);
		errno = 0;
		want_int(cases[i].name, file_read(scratch_fd(), "file", &out),
		    cases[i].want_errno ? -1 : 0);
		want_int(cases[i].name, errno, cases[i].want_errno);
		want_int(cases[i].name, out.len, cases[i].want_len);
		strbuf_release(&out);
	}
}

static void test_read_appends(void **state)
{
	struct strbuf out = STRBUF_INIT(8);

	(void)state;
	put("file", 5);
	strbuf_addstr(&out, "ab:");
	assert_int_equal(file_read(scratch_fd(), "file", &out), 0);
	want_str("appended", out.ptr, "ab:xxxxx");
	want_int("full", file_read(scratch_fd(), "file", &out), -1);
	want_str("as before", out.ptr, "ab:xxxxx");
	want_int("missing", file_read(scratch_fd(), "no such file", &out), -1);
	want_int("missing", errno, ENOENT);
	strbuf_release(&out);
}

/* /proc says size 0 of files that are not empty. */
static void test_read_without_size(void **state)
{
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);

	(void)state;
	assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", &out), 0);
	assert_true(slice_find_str(strbuf_slice(&out), "\nUid:") != -1);
	strbuf_release(&out);
}

static size_t count_entries(void)
{
	DIR *dir = opendir(scratch_path("d"));
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void test_replace(void **state)
{
	struct strbuf out = STRBUF_INIT(100);
	struct stat st;

	(void)state;
	assert_int_equal(mkdirat(scratch_fd(), "d", 0700), 0);
	umask(077);
	assert_int_equal(file_replace(scratch_fd(), "d/f", SLICE_LIT("one"), 0644), 0);
	assert_int_equal(fstatat(scratch_fd(), "d/f", &st, 0), 0);
	want_int("mode", st.st_mode & 07777, 0644);
	assert_int_equal(file_replace(scratch_fd(), "d/f", SLICE_LIT("two"), 0600), 0);
	assert_int_equal(file_read(scratch_fd(), "d/f", &out), 0);
	want_str("content", out.ptr, "two");
	want_int("nothing left over", count_entries(), 1);
	/* The target is a directory: rename fails, and the temporary file goes away. */
	assert_int_equal(mkdirat(scratch_fd(), "d/sub", 0700), 0);
	want_int("over a directory", file_replace(scratch_fd(), "d/sub", SLICE_LIT("x"), 0600), -1);
	want_int("over a directory", errno, EISDIR);
	want_int("nothing left over", count_entries(), 2);
	want_int("no name", file_replace(scratch_fd(), "d/", SLICE_LIT("x"), 0600), -1);
	strbuf_release(&out);
}

static void test_replace_keeps_owner(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0) {
		print_message("needs root to give a file away\n");
		skip();
	}
	put("owned", 1);
	assert_int_equal(fchownat(scratch_fd(), "owned", 12345, 54321, 0), 0);
	assert_int_equal(file_replace(scratch_fd(), "owned", SLICE_LIT("x"), 0640), 0);
	assert_int_equal(fstatat(scratch_fd(), "owned", &st, 0), 0);
	want_int("uid", st.st_uid, 12345);
	want_int("gid", st.st_gid, 54321);
	want_int("mode", st.st_mode & 07777, 0640);
}

static void test_dir_make(void **state)
{
	static const struct {
		const char *path;
		int want;
	} cases[] = { { "m/a/b", 0 }, { "m/a/b", 0 }, { "m/a//c/", 0 }, { "m/file", ENOTDIR },
		{ "m/file/x", ENOTDIR }, { "m", 0 } };
	struct stat st;

	(void)state;
	umask(077);
	assert_int_equal(dir_make(scratch_fd(), "m", 0755), 0);
	put("m/file", 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		errno = 0;
		want_int(cases[i].path, dir_make(scratch_fd(), cases[i].path, 0750),
		    cases[i].want ? -1 : 0);
		if (cases[i].want)
			want_int(cases[i].path, errno, cases[i].want);
	}
	assert_int_equal(fstatat(scratch_fd(), "m/a/b", &st, 0), 0);
	want_int("mode in spite of the umask", st.st_mode & 07777, 0750);
	assert_int_equal(fstatat(scratch_fd(), "m", &st, 0), 0);
	want_int("mode of the old one", st.st_mode & 07777, 0755);
	assert_int_equal(dir_make(AT_FDCWD, scratch_path("abs/olute"), 0700), 0);
	assert_int_equal(dir_sync_at(scratch_fd(), "m/a"), 0);
	want_int("no directory", dir_sync_at(scratch_fd(), "m/file"), -1);
}

static void test_self_directory(void **state)
{
	char *dir = self_directory();

	(void)state;
	assert_non_null(dir);
	want_int("absolute", dir[0], '/');
	assert_true(slice_ends(slice_of(dir), "unit") || slice_ends(slice_of(dir), ".libs"));
	free(dir);
}

static void test_is_regular(void **state)
{
	int pair[2], fd;

	(void)state;
	fd = openat(scratch_fd(), "regular", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	want_int("a file", file_is_regular(fd), true);
	want_int("that can be written", file_is_read_only(fd), false);
	close(fd);
	fd = openat(scratch_fd(), "regular", O_RDONLY | O_CLOEXEC);
	want_int("a file to read", file_is_read_only(fd), true);
	close(fd);
	fd = openat(scratch_fd(), "regular", O_WRONLY | O_CLOEXEC);
	want_int("that cannot be read", file_is_regular(fd), false);
	close(fd);
	fd = openat(scratch_fd(), "regular", O_PATH | O_CLOEXEC);
	want_int("by its name only", file_is_regular(fd), false);
	want_int("by its name only", file_is_read_only(fd), false);
	close(fd);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	want_int("a device", file_is_regular(fd), false);
	want_int("a device", file_is_read_only(fd), false);
	close(fd);
	want_int("a directory", file_is_regular(scratch_fd()), false);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	want_int("a pipe", file_is_regular(pair[0]), false);
	close(pair[0]);
	close(pair[1]);
	want_int("nothing", file_is_regular(pair[0]), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_appends),
		cmocka_unit_test(test_read_without_size),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_replace_keeps_owner),
		cmocka_unit_test(test_dir_make),
		cmocka_unit_test(test_self_directory),
		cmocka_unit_test(test_is_regular),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
