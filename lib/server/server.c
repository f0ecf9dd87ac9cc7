// SPDX-License-Identifier: BSD-2-Clause
/*
 * A daemon's life from main() to exit.  The order of server_main's calls is the security argument:
 * whatever needs rights comes before them going, whatever reads a stranger's bytes after.
 */
#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/contract.h"
#include "server/pool.h"
#include "server/server_internal.h"
#include "server/uid_workers_internal.h"
#include "sys/priv.h"

/* How often a client's own process looks whether it still has a session. */
#define QUARANTINE_IDLE_MS 10000
/* Fewer make threads wait for each other, more keep memory that nobody uses. */
#define ARENAS 4
/* The sessions with which a process for each core begins to pay. */
#define BUSY_SESSIONS 16

struct server_process server_process;

static atomic_long holds;
static struct loop_watch master_watch;
static struct loop_timer stop_timer;
static bool stopped_late;

const struct server_context *server_context(void)
{
	return server_process.server == NULL ? NULL : &server_process.ctx;
}

bool server_is_stopping(void)
{
	return atomic_load(&server_process.stopping);
}

long server_holds(void)
{
	return atomic_load(&holds);
}

void server_check_drained(void)
{
	struct server_process *p = &server_process;

	if (!p->draining || sessions_count() > 0 || atomic_load(&holds) > 0)
		return;
	/* A stop ends the workers' sessions, too; a reload or a used-up count lets them end. */
	if (p->stopping || uid_workers_finish())
		loop_stop(p->ctx.loop);
}

static void check_drained_posted(void *arg)
{
	(void)arg;
	server_check_drained();
}

void server_hold(int count)
{
	long was = atomic_fetch_add(&holds, count);

	ASSERT(was + count >= 0);
	/* Who sets DRAINING looks at the holds after it: one of us two sees the other. */
	if (was + count == 0 && server_process.draining)
		loop_post(server_process.ctx.loop, check_drained_posted, NULL);
}

static void session_closed(void)
{
	accept_session_closed(&server_process);
	server_check_drained();
}

static void stop_too_late(struct loop_timer *timer)
{
	(void)timer;
	stopped_late = true;
	loop_stop(server_process.ctx.loop);
}

void server_drain(bool reload)
{
	struct server_process *p = &server_process;

	if (p->stopping || (reload && p->draining))
		return;
	p->draining = true;
	p->stopping = !reload;
	if (!reload) {
		stop_timer.expired = stop_too_late;
		loop_timer_set(p->ctx.loop, &stop_timer, deadline_in(p->ctx.stop_timeout_ms));
	}
	accept_end(p);
	if (p->server->drain != NULL)
		p->server->drain(&p->ctx, reload);
	sessions_tell_closed(true);
	sessions_drain();
	server_check_drained();
}

static void reload_in_place(struct msg_in *in)
{
	struct server_process *p = &server_process;
	int fd = in->fd_count > 0 ? in->fds[0] : -1;

	if (fd < 0 || p->server->reload == NULL)
		return;
	in->fds[0] = -1;
	if (!takeover_config(p, fd)) {
		log_error("the new configuration from master cannot be read");
		return;
	}
	roles_reset();
	p->server->reload(&p->ctx);
}

/* Without a log file the number is something else by now. */
void server_log_to(const struct msg_in *in)
{
	for (size_t i = 0; i < in->fd_count && i < CONTRACT_LOG_FILES; i++)
		if (server_process.log_files & (1u << i))
			(void)dup3(in->fds[i], CONTRACT_LOG + (int)i, O_CLOEXEC);
}

static void log_to(struct msg_in *in)
{
	server_log_to(in);
	uid_workers_log_to(in->fds, in->fd_count);
}

static void listen_too(struct msg_in *in)
{
	struct server_process *p = &server_process;

	if (p->draining || in->fd_count == 0 || !takeover_listener(p, &in->msg, in->fds[0]))
		return;
	in->fds[0] = -1;
	accept_from(p, &p->ctx.listeners[p->ctx.listener_count - 1]);
}

