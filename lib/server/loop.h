// SPDX-License-Identifier: BSD-2-Clause
/*
 * An event loop of one thread: descriptors, timers, signals and work that other threads post.  Callbacks run
 * in the loop's thread and never block.
 */
#ifndef PC_SERVER_LOOP_H
#define PC_SERVER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"

struct loop;
struct loop *loop_new(void);
void loop_free(struct loop *loop);
/* Returns after loop_stop (any thread, or a callback). */
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
/* EVENTS: EPOLLIN, EPOLLOUT, EPOLLEXCLUSIVE, EPOLLONESHOT as epoll_ctl(2); also re-arms. */
int loop_watch(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* READY will not be called any more, not even for events already fetched. */
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

#endif
