// SPDX-License-Identifier: BSD-2-Clause
/*
 * The life of one process of a service, as a matrix of states and events.  This file and its .c
 * know nothing but that: actions are names, process.c carries them out.
 */
#ifndef PC_MASTER_PROCESS_MATRIX_H
#define PC_MASTER_PROCESS_MATRIX_H

enum process_state {
	PROCESS_WAITING,  /* nothing runs; it starts when its timer says so, or when it is told */
	PROCESS_STARTING, /* runs, has not said READY */
	PROCESS_SERVING,  /* said READY */
	PROCESS_HUNG,	  /* took too long to get ready, was killed, has not died yet */
	PROCESS_DRAINING, /* was told to end, or retires by itself */
	PROCESS_KILLED,	  /* took too long to end, was killed, has not died yet */
	PROCESS_GONE,	  /* does not run and never will; its struct is to be freed */
	PROCESS_STATES
};

enum process_event {
	EVENT_START,	/* it is wanted now */
	EVENT_READY,	/* it said so */
	EVENT_RETIRE,	/* it said that it accepts no more */
	EVENT_TIMER,	/* the timer of its state */
	EVENT_DRAIN,	/* a newer generation has taken over */
	EVENT_STOP,	/* the suite stops */
	EVENT_EXIT_OK,	/* exit status 0 */
	EVENT_EXIT_BAD, /* any other status, a signal, or it could not be started */
	PROCESS_EVENTS
};

enum process_action {
	ACTION_NONE,
	ACTION_SPAWN,	 /* start the program; set the timer for getting ready */
	ACTION_SERVES,	 /* note that it is ready, and what it said of itself */
	ACTION_REPLACE,	 /* have another one started in its place */
	ACTION_KILL,	 /* SIGKILL */
	ACTION_DRAIN,	 /* tell it to drain */
	ACTION_STOP,	 /* tell it to stop; set the timer for that */
	ACTION_THROTTLE, /* log that it does not start; set the timer for the next try */
	ACTION_AGAIN,	 /* it ended unasked, well: start it at once */
	ACTION_CRASHED,	 /* it ended unasked, badly: start it, at once unless it had just begun */
	ACTION_FREE,	 /* nothing is left of it */
	ACTION_BUG	 /* cannot be: the caller asserts */
};

struct process_step {
	enum process_action action;
	enum process_state next;
};

struct process_step process_step(enum process_state state, enum process_event event);
const char *process_state_name(enum process_state state);
const char *process_event_name(enum process_event event);

#endif