static void session_handed(struct msg_in *in)
{
	struct server_process *p = &server_process;
	struct msg_out m = { { 0 } };
	struct slice listener;

	if (!p->quarantine || in->fd_count == 0 || !msg_get(&in->msg, "listener", &listener))
		return;
	accept_handed(p, listener, in->fds[0]);
	in->fds[0] = -1;
	msg_begin(&m, CONTRACT_TOOK);
	(void)channel_send(p->master, &m, NULL, 0, deadline_in(1000));
	msg_release(&m);
}

static void on_record(struct msg_in *in)
{
	uint64_t reload = 0;

	if (msg_is(&in->msg, CONTRACT_DRAIN)) {
		(void)msg_get_u64(&in->msg, "reload", &reload);
		server_drain(reload != 0);
	} else if (msg_is(&in->msg, CONTRACT_RELOAD)) {
		reload_in_place(in);
	} else if (msg_is(&in->msg, CONTRACT_LOG_TO)) {
		log_to(in);
	} else if (msg_is(&in->msg, CONTRACT_LISTEN_TOO)) {
		listen_too(in);
	} else if (msg_is(&in->msg, CONTRACT_SESSION)) {
		session_handed(in);
	}
}

static void master_ready(struct loop_watch *watch, uint32_t events)
{
	struct server_process *p = &server_process;
	enum channel_result result;
	struct msg_in in;

	(void)events;
	while ((result = channel_recv(p->master, &in, 0)) == CHANNEL_RECORD) {
		on_record(&in);
		msg_in_release(&in);
	}
	if (result == CHANNEL_CLOSED) {
		loop_unwatch(p->ctx.loop, watch);
		server_drain(false);
	}
}

static void on_sigterm(int signo, void *arg)
{
	(void)signo;
	(void)arg;
	server_drain(false);
}

/* What a shell or a terminal sends to the whole group is master's business. */
static void ignore_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2,
		SIGALRM };

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

/* Many sessions, few threads at a time: descriptors up, malloc's arenas down. */
static void set_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	mallopt(M_ARENA_MAX, ARENAS);
	umask(077);
}

/* A descriptor of a directory outside is a way out of a new root. */
static void enter_jail(struct server_process *p)
{
	const char *jail = p->server->jail;

	if (jail == NULL)
		return;
	close(p->ctx.proc_fd);
	p->ctx.proc_fd = -1;
	if ((p->ctx.as_root && chroot(jail) < 0) || chdir(p->ctx.as_root ? "/" : jail) < 0)
		fatal("cannot enter the directory %s: %s", jail, strerror(errno));
}

static void drop_rights(const struct server_process *p)
{
	const struct server_context *ctx = &p->ctx;

	const bool stays_root = p->server->user == SERVER_ROOT ||
				(p->server->user == SERVER_CONFIGURED && ctx->uid == 0);

	if (ctx->as_root && !stays_root &&
	    priv_drop(ctx->uid, ctx->gid, p->extra_gids, p->extra_gid_count) < 0)
		fatal("cannot become uid %lu: %s", (unsigned long)ctx->uid, strerror(errno));
	priv_not_dumpable();
}

static void raise_walls(const struct server_process *p)
{
	struct sandbox walls = { .paths = NULL, .landlock = false, .calls = SANDBOX_CALLS_DENY };
	struct sandbox_report report;

	if (p->server->walls != NULL)
		p->server->walls(&p->ctx, &walls);
	sandbox_enter(&walls, &report);
	log_debug("walls: landlock %d, seccomp %d, no_new_privs %d", report.landlock,
	    report.seccomp, report.no_new_privs);
}

static unsigned cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

