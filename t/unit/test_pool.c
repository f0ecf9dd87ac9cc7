// SPDX-License-Identifier: BSD-2-Clause
#include <config.h>

#include "unit.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/pool.h"

static atomic_int ran;
static pthread_barrier_t all_here;

static void count_one(void *arg)
{
	atomic_fetch_add(&ran, *(int *)arg);
}

static void meet(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&all_here);
	atomic_fetch_add(&ran, 1);
}

static void every_job_runs(void **state)
{
	int one = 1;

	(void)state;
	atomic_store(&ran, 0);
	for (int i = 0; i < 5000; i++)
		pool_run(count_one, &one);
	assert_true(pool_drain(deadline_in(60000)));
	want_int("jobs", atomic_load(&ran), 5000);
}

/* Jobs that wait for each other all get a thread: none waits for another one to end. */
static void jobs_run_side_by_side(void **state)
{
	(void)state;
	atomic_store(&ran, 0);
	pthread_barrier_init(&all_here, NULL, 50);
	for (int i = 0; i < 50; i++)
		pool_run(meet, NULL);
	assert_true(pool_drain(deadline_in(60000)));
	want_int("jobs", atomic_load(&ran), 50);
	pthread_barrier_destroy(&all_here);
}

static void note_number(void *arg)
{
	*(unsigned *)arg = pool_thread_number();
	pthread_barrier_wait(&all_here);
}

static void threads_have_numbers(void **state)
{
	unsigned numbers[10];

	(void)state;
	want_int("not of the pool", pool_thread_number(), UINT_MAX);
	pthread_barrier_init(&all_here, NULL, ARRAY_LEN(numbers));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		pool_run(note_number, &numbers[i]);
	assert_true(pool_drain(deadline_in(60000)));
	pthread_barrier_destroy(&all_here);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		for (size_t j = 0; j < i; j++)
			assert_true(numbers[i] != numbers[j] && numbers[i] != UINT_MAX);
}

static void drain_has_a_deadline(void **state)
{
	(void)state;
	pthread_barrier_init(&all_here, NULL, 2);
	pool_run(meet, NULL);
	assert_false(pool_drain(deadline_in(10)));
	pthread_barrier_wait(&all_here);
	assert_true(pool_drain(deadline_in(60000)));
	pthread_barrier_destroy(&all_here);
}

/* In a process of its own, in which no further thread can be made. */
static void run_without_threads(void)
{
	struct rlimit no_memory = { 0, 0 };
	int one = 1;

	if (!pool_start())
		_exit(1);
	setrlimit(RLIMIT_AS, &no_memory);
	for (int i = 0; i < 3; i++)
		pool_run(count_one, &one);
	_exit(pool_drain(deadline_in(60000)) && atomic_load(&ran) == 3 ? 0 : 2);
}

static void one_thread_is_enough(void **state)
{
	(void)state;
#ifdef PC_SANITIZED
	skip(); /* the sanitizer's own memory would be refused as well */
#endif
	atomic_store(&ran, 0);
	want_int("status", unit_run_apart(run_without_threads, NULL, 0), 0);
}

int main(void)
{
	/* The one that forks comes first: later there are threads. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_is_enough),
		cmocka_unit_test(every_job_runs),
		cmocka_unit_test(jobs_run_side_by_side),
		cmocka_unit_test(threads_have_numbers),
		cmocka_unit_test(drain_has_a_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
