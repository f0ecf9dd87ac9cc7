// SPDX-License-Identifier: BSD-2-Clause
/*
 * What workers do for messages: read and resolve, settle, remove, set aside, look.  A job carries
 * copies of all that it needs; what belongs to the message it hands over in the scheduler's thread
 * (done).  One job per message at a time, so a message outlives its job.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "qmgr/qmgr.h"
#include "queue/defer_log.h"
#include "server/running.h"
#include "table/table.h"

#define LOG_TEXT_MAX	 (64 * 1024 * 1024)
#define BOUNCE_LOG_MAX	 (16 * 1024 * 1024)
#define REFRESH_EVERY_MS 100
#define SPACE_EVERY_MS	 5000
#define TRIGGER_LIMIT_MS 1000
#define SPACE_MIN	 (64 * 1024 * 1024)

/* ---- load ---- */

struct load_job {
	struct disk_job job;
	struct message *message;
	char id[QUEUE_ID_SIZE];
	enum spool_queue queue;
	bool found, has_bounce_log, has_trace_log;
	struct resolving *resolving;
	struct loaded loaded;
};

/* An edited table applies to the next message; looking costs a stat per table. */
static void refresh_tables(void)
{
	static _Atomic int64_t next;
	int64_t now = clock_ms(), due = atomic_load(&next);

	if (now >= due && atomic_compare_exchange_strong(&next, &due, now + REFRESH_EVERY_MS) &&
	    !table_refresh_all())
		qmgr_tables_changed();
}

/*
 * A message that would have to be spooled after all must find room: with little of it left nobody
 * waits for deliveries.
 */
static void look_at_space(void)
{
	static _Atomic int64_t next;
	int64_t now = clock_ms(), due = atomic_load(&next);
	struct statvfs fs;

	if (now < due || !atomic_compare_exchange_strong(&next, &due, now + SPACE_EVERY_MS) ||
	    fstatvfs(spool_queue_fd(qm.spool, SPOOL_INCOMING), &fs) == -1)
		return;
	atomic_store(&qm.little_space,
	    (uint64_t)fs.f_bavail * fs.f_frsize < SPACE_MIN || (fs.f_files && fs.f_favail < 1000));
}

static bool open_found(struct load_job *job)
{
	struct loaded *l = &job->loaded;
	struct stat st;

	l->fd = spool_open_file(qm.spool, job->queue, job->id, O_RDONLY);
	if (l->fd == -1) {
		l->vanished = errno == ENOENT;
		reason_set(&l->why, "4.3.0", "open %s %s: %s", spool_queue_name(job->queue),
		    job->id, strerror(errno));
		return false;
	}
	if (fstat(l->fd, &st) == -1 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR)) {
		/* Not complete: somebody else is writing it, or it is not for us. */
		l->vanished = true;
		return false;
	}
	l->forced = spool_is_expired(st.st_mode);
	return true;
}

/* A transport that tells every recipient's outcome: it could not be resolved. */
static void fail_recipient(struct arena *arena, struct qmgr_recipient *r, const struct reason *why)
{
	r->transport = reason_is_permanent(why) ? "error" : "retry";
	r->nexthop = arena_printf(arena, "%s %s", why->dsn, why->text);
}

static struct slice domain_of(struct slice address, struct slice otherwise)
{
	struct slice local, domain;

	return address_split(address, &local, &domain) && domain.len > 0 ? domain : otherwise;
}

/*
 * "transport:nexthop" of a content filter stands over all that the address says: it is not even
 * looked up.
 */
static void apply_filter(struct load_job *job, struct qmgr_recipient *r)
{
	const struct postfix_params *p = job->resolving->params;
	struct arena *arena = &job->loaded.arena;
	struct slice filter = slice_of(job->loaded.env->filter);
	ptrdiff_t colon = slice_find(filter, ':');
	struct slice nexthop = colon < 0 ? SLICE_NULL : slice_from(filter, (size_t)colon + 1);

	if (nexthop.len == 0)
		nexthop = slice_of(p->default_filter_nexthop);
	if (nexthop.len == 0)
		nexthop = domain_of(slice_of(r->address), slice_of(p->myhostname));
	r->transport =
	    arena_slicedup(arena, slice_first(filter, colon < 0 ? filter.len : (size_t)colon));
	r->nexthop = arena_slicedup(arena, nexthop);
}

