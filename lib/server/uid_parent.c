// SPDX-License-Identifier: BSD-2-Clause
/*
 * The parent: one thread with rights, between the front that asks and the workers that do.  It
 * reads the front's records, which no stranger wrote, and answers each one.
 *
 * A worker that wants to leave says how many records it got; when that is how many were sent, the
 * parent closes its channel, and the worker goes.  Otherwise a record is on its way and the worker
 * will find it: so no record meets a worker that has gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "server/contract.h"
#include "server/death.h"
#include "server/suspects.h"
#include "server/uid_workers_internal.h"
#include "sys/priv.h"

#define SEND_TIMEOUT_MS 5000
#define MAX_WORKERS	4000

/* From fork to wait. */
struct child {
	struct list link;
	pid_t pid;
	int running_fd;
};

struct worker {
	struct list link;
	struct uid_target target;
	uint64_t own; /* suspect_key of the one for whom it works alone, or 0 */
	pid_t pid;
	struct channel *channel;
	struct loop_watch watch;
	uint64_t sent;
};

static struct {
	struct server_process *process;
	struct loop *loop;
	struct channel *front;
	struct loop_watch front_watch;
	struct list workers; /* that take records */
	struct list children;
	size_t child_count;
	struct suspects *suspects;
	int suspects_fd; /* for the front to read them */
	bool finishing, ending;
} parent = { .workers = LIST_INIT(parent.workers), .children = LIST_INIT(parent.children) };

static bool same_target(const struct uid_target *a, const struct uid_target *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->extra_count == b->extra_count &&
	       a->root == b->root &&
	       memcmp(a->extra, b->extra, a->extra_count * sizeof(a->extra[0])) == 0;
}

static struct worker *find_worker(const struct uid_target *target, uint64_t own)
{
	list_for_each(l, &parent.workers) {
		struct worker *w = list_entry(l, struct worker, link);

		if (w->own == own && same_target(&w->target, target))
			return w;
	}
	return NULL;
}

static void child_free(struct child *c)
{
	close(c->running_fd);
	list_del(&c->link);
	free(c);
}

/* The worker sees the end of its channel and leaves when its work is done. */
static void let_go(struct worker *w)
{
	loop_unwatch(parent.loop, &w->watch);
	channel_free(w->channel);
	list_del(&w->link);
	free(w);
}

static void worker_ready(struct loop_watch *watch, uint32_t events)
{
	struct worker *w = watch->arg;
	enum channel_result result;
	struct msg_in in;
	uint64_t received;

	(void)events;
	while ((result = channel_recv(w->channel, &in, 0)) == CHANNEL_RECORD) {
		bool done = msg_is(&in.msg, UID_IDLE) &&
			    msg_get_u64(&in.msg, "received", &received) && received == w->sent;

		msg_in_release(&in);
		if (done) {
			let_go(w);
			return;
		}
	}
	if (result == CHANNEL_CLOSED)
		let_go(w);
}

/*
 * In the forked worker: nothing of the parent's stays open, nor the descriptors of the request that
 * it is forked for, which come to it again with its first record.
 */
static _Noreturn void become_worker(
    const struct uid_target *target, int fd, int running_fd, const struct msg_in *in)
{
	struct uid_target copy = *target;
	struct channel *to_parent;

	(void)prctl(PR_SET_PDEATHSIG, 0);
	for (size_t i = 0; i < in->fd_count; i++)
		if (in->fds[i] >= 0)
			close(in->fds[i]);
	list_for_each_safe(l, tmp, &parent.workers) {
		struct worker *w = list_entry(l, struct worker, link);

		channel_free(w->channel);
		list_del(l);
		free(w);
	}
	list_for_each_safe(l, tmp, &parent.children)
		child_free(list_entry(l, struct child, link));
	suspects_free(parent.suspects);
	channel_free(parent.front);
	loop_free(parent.loop);
	to_parent = channel_new(fd, "worker");
	if (to_parent == NULL)
		fatal("cannot talk to the parent: %s", strerror(errno));
	if (!running_attach(running_fd))
		fatal("cannot map the parent's table: %s", strerror(errno));
	close(running_fd);
	uid_worker_run(parent.process, &copy, to_parent);
}

