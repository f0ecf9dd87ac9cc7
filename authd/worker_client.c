// SPDX-License-Identifier: BSD-2-Clause
/*
 * A pool of connections, each to a process of its own.  A request takes one that is idle or makes
 * one; when there may be no more it queues, first come, first served.  Whoever gives a connection
 * back hands it, or the right to make one, to the first in the queue.
 */
#include "authd/worker_client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "authd/database_list.h"
#include "authd/worker_args.h"
#include "authd/worker_proto.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/list.h"
#include "ipc/channel.h"
#include "server/server.h"

#define SOCKET_NAME "auth-worker" /* in base_dir, where authd works */
#define SEND_MS	    5000
#define TIDY_MS	    (WORKER_IDLE_MS / 2)

struct connection {
	struct list link; /* while idle */
	struct channel *channel;
	int64_t idle_since;
};

struct waiter {
	struct list link;
	pthread_cond_t turn;
	bool has_turn;
	struct connection *given; /* NULL: it may make one */
};

static struct {
	pthread_mutex_t lock;
	struct list idle;    /* used last, first */
	struct list waiters; /* who came first, first */
	size_t waiting;
	unsigned long count; /* connections that are there, or being made */
	unsigned long limit; /* 0: not known yet */
	int64_t last_warning;
	bool tidies;
	struct loop_timer timer;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.idle = LIST_INIT(pool.idle),
	.waiters = LIST_INIT(pool.waiters) };

static atomic_uint_least64_t last_id;

/* --- idle connections --- */

static void connection_free(struct connection *c)
{
	if (c)
		channel_free(c->channel);
	free(c);
}

/* In the loop's thread.  The oldest are at the end. */
static void tidy(struct loop_timer *timer)
{
	int64_t now = clock_ms();

	pthread_mutex_lock(&pool.lock);
	while (!list_is_empty(&pool.idle)) {
		struct connection *c = list_entry(pool.idle.prev, struct connection, link);

		if (c->idle_since + WORKER_IDLE_MS > now)
			break;
		list_del(&c->link);
		pool.count--;
		connection_free(c);
	}
	pool.tidies = !list_is_empty(&pool.idle);
	if (pool.tidies)
		loop_timer_set(server_context()->loop, timer, deadline_in(TIDY_MS));
	pthread_mutex_unlock(&pool.lock);
}

static void begin_to_tidy(void *arg)
{
	(void)arg;
	pool.timer.expired = tidy;
	loop_timer_set(server_context()->loop, &pool.timer, deadline_in(TIDY_MS));
}

/* An idle one has nothing to say: what can be read is its end. */
static bool is_alive(const struct connection *c)
{
	struct pollfd fd = { .fd = channel_fd(c->channel), .events = POLLIN };

	return poll(&fd, 1, 0) == 0;
}

/* With the lock. */
static struct connection *take_idle(void)
{
	while (!list_is_empty(&pool.idle)) {
		struct connection *c = list_entry(pool.idle.next, struct connection, link);

		list_del(&c->link);
		if (is_alive(c))
			return c;
		connection_free(c);
		pool.count--;
	}
	return NULL;
}

/* --- turns --- */

/* With the lock: the first in the queue may go on, with C or to make one. */
static bool pass_on(struct connection *c)
{
	struct waiter *first;

	if (list_is_empty(&pool.waiters))
		return false;
	first = list_entry(pool.waiters.next, struct waiter, link);
	list_del(&first->link);
	pool.waiting--;
	first->has_turn = true;
	first->given = c;
	pthread_cond_signal(&first->turn);
	return true;
}

/* With the lock. */
static void keep(struct connection *c)
{
	c->idle_since = clock_ms();
	list_add_head(&pool.idle, &c->link);
	if (!pool.tidies && server_context()) {
		pool.tidies = true;
		loop_post(server_context()->loop, begin_to_tidy, NULL);
	}
}

/* C NULL: it is no more, or was never made. */
static void give_back(struct connection *c)
{
	pthread_mutex_lock(&pool.lock);
	if (!pass_on(c)) {
		if (c)
			keep(c);
		else
			pool.count--;
	}
	pthread_mutex_unlock(&pool.lock);
}

/* With the lock. */
static void warn_of_queue(int64_t waited_ms)
{
	int64_t now = clock_ms();

	if (waited_ms < WORKER_WARN_MS ||
	    (pool.last_warning && now - pool.last_warning < WORKER_WARN_EVERY_MS))
		return;
	pool.last_warning = now;
	log_error("auth-worker: Auth request was queued for %d seconds, %zu left in queue "
		  "(see auth_worker_max_count)",
	    (int)(waited_ms / 1000), pool.waiting);
}

