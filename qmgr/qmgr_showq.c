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
#include "mail/address.h"
#include "qmgr/qmgr.h"
#include "queue/defer_log.h"

#define WRITE_LIMIT_MS 60000
#define BUFFER_SIZE    (32 * 1024)
#define DEFER_LOG_MAX  (16 * 1024 * 1024)

struct shown_recipient {
	const char *address, *original, *reason;
	bool failed;
};

struct shown {
	char id[QUEUE_ID_SIZE];
	enum spool_queue queue; /* the name's place */
	bool active;
	bool in_memory; /* what follows is there */
	int64_t arrival_s;
	off_t size;
	const char *sender;
	struct shown_recipient *recipients;
	size_t count;
};

struct show_job {
	struct disk_job job;
	int fd;
	bool broken;
	struct strbuf out;
	struct arena arena;
	struct shown *list;
	size_t count;
};

/* ---- in the scheduler ---- */

static void show_loaded(struct show_job *job, const struct message *m, struct shown *s)
{
	const struct envelope *env = m->env;

	s->in_memory = true;
	s->arrival_s = env->arrival_us / 1000000;
	s->size = env->size;
	s->sender = arena_strdup(&job->arena, env->sender);
	s->recipients =
	    arena_alloc(&job->arena, (env->recipient_count + 1) * sizeof(*s->recipients));
	for (size_t i = 0; i < env->recipient_count; i++) {
		const struct qmgr_recipient *r = &m->recipients[i];

		if (r->state == RCPT_DONE)
			continue;
		s->recipients[s->count++] = (struct shown_recipient){
			.address = arena_strdup(&job->arena, env->recipients[i].address),
			.original = arena_strdup(&job->arena, env->recipients[i].original),
			.reason = r->why ? arena_strdup(&job->arena, r->why->text) : "",
			.failed = r->state == RCPT_BOUNCED
		};
	}
}

