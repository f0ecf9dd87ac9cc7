// SPDX-License-Identifier: BSD-2-Clause
/*
 * Idle threads lie on a stack: the one that worked last, whose stack is warm, works next, and those
 * at the bottom run into their time limit and go.  A job is handed to a thread directly; only when
 * the system refuses another thread does it queue for the next one that ends its work.
 *
 * A handed job costs two system calls: the one that wakes the thread, after the lock was let go,
 * and the one in which it slept.  Each job that is handed to a sleeping thread is one post of its
 * semaphore, so a thread that gave up waiting just when it got a job waits once more, for that
 * post. The structs of threads are kept for later ones and never freed.
 */
#include "config.h"

#include "server/pool.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"

/* Enough for a TLS handshake, a DNS answer and a regular expression; only pages in use count. */
#ifdef PC_SANITIZED
#define POOL_STACK (1024 * 1024)
#else
#define POOL_STACK (256 * 1024)
#endif
#define POOL_IDLE_MS 5000

struct pool_job {
	void (*fn)(void *arg);
	void *arg;
};

struct pool_waiting {
	struct list link;
	struct pool_job job;
};

struct pool_thread {
	struct list link; /* while idle */
	sem_t wake;
	atomic_bool has_job; /* JOB is its */
	struct pool_job job;
	unsigned number;
};

static _Thread_local unsigned own_number = UINT_MAX;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t drained;
	struct list idle;    /* newest first */
	struct list unused;  /* structs of threads that have gone */
	struct list waiting; /* oldest first */
	size_t threads;
	unsigned numbers; /* given to structs of threads */
	size_t jobs;	  /* that have not ended yet */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.drained = PTHREAD_COND_INITIALIZER,
	.idle = LIST_INIT(pool.idle),
	.unused = LIST_INIT(pool.unused),
	.waiting = LIST_INIT(pool.waiting) };

/* Waits until DEADLINE (clock_ms); false when it has passed. */
static bool cond_wait(pthread_cond_t *cond, int64_t deadline)
{
	struct timespec until = { .tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000 };

	if (deadline == DEADLINE_NEVER)
		return pthread_cond_wait(cond, &pool.lock) == 0;
	return pthread_cond_clockwait(cond, &pool.lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT;
}

/* Takes the oldest waiting job; with the lock. */
static bool take_waiting(struct pool_job *job)
{
	struct pool_waiting *w;

	if (list_is_empty(&pool.waiting))
		return false;
	w = list_entry(pool.waiting.next, struct pool_waiting, link);
	list_del(&w->link);
	*job = w->job;
	free(w);
	return true;
}

/* One job more that came to its end; with the lock. */
static void job_ended(void)
{
	if (--pool.jobs == 0)
		pthread_cond_broadcast(&pool.drained);
}

/* False when nothing came before the thread had idled for long. */
static bool sleep_until_woken(struct pool_thread *self)
{
	int64_t deadline = deadline_in(POOL_IDLE_MS);
	struct timespec until = { .tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000 };

	while (sem_clockwait(&self->wake, CLOCK_MONOTONIC, &until) == -1)
		if (errno == ETIMEDOUT)
			return false;
	return true;
}

/* Takes the thread off the stack of idle ones for good, if it may go. */
static bool may_go(struct pool_thread *self)
{
	bool goes;

	pthread_mutex_lock(&pool.lock);
	goes = pool.threads > 1 && !atomic_load(&self->has_job);
	if (goes) {
		list_del(&self->link);
		pool.threads--;
		list_add_head(&pool.unused, &self->link);
	}
	pthread_mutex_unlock(&pool.lock);
	return goes;
}

/* Waits, on the stack of idle threads, for a job; false: the thread is to go. */
static bool wait_for_job(struct pool_thread *self)
{
	while (!sleep_until_woken(self))
		if (may_go(self))
			return false;
	ASSERT(atomic_load(&self->has_job));
	return true;
}

/* The thread's next job, one that waits, at once: true; else it is on the stack of idle ones. */
static bool take_or_idle(struct pool_thread *self)
{
	bool took;

	pthread_mutex_lock(&pool.lock);
	if (atomic_load(&self->has_job))
		job_ended();
	took = take_waiting(&self->job);
	atomic_store(&self->has_job, took);
	if (!took)
		list_add_head(&pool.idle, &self->link);
	pthread_mutex_unlock(&pool.lock);
	return took;
}

static void *thread_main(void *arg)
{
	struct pool_thread *self = arg;

	own_number = self->number;
	do {
		if (atomic_load(&self->has_job))
			self->job.fn(self->job.arg);
	} while (take_or_idle(self) || wait_for_job(self));
	return NULL;
}

/* Signals are for the loop's thread; only what a thread does to itself stays with it. */
static void signals_of_others(sigset_t *set)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

	sigfillset(set);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		sigdelset(set, own[i]);
}

static int thread_create(struct pool_thread *thread)
{
	pthread_attr_t attr;
	sigset_t others, old;
	pthread_t id;
	int rc;

	signals_of_others(&others);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, POOL_STACK);
	pthread_sigmask(SIG_SETMASK, &others, &old);
	rc = pthread_create(&id, &attr, thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

/* With the lock. */
static struct pool_thread *thread_struct(void)
{
	struct pool_thread *thread;

	if (!list_is_empty(&pool.unused)) {
		thread = list_entry(pool.unused.next, struct pool_thread, link);
		list_del(&thread->link);
		return thread;
	}
	thread = xcalloc(1, sizeof(*thread));
	thread->number = pool.numbers++;
	list_init(&thread->link);
	sem_init(&thread->wake, 0, 0);
	return thread;
}

/* A new thread with JOB (whose fn may be NULL: it waits for one); with the lock. */
static int thread_new(struct pool_job job)
{
	struct pool_thread *thread = thread_struct();
	int rc;

	thread->job = job;
	atomic_store(&thread->has_job, job.fn != NULL);
	rc = thread_create(thread);
	if (rc == 0)
		pool.threads++;
	else
		list_add_head(&pool.unused, &thread->link);
	return rc;
}

static void add_waiting(struct pool_job job)
{
	struct pool_waiting *w = xmalloc(sizeof(*w));

	w->job = job;
	list_add_tail(&pool.waiting, &w->link);
}

void pool_run(void (*fn)(void *arg), void *arg)
{
	const struct pool_job job = { fn, arg };
	struct pool_thread *idle = NULL;

	pthread_mutex_lock(&pool.lock);
	pool.jobs++;
	if (!list_is_empty(&pool.idle)) {
		idle = list_entry(pool.idle.next, struct pool_thread, link);
		list_del(&idle->link);
		idle->job = job;
		atomic_store(&idle->has_job, true);
	} else if (thread_new(job) != 0) {
		add_waiting(job);
	}
	pthread_mutex_unlock(&pool.lock);
	if (idle != NULL)
		sem_post(&idle->wake);
}

unsigned pool_thread_number(void)
{
	return own_number;
}

bool pool_start(void)
{
	int rc = 0;

	pthread_mutex_lock(&pool.lock);
	if (pool.threads == 0)
		rc = thread_new((struct pool_job){ NULL, NULL });
	pthread_mutex_unlock(&pool.lock);
	errno = rc;
	return rc == 0;
}

bool pool_drain(long long deadline)
{
	bool in_time = true, idle;

	pthread_mutex_lock(&pool.lock);
	while (pool.jobs > 0 && in_time)
		in_time = cond_wait(&pool.drained, deadline);
	idle = pool.jobs == 0;
	pthread_mutex_unlock(&pool.lock);
	return idle;
}