static void child_new(pid_t pid, int running_fd)
{
	struct child *c = xcalloc(1, sizeof(*c));

	*c = (struct child){ .pid = pid, .running_fd = running_fd };
	list_add_tail(&parent.children, &c->link);
	parent.child_count++;
}

static struct worker *worker_new(const struct uid_target *target, int fd, pid_t pid)
{
	struct worker *w = xcalloc(1, sizeof(*w));

	w->target = *target;
	w->pid = pid;
	w->channel = channel_new(fd, "parent");
	w->watch = (struct loop_watch){ .fd = fd, .ready = worker_ready, .arg = w };
	list_add_tail(&parent.workers, &w->link);
	if (w->channel == NULL || loop_watch(parent.loop, &w->watch, EPOLLIN) < 0) {
		let_go(w);
		return NULL;
	}
	return w;
}

/* A worker behind PAIR, which is taken over. */
static struct worker *worker_fork(
    const struct uid_target *target, const struct msg_in *in, int pair[2], int running_fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		close(pair[0]);
		become_worker(target, pair[1], running_fd, in);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		close(running_fd);
		return NULL;
	}
	child_new(pid, running_fd);
	return worker_new(target, pair[0], pid);
}

static struct worker *worker_start(
    const struct uid_target *target, const struct msg_in *in, struct reason *why)
{
	struct worker *w = NULL;
	int running_fd, pair[2];

	if (parent.child_count >= MAX_WORKERS) {
		reason_set(why, "4.3.2", "too many workers");
		return NULL;
	}
	running_fd = running_new();
	if (running_fd >= 0 && socket_pair(pair) == 0)
		w = worker_fork(target, in, pair, running_fd);
	else if (running_fd >= 0)
		close(running_fd);
	if (w == NULL)
		reason_set(why, "4.3.0", "cannot make a worker: %s", strerror(errno));
	return w;
}

/* Whatever RESOLVE says: never root, and as an ordinary user only that one. */
static bool target_is_allowed(const struct uid_target *target, struct reason *why)
{
	if (target->uid == 0 || target->gid == 0) {
		reason_set(
		    why, "4.3.5", "mail system configuration error: a user with uid or gid 0");
		return false;
	}
	if (geteuid() != 0 && (target->uid != geteuid() || target->gid != getegid())) {
		reason_set(why, "4.3.5",
		    "mail system configuration error: not started as root, cannot become uid %lu "
		    "gid %lu",
		    (unsigned long)target->uid, (unsigned long)target->gid);
		return false;
	}
	return true;
}

/* The worker for TARGET, a new one where there is none; NULL with WHY. */
static struct worker *worker_for(
    const struct uid_target *target, const struct msg_in *in, struct reason *why)
{
	/* Whose own worker it has to be: a user's, or, for all users, a message's. */
	const uint64_t own =
	    uid_key_in(suspects_list(parent.suspects), target->user, target->message);
	struct worker *w = find_worker(target, own);

	if (w == NULL && (w = worker_start(target, in, why)) != NULL)
		w->own = own;
	return w;
}

static bool send_to(struct worker *w, const struct msg_out *work, const int *fds, size_t fd_count,
    struct reason *why)
{
	if (channel_send(w->channel, work, fds, fd_count, deadline_in(SEND_TIMEOUT_MS)) == 0) {
		w->sent++;
		return true;
	}
	reason_set(why, "4.3.0", "a worker takes no record: %s", strerror(errno));
	kill(w->pid, SIGKILL);
	let_go(w);
	return false;
}

static bool pass_on(const struct uid_target *target, const struct msg_out *work,
    const struct msg_in *in, struct reason *why)
{
	struct worker *w = worker_for(target, in, why);

	return w != NULL && send_to(w, work, in->fds, in->fd_count, why);
}

