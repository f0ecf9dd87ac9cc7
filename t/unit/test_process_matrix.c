// SPDX-License-Identifier: BSD-2-Clause
/* Every state with every event, and the rules that stand above the matrix. */
#include "unit.h"

#include <stdio.h>

#include "master/process_matrix.h"

#define X PROCESS_STATES /* an event that cannot come: ACTION_BUG */

/* Where each event leads, written down a second time. */
static const int want_next[PROCESS_STATES][PROCESS_EVENTS] = {
	/* START, READY, RETIRE, TIMER, DRAIN, STOP, EXIT_OK, EXIT_BAD */
	[PROCESS_WAITING] = { PROCESS_STARTING, X, X, PROCESS_STARTING, PROCESS_GONE, PROCESS_GONE,
	    X, X },
	[PROCESS_STARTING] = { PROCESS_STARTING, PROCESS_SERVING, PROCESS_STARTING, PROCESS_HUNG,
	    PROCESS_DRAINING, PROCESS_DRAINING, PROCESS_WAITING, PROCESS_WAITING },
	[PROCESS_SERVING] = { PROCESS_SERVING, PROCESS_SERVING, PROCESS_DRAINING, PROCESS_SERVING,
	    PROCESS_DRAINING, PROCESS_DRAINING, PROCESS_WAITING, PROCESS_WAITING },
	[PROCESS_HUNG] = { PROCESS_HUNG, PROCESS_HUNG, PROCESS_HUNG, PROCESS_HUNG, PROCESS_KILLED,
	    PROCESS_KILLED, PROCESS_WAITING, PROCESS_WAITING },
	[PROCESS_DRAINING] = { PROCESS_DRAINING, PROCESS_DRAINING, PROCESS_DRAINING, PROCESS_KILLED,
	    PROCESS_DRAINING, PROCESS_DRAINING, PROCESS_GONE, PROCESS_GONE },
	[PROCESS_KILLED] = { PROCESS_KILLED, PROCESS_KILLED, PROCESS_KILLED, PROCESS_KILLED,
	    PROCESS_KILLED, PROCESS_KILLED, PROCESS_GONE, PROCESS_GONE },
	[PROCESS_GONE] = { X, X, X, X, X, X, X, X },
};

static const char *name_of(enum process_state state, enum process_event event)
{
	static char name[64];

	snprintf(
	    name, sizeof(name), "%s, %s", process_state_name(state), process_event_name(event));
	return name;
}

static void every_step(void **state)
{
	(void)state;
	for (int s = 0; s < PROCESS_STATES; s++)
		for (int e = 0; e < PROCESS_EVENTS; e++) {
			struct process_step step = process_step(s, e);

			if (want_next[s][e] == X)
				want_int(name_of(s, e), step.action, ACTION_BUG);
			else
				want_int(name_of(s, e), step.next, want_next[s][e]);
		}
}

static bool runs(enum process_state state)
{
	return state != PROCESS_WAITING && state != PROCESS_GONE;
}

static bool is_exit(enum process_event event)
{
	return event == EVENT_EXIT_OK || event == EVENT_EXIT_BAD;
}

/* The paragraph at the top of process_matrix.c, sentence by sentence. */
static void forbidden_transitions(void **state)
{
	(void)state;
	for (int s = 0; s < PROCESS_STATES; s++)
		for (int e = 0; e < PROCESS_EVENTS; e++) {
			struct process_step step = process_step(s, e);
			const char *name = name_of(s, e);

			if (step.action == ACTION_BUG)
				continue;
			if (step.next == PROCESS_SERVING && s != PROCESS_SERVING)
				want_int(name, s == PROCESS_STARTING && e == EVENT_READY, 1);
			if (step.action == ACTION_SPAWN)
				want_int(name, s == PROCESS_WAITING, 1);
			want_int(name, step.action == ACTION_FREE, step.next == PROCESS_GONE);
			/* A process stops running by its exit, and only so. */
			if (runs(s))
				want_int(name, !runs(step.next), is_exit(e));
			else if (runs(step.next))
				want_int(name, step.action, ACTION_SPAWN);
			if (step.action == ACTION_KILL)
				want_int(name, e, EVENT_TIMER);
		}
	want_int(
	    "start fails", process_step(PROCESS_STARTING, EVENT_EXIT_OK).action, ACTION_THROTTLE);
	want_int(
	    "start fails", process_step(PROCESS_STARTING, EVENT_EXIT_BAD).action, ACTION_THROTTLE);
	want_int("start hangs", process_step(PROCESS_HUNG, EVENT_EXIT_BAD).action, ACTION_THROTTLE);
}

/* Whatever happens on the way: after STOP no step but an exit is needed to be gone. */
static void stop_is_an_end(void **state)
{
	(void)state;
	for (int s = 0; s < PROCESS_GONE; s++) {
		enum process_state now = process_step(s, EVENT_STOP).next;

		for (int e = 0; e < PROCESS_EVENTS; e++) {
			if (now == PROCESS_GONE || is_exit(e))
				continue;
			want_int(name_of(now, e), runs(process_step(now, e).next), 1);
			want_int(name_of(now, e),
			    process_step(process_step(now, e).next, EVENT_EXIT_BAD).next,
			    PROCESS_GONE);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step),
		cmocka_unit_test(forbidden_transitions),
		cmocka_unit_test(stop_is_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