/* With the lock, which it leaves while it waits. */
static bool wait_for_turn(struct connection **c)
{
	struct waiter waiter = { .turn = PTHREAD_COND_INITIALIZER };
	int64_t began = clock_ms(), until_ms = began + WORKER_QUEUE_MS;
	const struct timespec until = { until_ms / 1000, until_ms % 1000 * 1000000 };
	int error = 0;

	list_add_tail(&pool.waiters, &waiter.link);
	pool.waiting++;
	while (!waiter.has_turn && error != ETIMEDOUT)
		error = pthread_cond_clockwait(&waiter.turn, &pool.lock, CLOCK_MONOTONIC, &until);
	pthread_cond_destroy(&waiter.turn);
	if (waiter.has_turn) {
		warn_of_queue(clock_ms() - began);
		*c = waiter.given;
		return true;
	}
	list_del(&waiter.link);
	pool.waiting--;
	log_error("auth-worker: Aborting auth request that was queued for %d secs, "
		  "%zu left in queue",
	    WORKER_QUEUE_MS / 1000, pool.waiting);
	return false;
}

/* With the lock.  The service may have fewer processes than authd may ask for. */
static unsigned long connections_max(void)
{
	const struct server_context *ctx = server_context();
	const struct dovecot_block *service;
	unsigned long processes;

	if (pool.limit)
		return pool.limit;
	pool.limit = database_settings->auth_worker_max_count;
	service = ctx ? dovecot_block_find(ctx->dovecot, "service", SOCKET_NAME) : NULL;
	processes = service ? dovecot_block_uint(service, "process_limit") : 0;
	if (processes && processes < pool.limit)
		pool.limit = processes;
	return pool.limit;
}

/* False: there was none in time.  *C NULL: the caller may make one. */
static bool take_turn(struct connection **c)
{
	bool ok = true;

	pthread_mutex_lock(&pool.lock);
	*c = take_idle();
	if (!*c && pool.count < connections_max())
		pool.count++;
	else if (!*c)
		ok = wait_for_turn(c);
	pthread_mutex_unlock(&pool.lock);
	return ok;
}

static struct connection *connection_new(void)
{
	struct connection *c;
	struct channel *channel = channel_connect(SOCKET_NAME, "auth", deadline_in(SEND_MS));

	if (!channel)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->channel = channel;
	list_init(&c->link);
	return c;
}

/* --- one call --- */

struct call {
	struct worker_request request;
	struct worker_answer answer;
	struct arena *arena; /* for the answer */
	void (*each)(const char *name, void *arg);
	void *arg;
	const char *why; /* it failed */
};

static bool send_request(struct call *call, struct connection *c)
{
	struct msg_out m = { { 0 } };
	bool sent;

	strbuf_init(&m.buf, MSG_MAX);
	/* At once, so that no copy of the password stays behind. */
	(void)strbuf_reserve(&m.buf, 4096 + call->request.password.len);
	worker_request_write(&m, &call->request);
	sent = channel_send(c->channel, &m, NULL, 0, deadline_in(SEND_MS)) == 0;
	secret_release(&m.buf);
	return sent;
}

static bool take_names(const struct call *call, const struct msg *m)
{
	struct arena arena = ARENA_INIT;
	struct slice name;
	size_t index = 0;
	bool ok = true;

	while (ok && msg_each(m, "name", &index, &name)) {
		ok = !slice_has_nul(name);
		if (ok)
			call->each(arena_slicedup(&arena, name), call->arg);
	}
	arena_release(&arena);
	return ok;
}

static bool take_record(struct call *call, const struct msg *m, bool *done)
{
	if (call->each && msg_is(m, WORKER_NAMES))
		return take_names(call, m);
	*done = true;
	return worker_answer_read(m, call->arena, &call->answer) &&
	       call->answer.id == call->request.id;
}

static bool receive_answer(struct call *call, struct connection *c)
{
	int64_t deadline = deadline_in(WORKER_CALL_MS);
	bool done = false, good = true;
	struct msg_in in;

	while (!done && good) {
		switch (channel_recv(c->channel, &in, deadline)) {
		case CHANNEL_RECORD:
			good = take_record(call, &in.msg, &done);
			msg_in_release(&in);
			if (!good)
				call->why = "Worker is buggy";
			break;
		case CHANNEL_NOTHING:
			call->why = "Lookup timed out";
			return false;
		case CHANNEL_CLOSED:
			call->why = "Worker process died unexpectedly";
			return false;
		}
	}
	return good;
}

/*
 * An idle connection may end in the moment in which it is taken: what could not be sent was not
 * looked at, and is sent again over a new one.
 */