/*
 * Nobody reads what is sent to $double_bounce_sender here: so no site needs a mailbox for it.  The
 * nothing it is delivered to is a transport like any other.
 */
static bool is_for_nobody(const struct load_job *job, const struct resolved *resolved)
{
	struct slice local, domain;

	address_split(strbuf_slice(&resolved->recipient), &local, &domain);
	return resolved->class == RESOLVE_LOCAL &&
	       slice_caseeq_str(local, job->resolving->params->double_bounce_sender);
}

static void resolve_recipient(
    struct load_job *job, const char *address, struct resolved *resolved, struct qmgr_recipient *r)
{
	struct arena *arena = &job->loaded.arena;
	const struct envelope *env = job->loaded.env;
	struct reason why = { .dsn = "" };

	r->address = address;
	if (*env->filter && *address != '-') {
		apply_filter(job, r);
		return;
	}
	if (!resolve(job->resolving->resolver, slice_of(address), slice_of(env->sender), resolved,
		&why)) {
		fail_recipient(arena, r, &why);
		return;
	}
	r->transport = arena_slicedup(arena, strbuf_slice(&resolved->transport));
	r->nexthop = arena_slicedup(arena, strbuf_slice(&resolved->nexthop));
	r->address = arena_slicedup(arena, strbuf_slice(&resolved->recipient));
	if (is_for_nobody(job, resolved)) {
		r->transport = "discard";
		r->nexthop = "undeliverable postmaster notification discarded";
	}
}

/* One delivery to the redirect's address stands for all recipients. */
static void redirect(struct load_job *job, struct resolved *resolved)
{
	struct loaded *l = &job->loaded;
	bool first = true;

	for (size_t i = 0; i < l->env->recipient_count; i++) {
		struct qmgr_recipient *r = &l->recipients[i];

		if (r->state == RCPT_DONE)
			continue;
		if (first)
			resolve_recipient(job, l->env->redirect, resolved, r);
		else
			r->state = RCPT_DONE;
		first = false;
	}
}

static void report_expanded(struct arena *arena, struct qmgr_recipient *r)
{
	r->report = true;
	r->action = "expanded";
	r->why = ARENA_NEW(arena, struct reason);
	reason_set(r->why, "2.0.0", "alias expanded");
}

static void resolve_all(struct load_job *job)
{
	struct loaded *l = &job->loaded;
	struct envelope *env = l->env;
	struct resolved resolved;

	resolved_init(&resolved);
	l->recipients = arena_alloc(&l->arena, (env->recipient_count + 1) * sizeof(*l->recipients));
	for (size_t i = 0; i < env->recipient_count; i++) {
		struct qmgr_recipient *r = &l->recipients[i];

		if (env->recipients[i].done)
			r->state = RCPT_DONE;
		if (env->recipients[i].expanded)
			report_expanded(&l->arena, r);
		if (r->state != RCPT_DONE && *env->redirect == '\0')
			resolve_recipient(job, env->recipients[i].address, &resolved, r);
	}
	if (*env->redirect)
		redirect(job, &resolved);
	resolved_release(&resolved);
}

static void take_entry(struct loaded *l, struct qmgr_recipient *r, const struct defer_entry *entry,
    enum spool_queue queue)
{
	if (queue == SPOOL_BOUNCE)
		r->state = RCPT_BOUNCED;
	else if (queue == SPOOL_DEFER && (r->state == RCPT_PENDING || r->state == RCPT_DEFERRED))
		r->state = RCPT_DEFERRED;
	else if (queue == SPOOL_TRACE && r->state == RCPT_DONE)
		r->report = true;
	else
		return;
	r->why = ARENA_NEW(&l->arena, struct reason);
	*r->why = entry->why;
	r->action = *entry->action ? entry->action : "delivered";
	r->remote_mta = entry->remote_mta;
	r->diagnostic = entry->diagnostic;
}

