// SPDX-License-Identifier: BSD-2-Clause
/*
 * qmgr: the queue's owner and scheduler.  It never speaks with the network, and writes nowhere but
 * in the spool.
 */
#include "qmgr/qmgr.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "rewrite/log_address.h"
#include "table/match_list.h"

/* Descriptors for all that is no message: most of them connections of intake. */
#define SPARE_FDS 1024
#define ARM_MAX_S 60

struct qmgr qm;

static struct loop_timer due_timer;

/* ---- resolving ---- */

static struct resolving *resolving_new(const struct postfix_params *params)
{
	struct resolving *r = xcalloc(1, sizeof(*r));

	r->resolver = resolver_new(params);
	r->flush_domains = match_list_new(params, "fast_flush_domains", params->fast_flush_domains);
	r->params = params;
	r->users = 1;
	return r;
}

struct resolving *qmgr_use_resolver(void)
{
	atomic_fetch_add(&qm.resolving->users, 1);
	return qm.resolving;
}

void qmgr_drop_resolver(struct resolving *r)
{
	if (atomic_fetch_sub(&r->users, 1) > 1)
		return;
	resolver_free(r->resolver);
	match_list_free(r->flush_domains);
	free(r);
}

/* ---- timers ---- */

static void on_due(struct loop_timer *timer)
{
	(void)timer;
	message_pump();
}

void qmgr_arm(int64_t due_s)
{
	int64_t left = due_s - clock_wall_us() / 1000000;

	/* The wall clock may be set: it is looked at once a minute. */
	if (left > ARM_MAX_S)
		left = ARM_MAX_S;
	/* Due, and waiting for room: whoever makes it pumps. */
	if (left <= 0)
		left = 1;
	loop_timer_set(qm.loop, &due_timer, deadline_in(left * 1000));
}

/* ---- listeners ---- */

static bool is_named(const struct server_listener *l, const char *name)
{
	return slice_eq_str(slice_of(l->name), name) ||
	       (strlen(l->name) > strlen(name) && slice_ends(slice_of(l->name), name) &&
		   l->name[strlen(l->name) - strlen(name) - 1] == '/');
}

static void accepted(const struct server_listener *listener, int fd)
{
	if (is_named(listener, "showq"))
		showq_accept(fd);
	else if (is_named(listener, qm.params->flush_service_name))
		flush_accept(fd);
	else
		intake_accept(fd);
}

/* ---- drain ---- */

void qmgr_check_drained(void)
{
	if (!qm.draining || !qm.held_process || qm.deliveries > 0 || qm.jobs > 0)
		return;
	qm.held_process = false;
	server_hold(-1);
}

/* Offers that are open are told to be spooled; what runs is waited for and settled. */
static void drain(struct server_context *ctx, bool reload)
{
	(void)ctx;
	(void)reload;
	if (qm.draining)
		return;
	qm.draining = qm.held_process = true;
	server_hold(1);
	for (struct entry *e = entry_next(NULL); e; e = entry_next(e)) {
		struct message *m = e->message;

		if (m && m->offered && m->offer == OWNER_OPEN)
			message_offer_event(m, OWNER_WAIT);
	}
	qmgr_check_drained();
}

void qmgr_tables_changed(void)
{
	static atomic_bool ending;

	/* As master asks for it; master starts the next one. */
	if (!atomic_exchange(&ending, true))
		kill(getpid(), SIGTERM);
}

/* ---- start ---- */

static size_t descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return SPARE_FDS + 100;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur > INT32_MAX ? INT32_MAX : (size_t)limit.rlim_cur;
}

static void set_params(const struct postfix_params *params)
{
	size_t fds = descriptor_limit();

	qm.params = params;
	qm.active_limit = (size_t)params->qmgr_message_active_limit;
	if (qm.active_limit + SPARE_FDS > fds)
		qm.active_limit = fds > 2 * SPARE_FDS ? fds - SPARE_FDS : SPARE_FDS / 2;
}

/* Two owners of one queue would deliver everything twice. */
static void take_lock(void)
{
	int fd = spool_queue_fd(qm.spool, SPOOL_ACTIVE);

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return;
	log_info("waiting for another queue manager to end");
	while (flock(fd, LOCK_EX) == -1)
		if (errno != EINTR)
			fatal("lock the active queue: %s", strerror(errno));
}

static void prepare(struct server_context *ctx)
{
	struct spool_config config = { .directory = ctx->params->queue_directory,
		.hash_names = ctx->params->hash_queue_names,
		.hash_depth = (int)ctx->params->hash_queue_depth };
	struct reason why = { .dsn = "" };

	log_address_prepare(ctx->params);
	qm.ctx = ctx;
	qm.loop = ctx->loop;
	set_params(ctx->params);
	qm.spool = spool_open(&config, &why);
	if (!qm.spool)
		fatal("%s", why.text);
	qm.resolving = resolving_new(ctx->params);
	walk_prepare();
}

static void walls(const struct server_context *ctx, struct sandbox *box)
{
	static struct sandbox_path paths[3];

	/* Tables may lie anywhere, and are read with the mail owner's rights. */
	paths[0] = (struct sandbox_path){ "/", SANDBOX_READ };
	paths[1] = (struct sandbox_path){ ctx->params->queue_directory, SANDBOX_WRITE };
	box->paths = paths;
	box->landlock = true;
	box->calls = SANDBOX_CALLS_NO_NET;
}

static void start(struct server_context *ctx)
{
	(void)ctx;
	take_lock();
	due_timer = (struct loop_timer){ .expired = on_due };
	walk_start();
}

static void reload(struct server_context *ctx)
{
	struct resolving *old = qm.resolving;

	set_params(ctx->params);
	qm.resolving = resolving_new(ctx->params);
	qmgr_drop_resolver(old);
	transport_reload();
	walk_now();
}

int main(int argc, char **argv)
{
	static const struct server qmgr = {
		.program = "qmgr",
		.language = SERVER_POSTFIX,
		.user = SERVER_MAIL_OWNER,
		.processes = 1,
		.alone = true,
		.prepare = prepare,
		.walls = walls,
		.start = start,
		.accepted = accepted,
		.drain = drain,
		.reload = reload,
	};

	return server_main(&qmgr, argc, argv);
}
