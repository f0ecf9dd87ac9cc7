// SPDX-License-Identifier: BSD-2-Clause
/* A worker's life: rights away, walls up, then threads, one per record that is in work. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/contract.h"
#include "server/pool.h"
#include "server/shared.h"
#include "server/uid_workers_internal.h"
#include "sys/priv.h"

static struct {
	struct server_process *process;
	struct channel *parent;
	struct loop_watch watch;
	struct loop_timer idle;
	int64_t idle_ms, last_work;
	uint64_t received;
} worker;

static void begin_running(struct msg_in *in)
{
	struct running_who who = { .client = NULL };

	(void)msg_get_str(&in->msg, UID_USER, &in->arena, &who.user);
	(void)msg_get_str(&in->msg, UID_MESSAGE, &in->arena, &who.message);
	running_begin(&who);
}

static void serve_record(void *arg)
{
	struct msg_in *in = arg;

	begin_running(in);
	worker.process->server->workers->worker_serve(in);
	running_end();
	msg_in_release(in);
	free(in);
	server_hold(-1);
}

static void finish(void)
{
	worker.process->draining = true;
	sessions_tell_closed(true);
	server_check_drained();
}

static void on_idle(struct loop_timer *timer);

/* The front has had no work for us for long: nothing keeps us but what the parent may have sent. */
static void link_ended(void *arg)
{
	(void)arg;
	worker.last_work = clock_ms() - worker.idle_ms;
	on_idle(&worker.idle);
	server_check_drained();
}

static void take_record(struct msg_in *in)
{
	struct msg_in *copy;

	worker.received++;
	if (msg_is(&in->msg, UID_LOG_TO)) {
		server_log_to(in);
		msg_in_release(in);
		return;
	}
	if (msg_is(&in->msg, UID_FINISH)) {
		msg_in_release(in);
		finish();
		return;
	}
	worker.last_work = clock_ms();
	if (msg_is(&in->msg, UID_LINK)) {
		uid_serve_link(in, link_ended);
		return;
	}
	copy = xmalloc(sizeof(*copy));
	*copy = *in;
	server_hold(+1);
	pool_run(serve_record, copy);
}

static void parent_ready(struct loop_watch *watch, uint32_t events)
{
	enum channel_result result;
	struct msg_in in;

	(void)events;
	while ((result = channel_recv(worker.parent, &in, 0)) == CHANNEL_RECORD)
		take_record(&in);
	if (result == CHANNEL_CLOSED) {
		loop_unwatch(worker.process->ctx.loop, watch);
		worker.process->draining = true;
		sessions_tell_closed(true);
		sessions_drain();
		server_check_drained();
	}
}

static void on_idle(struct loop_timer *timer)
{
	struct msg_out m = { { 0 } };

	loop_timer_set(worker.process->ctx.loop, timer, deadline_in(worker.idle_ms));
	if (server_holds() > 0 || sessions_count() > 0 ||
	    clock_ms() - worker.last_work < worker.idle_ms)
		return;
	msg_begin(&m, UID_IDLE);
	msg_add_u64(&m, "received", worker.received);
	(void)channel_send(worker.parent, &m, NULL, 0, deadline_in(1000));
	msg_release(&m);
}

/* What the parent knew, or could change, and a user's process must not. */
static void forget_secrets(struct server_process *p)
{
	shared_detach(p->ctx.shared);
	p->ctx.shared = NULL;
	explicit_bzero((void *)(uintptr_t)p->ctx.secret, SERVER_SECRET_SIZE);
}

static void drop_rights(const struct uid_target *target)
{
	if (priv_drop(target->uid, target->gid, target->extra, target->extra_count) < 0)
		fatal("cannot become uid %lu: %s", (unsigned long)target->uid, strerror(errno));
	priv_not_dumpable();
}

/* /proc/self/fd of the parent is not ours. */
static void reopen_proc(struct server_process *p)
{
	int fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fatal("open /proc/self/fd: %s", strerror(errno));
	(void)dup3(fd, p->ctx.proc_fd, O_CLOEXEC);
	close(fd);
}

static void raise_walls(const struct server_process *p, const struct uid_target *target)
{
	struct sandbox walls = { .paths = NULL, .landlock = false, .calls = SANDBOX_CALLS_NO_NET };
	struct sandbox_report report;

	if (p->server->workers->worker_walls != NULL)
		p->server->workers->worker_walls(target, &walls);
	sandbox_enter(&walls, &report);
}

_Noreturn void uid_worker_run(
    struct server_process *p, const struct uid_target *target, struct channel *parent)
{
	worker.process = p;
	worker.parent = parent;
	worker.last_work = clock_ms();
	worker.idle_ms = p->server->workers->idle_ms;
	if (worker.idle_ms <= 0)
		worker.idle_ms = UID_IDLE_MS;
	forget_secrets(p);
	reopen_proc(p);
	drop_rights(target);
	raise_walls(p, target);
	p->ctx.uid = target->uid;
	p->ctx.gid = target->gid;
	p->ctx.loop = loop_new();
	sessions_init(p->ctx.loop, server_check_drained);
	if (!pool_start())
		fatal("cannot start a thread: %s", strerror(errno));
	worker.watch = (struct loop_watch){ .fd = channel_fd(parent), .ready = parent_ready };
	worker.idle.expired = on_idle;
	loop_timer_set(p->ctx.loop, &worker.idle, deadline_in(worker.idle_ms));
	if (loop_watch(p->ctx.loop, &worker.watch, EPOLLIN) < 0)
		fatal("cannot watch the parent: %s", strerror(errno));
	loop_run(p->ctx.loop);
	_exit(0);
}
