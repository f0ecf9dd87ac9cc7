// SPDX-License-Identifier: BSD-2-Clause
/*
 * Syncs are numbered.  Who comes while sync N runs needs N + 1, since N may have begun before its
 * rename; the first of those to wake up runs it for all of them.
 *
 * The kernel reports an error of a directory once, so it has to reach everybody who waits: a
 * caller fails when the latest failure has its number or a later one.  The later one may be
 * somebody else's (the caller was slow to wake up); failing once too often is safe.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/file.h"

struct dirsync {
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t ended_one;
	bool running;
	uint64_t started, ended; /* numbers of the latest syncs that did */
	uint64_t failed;	 /* number of the latest that failed, 0: none */
	int error;		 /* its errno */
};

struct dirsync *dirsync_new(int fd)
{
	struct dirsync *d = xcalloc(1, sizeof(*d));

	d->fd = fd;
	ASSERT(pthread_mutex_init(&d->lock, NULL) == 0);
	ASSERT(pthread_cond_init(&d->ended_one, NULL) == 0);
	return d;
}

void dirsync_free(struct dirsync *d)
{
	if (!d)
		return;
	ASSERT(!d->running);
	pthread_cond_destroy(&d->ended_one);
	pthread_mutex_destroy(&d->lock);
	close(d->fd);
	free(d);
}

int dirsync_fd(const struct dirsync *d)
{
	return d->fd;
}

/* With the lock held, which is given back while the disk works. */
static void run_one(struct dirsync *d)
{
	uint64_t number = ++d->started;
	int error;

	d->running = true;
	pthread_mutex_unlock(&d->lock);
	error = file_sync(d->fd) == -1 ? errno : 0;
	pthread_mutex_lock(&d->lock);
	d->running = false;
	d->ended = number;
	if (error) {
		d->failed = number;
		d->error = error;
	}
	pthread_cond_broadcast(&d->ended_one);
}

int dirsync_wait(struct dirsync *d)
{
	uint64_t need;
	int error;

	pthread_mutex_lock(&d->lock);
	need = d->started + 1;
	while (d->ended < need) {
		if (d->running)
			pthread_cond_wait(&d->ended_one, &d->lock);
		else
			run_one(d);
	}
	error = d->failed >= need ? d->error : 0;
	pthread_mutex_unlock(&d->lock);
	if (error)
		errno = error;
	return error ? -1 : 0;
}