/* Who has an entry in the log has a notice to come.  True when there is a log. */
static bool take_log(struct load_job *job, enum spool_queue queue)
{
	struct loaded *l = &job->loaded;
	struct strbuf text = STRBUF_INIT(BOUNCE_LOG_MAX);
	struct defer_entry *entries;
	size_t count;
	int fd;

	fd = spool_open_file(qm.spool, queue, job->id, O_RDONLY);
	if (fd == -1)
		return false;
	if (file_read_fd(fd, &text) == -1)
		log_warning("%s: %s log: %s", job->id, spool_queue_name(queue), strerror(errno));
	close(fd);
	count = defer_log_parse(strbuf_slice(&text), &l->arena, &entries);
	for (size_t i = 0; i < l->env->recipient_count; i++)
		for (size_t k = 0; k < count; k++)
			if (entries[k].offset == l->env->recipients[i].offset)
				take_entry(l, &l->recipients[i], &entries[k], queue);
	strbuf_release(&text);
	return true;
}

/*
 * A real Postfix marks a failed recipient as done, writes it down in bounce/ID, and tells the
 * sender at the end of the attempt: if that did not happen any more, it is ours to do.  So it is
 * with reports of success in trace/ID, where our own are, too, that could not be made yet.
 */
static void take_logs(struct load_job *job)
{
	struct loaded *l = &job->loaded;

	if (job->has_bounce_log && !l->env->ours)
		l->has_bounce_log = take_log(job, SPOOL_BOUNCE);
	if (job->has_trace_log)
		l->has_trace_log = take_log(job, SPOOL_TRACE);
}

static void load(struct load_job *job)
{
	struct loaded *l = &job->loaded;

	refresh_tables();
	look_at_space();
	if (l->fd == -1 && !open_found(job))
		return;
	l->env =
	    envelope_read(l->fd, job->id, job->found ? ENVELOPE_VERIFY : ENVELOPE_TRUST, &l->why);
	if (!l->env)
		return;
	resolve_all(job);
	take_logs(job);
	/* Nothing more is delivered: what the sender is told is why it waited. */
	if (l->forced)
		take_log(job, SPOOL_DEFER);
}

static void load_done(struct disk_job *base)
{
	struct load_job *job = (struct load_job *)base;

	qmgr_drop_resolver(job->resolving);
	message_loaded(job->message, &job->loaded);
	free(job);
}

/* A file that kills us is named in master's log. */
static void load_work(struct disk_job *base)
{
	struct load_job *job = (struct load_job *)base;
	const struct running_who who = { .message = job->id };

	running_begin(&who);
	load(job);
	running_end();
}

void disk_load(struct message *m)
{
	struct load_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct disk_job){ .work = load_work, .done = load_done };
	job->message = m;
	strcpy(job->id, m->id);
	job->queue = m->entry->queue;
	job->found = m->entry->found;
	job->has_bounce_log = m->entry->has_bounce_log;
	job->has_trace_log = m->entry->has_trace_log;
	job->resolving = qmgr_use_resolver();
	job->loaded.fd = m->fd;
	job->loaded.arena = (struct arena)ARENA_INIT;
	m->fd = -1; /* comes back with message_loaded */
	if (m->from_waiting)
		disk_run_in(DISK_LOAD, &job->job);
	else
		disk_run(&job->job);
}

/* ---- settle ---- */

void disk_wake_pickup(void)
{
	char *path =
	    xasprintf("%s/public/%s", qm.params->queue_directory, qm.params->pickup_service_name);

	/* A pickup that is not there looks when it starts, or once a minute. */
	queue_trigger(path, SLICE_LIT("W"), deadline_in(TRIGGER_LIMIT_MS));
	free(path);
}

static void unlink_one(const char *id, enum spool_queue queue)
{
	if (spool_unlink(qm.spool, queue, id) == -1 && errno != ENOENT)
		log_warning("%s: remove from %s: %s", id, spool_queue_name(queue), strerror(errno));
}

struct settle_job {
	struct disk_job job;
	struct message *message;
	char id[QUEUE_ID_SIZE];
	enum spool_queue from, to;
	int64_t next_s;
	off_t *offsets; /* to be marked done */
	size_t offset_count;
	struct strbuf log;   /* empty: none */
	struct strbuf trace; /* reports that are owed */
	bool has_trace_log;
	bool same_log; /* it is there already */
	bool log_failed;
	off_t warn_offset;  /* 0: the sender was not told of a delay now */
	off_t trace_offset; /* 0: he got no report on this attempt */
	bool ok;
};

