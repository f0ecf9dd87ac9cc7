// SPDX-License-Identifier: BSD-2-Clause
/*
 * Idle threads lie on a stack: the one that worked last, whose stack is warm, works next, and those
 * at the bottom run into their time limit and go.  A job is handed to a thread directly; only when
 * the system refuses another thread does it queue for the next one that ends its work.
 *
 * A thread is woken after the lock was let go, so that it does not run into it; by then it may have
 * woken by itself, worked and gone.  So the structs of threads are kept for later ones and never
 * freed: a late signal is at worst a wake-up for nothing.
 */
#include "config.h"

#include "server/pool.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
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
	pthread_cond_t wake;
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

/* Waits on the stack of idle threads; false: the thread is to go.  With the lock. */
static bool wait_for_job(struct pool_thread *self)
{
	const int64_t until = deadline_in(POOL_IDLE_MS);

	self->job.fn = NULL;
	list_add_head(&pool.idle, &self->link);
	while (self->job.fn == NULL) {
		const bool last = pool.threads == 1;

		if (!cond_wait(&self->wake, last ? DEADLINE_NEVER : until) &&
		    self->job.fn == NULL && pool.threads > 1) {
			list_del(&self->link);
			return false;
		}
	}
	return true;
}

/* Runs the thread's job and those that wait; with the lock, which is free meanwhile. */
static void run_jobs(struct pool_thread *self)
{
	while (self->job.fn != NULL || take_waiting(&self->job)) {
		pthread_mutex_unlock(&pool.lock);
		self->job.fn(self->job.arg);
		pthread_mutex_lock(&pool.lock);
		self->job.fn = NULL;
		if (--pool.jobs == 0)
			pthread_cond_broadcast(&pool.drained);
	}
}

static void *thread_main(void *arg)
{
	struct pool_thread *self = arg;

	own_number = self->number;
	pthread_mutex_lock(&pool.lock);
	do
		run_jobs(self);
	while (wait_for_job(self));
	pool.threads--;
	list_add_head(&pool.unused, &self->link);
	pthread_mutex_unlock(&pool.lock);
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
	pthread_cond_init(&thread->wake, NULL);
	return thread;
}

/* A new thread with JOB (whose fn may be NULL: it waits for one); with the lock. */
static int thread_new(struct pool_job job)
{
	struct pool_thread *thread = thread_struct();
	int rc;

	thread->job = job;
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
	} else if (thread_new(job) != 0) {
		add_waiting(job);
	}
	pthread_mutex_unlock(&pool.lock);
	if (idle != NULL)
		pthread_cond_signal(&idle->wake);
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
