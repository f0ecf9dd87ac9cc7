// SPDX-License-Identifier: BSD-2-Clause
/* fsync(2) of this program is a stand-in that counts, dawdles and fails when told to. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/file.h"

static atomic_int begun, at_once, most_at_once, fail_next;
static atomic_bool hold; /* keeps a sync from ending */

int fsync(int fd)
{
	int now = atomic_fetch_add(&at_once, 1) + 1;
	bool fails;

	(void)fd;
	if (now > atomic_load(&most_at_once))
		atomic_store(&most_at_once, now);
	atomic_fetch_add(&begun, 1);
	fails = atomic_exchange(&fail_next, 0);
	do
		usleep(2000);
	while (atomic_load(&hold));
	atomic_fetch_sub(&at_once, 1);
	errno = fails ? ENOSPC : 0;
	return fails ? -1 : 0;
}

static struct dirsync *new_dirsync(void)
{
	return dirsync_new(fcntl(scratch_fd(), F_DUPFD_CLOEXEC, 0));
}

#define THREADS 16
#define ROUNDS	20

static atomic_int failures;

static void *sync_often(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		int before = atomic_load(&begun);

		if (dirsync_wait(arg) == -1)
			atomic_fetch_add(&failures, 1);
		/* One that began after the call. */
		ASSERT(atomic_load(&begun) > before);
	}
	return NULL;
}

static void run_threads(struct dirsync *d)
{
	pthread_t threads[THREADS];

	atomic_store(&begun, 0);
	atomic_store(&most_at_once, 0);
	atomic_store(&failures, 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sync_often, d), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_shared(void **state)
{
	struct dirsync *d = new_dirsync();

	(void)state;
	run_threads(d);
	want_int("one at a time", atomic_load(&most_at_once), 1);
	want_int("none failed", atomic_load(&failures), 0);
	/* At least one per round, and far fewer than one per call. */
	assert_in_range(atomic_load(&begun), ROUNDS, THREADS * ROUNDS / 2);
	dirsync_free(d);
}

static void test_alone(void **state)
{
	struct dirsync *d = new_dirsync();

	(void)state;
	atomic_store(&begun, 0);
	want_int("first", dirsync_wait(d), 0);
	want_int("second", dirsync_wait(d), 0);
	want_int("each its own", atomic_load(&begun), 2);
	atomic_store(&fail_next, 1);
	want_int("fails", dirsync_wait(d), -1);
	want_int("fails", errno, ENOSPC);
	want_int("and is over", dirsync_wait(d), 0);
	dirsync_free(d);
}

static void test_failure_is_shared(void **state)
{
	struct dirsync *d = new_dirsync();

	(void)state;
	atomic_store(&fail_next, 1);
	run_threads(d);
	assert_true(atomic_load(&failures) >= 1);
	dirsync_free(d);
}

struct waiter {
	struct dirsync *d;
	int result, error;
};

static void *wait_once(void *arg)
{
	struct waiter *w = arg;

	w->result = dirsync_wait(w->d);
	w->error = errno;
	return NULL;
}

/* The sync that both of them wait for, while an earlier one runs. */
static void test_all_who_share_fail(void **state)
{
	struct waiter first = { .d = new_dirsync() }, second = first, third = first;
	pthread_t threads[3];

	(void)state;
	atomic_store(&begun, 0);
	atomic_store(&hold, true);
	pthread_create(&threads[0], NULL, wait_once, &first);
	while (atomic_load(&begun) == 0)
		usleep(50);
	atomic_store(&fail_next, 1);
	pthread_create(&threads[1], NULL, wait_once, &second);
	pthread_create(&threads[2], NULL, wait_once, &third);
	usleep(50000);
	atomic_store(&hold, false);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	if (atomic_load(&begun) != 2) {
		print_message("a thread was too slow to share the second sync\n");
		dirsync_free(first.d);
		skip();
	}
	want_int("ran before", first.result, 0);
	want_int("shares it", second.result, -1);
	want_int("shares it", second.error, ENOSPC);
	want_int("shares it, too", third.result, -1);
	dirsync_free(first.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_failure_is_shared),
		cmocka_unit_test(test_all_who_share_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
