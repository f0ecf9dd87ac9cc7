// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who comes while a sync runs needs the next one, since that one may have begun before its rename.
 * They wait in a list; when the sync has ended the first of them is told to run the next one, which
 * it does for all who are on the list when it begins.  Each has a semaphore of its own, so that
 * nobody wakes up for somebody else's result, or for the lock.
 *
 * The kernel reports an error of a directory once, so everybody gets the result of the sync that
 * was run for him.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "sys/file.h"

struct waiter {
	struct list node;
	sem_t woken;
	bool is_to_run; /* else ERROR is the result */
	int error;
};

struct dirsync {
	int fd;
	pthread_mutex_t lock;
	bool running;	     /* or somebody was told to */
	struct list waiters; /* for the next one */
};

struct dirsync *dirsync_new(int fd)
{
	struct dirsync *d = xcalloc(1, sizeof(*d));

	d->fd = fd;
	list_init(&d->waiters);
	ASSERT(pthread_mutex_init(&d->lock, NULL) == 0);
	return d;
}

void dirsync_free(struct dirsync *d)
{
	if (!d)
		return;
	ASSERT(!d->running && list_is_empty(&d->waiters));
	pthread_mutex_destroy(&d->lock);
	close(d->fd);
	free(d);
}

int dirsync_fd(const struct dirsync *d)
{
	return d->fd;
}

static void wake(struct waiter *w)
{
	ASSERT(sem_post(&w->woken) == 0);
}

static void move_all(struct list *from, struct list *to)
{
	while (!list_is_empty(from)) {
		struct list *first = from->next;

		list_del(first);
		list_add_tail(to, first);
	}
}

/* With the lock: one of those who wait goes on, or nobody. */
static struct waiter *next_runner(struct dirsync *d)
{
	struct waiter *next;

	d->running = !list_is_empty(&d->waiters);
	if (!d->running)
		return NULL;
	next = list_entry(d->waiters.next, struct waiter, node);
	list_del(&next->node);
	next->is_to_run = true;
	return next;
}

/*
 * Runs a sync for the caller and all who wait: 0 or its errno.  Nobody touches D after the last one
 * was woken, since that one may be who frees it.
 */
static int run(struct dirsync *d)
{
	struct list sharers = LIST_INIT(sharers);
	struct waiter *next;
	int error;

	pthread_mutex_lock(&d->lock);
	move_all(&d->waiters, &sharers);
	pthread_mutex_unlock(&d->lock);
	error = file_sync(d->fd) == -1 ? errno : 0;
	pthread_mutex_lock(&d->lock);
	next = next_runner(d);
	pthread_mutex_unlock(&d->lock);
	if (next)
		wake(next);
	while (!list_is_empty(&sharers)) {
		struct waiter *w = list_entry(sharers.next, struct waiter, node);

		list_del(&w->node); /* it is gone when it has woken up */
		w->error = error;
		wake(w);
	}
	return error;
}

/* With the lock, which is given back. */
static int wait_for_another(struct dirsync *d)
{
	struct waiter w = { .is_to_run = false };

	ASSERT(sem_init(&w.woken, 0, 0) == 0);
	list_add_tail(&d->waiters, &w.node);
	pthread_mutex_unlock(&d->lock);
	while (sem_wait(&w.woken) == -1)
		ASSERT(errno == EINTR);
	sem_destroy(&w.woken);
	return w.is_to_run ? run(d) : w.error;
}

int dirsync_wait(struct dirsync *d)
{
	int error;

	pthread_mutex_lock(&d->lock);
	if (d->running) {
		error = wait_for_another(d);
	} else {
		d->running = true;
		pthread_mutex_unlock(&d->lock);
		error = run(d);
	}
	if (error)
		errno = error;
	return error ? -1 : 0;
}
