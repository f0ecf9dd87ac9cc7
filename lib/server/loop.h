// SPDX-License-Identifier: BSD-2-Clause
/*
 * An event loop of one thread: descriptors, timers, signals and work that other threads post.
 * Callbacks run in the loop's thread and never block.  All functions but loop_stop and loop_post
 * are for the loop's thread (or, before loop_run, for the only one).
 */
#ifndef PC_SERVER_LOOP_H
#define PC_SERVER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"

struct loop;
struct loop *loop_new(void);
void loop_free(struct loop *loop);
/* Returns after loop_stop (any thread, or a callback); may be called again. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Embedded by its owner; READY gets the epoll events. */
struct loop_watch {
	int fd;
	uint32_t events;
	void (*ready)(struct loop_watch *watch, uint32_t events);
	void *arg;
	bool active; /* the loop's */
};
/*
 * EVENTS: EPOLLIN, EPOLLOUT, EPOLLEXCLUSIVE, EPOLLONESHOT as epoll_ctl(2); also re-arms (but the
 * kernel lets nobody change an EPOLLEXCLUSIVE watch: unwatch it first).  0, or -1 with errno.
 */
int loop_watch(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* READY will not be called any more, not even for events already fetched.  Before closing FD. */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

struct loop_timer {
	struct heap_node node;
	void (*expired)(struct loop_timer *timer);
	void *arg;
};
/* At most once, at DEADLINE (clock_ms); setting again moves it. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t deadline);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* From any thread: FN(ARG) runs soon in the loop's thread, in the order of the posts. */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);
/* Blocks SIGNO in the process and calls FN in the loop (signalfd). Before any thread starts. */
void loop_signal(struct loop *loop, int signo, void (*fn)(int signo, void *arg), void *arg);

struct signalfd_siginfo;
/* Who sent the signal that is being handled: only inside a FN of loop_signal, else NULL. */
const struct signalfd_siginfo *loop_siginfo(const struct loop *loop);

/*
 * For the parker of sessions: thousands of descriptors that other threads arm by themselves, with
 * epoll_ctl on this descriptor and an odd number as data.u64.  Their events go to FN.
 */
int loop_epoll_fd(const struct loop *loop);
void loop_on_tagged(struct loop *loop, void (*fn)(uint64_t tag, void *arg), void *arg);

#endif
