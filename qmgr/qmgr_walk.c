// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names in the spool that nobody told us of: at the start all of them; later what another program
 * put there, or an intake that had lost its connection.  inotify tells of incoming soon; a walk
 * over all queues every $queue_run_delay finds the rest.
 *
 * A worker reads the directories and sends names in chunks; the scheduler keeps those that it does
 * not know; a worker looks at these (the time of the next attempt is the file's mtime).  At the
 * start deferred may hold 100,000 of them: there the first worker looks, too, but at names of which
 * another one may be elsewhere.  For that it reads first which names there are in the queues that
 * moves lead to, and in those of logs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "log/log.h"
#include "qmgr/qmgr.h"

#define CHUNK	       500
#define NOTIFY_WAIT_MS 1000

struct name {
	char id[QUEUE_ID_SIZE];
	int64_t due_s; /* -1: not for us */
	bool has_bounce_log, has_trace_log;
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

/*
 * Names in the spool as the first walk began, of the queues that are small as a rule.  Written by
 * that walk's worker before any other thread reads them.
 */
static struct map first_names[SPOOL_QUEUES];

static void scan(enum spool_queue queue, bool (*each)(const char *, int, void *), void *arg)
{
	if (spool_scan(qm.spool, queue, each, arg) == -1)
		log_warning("scan %s: %s", spool_queue_name(queue), strerror(errno));
}

static bool has_first_name(enum spool_queue queue, const char *id)
{
	return map_get_str(&first_names[queue], id) != NULL;
}

static bool remember_name(const char *id, int dirfd, void *arg)
{
	(void)dirfd;
	map_put_str(arg, id, arg);
	return true;
}

/* In a worker. */
static void read_first_names(void)
{
	static const enum spool_queue queues[] = { SPOOL_MAILDROP, SPOOL_CORRUPT, SPOOL_HOLD,
		SPOOL_BOUNCE, SPOOL_TRACE };

	for (size_t i = 0; i < ARRAY_LEN(queues); i++)
		scan(queues[i], remember_name, &first_names[queues[i]]);
}

static void forget_first_names(void)
{
	for (size_t i = 0; i < SPOOL_QUEUES; i++)
		map_release(&first_names[i], NULL);
}

/* ---- looking at unknown names ---- */

/* A real Postfix's, or our own of an earlier life. */
static bool has_log(const char *id, enum spool_queue log, bool first)
{
	struct stat st;

	return first ? has_first_name(log, id) : spool_stat(qm.spool, log, id, &st) == 0;
}

static void take_stat(struct name *n, const struct stat *st, enum spool_queue queue, bool first)
{
	n->due_s = queue == SPOOL_DEFERRED ? (int64_t)st->st_mtime : 0;
	n->has_bounce_log = has_log(n->id, SPOOL_BOUNCE, first);
	n->has_trace_log = has_log(n->id, SPOOL_TRACE, first);
}

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
		take_stat(n, &st, job->queue, job->first);
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
	if (is_settled())
		forget_first_names();
	while (is_settled() && !list_is_empty(&walk.waiting)) {
		struct waiting_job *waiting =
		    list_entry(walk.waiting.next, struct waiting_job, node);

		disk_run(waiting->job);
		list_del(&waiting->node);
		free(waiting);
	}
}

static void take_names(void *arg)
{
	struct look_job *job = arg;

	for (size_t i = 0; i < job->count; i++) {
		const struct name *n = &job->names[i];

		if (n->due_s >= 0)
			message_found(
			    n->id, job->queue, n->due_s, n->has_bounce_log, n->has_trace_log);
	}
	free(job);
	message_pump();
}

static void look_done(struct disk_job *base)
{
	struct look_job *job = (struct look_job *)base;

	walk.first_looks -= job->first;
	take_names(job);
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
	job->job = (struct disk_job){ .work = look_work, .done = look_done };
	walk.first_looks += job->first;
	disk_run_in(DISK_LOOK, &job->job);
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

static void send_full(struct look_job **job, void (*take)(void *arg))
{
	struct look_job *full = *job;

	if (full->count < CHUNK)
		return;
	*job = look_job_new(full->queue);
	(*job)->first = full->first;
	loop_post(qm.loop, take, full);
}

static bool on_name(const char *id, int dirfd, void *arg)
{
	struct look_job **job = arg;

	(void)dirfd;
	add_name(*job, id);
	send_full(job, take_chunk);
	return true;
}

/* What is listed of deferred at the start, in two lists. */
struct first_deferred {
	struct look_job *moved; /* another name may be in a later queue */
	struct look_job *whole; /* looked at already */
};

static bool on_first_deferred(const char *id, int dirfd, void *arg)
{
	struct first_deferred *d = arg;
	struct stat st;

	if (has_first_name(SPOOL_MAILDROP, id) || has_first_name(SPOOL_CORRUPT, id) ||
	    has_first_name(SPOOL_HOLD, id))
		return on_name(id, dirfd, &d->moved);
	if (fstatat(dirfd, id, &st, AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode) ||
	    !(st.st_mode & S_IXUSR))
		return true;
	add_name(d->whole, id);
	take_stat(&d->whole->names[d->whole->count - 1], &st, SPOOL_DEFERRED, true);
	send_full(&d->whole, take_names);
	return true;
}

/* In hold there is nothing to find but moves that were not finished. */
static bool on_first_hold(const char *id, int dirfd, void *arg)
{
	if (!has_first_name(SPOOL_MAILDROP, id) && !has_first_name(SPOOL_CORRUPT, id))
		return true;
	return on_name(id, dirfd, arg);
}

static void walk_queue(enum spool_queue queue, bool first, bool (*each)(const char *, int, void *))
{
	struct look_job *job = look_job_new(queue);

	job->first = first;
	scan(queue, each, &job);
	loop_post(qm.loop, take_chunk, job);
}

static void walk_first_deferred(void)
{
	struct first_deferred d = { look_job_new(SPOOL_DEFERRED), look_job_new(SPOOL_DEFERRED) };

	d.moved->first = d.whole->first = true;
	scan(SPOOL_DEFERRED, on_first_deferred, &d);
	loop_post(qm.loop, take_chunk, d.moved);
	loop_post(qm.loop, take_names, d.whole);
}

struct walk_job {
	struct disk_job job;
	bool first;
};

/* deferred last: once a name there is known, nobody looks whether incoming has it, too. */
static void walk_work(struct disk_job *base)
{
	bool first = ((struct walk_job *)base)->first;

	if (first)
		read_first_names();
	walk_queue(SPOOL_INCOMING, first, on_name);
	walk_queue(SPOOL_ACTIVE, first, on_name);
	if (first) {
		walk_first_deferred();
		walk_queue(SPOOL_HOLD, true, on_first_hold);
	} else {
		walk_queue(SPOOL_DEFERRED, false, on_name);
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
	job->job = (struct disk_job){ .work = walk_work, .done = walk_done };
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
