// SPDX-License-Identifier: BSD-2-Clause
#include "authd/worker_parent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "log/log.h"
#include "sys/socket.h"

/* Who was killed makes room at once, but this many may not be dead yet: they wait for a disk. */
#define KILLED_MAX 100

struct child {
	struct list link;
	pid_t pid;
	bool killed; /* by us */
	struct loop_watch watch;
};

static struct {
	struct loop *loop;
	struct list children;
	unsigned long count, killed, limit;
} parent = { .children = LIST_INIT(parent.children) };

static void child_kill(struct child *c)
{
	parent.killed += !c->killed;
	c->killed = true;
	(void)kill(-c->pid, SIGKILL);
	(void)kill(c->pid, SIGKILL);
}

/* Authd has closed.  The child's death is told by SIGCHLD. */
static void connection_ready(struct loop_watch *watch, uint32_t events)
{
	if (!(events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)))
		return;
	loop_unwatch(parent.loop, watch);
	child_kill(watch->arg);
}

static struct child *find_child(pid_t pid)
{
	list_for_each(l, &parent.children) {
		struct child *c = list_entry(l, struct child, link);

		if (c->pid == pid)
			return c;
	}
	return NULL;
}

static void child_gone(struct child *c, int status)
{
	if (WIFSIGNALED(status) && !c->killed)
		log_error("service(auth-worker): child %ld killed with signal %d", (long)c->pid,
		    WTERMSIG(status));
	loop_unwatch(parent.loop, &c->watch);
	(void)shutdown(c->watch.fd, SHUT_RDWR);
	close(c->watch.fd);
	list_del(&c->link);
	parent.count--;
	parent.killed -= c->killed;
	free(c);
	server_hold(-1);
}

/* What it left in its process group goes first: until it is waited for, the group is its own. */
static void on_sigchld(int signo, void *arg)
{
	siginfo_t info = { .si_pid = 0 };

	(void)signo;
	(void)arg;
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
		struct child *c = find_child(info.si_pid);
		int status;

		if (c)
			(void)kill(-c->pid, SIGKILL);
		if (waitpid(info.si_pid, &status, 0) == info.si_pid && c)
			child_gone(c, status);
		info.si_pid = 0;
	}
}

static unsigned long limit_of(const struct dovecot_source *source)
{
	const struct dovecot_block *service =
	    dovecot_block_find(source, "service", server_context()->service);
	unsigned long limit = service ? dovecot_block_uint(service, "process_limit") : 0;

	return limit ? limit : server_context()->settings->auth_worker_max_count;
}

void worker_parent_start(struct server_context *ctx)
{
	parent.loop = ctx->loop;
	parent.limit = limit_of(ctx->dovecot);
	loop_signal(ctx->loop, SIGCHLD, on_sigchld, NULL);
}

static void child_new(pid_t pid, int fd)
{
	struct child *c = xcalloc(1, sizeof(*c));

	/* Both do it, since nobody knows who is first. */
	(void)setpgid(pid, pid);
	c->pid = pid;
	c->watch = (struct loop_watch){ .fd = fd, .ready = connection_ready, .arg = c };
	list_add_tail(&parent.children, &c->link);
	parent.count++;
	server_hold(1);
	if (loop_watch(parent.loop, &c->watch, EPOLLRDHUP) < 0)
		child_kill(c);
}

static bool has_room(void)
{
	return parent.count - parent.killed < parent.limit && parent.killed < KILLED_MAX;
}

/* Authd closes a connection before it makes another one, which the loop may see first. */
static void look_for_closed(void)
{
	list_for_each(l, &parent.children) {
		struct child *c = list_entry(l, struct child, link);
		struct pollfd fd = { .fd = c->watch.fd, .events = POLLRDHUP };

		if (!c->killed && poll(&fd, 1, 0) > 0)
			connection_ready(&c->watch, EPOLLRDHUP);
	}
}

void worker_parent_accepted(const struct server_listener *listener, int fd)
{
	pid_t pid;

	(void)listener;
	if (!has_room())
		look_for_closed();
	if (!has_room()) {
		log_warning("service(auth-worker): process_limit (%lu) reached, client connections "
			    "are being dropped",
		    parent.limit);
		close(fd);
		return;
	}
	pid = fork();
	if (pid == 0)
		worker_child_run(fd);
	if (pid < 0) {
		log_error("service(auth-worker): fork() failed: %s", strerror(errno));
		close(fd);
		return;
	}
	child_new(pid, fd);
}

/* At a reload authd of the old generation goes on with the children that it has. */
void worker_parent_drain(struct server_context *ctx, bool reload)
{
	(void)ctx;
	if (reload)
		return;
	list_for_each(l, &parent.children)
		child_kill(list_entry(l, struct child, link));
}
