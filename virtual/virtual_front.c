// SPDX-License-Identifier: BSD-2-Clause
/*
 * A delivery in the front: every recipient is looked up; those of one uid go in groups to that
 * uid's worker; what the workers say is reported.
 *
 * The thread that reads qmgr's records does the first part itself where nothing in it takes long
 * (tables that ask nobody, a link that is there), and goes on to the next record; the results come
 * in the links' threads, the last of which ends the delivery.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "rewrite/address_lookup.h"
#include "server/pool.h"
#include "server/running.h"
#include "server/server.h"
#include "virtual/virtual.h"

#define VALUE_MAX VIRTUAL_PATH_MAX
/* Requests of one delivery that run at a time. */
#define GROUPS_AT_A_TIME 8
#define REQUEST_LIMIT_MS 60000
/* As Postfix's daemon_timeout: a worker that takes longer hangs. */
#define RESULT_LIMIT_MS (18000 * INT64_C(1000))
/* A changed table applies to what comes so much later. */
#define REFRESH_EVERY_MS 100

static struct {
	struct address_rules *rules;
	struct tables *mailboxes, *uids, *gids;
	bool original_recipient;
	bool looks_up_here; /* no lookup waits for anybody */
	long minimum_uid;
} front;

/* One recipient that is to be delivered. */
struct destination {
	struct strbuf path, head;
	uint64_t uid, gid;
	bool waits; /* for being given to a worker */
};

/* A delivery and those of its groups that are with workers. */
struct job {
	struct delivery *d;
	struct destination *list;
	pthread_mutex_t lock;
	size_t unstored; /* recipients that neither have a result nor wait for a shared sync */
	unsigned users;	 /* groups, and the thread that began */
};

/* Recipients of one call. */
struct group {
	struct uid_call call; /* first */
	struct job *job;
	size_t members[VIRTUAL_GROUP_MAX];
	bool reported[VIRTUAL_GROUP_MAX], stored[VIRTUAL_GROUP_MAX];
	size_t count, reported_count;
};

void virtual_front_prepare(struct server_context *ctx)
{
	const struct postfix_params *p = ctx->params;

	front.rules = address_rules_new(p);
	front.mailboxes =
	    tables_open("virtual_mailbox_maps", p->virtual_mailbox_maps, TABLE_NO_SUBSTITUTION);
	front.uids = tables_open("virtual_uid_maps", p->virtual_uid_maps, TABLE_NO_SUBSTITUTION);
	front.gids = tables_open("virtual_gid_maps", p->virtual_gid_maps, TABLE_NO_SUBSTITUTION);
	front.original_recipient = p->enable_original_recipient;
	front.minimum_uid = p->virtual_minimum_uid;
	front.looks_up_here = tables_ask_nobody(front.mailboxes) && tables_ask_nobody(front.uids) &&
			      tables_ask_nobody(front.gids);
}

void virtual_front_walls(const struct server_context *ctx, struct sandbox *walls)
{
	/* What the name service and libraries may open, and the tables. */
	static struct sandbox_path paths[64] = { { "/etc", SANDBOX_READ }, { "/lib", SANDBOX_READ },
		{ "/usr", SANDBOX_READ } };
	size_t count = 3;
	const char *dir;

	(void)ctx;
	for (size_t i = 0; (dir = table_directory(i)) != NULL && count < ARRAY_LEN(paths) - 1; i++)
		paths[count++] = (struct sandbox_path){ dir, SANDBOX_READ };
	/* With more directories than rules nothing may be forbidden. */
	walls->landlock = dir == NULL;
	walls->paths = paths;
	walls->calls = SANDBOX_CALLS_NO_NET;
}

/* ---- looking up ---- */

static enum delivery_status failed(
    struct delivery_outcome *o, enum delivery_status status, const char *dsn, const char *text)
{
	o->status = status;
	reason_set(&o->why, dsn, "%s", text);
	return status;
}

static bool look_up_id(struct tables *tables, struct slice user, long minimum, uint64_t *id,
    struct delivery_outcome *o)
{
	struct strbuf value = STRBUF_INIT(VALUE_MAX);
	enum table_result result =
	    address_lookup(front.rules, tables, user, ADDRESS_LOOKUP_MAILBOX, &value, NULL);
	bool good = false;

