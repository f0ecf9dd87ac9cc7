// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who starts when.  Getting ready is 4 to 8 ms of CPU, most of it the loader's: when all begin at
 * once the last is ready as soon as the first.  So only as many get ready at a time as there are
 * cores, first processes before further ones, in the order of master.cf: the service that an
 * administrator put first greets first.  One that takes long (it waits for a lock) holds up nobody.
 */
#include <sched.h>

#include "base/clock.h"
#include "master/supervisor.h"

#define PATIENCE_MS 300

static struct loop_timer patience;
static bool busy;

static unsigned cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

static unsigned getting_ready(const struct service *s)
{
	const int64_t since = clock_ms() - PATIENCE_MS;
	unsigned count = 0;

	list_for_each(l, &s->processes) {
		const struct process *p = list_entry(l, struct process, link);

		count += p->state == PROCESS_STARTING && p->since > since;
	}
	return count;
}

static bool is_room(void)
{
	unsigned count = 0;

	list_for_each(gl, &master.generations) {
		const struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services)
			count += getting_ready(list_entry(sl, struct service, link));
	}
	return count < cores();
}

static struct service *next_service(void)
{
	struct service *further = NULL;

	list_for_each(l, &master.current->services) {
		struct service *s = list_entry(l, struct service, link);

		if (s->replaced || s->start_next >= s->start_end)
			continue;
		if (list_is_empty(&s->processes))
			return s;
		if (further == NULL)
			further = s;
	}
	return further;
}

static void patience_is_over(struct loop_timer *timer)
{
	(void)timer;
	start_more();
}

void start_more(void)
{
	struct service *s;

	/* A process that cannot even be started tells so at once, and comes here again. */
	if (busy || master.stopping || master.current == NULL)
		return;
	busy = true;
	while ((s = next_service()) != NULL && is_room())
		process_event(process_new(s, s->start_next++), EVENT_START);
	busy = false;
	if (s == NULL)
		return;
	patience.expired = patience_is_over;
	loop_timer_set(master.loop, &patience, deadline_in(PATIENCE_MS));
}

void start_processes(struct service *s, unsigned from, unsigned to)
{
	s->start_next = from;
	s->start_end = to;
	start_more();
}
