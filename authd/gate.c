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

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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

void gate_enter(const char *client)
{
	struct waiter self = { .client = client };

	lock();
	if (gate.inside < gate.width) {
		gate.inside++;
		pthread_mutex_unlock(&gate.mutex);
		return;
	}
	pthread_cond_init(&self.let_in, NULL);
	enqueue(&self);
	while (!self.is_let_in)
		pthread_cond_wait(&self.let_in, &gate.mutex);
	pthread_mutex_unlock(&gate.mutex);
	pthread_cond_destroy(&self.let_in);
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