	if (result == TABLE_ERROR)
		log_warning("%s lookup failure for %.*s", tables_name(tables), SLICE_ARG(user));
	else if (result == TABLE_NOT_FOUND)
		log_warning(
		    "recipient %.*s: not found in %s", SLICE_ARG(user), tables_name(tables));
	else if (!slice_uint(strbuf_slice(&value), UINT32_MAX - 1, id) || *id == 0 ||
		 *id < (uint64_t)minimum)
		log_warning("recipient %.*s: bad %s %s in %s", SLICE_ARG(user),
		    tables == front.uids ? "uid" : "gid", value.ptr, tables_name(tables));
	else
		good = true;
	strbuf_release(&value);
	if (!good)
		failed(o, DELIVERY_DEFERRED, result == TABLE_ERROR ? "4.3.0" : "4.3.5",
		    "mail system configuration error");
	return good;
}

static bool look_up_mailbox(struct slice user, struct destination *to, struct delivery_outcome *o)
{
	char text[ADDRESS_MAX + 32];

	switch (address_lookup(
	    front.rules, front.mailboxes, user, ADDRESS_LOOKUP_MAILBOX, &to->path, NULL)) {
	case TABLE_FOUND:
		return true;
	case TABLE_NOT_FOUND:
		(void)snprintf(text, sizeof(text), "unknown user: \"%.*s\"", SLICE_ARG(user));
		failed(o, DELIVERY_BOUNCED, "5.1.1", text);
		return false;
	case TABLE_ERROR:
		break;
	}
	log_warning("%s lookup failure for %.*s", tables_name(front.mailboxes), SLICE_ARG(user));
	failed(o, DELIVERY_DEFERRED, "4.3.0", "mail system configuration error");
	return false;
}

