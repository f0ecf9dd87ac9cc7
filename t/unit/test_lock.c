// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "scratch.h"
#include "sys/file.h"

static int open_lock(void)
{
	int fd = openat(scratch_fd(), "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd != -1);
	return fd;
}

static void test_record_locks(void **state)
{
	static const struct {
		const char *name;
		bool first, second;
		int want;
	} cases[] = { { "two readers", false, false, 0 }, { "writer, reader", true, false, -1 },
		{ "reader, writer", false, true, -1 }, { "two writers", true, true, -1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int a = open_lock(), b = open_lock();
		int64_t before = clock_ms();

		want_int(cases[i].name, lock_fcntl(a, cases[i].first, deadline_in(0)), 0);
		want_int(
		    cases[i].name, lock_fcntl(b, cases[i].second, deadline_in(30)), cases[i].want);
		if (cases[i].want) {
			want_int(cases[i].name, errno, ETIMEDOUT);
			assert_in_range(clock_ms() - before, 25, 60000);
			assert_int_equal(unlock_fcntl(a), 0);
			want_int("after", lock_fcntl(b, cases[i].second, deadline_in(0)), 0);
		}
		close(a);
		close(b);
	}
}

/* What Postfix and Dovecot take in another process keeps us out. */
static void test_foreign_lock(void **state)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_lock(), ready[2], tried[2];
	pid_t pid;
	char byte;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(tried), 0);
	pid = fork();
	if (pid == 0) {
		int mine = open("/dev/null", O_RDONLY);

		close(mine);
		mine = openat(scratch_fd(), "lock", O_RDWR);
		fcntl(mine, F_SETLK, &whole);
		if (write(ready[1], "x", 1) == 1 && read(tried[0], &byte, 1) == 1)
			usleep(50000); /* the other waits by now, or finds the lock free */
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	want_int("held", lock_fcntl(fd, true, deadline_in(20)), -1);
	assert_int_equal(write(tried[1], "x", 1), 1);
	want_int("comes free", lock_fcntl(fd, true, deadline_in(60000)), 0);
	waitpid(pid, NULL, 0);
	close(fd);
	close(ready[0]);
	close(ready[1]);
	close(tried[0]);
	close(tried[1]);
}

static void test_dotlock(void **state)
{
	struct strbuf text = STRBUF_INIT(300);
	char want[32];

	(void)state;
	assert_int_equal(dotlock_take(scratch_fd(), "box.lock", 60, deadline_in(0)), 0);
	assert_int_equal(file_read(scratch_fd(), "box.lock", &text), 0);
	snprintf(want, sizeof(want), "%ld:", (long)getpid());
	assert_true(slice_starts(strbuf_slice(&text), want));
	want_int("held", dotlock_take(scratch_fd(), "box.lock", 60, deadline_in(30)), -1);
	want_int("held", errno, ETIMEDOUT);
	assert_int_equal(dotlock_drop(scratch_fd(), "box.lock"), 0);
	want_int("gone", dotlock_drop(scratch_fd(), "box.lock"), -1);
	want_int("gone", errno, ENOENT);
	strbuf_release(&text);
}

static void put_lock(const char *name, time_t age)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - age },
		{ .tv_sec = time(NULL) - age } };
	int fd = openat(scratch_fd(), name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(file_write_all(fd, SLICE_LIT("1:elsewhere")), 0);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

/* Its change time is now whatever the clock says, so a stale lock shows by being watched. */
static void test_stale_dotlock(void **state)
{
	(void)state;
	put_lock("stale.lock", 3600);
	want_int("not yet", dotlock_take(scratch_fd(), "stale.lock", 60, deadline_in(20)), -1);
	want_int("not ours", dotlock_drop(scratch_fd(), "stale.lock"), -1);
	want_int("not ours", errno, ESTALE);
	want_int("taken over", dotlock_take(scratch_fd(), "stale.lock", 1, deadline_in(60000)), 0);
	assert_int_equal(dotlock_drop(scratch_fd(), "stale.lock"), 0);
}

/* A clock in the future makes no lock eternal. */
static void test_future_dotlock(void **state)
{
	(void)state;
	put_lock("future.lock", -86400);
	want_int("taken over", dotlock_take(scratch_fd(), "future.lock", 1, deadline_in(60000)), 0);
	assert_int_equal(dotlock_drop(scratch_fd(), "future.lock"), 0);
}

static atomic_int holders, most;

static void *take_and_drop(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5; i++) {
		int now;

		ASSERT(dotlock_take(scratch_fd(), "many.lock", 60, deadline_in(60000)) == 0);
		now = atomic_fetch_add(&holders, 1) + 1;
		if (now > atomic_load(&most))
			atomic_store(&most, now);
		usleep(500);
		atomic_fetch_sub(&holders, 1);
		ASSERT(dotlock_drop(scratch_fd(), "many.lock") == 0);
	}
	return NULL;
}

/* All of them find a stale lock first. */
static void test_dotlock_contention(void **state)
{
	pthread_t threads[8];

	(void)state;
	put_lock("many.lock", 0);
	want_int("stale", dotlock_take(scratch_fd(), "many.lock", 1, deadline_in(60000)), 0);
	assert_int_equal(dotlock_drop(scratch_fd(), "many.lock"), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_create(&threads[i], NULL, take_and_drop, NULL);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	want_int("one holder at a time", atomic_load(&most), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_locks),
		cmocka_unit_test(test_foreign_lock),
		cmocka_unit_test(test_dotlock),
		cmocka_unit_test(test_stale_dotlock),
		cmocka_unit_test(test_future_dotlock),
		cmocka_unit_test(test_dotlock_contention),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