static void show_messages(struct show_job *job)
{
	job->list = xcalloc(qm.messages.count + 1, sizeof(*job->list));
	for (struct map_entry *e = map_next(&qm.messages, NULL); e; e = map_next(&qm.messages, e)) {
		const struct message *m = e->value;
		struct shown *s = &job->list[job->count];

		/* On its way out, or never to be acknowledged by us. */
		if (m->deleted || m->left || m->state == MESSAGE_REMOVING || (!m->env && !m->named))
			continue;
		memcpy(s->id, m->id, sizeof(s->id));
		s->queue = m->queue;
		s->active = m->state != MESSAGE_WAITING;
		if (m->env)
			show_loaded(job, m, s);
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

static void put_text(struct show_job *job, const char *name, const char *value)
{
	/* With the NULs that separate. */
	strbuf_add(&job->out, name, strlen(name) + 1);
	strbuf_add(&job->out, value, strlen(value) + 1);
	if (job->out.len > BUFFER_SIZE / 2)
		flush(job);
}

static void put_number(struct show_job *job, const char *name, long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", value);
	put_text(job, name, text);
}

static void put_address(struct show_job *job, const char *name, const char *address)
{
	struct strbuf text = STRBUF_INIT(4096);

	address_external(slice_of(address), &text);
	put_text(job, name, text.ptr);
	strbuf_release(&text);
}

static void put_end(struct show_job *job)
{
	strbuf_addch(&job->out, '\0');
}

static void show(struct show_job *job, const struct shown *s)
{
	put_text(job, "queue_name", s->active ? "active" : spool_queue_name(s->queue));
	put_text(job, "queue_id", s->id);
	put_number(job, "time", s->arrival_s);
	put_number(job, "size", s->size);
	put_number(job, "forced_expire", 0);
	if (*s->sender)
		put_address(job, "sender", s->sender);
	else
		put_text(job, "sender", qm.params->empty_address_recipient);
	for (size_t i = 0; i < s->count; i++) {
		const struct shown_recipient *r = &s->recipients[i];

		put_address(job, "original_recipient", r->original);
		put_address(job, "recipient", r->address);
		put_text(job, "log_class", r->failed ? "bounce" : *r->reason ? "defer" : "");
		put_text(job, "reason", r->reason);
	}
	put_end(job);
}

/* The reason of each recipient, from the log of the last attempt. */
static void add_reasons(struct shown *s, struct arena *arena, const struct envelope *env)
{
	struct strbuf text = STRBUF_INIT(DEFER_LOG_MAX);
	struct defer_entry *entries;
	size_t count, next = 0;
	int fd = spool_open_file(qm.spool, SPOOL_DEFER, s->id, O_RDONLY);

	if (fd == -1)
		return;
	file_read_fd(fd, &text);
	close(fd);
	count = defer_log_parse(strbuf_slice(&text), arena, &entries);
	for (size_t i = 0, k = 0; i < env->recipient_count; i++) {
		if (env->recipients[i].done)
			continue;
		/* Both lists are in the file's order, as a rule. */
		for (size_t tries = 0; tries < count; tries++, next = (next + 1) % count) {
			if (entries[next].offset != env->recipients[i].offset)
				continue;
			s->recipients[k].reason = entries[next].why.text;
			break;
		}
		k++;
	}
	strbuf_release(&text);
}

static void show_file(struct show_job *job, struct shown *s)
{
	struct reason why = { .dsn = "" };
	struct arena arena = ARENA_INIT;
	struct envelope *env = NULL;
	int fd = spool_open_file(qm.spool, s->queue, s->id, O_RDONLY);

	if (fd == -1)
		return; /* gone meanwhile */
	env = envelope_read(fd, s->id, ENVELOPE_TRUST, &why);
	close(fd);
	if (!env)
		return;
	s->arrival_s = env->arrival_us / 1000000;
	s->size = env->size;
	s->sender = env->sender;
	s->recipients = arena_alloc(&arena, (env->recipient_count + 1) * sizeof(*s->recipients));
	for (size_t i = 0; i < env->recipient_count; i++)
		if (!env->recipients[i].done)
			s->recipients[s->count++] =
			    (struct shown_recipient){ .address = env->recipients[i].address,
				    .original = env->recipients[i].original,
				    .reason = "" };
	add_reasons(s, &arena, env);
	show(job, s);
	arena_release(&arena);
	envelope_free(env);
}

static void show_one(struct show_job *job, struct shown *s)
{
	if (s->in_memory)
		show(job, s);
	else
		show_file(job, s);
}

struct show_scan {
	struct show_job *job;
	enum spool_queue queue;
};

static bool show_name(const char *id, int dirfd, void *arg)
{
	struct show_scan *scan = arg;
	struct shown s = { .queue = scan->queue };

	(void)dirfd;
	memcpy(s.id, id, strlen(id) + 1);
	show_file(scan->job, &s);
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

	put_text(job, "protocol", "showq_protocol");
	put_end(job);
	show_directory(job, SPOOL_MAILDROP);
	for (size_t i = 0; i < job->count; i++)
		if (job->list[i].active)
			show_one(job, &job->list[i]);
	for (size_t q = 0; q < ARRAY_LEN(order); q++)
		for (size_t i = 0; i < job->count && !job->broken; i++)
			if (!job->list[i].active && job->list[i].queue == order[q])
				show_one(job, &job->list[i]);
	show_directory(job, SPOOL_HOLD);
	put_end(job);
	flush(job);
}

static void show_done(struct disk_job *base)
{
	struct show_job *job = (struct show_job *)base;

	close(job->fd);
	strbuf_release(&job->out);
	arena_release(&job->arena);
	free(job->list);
	free(job);
}

void showq_accept(int fd)
{
	struct show_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct disk_job){ show_work, show_done };
	job->fd = fd;
	job->arena = (struct arena)ARENA_INIT;
	strbuf_init(&job->out, 16 * 1024 * 1024);
	show_messages(job);
	disk_run(&job->job);
}