/* How many processes there will be, and what of the service's sessions is this one's. */
static void share_out(struct server_process *p)
{
	size_t n = p->ctx.processes == 0 ? cores() : p->ctx.processes;
	size_t limit = p->session_limit;

	if (p->max_processes > 0 && n > p->max_processes)
		n = p->max_processes;
	if (limit > 0 && n > limit)
		n = limit;
	/* Those that serve a few sessions and go are replaced one by one. */
	if (p->serve_count > 0)
		n = 1;
	/* One that is full soon must not wait for the others to begin. */
	if (p->ctx.processes == 0 && n > 1 && (limit == 0 || limit / n >= 2 * BUSY_SESSIONS))
		p->busy_sessions = BUSY_SESSIONS;
	p->ctx.processes = (unsigned)n;
	if (limit > 0)
		p->session_limit = limit / n + (p->ctx.process < limit % n);
	if (p->serve_count > 0 && (p->session_limit == 0 || p->session_limit > p->serve_count))
		p->session_limit = p->serve_count;
}

static void tell_ready(struct server_process *p)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_READY);
	msg_add_u64(&m, "processes", p->busy_sessions > 0 ? 1 : p->ctx.processes);
	msg_add_u64(&m, "busy_processes", p->ctx.processes);
	msg_add_u64(&m, "alone", p->server->alone);
	msg_add_u64(&m, "in_place", p->server->reload != NULL);
	if (channel_send(p->master, &m, NULL, 0, deadline_in(5000)) < 0)
		fatal("master is gone: %s", strerror(errno));
	msg_release(&m);
}

/* Master has DRAIN follow what it has handed over before it heard this. */
static void quarantine_is_idle(struct loop_timer *timer)
{
	struct server_process *p = timer->arg;
	struct msg_out m = { { 0 } };

	if (sessions_count() > 0 || p->draining) {
		loop_timer_set(p->ctx.loop, timer, deadline_in(QUARANTINE_IDLE_MS));
		return;
	}
	msg_begin(&m, CONTRACT_RETIRE);
	(void)channel_send(p->master, &m, NULL, 0, deadline_in(1000));
	msg_release(&m);
}

static void quarantine_start(struct server_process *p)
{
	static struct loop_timer idle;

	idle = (struct loop_timer){ .expired = quarantine_is_idle, .arg = p };
	loop_timer_set(p->ctx.loop, &idle, deadline_in(QUARANTINE_IDLE_MS));
}

static void serve(struct server_process *p)
{
	loop_signal(p->ctx.loop, SIGTERM, on_sigterm, NULL);
	sessions_init(p->ctx.loop, session_closed);
	if (!p->server->one_thread && !pool_start())
		fatal("cannot start a thread: %s", strerror(errno));
	if (p->server->start != NULL)
		p->server->start(&p->ctx);
	share_out(p);
	accept_start(p);
	master_watch = (struct loop_watch){ .fd = channel_fd(p->master), .ready = master_ready };
	if (loop_watch(p->ctx.loop, &master_watch, EPOLLIN) < 0)
		fatal("cannot watch master: %s", strerror(errno));
	tell_ready(p);
	if (p->quarantine)
		quarantine_start(p);
	/* What master said meanwhile may have been read together with START. */
	master_ready(&master_watch, EPOLLIN);
	/* What was needed to get ready only: the configuration's text, the filter of system calls.
	 */
	(void)malloc_trim(0);
	loop_run(p->ctx.loop);
}

int server_main(const struct server *server, int argc, char **argv)
{
	struct server_process *p = &server_process;

	(void)argc;
	(void)argv;
	log_command(server->program);
	p->server = server;
	set_limits();
	ignore_signals();
	priv_not_dumpable();
	takeover(p);
	if (server->workers != NULL)
		uid_workers_fork_parent(p);
	p->ctx.loop = loop_new();
	if (server->prepare != NULL)
		server->prepare(&p->ctx);
	enter_jail(p);
	drop_rights(p);
	raise_walls(p);
	if (server->workers != NULL)
		uid_workers_front_start(p);
	serve(p);
	if (stopped_late)
		log_warning("stop: %zu sessions were still there", sessions_count());
	/* Not exit(): threads may run still, and nothing waits in a buffer of stdio's. */
	_exit(0);
}
