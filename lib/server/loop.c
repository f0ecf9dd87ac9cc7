// SPDX-License-Identifier: BSD-2-Clause
/*
 * One epoll descriptor.  An event carries the address of its watch (even) or a tag of the parker's
 * (odd).  A batch of events is kept in the loop while it is worked through, so that loop_unwatch
 * can strike out what was fetched for a watch that is gone.  Posts are a list under a mutex; the
 * first post into an empty list writes the eventfd that wakes the loop.
 */
#include "server/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "log/log.h"

#define LOOP_BATCH 64

struct loop_post {
	struct loop_post *next;
	void (*fn)(void *arg);
	void *arg;
};

struct loop_handler {
	void (*fn)(int signo, void *arg);
	void *arg;
};

struct loop {
	int epoll_fd;
	struct heap timers;
	atomic_bool stop;

	struct epoll_event batch[LOOP_BATCH];
	int batch_count, batch_at;

	void (*tagged)(uint64_t tag, void *arg);
	void *tagged_arg;

	pthread_mutex_t post_lock;
	struct loop_post *posts, **posts_end;
	struct loop_watch wake; /* an eventfd */

	sigset_t signals;
	struct loop_watch signal_watch; /* a signalfd, or -1 */
	struct loop_handler handlers[_NSIG];
	const struct signalfd_siginfo *siginfo;
};

/* Edge-triggered: each write is one event, and nobody reads a counter that cannot come to its end.
 */
static void wake_ready(struct loop_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
}

struct loop *loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->wake.fd < 0)
		fatal("cannot make an event loop: %s", strerror(errno));
	loop->posts_end = &loop->posts;
	pthread_mutex_init(&loop->post_lock, NULL);
	sigemptyset(&loop->signals);
	loop->signal_watch.fd = -1;
	loop->wake.ready = wake_ready;
	if (loop_watch(loop, &loop->wake, EPOLLIN | EPOLLET) < 0)
		fatal("cannot watch an eventfd: %s", strerror(errno));
	return loop;
}

void loop_free(struct loop *loop)
{
	struct loop_post *post;

	if (loop == NULL)
		return;
	while ((post = loop->posts) != NULL) {
		loop->posts = post->next;
		free(post);
	}
	heap_release(&loop->timers);
	if (loop->signal_watch.fd >= 0)
		close(loop->signal_watch.fd);
	close(loop->wake.fd);
	close(loop->epoll_fd);
	pthread_mutex_destroy(&loop->post_lock);
	free(loop);
}

int loop_watch(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data = { .u64 = (uintptr_t)watch } };
	int op = watch->active ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(loop->epoll_fd, op, watch->fd, &ev) < 0)
		return -1;
	watch->events = events;
	watch->active = true;
	return 0;
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	if (!watch->active)
		return;
	watch->active = false;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	for (int i = loop->batch_at; i < loop->batch_count; i++)
		if (loop->batch[i].data.u64 == (uintptr_t)watch)
			loop->batch[i].data.u64 = 0;
}

int loop_epoll_fd(const struct loop *loop)
{
	return loop->epoll_fd;
}

void loop_on_tagged(struct loop *loop, void (*fn)(uint64_t tag, void *arg), void *arg)
{
	loop->tagged = fn;
	loop->tagged_arg = arg;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t deadline)
{
	heap_set(&loop->timers, &timer->node, deadline);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	heap_remove(&loop->timers, &timer->node);
}

static void loop_wake(struct loop *loop)
{
	uint64_t one = 1;

	while (write(loop->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_post *post = xmalloc(sizeof(*post));
	bool first;

	*post = (struct loop_post){ NULL, fn, arg };
	pthread_mutex_lock(&loop->post_lock);
	first = loop->posts == NULL;
	*loop->posts_end = post;
	loop->posts_end = &post->next;
	pthread_mutex_unlock(&loop->post_lock);
	if (first)
		loop_wake(loop);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	loop_wake(loop);
}

static void run_posts(struct loop *loop)
{
	struct loop_post *post, *next;

	pthread_mutex_lock(&loop->post_lock);
	post = loop->posts;
	loop->posts = NULL;
	loop->posts_end = &loop->posts;
	pthread_mutex_unlock(&loop->post_lock);
	for (; post != NULL; post = next) {
		next = post->next;
		post->fn(post->arg);
		free(post);
	}
}

static void run_timers(struct loop *loop)
{
	int64_t now = clock_ms();
	struct heap_node *node;

	while ((node = heap_min(&loop->timers)) != NULL && node->key <= now) {
		struct loop_timer *timer = list_entry(node, struct loop_timer, node);

		heap_remove(&loop->timers, node);
		timer->expired(timer);
	}
}

static void run_batch(struct loop *loop)
{
	for (loop->batch_at = 0; loop->batch_at < loop->batch_count;) {
		const struct epoll_event ev = loop->batch[loop->batch_at++];
		struct loop_watch *watch;

		if (ev.data.u64 == 0)
			continue;
		if (ev.data.u64 & 1) {
			loop->tagged(ev.data.u64, loop->tagged_arg);
			continue;
		}
		watch = (struct loop_watch *)(uintptr_t)ev.data.u64;
		watch->ready(watch, ev.events);
	}
	loop->batch_count = 0;
}

void loop_run(struct loop *loop)
{
	while (!atomic_load(&loop->stop)) {
		const struct heap_node *next = heap_min(&loop->timers);
		int wait_ms = next == NULL ? -1 : deadline_left(next->key);
		int n = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH, wait_ms);

		ASSERT(n >= 0 || errno == EINTR);
		loop->batch_count = n < 0 ? 0 : n;
		run_batch(loop);
		run_posts(loop);
		run_timers(loop);
	}
	atomic_store(&loop->stop, false);
}

static void signal_ready(struct loop_watch *watch, uint32_t events)
{
	struct loop *loop = watch->arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const struct loop_handler *handler = &loop->handlers[info.ssi_signo];

		loop->siginfo = &info;
		if (handler->fn != NULL)
			handler->fn((int)info.ssi_signo, handler->arg);
		loop->siginfo = NULL;
	}
}

const struct signalfd_siginfo *loop_siginfo(const struct loop *loop)
{
	return loop->siginfo;
}

void loop_signal(struct loop *loop, int signo, void (*fn)(int signo, void *arg), void *arg)
{
	struct loop_watch *watch = &loop->signal_watch;
	int fd;

	ASSERT(signo > 0 && signo < _NSIG);
	loop->handlers[signo] = (struct loop_handler){ fn, arg };
	sigaddset(&loop->signals, signo);
	if (pthread_sigmask(SIG_BLOCK, &loop->signals, NULL) != 0 ||
	    (fd = signalfd(watch->fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		fatal("cannot take signal %d: %s", signo, strerror(errno));
	if (watch->fd >= 0)
		return;
	watch->fd = fd;
	watch->ready = signal_ready;
	watch->arg = loop;
	if (loop_watch(loop, watch, EPOLLIN) < 0)
		fatal("cannot watch a signalfd: %s", strerror(errno));
}
