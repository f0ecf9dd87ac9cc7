// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fair queuing by start tags: who comes is put into round NOW, or behind the last one of the same
 * client into the round after that.  The lowest round goes first, within it who came first.  So
 * each client has one place in a round, however many requests it has, and nothing needs to be known
 * of clients that do not wait.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "authd/gate.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

struct waiter {
	struct waiter *next;
	const char *client;
	uint64_t round;
	bool is_let_in;
	pthread_cond_t let_in;
};

static struct {
	pthread_mutex_t mutex;
	struct waiter *first; /* by round, then by arrival */
	size_t waiting;
	unsigned inside, width;
	uint64_t now; /* round of the last one that was let in */
} gate = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* The cores that this process may use. */
static unsigned count_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 1)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

static void lock(void)
{
	pthread_mutex_lock(&gate.mutex);
	if (!gate.width)
		gate.width = count_cores();
}

static void enqueue(struct waiter *waiter)
{
	struct waiter **place = &gate.first;

	waiter->round = gate.now;
	for (const struct waiter *w = gate.first; w; w = w->next)
		if (!strcmp(w->client, waiter->client))
			waiter->round = w->round + 1;
	while (*place && (*place)->round <= waiter->round)
		place = &(*place)->next;
	waiter->next = *place;
	*place = waiter;
	gate.waiting++;
}

/* With the lock. */
static void dequeue(const struct waiter *waiter)
{
	struct waiter **place = &gate.first;

	while (*place != waiter)
		place = &(*place)->next;
	*place = waiter->next;
	gate.waiting--;
}

static bool wait_turn(struct waiter *self, int64_t deadline)
{
	const struct timespec until = { .tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000 };

	pthread_cond_init(&self->let_in, NULL);
	enqueue(self);
	while (!self->is_let_in && pthread_cond_clockwait(&self->let_in, &gate.mutex,
				       CLOCK_MONOTONIC, &until) != ETIMEDOUT)
		continue;
	if (!self->is_let_in)
		dequeue(self);
	pthread_cond_destroy(&self->let_in);
	return self->is_let_in;
}

bool gate_enter(const char *client, int64_t deadline)
{
	struct waiter self = { .client = client };
	bool is_in = true;

	lock();
	if (gate.inside < gate.width)
		gate.inside++;
	else
		is_in = wait_turn(&self, deadline);
	pthread_mutex_unlock(&gate.mutex);
	return is_in;
}

/* The place goes from hand to hand, so that nobody who comes just now slips in between. */
void gate_leave(void)
{
	struct waiter *next;

	lock();
	ASSERT(gate.inside > 0);
	next = gate.first;
	if (next) {
		gate.first = next->next;
		gate.waiting--;
		gate.now = next->round;
		next->is_let_in = true;
		pthread_cond_signal(&next->let_in);
	} else {
		gate.inside--;
	}
	pthread_mutex_unlock(&gate.mutex);
}

size_t gate_waiting(void)
{
	size_t waiting;

	lock();
	waiting = gate.waiting;
	pthread_mutex_unlock(&gate.mutex);
	return waiting;
}

unsigned gate_width(void)
{
	unsigned width;

	lock();
	width = gate.width;
	pthread_mutex_unlock(&gate.mutex);
	return width;
}