static bool say_whose(const struct uid_target *target, struct msg_out *work)
{
	if (target->user[0] != '\0')
		msg_add_str(work, UID_USER, target->user);
	if (target->message[0] != '\0')
		msg_add_str(work, UID_MESSAGE, target->message);
	return true;
}

static bool serve_request(const struct msg_in *in, struct reason *why)
{
	const struct uid_workers_class *class = parent.process->server->workers;
	struct uid_target target = { 0 };
	struct msg_out work = { { 0 } };
	bool ok;

	msg_begin(&work, UID_WORK);
	ok = class->resolve(&in->msg, &target, &work, why) && target_is_allowed(&target, why) &&
	     say_whose(&target, &work) && pass_on(&target, &work, in, why);
	msg_release(&work);
	return ok;
}

/* One end goes to the worker with what RESOLVE said, the other one to the front: -1 with WHY. */
static int pass_link(const struct uid_target *target, const struct msg_out *how,
    const struct msg_in *in, struct worker **to, struct reason *why)
{
	int pair[2];
	bool ok;

	*to = worker_for(target, in, why);
	if (*to == NULL)
		return -1;
	if (socket_pair_records(pair) < 0) {
		reason_set(why, "4.3.0", "cannot make a link: %s", strerror(errno));
		return -1;
	}
	ok = send_to(*to, how, &pair[1], 1, why);
	close(pair[1]);
	if (ok)
		return pair[0];
	close(pair[0]);
	return -1;
}

/* The answer is begun with OUT: "worker", "own", and the descriptor that is returned. */
static int serve_link(const struct msg_in *in, struct msg_out *out, struct reason *why)
{
	const struct uid_workers_class *class = parent.process->server->workers;
	struct uid_target target = { 0 };
	struct msg_out how = { { 0 } };
	struct worker *w;
	int fd = -1;

	msg_begin(&how, UID_LINK);
	if (class->resolve(&in->msg, &target, &how, why) && target_is_allowed(&target, why))
		fd = pass_link(&target, &how, in, &w, why);
	msg_release(&how);
	if (fd >= 0) {
		msg_add_i64(out, "worker", w->pid);
		msg_add_u64(out, "own", w->own);
	}
	return fd;
}

static void answer(const struct msg_in *in)
{
	struct reason why = { "4.3.0", "" };
	struct msg_out m = { { 0 } };
	uint64_t id;
	int fd = -1;
	bool ok;

	if (!msg_get_u64(&in->msg, UID_REQUEST_ID, &id))
		return;
	msg_begin(&m, UID_ANSWER);
	msg_add_u64(&m, UID_REQUEST_ID, id);
	if (msg_is(&in->msg, UID_LINK))
		ok = (fd = serve_link(in, &m, &why)) >= 0;
	else
		ok = serve_request(in, &why);
	msg_add_u64(&m, "ok", ok);
	if (!ok) {
		msg_add_str(&m, "dsn", why.dsn);
		msg_add_str(&m, "text", why.text);
	}
	(void)channel_send(parent.front, &m, &fd, fd >= 0, deadline_in(SEND_TIMEOUT_MS));
	msg_release(&m);
	if (fd >= 0)
		close(fd);
}

/* The front may well end a worker's life: it could as well give it nothing to do. */
static void kill_stuck(const struct msg *m)
{
	int64_t pid;

	if (!msg_get_i64(m, "pid", &pid))
		return;
	list_for_each_safe(l, tmp, &parent.workers) {
		struct worker *w = list_entry(l, struct worker, link);

		if (w->pid != pid)
			continue;
		kill(w->pid, SIGKILL);
		let_go(w);
	}
}

static void log_to(const struct msg_in *in)
{
	struct msg_out m = { { 0 } };

	if (in->fd_count == 0)
		return;
	server_log_to(in);
	msg_begin(&m, UID_LOG_TO);
	list_for_each(l, &parent.workers) {
		struct worker *w = list_entry(l, struct worker, link);

		if (channel_send(w->channel, &m, in->fds, in->fd_count, deadline_in(1000)) == 0)
			w->sent++;
	}
	msg_release(&m);
}

