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

static size_t count_entries(int dirfd)
{
	DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static int make_dir(const char *name)
{
	int fd;

	assert_int_equal(mkdirat(scratch_fd(), name, 0700), 0);
	fd = openat(scratch_fd(), name, O_RDONLY | O_DIRECTORY);
	assert_true(fd != -1);
	return fd;
}

static void make_file(struct tmpfile *tmp, int dirfd, const char *content)
{
	assert_int_equal(tmpfile_open(tmp, dirfd, 0600), 0);
	assert_int_equal(file_write_all(tmp->fd, slice_of(content)), 0);
}

static void want_content(const char *what, int dirfd, const char *name, const char *content)
{
	struct strbuf out = STRBUF_INIT(100);

	assert_int_equal(file_read(dirfd, name, &out), 0);
	want_str(what, out.ptr, content);
	strbuf_release(&out);
}

static void check_life(bool fallback, const char *dir)
{
	int from = make_dir(dir), to = make_dir(fallback ? "to1" : "to0");
	struct tmpfile tmp;

	tmpfile_force_fallback(fallback);
	make_file(&tmp, from, "one");
	want_int("named", tmp.name[0] != '\0', fallback);
	want_int("visible", count_entries(from), fallback ? 1 : 0);
	assert_int_equal(tmpfile_link(&tmp, scratch_proc_fd(), to, "message"), 0);
	want_int("moved", count_entries(from), 0);
	tmpfile_close(&tmp);
	want_content("linked", to, "message", "one");

	make_file(&tmp, from, "two");
	want_int("taken", tmpfile_link(&tmp, scratch_proc_fd(), to, "message"), -1);
	want_int("taken", errno, EEXIST);
	want_content("never replaced", to, "message", "one");
	assert_int_equal(tmpfile_link(&tmp, scratch_proc_fd(), to, "other"), 0);
	tmpfile_close(&tmp);
	want_content("linked then", to, "other", "two");

	make_file(&tmp, from, "three");
	tmpfile_close(&tmp);
	want_int("nothing left over", count_entries(from), 0);
	close(from);
	close(to);
}

static void test_unnamed(void **state)
{
	(void)state;
	check_life(false, "unnamed");
}

static void test_fallback(void **state)
{
	(void)state;
	check_life(true, "named");
	tmpfile_force_fallback(false);
}

/* In memory until it has a name; a reader's descriptor goes on showing the same. */
static void test_memory(void **state)
{
	int from = make_dir("memory"), fd;
	struct strbuf out = STRBUF_INIT(100);
	struct tmpfile tmp;

	(void)state;
	assert_int_equal(tmpfile_open_memory(&tmp, from, 0640), 0);
	want_int("in memory", tmp.memory, true);
	assert_int_equal(file_write_all(tmp.fd, SLICE_LIT("one")), 0);
	fd = file_reopen_readonly(scratch_proc_fd(), tmp.fd);
	assert_true(fd != -1);
	assert_true(file_is_read_only(fd));
	assert_int_equal(tmpfile_seal(&tmp), 0);
	want_int("sealed", pwrite(tmp.fd, "x", 1, 0), -1);
	want_int("sealed", ftruncate(tmp.fd, 0), -1);
	want_int("nothing yet", count_entries(from), 0);
	assert_int_equal(tmpfile_link(&tmp, scratch_proc_fd(), from, "message"), 0);
	want_int("on disk", tmp.memory, false);
	assert_int_equal(file_sync(tmp.fd), 0);
	want_content("linked", from, "message", "one");
	assert_int_equal(file_read_fd(fd, &out), 0);
	want_str("the reader's", out.ptr, "one");
	tmpfile_close(&tmp);

	assert_int_equal(tmpfile_open_memory(&tmp, from, 0640), 0);
	want_int("taken", tmpfile_link(&tmp, scratch_proc_fd(), from, "message"), -1);
	want_int("taken", errno, EEXIST);
	tmpfile_close(&tmp);
	want_int("nothing left over", count_entries(from), 1);
	strbuf_release(&out);
	close(fd);
	close(from);
}

static void test_reopen(void **state)
{
	struct tmpfile tmp;
	struct strbuf out = STRBUF_INIT(100);
	int fd;

	(void)state;
	make_file(&tmp, scratch_fd(), "text");
	fd = file_reopen_readonly(scratch_proc_fd(), tmp.fd);
	assert_true(fd != -1);
	want_int("read-only", write(fd, "x", 1), -1);
	want_int("close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(file_read_fd(fd, &out), 0);
	want_str("content", out.ptr, "text");
	close(fd);
	tmpfile_close(&tmp);
	strbuf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_reopen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