/* Before the marks: a mark without it would be a report that nobody makes. */
static void settle_reports(struct settle_job *job)
{
	if (job->trace.len > 0) {
		if (spool_write_log(qm.spool, SPOOL_TRACE, job->id, strbuf_slice(&job->trace)) ==
		    -1)
			log_warning("%s: trace log: %s", job->id, strerror(errno));
	} else if (job->has_trace_log) {
		unlink_one(job->id, SPOOL_TRACE);
	}
}

static bool mark_all(struct settle_job *job)
{
	bool good = true;
	int fd;

	if (job->offset_count == 0 && job->warn_offset == 0 && job->trace_offset == 0)
		return true;
	fd = spool_open_file(qm.spool, job->from, job->id, O_RDWR);
	if (fd == -1)
		return false;
	for (size_t i = 0; i < job->offset_count && good; i++)
		good = spool_mark_done(fd, job->offsets[i]) == 0;
	if (good && job->warn_offset > 0)
		good = spool_mark_warned(fd, job->warn_offset) == 0;
	if (good && job->trace_offset > 0)
		good = spool_mark_traced(fd, job->trace_offset) == 0;
	close(fd);
	return good;
}

static void settle_work(struct disk_job *base)
{
	struct settle_job *job = (struct settle_job *)base;

	/* What fails here costs a second delivery or notice, or a reason in mailq, never the
	 * message. */
	settle_reports(job);
	if (!mark_all(job))
		log_warning("%s: mark recipients done: %s", job->id, strerror(errno));
	job->log_failed =
	    job->log.len > 0 && !job->same_log &&
	    spool_write_log(qm.spool, SPOOL_DEFER, job->id, strbuf_slice(&job->log)) == -1;
	if (job->log_failed)
		log_warning("%s: defer log: %s", job->id, strerror(errno));
	job->ok = spool_move(qm.spool, job->id, job->from, job->to, job->next_s) == 0;
	if (!job->ok)
		log_warning("%s: move from %s to %s: %s", job->id, spool_queue_name(job->from),
		    spool_queue_name(job->to), strerror(errno));
	if (job->ok && job->to == SPOOL_MAILDROP) {
		spool_unlink(qm.spool, SPOOL_DEFER, job->id);
		spool_unlink(qm.spool, SPOOL_BOUNCE, job->id);
		disk_wake_pickup();
	}
}

static void settle_done(struct disk_job *base)
{
	struct settle_job *job = (struct settle_job *)base;

	if (job->log_failed)
		job->message->entry->log = 0;
	message_settled(job->message, job->ok, job->to, job->next_s);
	strbuf_release(&job->log);
	strbuf_release(&job->trace);
	free(job->offsets);
	free(job);
}

static void add_log_entry(
    struct strbuf *log, const struct envelope_recipient *from, const struct qmgr_recipient *r)
{
	struct defer_entry entry = { .recipient = from->address,
		.original = from->original,
		.orcpt = from->orcpt,
		.notify = from->notify,
		.offset = from->offset,
		.why = *r->why,
		.remote_mta = r->remote_mta,
		.diagnostic = r->diagnostic,
		.action = r->report ? r->action : NULL,
		.no_text = !qm.params->backwards_bounce_logfile_compatibility };

	defer_log_add(log, &entry);
}

static void gather(struct settle_job *job, struct message *m)
{
	size_t count = m->env ? m->env->recipient_count : 0;

	job->offsets = xreallocarray(NULL, count + 1, sizeof(*job->offsets));
	for (size_t i = 0; i < count; i++) {
		const struct envelope_recipient *from = &m->env->recipients[i];
		const struct qmgr_recipient *r = &m->recipients[i];
		bool is_marked = from->done && !from->expanded;

		if (r->state == RCPT_DONE && !is_marked)
			job->offsets[job->offset_count++] = from->offset;
		if (r->report)
			add_log_entry(&job->trace, from, r);
		else if (r->state == RCPT_DEFERRED && r->why)
			add_log_entry(&job->log, from, r);
	}
}