static void check_end(void)
{
	if ((parent.ending || parent.finishing) && parent.child_count == 0)
		loop_stop(parent.loop);
}

/* A worker that was let go already has no work. */
static void finish(void)
{
	struct msg_out m = { { 0 } };

	parent.finishing = true;
	msg_begin(&m, UID_FINISH);
	list_for_each(l, &parent.workers)
		(void)channel_send(list_entry(l, struct worker, link)->channel, &m, NULL, 0,
		    deadline_in(SEND_TIMEOUT_MS));
	msg_release(&m);
	check_end();
}

static void front_gone(void)
{
	loop_unwatch(parent.loop, &parent.front_watch);
	parent.ending = true;
	list_for_each_safe(l, tmp, &parent.workers)
		let_go(list_entry(l, struct worker, link));
	check_end();
}

static void front_ready(struct loop_watch *watch, uint32_t events)
{
	enum channel_result result;
	struct msg_in in;

	(void)watch;
	(void)events;
	while ((result = channel_recv(parent.front, &in, 0)) == CHANNEL_RECORD) {
		if (msg_is(&in.msg, UID_LOG_TO))
			log_to(&in);
		else if (msg_is(&in.msg, UID_FINISH))
			finish();
		else if (msg_is(&in.msg, UID_STUCK))
			kill_stuck(&in.msg);
		else
			answer(&in);
		msg_in_release(&in);
	}
	if (result == CHANNEL_CLOSED)
		front_gone();
}

/* Once per child, and never for another process. */
static void child_gone(pid_t pid, bool died)
{
	list_for_each_safe(l, tmp, &parent.children) {
		struct child *c = list_entry(l, struct child, link);

		if (c->pid != pid)
			continue;
		if (died)
			(void)death_examine(parent.suspects, parent.process->program, (int)pid,
			    c->running_fd, parent.process->quarantine_ms);
		parent.child_count--;
		child_free(c);
		return;
	}
}

static void on_sigchld(int signo, void *arg)
{
	int status;
	pid_t pid;

	(void)signo;
	(void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (WIFSIGNALED(status))
			log_warning("process %s worker pid %d killed by signal %d",
			    parent.process->program, (int)pid, WTERMSIG(status));
		else if (WEXITSTATUS(status) != 0)
			log_warning("process %s worker pid %d exit status %d",
			    parent.process->program, (int)pid, WEXITSTATUS(status));
		child_gone(pid, WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
	}
	check_end();
}

static void say_started(void)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_READY);
	if (channel_send(parent.front, &m, &parent.suspects_fd, 1, deadline_in(SEND_TIMEOUT_MS)) <
	    0)
		_exit(1);
	close(parent.suspects_fd);
	msg_release(&m);
}

_Noreturn void uid_parent_run(struct server_process *p, struct channel *front)
{
	const struct uid_workers_class *class = p->server->workers;
	const struct sandbox walls = { .calls = SANDBOX_CALLS_NO_NET, .signals = true };
	struct sandbox_report report;

	parent.process = p;
	parent.front = front;
	parent.loop = p->ctx.loop = loop_new();
	parent.suspects = suspects_new(&parent.suspects_fd);
	if (parent.suspects == NULL)
		fatal("cannot make the table of suspects: %s", strerror(errno));
	signal(SIGTERM, SIG_IGN); /* the front's end is ours, and not before */
	loop_signal(parent.loop, SIGCHLD, on_sigchld, NULL);
	if (class->parent_start != NULL)
		class->parent_start(&p->ctx);
	if (p->ctx.as_root && priv_limit_root() < 0)
		fatal("cannot drop capabilities: %s", strerror(errno));
	sandbox_enter(&walls, &report);
	parent.front_watch = (struct loop_watch){ .fd = channel_fd(front), .ready = front_ready };
	if (loop_watch(parent.loop, &parent.front_watch, EPOLLIN) < 0)
		fatal("cannot watch the front: %s", strerror(errno));
	say_started();
	loop_run(parent.loop);
	_exit(0);
}