static bool ask_over(struct call *call, struct connection **c)
{
	bool was_idle = *c != NULL;

	if (!*c)
		*c = connection_new();
	if (*c && !send_request(call, *c)) {
		connection_free(*c);
		*c = was_idle ? connection_new() : NULL;
		if (*c && !send_request(call, *c)) {
			connection_free(*c);
			*c = NULL;
		}
	}
	call->why = "Cannot connect to a worker process";
	return *c && receive_answer(call, *c);
}

static enum db_result ask(struct call *call)
{
	static const char *const words[] = { [WORKER_FIND_PASSWORD] = "PASSL",
		[WORKER_VERIFY] = "PASSV",
		[WORKER_FIND_USER] = "USER",
		[WORKER_EACH] = "LIST" };
	const char *user = call->request.subject.user;
	struct connection *c;
	bool ok;

	call->request.id = atomic_fetch_add(&last_id, 1) + 1;
	if (!take_turn(&c))
		return DB_FAILED;
	ok = ask_over(call, &c);
	if (!ok || call->answer.last) {
		connection_free(c);
		c = NULL;
	}
	give_back(c);
	if (ok)
		return call->answer.result;
	log_error("auth-worker: Aborted %s request for %s: %s", words[call->request.op],
	    user ? user : "*", call->why);
	return DB_FAILED;
}

/* --- the drivers --- */

static void call_init(struct call *call, enum worker_op op, const struct database *db)
{
	memset(call, 0, sizeof(*call));
	call->request.op = op;
	call->request.is_userdb = db->is_userdb;
	call->request.place = (unsigned)db->position;
	call->request.driver = db->driver_name;
	call->request.args = db->args;
}

static enum db_result ask_about(struct call *call, struct subject *subject, struct db_entry *entry)
{
	enum db_result result;

	call->request.subject = *subject;
	call->arena = subject->arena;
	result = ask(call);
	if (entry && (result == DB_OK || result == DB_DISABLED || result == DB_EXPIRED ||
			 result == DB_MISMATCH)) {
		entry->fields = call->answer.fields;
		if (call->answer.password)
			entry->password = call->answer.password;
		if (call->answer.scheme)
			entry->scheme = call->answer.scheme;
	}
	return result;
}

static enum db_result ask_for_password(
    const struct database *db, struct subject *subject, struct db_entry *entry)
{
	struct call call;

	call_init(&call, WORKER_FIND_PASSWORD, db);
	return ask_about(&call, subject, entry);
}

static enum db_result ask_to_verify(const struct database *db, struct subject *subject,
    struct slice password, struct db_entry *entry)
{
	struct call call;

	call_init(&call, WORKER_VERIFY, db);
	call.request.password = password;
	return ask_about(&call, subject, entry);
}

static enum db_result ask_for_user(
    const struct database *db, struct subject *subject, bool logged_in)
{
	enum db_result result;
	struct call call;

	call_init(&call, WORKER_FIND_USER, db);
	call.request.logged_in = logged_in;
	result = ask_about(&call, subject, NULL);
	if (result != DB_OK)
		return result;
	if (call.answer.user && !userdb_set(db, subject, "user", call.answer.user))
		return DB_FAILED;
	for (const struct pair *p = call.answer.answer.first; p; p = p->next)
		if (!userdb_set(db, subject, p->name, p->value ? p->value : ""))
			return DB_FAILED;
	return DB_OK;
}

static bool ask_for_names(
    const struct database *db, void (*each)(const char *name, void *arg), void *arg)
{
	struct arena arena = ARENA_INIT;
	enum db_result result;
	struct call call;

	call_init(&call, WORKER_EACH, db);
	call.arena = &arena;
	call.each = each;
	call.arg = arg;
	result = ask(&call);
	arena_release(&arena);
	return result == DB_OK;
}

const struct db_driver pam_driver = {
	.name = "pam",
	.verify = ask_to_verify,
	.parse = worker_parse_pam,
};
const struct db_driver passwd_driver = {
	.name = "passwd",
	.find_password = ask_for_password,
	.find_user = ask_for_user,
	.each = ask_for_names,
	.parse = worker_parse_passwd,
};
const struct db_driver shadow_driver = {
	.name = "shadow",
	.find_password = ask_for_password,
	.parse = worker_parse_shadow,
};
/* Without a password the program is asked to vouch for the user. */
const struct db_driver checkpassword_driver = {
	.name = "checkpassword",
	.find_password = ask_for_password,
	.verify = ask_to_verify,
	.find_user = ask_for_user,
	.parse = worker_parse_checkpassword,
};
