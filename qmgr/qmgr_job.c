// SPDX-License-Identifier: BSD-2-Clause
/*
 * Jobs for workers.  Those of messages that nobody waits for go in lanes: a few workers take one
 * after the other from a queue, so that 100,000 of them neither make a thread each nor wake one
 * each.  A lane gets another worker when what is queued is much for those it has.
 */
#include <pthread.h>

#include "qmgr/qmgr.h"
#include "server/pool.h"

struct lane {
	unsigned limit;	   /* of its workers */
	unsigned per_each; /* jobs queued for each worker, before there is one more */
	struct disk_job *first, **end;
	unsigned queued, workers;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct lane lanes[] = {
	/* A table may be a server's, slow to answer. */
	[DISK_LOAD] = { .limit = 8, .per_each = 8, .end = &lanes[DISK_LOAD].first },
	[DISK_LOOK] = { .limit = 1, .per_each = 0, .end = &lanes[DISK_LOOK].first },
	[DISK_QUICK] = { .limit = 4, .per_each = 16, .end = &lanes[DISK_QUICK].first },
	/* They wait for syncs, which they share. */
	[DISK_SYNC] = { .limit = 64, .per_each = 0, .end = &lanes[DISK_SYNC].first },
};

static void post_done(void *arg)
{
	struct disk_job *job = arg;

	qm.jobs--;
	job->done(job);
	qmgr_check_drained();
}

static void run_work(void *arg)
{
	struct disk_job *job = arg;

	job->work(job);
	loop_post(qm.loop, post_done, job);
}

void disk_run(struct disk_job *job)
{
	qm.jobs++;
	pool_run(run_work, job);
}

/* The next job; without one the worker ends. */
static struct disk_job *take(struct lane *lane)
{
	struct disk_job *job;

	pthread_mutex_lock(&lock);
	job = lane->first;
	if (job) {
		lane->first = job->next;
		if (!lane->first)
			lane->end = &lane->first;
		lane->queued--;
	} else {
		lane->workers--;
	}
	pthread_mutex_unlock(&lock);
	return job;
}

static void run_lane(void *arg)
{
	struct lane *lane = arg;
	struct disk_job *job;

	while ((job = take(lane)) != NULL)
		run_work(job);
}

void disk_run_in(enum disk_lane number, struct disk_job *job)
{
	struct lane *lane = &lanes[number];
	bool start;

	qm.jobs++;
	job->next = NULL;
	pthread_mutex_lock(&lock);
	*lane->end = job;
	lane->end = &job->next;
	lane->queued++;
	start =
	    lane->workers < lane->limit && lane->queued > (size_t)lane->workers * lane->per_each;
	lane->workers += start;
	pthread_mutex_unlock(&lock);
	if (start)
		pool_run(run_lane, lane);
}
