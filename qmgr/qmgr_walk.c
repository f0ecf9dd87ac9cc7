// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names in the spool that nobody told us of: at the start all of them; later what another program
 * put there, or an intake that had lost its connection.  inotify tells of incoming soon; a walk
 * over all queues every $queue_run_delay finds the rest.
 *
 * A worker reads the directories and sends names in chunks; the scheduler keeps those that it does
 * not know; a worker looks at these (the time of the next attempt is the file's mtime).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "qmgr/qmgr.h"

#define CHUNK	       500
#define NOTIFY_WAIT_MS 1000

struct name {
	char id[QUEUE_ID_SIZE];
	int64_t due_s; /* -1: not for us */
};

struct look_job {
	struct disk_job job;
	enum spool_queue queue;
	bool first; /* of the walk at the start: nobody moves anything yet */
	size_t count;
	struct name names[CHUNK];
};

static struct {
	struct loop_timer next;
	bool running, again, first_done;
	unsigned first_looks; /* jobs of the first walk that look at names */
	struct list waiting;  /* disk jobs for when that is over */
	int inotify_fd;
	struct loop_watch watch;
	struct loop_timer rest; /* inotify is read at most once a second */
} walk = { .inotify_fd = -1, .waiting = LIST_INIT(walk.waiting) };

/* ---- looking at unknown names ---- */

/*
 * Two names of one file.  At the start that is a move that a crash interrupted (doc/QUEUE.md D3):
 * it is finished, and the later name counts.  Afterwards it is a move that is under way, and
 * finishing it from here could end with no name at all.
 */
static bool finish_move(const char *id, enum spool_queue queue, const struct stat *st, bool first)
{
	static const enum spool_queue later[] = { SPOOL_MAILDROP, SPOOL_CORRUPT, SPOOL_HOLD,
		SPOOL_DEFERRED };
	struct stat other;

	for (size_t i = 0; i < ARRAY_LEN(later) && queue != later[i]; i++) {
		if (spool_stat(qm.spool, later[i], id, &other) == -1)
			continue;
		bool same = other.st_ino == st->st_ino && other.st_dev == st->st_dev;

		/* A submission is no message yet, and gets another id. */
		if (!same && later[i] == SPOOL_MAILDROP)
			continue;
		if (!same)
			log_warning("%s: two messages have this queue id", id);
		else if (first && spool_move(qm.spool, id, queue, later[i], -1) == -1)
			log_warning("%s: %s", id, strerror(errno));
		else if (first && later[i] == SPOOL_MAILDROP)
			disk_wake_pickup();
		return true;
	}
	return false;
}

static void look_work(struct disk_job *base)
{
	struct look_job *job = (struct look_job *)base;

	for (size_t i = 0; i < job->count; i++) {
		struct name *n = &job->names[i];
		struct stat st;

		n->due_s = -1;
		if (spool_stat(qm.spool, job->queue, n->id, &st) == -1 || !(st.st_mode & S_IXUSR) ||
		    finish_move(n->id, job->queue, &st, job->first) || job->queue == SPOOL_HOLD)
			continue;
		n->due_s = job->queue == SPOOL_DEFERRED ? (int64_t)st.st_mtime : 0;
	}
}

struct waiting_job {
	struct list node;
	struct disk_job *job;
};

static bool is_settled(void)
{
	return walk.first_done && walk.first_looks == 0;
}

void walk_run_settled(struct disk_job *job)
{
	struct waiting_job *waiting;

	if (is_settled()) {
		disk_run(job);
		return;
	}
	waiting = xcalloc(1, sizeof(*waiting));
	waiting->job = job;
	list_add_tail(&walk.waiting, &waiting->node);
}

static void run_waiting(void)
{
	while (is_settled() && !list_is_empty(&walk.waiting)) {
		struct waiting_job *waiting =
		    list_entry(walk.waiting.next, struct waiting_job, node);

		disk_run(waiting->job);
		list_del(&waiting->node);
		free(waiting);
	}
}

static void look_done(struct disk_job *base)
{
	struct look_job *job = (struct look_job *)base;

	walk.first_looks -= job->first;

	for (size_t i = 0; i < job->count; i++)
		if (job->names[i].due_s >= 0)
			message_found(job->names[i].id, job->queue, job->names[i].due_s);
	free(job);
	message_pump();
	run_waiting();
}

/* Takes JOB over. */
static void look_at_unknown(struct look_job *job)
{
	size_t kept = 0;

	for (size_t i = 0; i < job->count; i++)
		if (!entry_find(job->names[i].id))
			job->names[kept++] = job->names[i];
	job->count = kept;
	if (kept == 0) {
		free(job);
		return;
	}
	job->job = (struct disk_job){ look_work, look_done };
	walk.first_looks += job->first;
	disk_run(&job->job);
}

static struct look_job *look_job_new(enum spool_queue queue)
{
	struct look_job *job = xcalloc(1, sizeof(*job));

	job->queue = queue;
	return job;
}

static void add_name(struct look_job *job, const char *id)
{
	memcpy(job->names[job->count++].id, id, strlen(id) + 1);
}

/* ---- the walk ---- */

static void take_chunk(void *arg)
{
	look_at_unknown(arg);
}

static bool on_name(const char *id, int dirfd, void *arg)
{
	struct look_job **job = arg;

	(void)dirfd;
	add_name(*job, id);
	if ((*job)->count == CHUNK) {
		struct look_job *full = *job;

		*job = look_job_new(full->queue);
		(*job)->first = full->first;
		loop_post(qm.loop, take_chunk, full);
	}
	return true;
}

struct walk_job {
	struct disk_job job;
	bool first;
};

static void walk_work(struct disk_job *base)
{
	struct walk_job *job_of_walk = (struct walk_job *)base;
	/* deferred last: once a name there is known, nobody looks whether incoming has it, too. */
	static const enum spool_queue queues[] = { SPOOL_INCOMING, SPOOL_ACTIVE, SPOOL_DEFERRED,
		SPOOL_HOLD };
	/* In hold there is nothing to find but moves that were not finished. */
	size_t count = ARRAY_LEN(queues) - !job_of_walk->first;

	for (size_t i = 0; i < count; i++) {
		struct look_job *job = look_job_new(queues[i]);

		job->first = job_of_walk->first;
		if (spool_scan(qm.spool, queues[i], on_name, &job) == -1)
			log_warning("scan %s: %s", spool_queue_name(queues[i]), strerror(errno));
		loop_post(qm.loop, take_chunk, job);
	}
}

static void walk_done(struct disk_job *base)
{
	free(base);
	walk.running = false;
	walk.first_done = true;
	run_waiting();
	if (walk.again)
		walk_now();
}

void walk_now(void)
{
	struct walk_job *job;

	walk.again = walk.running;
	if (walk.running || qm.draining)
		return;
	walk.running = true;
	loop_timer_set(qm.loop, &walk.next, deadline_in(qm.params->queue_run_delay * 1000));
	job = xcalloc(1, sizeof(*job));
	job->job = (struct disk_job){ walk_work, walk_done };
	job->first = !walk.first_done;
	disk_run(&job->job);
}

static void on_time(struct loop_timer *timer)
{
	(void)timer;
	walk_now();
	message_pump();
}

/* ---- inotify ---- */

static void take_events(const char *buf, size_t len, struct look_job **job)
{
	for (size_t at = 0; at + sizeof(struct inotify_event) <= len;) {
		struct inotify_event event;
		const char *name = buf + at + sizeof(event);

		memcpy(&event, buf + at, sizeof(event));
		at += sizeof(event) + event.len;
		if (event.mask & IN_Q_OVERFLOW)
			walk_now();
		if (event.len == 0 || at > len || !queue_id_is_valid(slice_of(name)) ||
		    entry_find(name))
			continue;
		add_name(*job, name);
		if ((*job)->count == CHUNK) {
			look_at_unknown(*job);
			*job = look_job_new(SPOOL_INCOMING);
		}
	}
}

static void on_rested(struct loop_timer *timer)
{
	struct look_job *job = look_job_new(SPOOL_INCOMING);
	char buf[16384];
	ssize_t got;

	(void)timer;
	while ((got = read(walk.inotify_fd, buf, sizeof(buf))) > 0)
		take_events(buf, (size_t)got, &job);
	look_at_unknown(job);
	if (!qm.draining)
		loop_watch(qm.loop, &walk.watch, EPOLLIN | EPOLLONESHOT);
}

/* Most names are of messages that were offered: there is no hurry. */
static void on_inotify(struct loop_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	loop_timer_set(qm.loop, &walk.rest, deadline_in(NOTIFY_WAIT_MS));
}

void walk_prepare(void)
{
	char *path = xasprintf("%s/incoming", qm.params->queue_directory);

	walk.inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (walk.inotify_fd == -1 ||
	    inotify_add_watch(walk.inotify_fd, path, IN_CREATE | IN_MOVED_TO) == -1)
		log_warning("inotify on %s: %s", path, strerror(errno));
	free(path);
}

void walk_start(void)
{
	walk.next = (struct loop_timer){ .expired = on_time };
	walk.rest = (struct loop_timer){ .expired = on_rested };
	if (walk.inotify_fd != -1) {
		walk.watch = (struct loop_watch){ .fd = walk.inotify_fd, .ready = on_inotify };
		loop_watch(qm.loop, &walk.watch, EPOLLIN | EPOLLONESHOT);
	}
	walk_now();
}
