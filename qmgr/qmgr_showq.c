// SPDX-License-Identifier: BSD-2-Clause
/*
 * public/showq (postfix.md 2.5), which exporters read too.  The scheduler makes a list of what it
 * has in memory; a worker writes it out, reading from their files the messages that only wait, and
 * the queues that we do not keep in memory (maildrop, hold).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "qmgr/qmgr.h"
#include "queue/showq.h"

#define WRITE_LIMIT_MS 60000
#define BUFFER_SIZE    (32 * 1024)

struct shown {
	struct showq_message *loaded; /* NULL: it is read from the file */
	uint8_t queue;		      /* enum spool_queue: the name's place */
	bool active;
	char id[QUEUE_ID_SIZE];
};

struct show_job {
	struct disk_job job;
	int fd;
	bool broken;
	struct strbuf out;
	struct arena arena;
	struct shown *list;
	struct showq_message *loaded;
	size_t count, loaded_count;
};

/* ---- in the scheduler ---- */

static void show_loaded(struct show_job *job, const struct message *m, struct showq_message *out)
{
	const struct envelope *env = m->env;

	*out = (struct showq_message){ .size = env->size };
	memcpy(out->id, m->id, sizeof(out->id));
	snprintf(out->queue, sizeof(out->queue), "active");
	out->arrival_s = env->arrival_us / 1000000;
	out->forced_expire = m->forced;
	out->sender = showq_address(
	    &job->arena, *env->sender ? env->sender : qm.params->empty_address_recipient);
	out->recipients =
	    arena_alloc(&job->arena, (env->recipient_count + 1) * sizeof(*out->recipients));
	for (size_t i = 0; i < env->recipient_count; i++) {
		const struct envelope_recipient *from = &env->recipients[i];
		const struct qmgr_recipient *r = &m->recipients[i];

		if (r->state == RCPT_DONE)
			continue;
		out->recipients[out->count++] =
		    (struct showq_recipient){ .address = showq_address(&job->arena, from->address),
			    .original = showq_address(&job->arena, from->original),
			    .reason = r->why ? arena_strdup(&job->arena, r->why->text) : "",
			    .failed = r->state == RCPT_BOUNCED };
	}
}

static bool is_shown(const struct message *m)
{
	/* On its way out, or never to be acknowledged by us. */
	return !m->deleted && !m->left && m->state != MESSAGE_REMOVING && (m->env || m->named);
}

static void show_messages(struct show_job *job)
{
	job->list = xreallocarray(NULL, qm.entries.count + 1, sizeof(*job->list));
	job->loaded = xreallocarray(NULL, qm.active + 1, sizeof(*job->loaded));
	for (struct entry *e = entry_next(NULL); e; e = entry_next(e)) {
		const struct message *m = e->message;
		struct shown *s = &job->list[job->count];

		if (m && !is_shown(m))
			continue;
		strcpy(s->id, e->id);
		s->queue = e->queue;
		s->active = m != NULL;
		s->loaded = NULL;
		if (m && m->env) {
			s->loaded = &job->loaded[job->loaded_count++];
			show_loaded(job, m, s->loaded);
		}
		job->count++;
	}
}

/* ---- in a worker ---- */

static void flush(struct show_job *job)
{
	size_t at = 0;

	while (!job->broken && at < job->out.len) {
		ssize_t sent = send(
		    job->fd, job->out.ptr + at, job->out.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0)
			at += (size_t)sent;
		else if (sent == -1 && errno == EAGAIN)
			job->broken =
			    socket_wait(job->fd, POLLOUT, deadline_in(WRITE_LIMIT_MS)) <= 0;
		else
			job->broken = sent == -1 && errno != EINTR;
	}
	strbuf_reset(&job->out);
}

static void show(struct show_job *job, const struct showq_message *message)
{
	showq_add(&job->out, message);
	if (job->out.len > BUFFER_SIZE)
		flush(job);
}

static void show_file(struct show_job *job, enum spool_queue queue, const char *id, bool active)
{
	struct arena arena = ARENA_INIT;
	struct showq_message message;

	if (showq_read_file(
		qm.spool, queue, id, qm.params->empty_address_recipient, &arena, &message)) {
		if (active)
			snprintf(message.queue, sizeof(message.queue), "active");
		show(job, &message);
	}
	arena_release(&arena);
}

static void show_one(struct show_job *job, const struct shown *s)
{
	if (s->loaded)
		show(job, s->loaded);
	else
		show_file(job, s->queue, s->id, s->active);
}

struct show_scan {
	struct show_job *job;
	enum spool_queue queue;
};

static bool show_name(const char *id, int dirfd, void *arg)
{
	struct show_scan *scan = arg;

	(void)dirfd;
	show_file(scan->job, scan->queue, id, false);
	return !scan->job->broken;
}

static void show_directory(struct show_job *job, enum spool_queue queue)
{
	struct show_scan scan = { job, queue };

	spool_scan(qm.spool, queue, show_name, &scan);
}

static void show_work(struct disk_job *base)
{
	struct show_job *job = (struct show_job *)base;
	static const enum spool_queue order[] = { SPOOL_INCOMING, SPOOL_DEFERRED };

	showq_begin(&job->out);
	show_directory(job, SPOOL_MAILDROP);
	for (size_t i = 0; i < job->count; i++)
		if (job->list[i].active)
			show_one(job, &job->list[i]);
	for (size_t q = 0; q < ARRAY_LEN(order); q++)
		for (size_t i = 0; i < job->count && !job->broken; i++)
			if (!job->list[i].active && job->list[i].queue == order[q])
				show_one(job, &job->list[i]);
	show_directory(job, SPOOL_HOLD);
	showq_end(&job->out);
	flush(job);
}

static void show_done(struct disk_job *base)
{
	struct show_job *job = (struct show_job *)base;

	close(job->fd);
	strbuf_release(&job->out);
	arena_release(&job->arena);
	free(job->list);
	free(job->loaded);
	free(job);
}

/* Until the first walk is through, memory does not know what is in the queue. */
static void wait_work(struct disk_job *base)
{
	(void)base;
}

static void wait_done(struct disk_job *base)
{
	struct show_job *job = (struct show_job *)base;

	job->job = (struct disk_job){ .work = show_work, .done = show_done };
	show_messages(job);
	disk_run(&job->job);
}

void showq_accept(int fd)
{
	struct show_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct disk_job){ .work = wait_work, .done = wait_done };
	job->fd = fd;
	job->arena = (struct arena)ARENA_INIT;
	strbuf_init(&job->out, SHOWQ_MESSAGE_MAX);
	walk_run_settled(&job->job);
}