/* Most messages are deferred for the same reason again and again. */
static void note_log(struct settle_job *job, struct entry *e)
{
	uint32_t hash = (uint32_t)map_hash(strbuf_slice(&job->log));

	if (job->log.len == 0)
		return;
	job->same_log = e->log != 0 && e->log == hash;
	e->log = hash;
	e->has_defer_log = true;
}

void disk_settle(struct message *m, int64_t next_s, enum spool_queue to)
{
	struct settle_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct disk_job){ .work = settle_work, .done = settle_done };
	job->message = m;
	strcpy(job->id, m->id);
	job->from = m->entry->queue;
	job->to = to;
	job->next_s = next_s;
	strbuf_init(&job->log, LOG_TEXT_MAX);
	strbuf_init(&job->trace, LOG_TEXT_MAX);
	gather(job, m);
	/* A move alone, between two attempts, changes neither reports nor marks. */
	job->has_trace_log = m->env && m->entry->has_trace_log;
	job->warn_offset = m->env && m->warned ? m->env->warn_offset : 0;
	job->trace_offset = m->env && m->traced ? m->env->trace_offset : 0;
	note_log(job, m->entry);
	m->entry->has_trace_log = job->trace.len > 0;
	disk_run_in(job->from == job->to ? DISK_QUICK : DISK_SYNC, &job->job);
}

/* ---- remove, set aside, look ---- */

struct name_job {
	struct disk_job job;
	struct message *message;
	char id[QUEUE_ID_SIZE];
	enum spool_queue queue;
	bool half_moved, has_defer_log, has_bounce_log, has_trace_log, deleted, is_there;
};

static struct name_job *name_job_new(
    struct message *m, void (*work)(struct disk_job *), void (*done)(struct disk_job *))
{
	struct name_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct disk_job){ .work = work, .done = done };
	job->message = m;
	strcpy(job->id, m->id);
	job->queue = m->entry->queue;
	job->half_moved = m->entry->half_moved;
	job->has_defer_log = m->entry->has_defer_log;
	job->has_bounce_log = m->entry->has_bounce_log;
	job->has_trace_log = m->entry->has_trace_log;
	job->deleted = m->deleted;
	return job;
}

static void remove_work(struct disk_job *base)
{
	struct name_job *job = (struct name_job *)base;

	/* First the places where somebody else would take it up. */
	if (job->half_moved) {
		unlink_one(job->id, SPOOL_MAILDROP);
		unlink_one(job->id, SPOOL_DEFERRED);
		unlink_one(job->id, SPOOL_HOLD);
	}
	unlink_one(job->id, job->queue);
	if (job->has_defer_log)
		unlink_one(job->id, SPOOL_DEFER);
	if (job->has_bounce_log)
		unlink_one(job->id, SPOOL_BOUNCE);
	if (job->has_trace_log)
		unlink_one(job->id, SPOOL_TRACE);
	/* Else postsuper says it, or the client was refused. */
	if (!job->deleted)
		log_info("%s: removed", job->id);
}

static void remove_done(struct disk_job *base)
{
	message_removed(((struct name_job *)base)->message);
	free(base);
}

void disk_remove(struct message *m)
{
	disk_run_in(DISK_QUICK, &name_job_new(m, remove_work, remove_done)->job);
}

static void set_aside_work(struct disk_job *base)
{
	struct name_job *job = (struct name_job *)base;

	if (spool_move(qm.spool, job->id, job->queue, SPOOL_CORRUPT, -1) == -1)
		log_warning("%s: move to the corrupt queue: %s", job->id, strerror(errno));
}

void disk_set_aside(struct message *m)
{
	disk_run_in(DISK_SYNC, &name_job_new(m, set_aside_work, remove_done)->job);
}

static void look_work(struct disk_job *base)
{
	struct name_job *job = (struct name_job *)base;
	struct stat st;

	job->is_there = spool_stat(qm.spool, SPOOL_INCOMING, job->id, &st) == 0;
}

static void look_done(struct disk_job *base)
{
	struct name_job *job = (struct name_job *)base;

	message_looked(job->message, job->is_there);
	free(job);
}

void disk_look(struct message *m)
{
	disk_run_in(DISK_QUICK, &name_job_new(m, look_work, look_done)->job);
}
