// SPDX-License-Identifier: BSD-2-Clause
/*
 * Forbidden, and why:
 *
 * - GONE leads nowhere: the struct is freed by the action that leads there.
 * - WAITING never becomes SERVING without STARTING and a READY: a process that was not seen
 *   ready takes no one's place, so a new generation that does not start leaves the old one serving.
 * - DRAINING, HUNG and KILLED never become SERVING: what was told to go has closed its sockets.
 *   A late READY or RETIRE of theirs crossed our word on the way and is nothing.
 * - SPAWN comes from WAITING only, where no process runs: no slot ever has two.  What exits in
 *   STARTING is never started again at once but waits (THROTTLE): else a bad key file would fork
 *   without end.
 * - WAITING has no process, so that no EXIT, READY or RETIRE can come from it: these are bugs.
 */
#include "master/process_matrix.h"

#include "base/check.h"

#define STEP(action, next)                                                                         \
	{                                                                                          \
		ACTION_##action, PROCESS_##next                                                    \
	}

static const struct process_step matrix[PROCESS_STATES][PROCESS_EVENTS] = {
	[PROCESS_WAITING] = {
		[EVENT_START] = STEP(SPAWN, STARTING),
		[EVENT_READY] = STEP(BUG, WAITING),
		[EVENT_RETIRE] = STEP(BUG, WAITING),
		[EVENT_TIMER] = STEP(SPAWN, STARTING),
		[EVENT_DRAIN] = STEP(FREE, GONE),
		[EVENT_STOP] = STEP(FREE, GONE),
		[EVENT_EXIT_OK] = STEP(BUG, WAITING),
		[EVENT_EXIT_BAD] = STEP(BUG, WAITING),
	},
	[PROCESS_STARTING] = {
		[EVENT_START] = STEP(NONE, STARTING),
		[EVENT_READY] = STEP(SERVES, SERVING),
		[EVENT_RETIRE] = STEP(NONE, STARTING),
		[EVENT_TIMER] = STEP(KILL, HUNG),
		[EVENT_DRAIN] = STEP(DRAIN, DRAINING),
		[EVENT_STOP] = STEP(STOP, DRAINING),
		[EVENT_EXIT_OK] = STEP(THROTTLE, WAITING),
		[EVENT_EXIT_BAD] = STEP(THROTTLE, WAITING),
	},
	[PROCESS_SERVING] = {
		[EVENT_START] = STEP(NONE, SERVING),
		[EVENT_READY] = STEP(NONE, SERVING),
		[EVENT_RETIRE] = STEP(REPLACE, DRAINING),
		[EVENT_TIMER] = STEP(NONE, SERVING),
		[EVENT_DRAIN] = STEP(DRAIN, DRAINING),
		[EVENT_STOP] = STEP(STOP, DRAINING),
		[EVENT_EXIT_OK] = STEP(AGAIN, WAITING),
		[EVENT_EXIT_BAD] = STEP(CRASHED, WAITING),
	},
	[PROCESS_HUNG] = {
		[EVENT_START] = STEP(NONE, HUNG),
		[EVENT_READY] = STEP(NONE, HUNG),
		[EVENT_RETIRE] = STEP(NONE, HUNG),
		[EVENT_TIMER] = STEP(KILL, HUNG),
		[EVENT_DRAIN] = STEP(NONE, KILLED),
		[EVENT_STOP] = STEP(NONE, KILLED),
		[EVENT_EXIT_OK] = STEP(THROTTLE, WAITING),
		[EVENT_EXIT_BAD] = STEP(THROTTLE, WAITING),
	},
	[PROCESS_DRAINING] = {
		[EVENT_START] = STEP(NONE, DRAINING),
		[EVENT_READY] = STEP(NONE, DRAINING),
		[EVENT_RETIRE] = STEP(NONE, DRAINING),
		[EVENT_TIMER] = STEP(KILL, KILLED),
		[EVENT_DRAIN] = STEP(NONE, DRAINING),
		[EVENT_STOP] = STEP(STOP, DRAINING),
		[EVENT_EXIT_OK] = STEP(FREE, GONE),
		[EVENT_EXIT_BAD] = STEP(FREE, GONE),
	},
	[PROCESS_KILLED] = {
		[EVENT_START] = STEP(NONE, KILLED),
		[EVENT_READY] = STEP(NONE, KILLED),
		[EVENT_RETIRE] = STEP(NONE, KILLED),
		[EVENT_TIMER] = STEP(KILL, KILLED),
		[EVENT_DRAIN] = STEP(NONE, KILLED),
		[EVENT_STOP] = STEP(NONE, KILLED),
		[EVENT_EXIT_OK] = STEP(FREE, GONE),
		[EVENT_EXIT_BAD] = STEP(FREE, GONE),
	},
	[PROCESS_GONE] = {
		[EVENT_START] = STEP(BUG, GONE),
		[EVENT_READY] = STEP(BUG, GONE),
		[EVENT_RETIRE] = STEP(BUG, GONE),
		[EVENT_TIMER] = STEP(BUG, GONE),
		[EVENT_DRAIN] = STEP(BUG, GONE),
		[EVENT_STOP] = STEP(BUG, GONE),
		[EVENT_EXIT_OK] = STEP(BUG, GONE),
		[EVENT_EXIT_BAD] = STEP(BUG, GONE),
	},
};

struct process_step process_step(enum process_state state, enum process_event event)
{
	ASSERT(state < PROCESS_STATES && event < PROCESS_EVENTS);
	return matrix[state][event];
}

const char *process_state_name(enum process_state state)
{
	static const char *const names[] = { "waiting", "starting", "serving", "hung", "draining",
		"killed", "gone" };

	ASSERT(state < ARRAY_LEN(names));
	return names[state];
}

const char *process_event_name(enum process_event event)
{
	static const char *const names[] = { "start", "ready", "retire", "timer", "drain", "stop",
		"exit", "bad exit" };

	ASSERT(event < ARRAY_LEN(names));
	return names[event];
}