static void add_header(struct strbuf *head, const char *name, struct slice value)
{
	strbuf_addstr(head, name);
	for (size_t i = 0; i < value.len; i++)
		strbuf_addch(head,
		    (unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 0x7f ? '?' : value.ptr[i]);
}

/* As mail_copy of the peer: Return-Path, X-Original-To, Delivered-To. */
static void make_head(
    struct strbuf *head, const char *sender, const struct delivery_recipient *rcpt)
{
	struct strbuf external = STRBUF_INIT(2 * ADDRESS_MAX + 4);

	add_header(head, "Return-Path: <", slice_of(sender));
	strbuf_addstr(head, ">\n");
	if (front.original_recipient) {
		address_external(
		    slice_of(rcpt->original[0] ? rcpt->original : rcpt->address), &external);
		add_header(head, "X-Original-To: ", strbuf_slice(&external));
		strbuf_addch(head, '\n');
		strbuf_reset(&external);
	}
	address_external(slice_of(rcpt->address), &external);
	add_header(head, "Delivered-To: ", strbuf_slice(&external));
	strbuf_addch(head, '\n');
	strbuf_release(&external);
}

static bool look_up(
    const struct delivery *d, size_t index, struct destination *to, struct delivery_outcome *o)
{
	const struct delivery_recipient *rcpt = &d->request->recipients[index];
	struct strbuf user = STRBUF_INIT(ADDRESS_MAX + 8);
	bool found;

	strbuf_init(&to->path, VALUE_MAX);
	strbuf_init(&to->head, VIRTUAL_HEAD_MAX);
	address_fold(slice_of(rcpt->address), &user);
	found = look_up_mailbox(strbuf_slice(&user), to, o) &&
		look_up_id(front.uids, strbuf_slice(&user), front.minimum_uid, &to->uid, o) &&
		look_up_id(front.gids, strbuf_slice(&user), 0, &to->gid, o);
	if (found)
		make_head(&to->head, d->request->sender, rcpt);
	strbuf_release(&user);
	return found;
}

/* A mailbox that is no Maildir would be refused by the worker. */
static void answer_probe(const struct destination *to, struct delivery_outcome *o)
{
	if (slice_ends(strbuf_slice(&to->path), "/"))
		failed(o, DELIVERY_SENT, "2.0.0", "delivers to maildir");
	else
		failed(o, DELIVERY_DEFERRED, "4.3.5", "mail system configuration error");
}

/* ---- giving to workers ---- */

/* Under the job's lock: the first that wait and belong to one uid; NULL: none, or not now. */
static struct group *next_group(struct job *job)
{
	const struct destination *first = NULL;
	struct group *g = NULL;

	if (job->users > GROUPS_AT_A_TIME || delivery_should_stop(job->d))
		return NULL;
	for (size_t i = 0; i < job->d->request->recipient_count; i++) {
		struct destination *to = &job->list[i];

		if (!to->waits || (first && (to->uid != first->uid || to->gid != first->gid)))
			continue;
		if (first == NULL) {
			first = to;
			g = xcalloc(1, sizeof(*g));
			g->job = job;
		}
		to->waits = false;
		g->members[g->count++] = i;
		if (g->count == VIRTUAL_GROUP_MAX)
			break;
	}
	job->users += g != NULL;
	return g;
}

static void finish(struct job *job)
{
	struct delivery *d = job->d;

	for (size_t i = 0; i < d->request->recipient_count; i++) {
		strbuf_release(&job->list[i].path);
		strbuf_release(&job->list[i].head);
	}
	pthread_mutex_destroy(&job->lock);
	free(job->list);
	free(job);
	delivery_end(d);
}

static void drop(struct job *job)
{
	bool last;

	pthread_mutex_lock(&job->lock);
	last = --job->users == 0;
	pthread_mutex_unlock(&job->lock);
	if (last)
		finish(job);
}

/* A user is known by the mailbox here. */
static struct uid_owner owner_of(const struct job *job, const size_t *members, size_t count)
{
	const struct destination *first = &job->list[members[0]];

	return (struct uid_owner){ .uid = (uid_t)first->uid,
		.gid = (gid_t)first->gid,
		.user = count == 1 ? first->path.ptr : "",
		.message = job->d->request->id };
}

static void write_call(struct msg_out *m, const struct group *g)
{
	const struct delivery *d = g->job->d;

	msg_begin(m, "DELIVER");
	msg_add_i64(m, VIRTUAL_DATA, d->request->data_offset);
	for (size_t i = 0; i < g->count; i++) {
		const struct destination *to = &g->job->list[g->members[i]];

		msg_add(m, VIRTUAL_PATH, strbuf_slice(&to->path));
		msg_add(m, VIRTUAL_HEAD, strbuf_slice(&to->head));
	}
}

static void report_rest(struct group *g, const struct reason *why)
{
	struct delivery_outcome o = {
		.status = DELIVERY_DEFERRED, .why = *why, .relay = "virtual"
	};

	if (why->dsn[0] == '5')
		o.status = DELIVERY_BOUNCED;
	for (size_t i = 0; i < g->count; i++)
		if (!g->reported[i])
			delivery_result(g->job->d, g->members[i], &o);
}

/* True when that was the last one that kept the delivery's place. */
static bool note_stored(struct job *job, bool *stored)
{
	bool last;

	pthread_mutex_lock(&job->lock);
	job->unstored -= !*stored;
	last = !*stored && job->unstored == 0;
	pthread_mutex_unlock(&job->lock);
	*stored = true;
	return last;
}

/* The worker runs under a user's rights: what it says is checked, and concerns its group alone. */
static bool take_result(struct group *g, struct virtual_result *result)
{
	struct delivery_outcome o = { .status = DELIVERY_SENT, .relay = "virtual" };

	result->why.dsn[sizeof(result->why.dsn) - 1] = '\0';
	result->why.text[sizeof(result->why.text) - 1] = '\0';
	if (result->index >= g->count || g->reported[result->index])
		return false;
	if (note_stored(g->job, &g->stored[result->index]) && result->state == VIRTUAL_STORED)
		delivery_stored(g->job->d);
	if (result->state == VIRTUAL_STORED)
		return true;
	if (!dsn_is_valid(result->why.dsn))
		return false;
	if (result->state != VIRTUAL_SENT)
		o.status = result->why.dsn[0] == '5' ? DELIVERY_BOUNCED : DELIVERY_DEFERRED;
	reason_set(&o.why, result->why.dsn, "%s", result->why.text);
	g->reported[result->index] = true;
	g->reported_count++;
	delivery_result(g->job->d, g->members[result->index], &o);
	return true;
}

static enum uid_answered group_answered(struct uid_call *call, struct slice answer)
{
	struct group *g = (struct group *)call;
	const struct running_who who = { .message = g->job->d->request->id };
	struct virtual_result result;
	bool good;

	if (answer.len != sizeof(result))
		return UID_CALL_BROKEN;
	memcpy(&result, answer.ptr, sizeof(result));
	running_begin(&who);
	good = take_result(g, &result);
	running_end();
	if (!good)
		return UID_CALL_BROKEN;
	return g->reported_count == g->count ? UID_CALL_IS_OVER : UID_CALL_GOES_ON;
}

static void group_ended(struct uid_call *call, const struct reason *why);

static void start_group(struct group *g)
{
	const struct uid_owner owner = owner_of(g->job, g->members, g->count);
	struct msg_out m = { { 0 } };
	struct reason why = { "4.3.0", "" };

	g->call.answered = group_answered;
	g->call.ended = group_ended;
	g->call.deadline = deadline_in(RESULT_LIMIT_MS);
	write_call(&m, g);
	if (!uid_call_start(
		&g->call, &owner, &m, &g->job->d->fd, 1, deadline_in(REQUEST_LIMIT_MS), &why)) {
		report_rest(g, &why);
		drop(g->job);
		free(g);
	}
	msg_release(&m);
}

/* Starts as many groups as may run; whoever ends one comes here again. */
static void start_groups(struct job *job)
{
	struct group *g;

	do {
		pthread_mutex_lock(&job->lock);
		g = next_group(job);
		pthread_mutex_unlock(&job->lock);
		if (g != NULL)
			start_group(g);
	} while (g != NULL);
}

static void group_ended(struct uid_call *call, const struct reason *why)
{
	struct group *g = (struct group *)call;
	struct job *job = g->job;

	if (why != NULL)
		report_rest(g, why);
	free(g);
	start_groups(job);
	drop(job);
}

static void start_all(void *arg)
{
	struct job *job = arg;

	start_groups(job);
	drop(job);
}

/* Making a link takes time. */
static bool has_link(const struct job *job)
{
	for (size_t i = 0; i < job->d->request->recipient_count; i++) {
		struct uid_owner owner = owner_of(job, &i, 1);

		if (job->list[i].waits && !uid_call_has_link(&owner))
			return false;
	}
	return true;
}

/* A changed table that cannot be opened anew: master starts another process. */
static void refresh_tables(void)
{
	static _Atomic int64_t next;
	static atomic_bool told;
	int64_t now = clock_ms(), due = atomic_load(&next);

	if (now >= due && atomic_compare_exchange_strong(&next, &due, now + REFRESH_EVERY_MS) &&
	    !table_refresh_all() && !atomic_exchange(&told, true))
		(void)kill(getpid(), SIGTERM);
}

void virtual_front_run(void (*fn)(void *), void *arg)
{
	if (front.looks_up_here)
		fn(arg);
	else
		pool_run(fn, arg);
}

void virtual_front_deliver(struct delivery *d)
{
	const struct running_who who = { .message = d->request->id };
	size_t count = d->request->recipient_count;
	struct job *job = xcalloc(1, sizeof(*job));

	*job = (struct job){ .d = d, .users = 1, .unstored = count };
	job->list = xcalloc(count + 1, sizeof(*job->list));
	pthread_mutex_init(&job->lock, NULL);
	delivery_keep(d);
	running_begin(&who);
	refresh_tables();
	for (size_t i = 0; i < count; i++) {
		struct delivery_outcome o = { .relay = "virtual" };

		job->list[i].waits = look_up(d, i, &job->list[i], &o);
		if (job->list[i].waits && d->request->probe) {
			job->list[i].waits = false;
			answer_probe(&job->list[i], &o);
		}
		if (job->list[i].waits)
			continue;
		job->unstored--;
		delivery_result(d, i, &o);
	}
	if (has_link(job))
		start_all(job);
	else
		pool_run(start_all, job);
	running_end();
}
