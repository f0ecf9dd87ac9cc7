// SPDX-License-Identifier: BSD-2-Clause
/*
 * The two tables of doc/QUEUE.md 2, pure: what intake and qmgr do with an event in a state.
 */
#ifndef PC_QUEUE_OFFER_STATE_H
#define PC_QUEUE_OFFER_STATE_H

#include <stdbool.h>

/* Intake's side. */
enum intake_state {
	INTAKE_OFFERED,
	INTAKE_SPOOLING,
	INTAKE_DETACHED,
	INTAKE_ACCEPTED,
	INTAKE_REFUSED,
	INTAKE_STATES
};
enum intake_event {
	INTAKE_DONE,
	INTAKE_SPOOL,
	INTAKE_TIMEOUT,
	INTAKE_GONE,
	INTAKE_SYNCED,
	INTAKE_BROKEN,
	INTAKE_EVENTS
};
enum intake_action {
	INTAKE_NOTHING,
	INTAKE_SEND_SPOOLING,
	INTAKE_SEND_SPOOLED,
	INTAKE_SEND_FAILED
};
struct intake_step {
	bool legal; /* false: a bug of ours */
	enum intake_state next;
	enum intake_action action;
};
struct intake_step intake_step(enum intake_state state, enum intake_event event);

/* qmgr's side. */
enum owner_state {
	OWNER_OPEN,
	OWNER_TOLD,
	OWNER_SPOOLING,
	OWNER_GIVEN,
	OWNER_GIVEN_SPOOLING,
	OWNER_OVER,
	OWNER_STATES
};
enum owner_event {
	OWNER_DURABLE,
	OWNER_WAIT,
	OWNER_R_SPOOLING,
	OWNER_R_SPOOLED,
	OWNER_R_FAILED,
	OWNER_SEEN,
	OWNER_GONE,
	OWNER_EVENTS
};
enum owner_action {
	OWNER_NOTHING,
	OWNER_SEND_DONE,
	OWNER_SEND_SPOOL,
	OWNER_ADOPT,
	OWNER_STOP,
	OWNER_STOP_AND_REMOVE,
	OWNER_REMOVE_NAME,
	OWNER_LEAVE,
	OWNER_FORGET,
	OWNER_VIOLATION
};
struct owner_step {
	enum owner_state next;
	enum owner_action action;
};
struct owner_step owner_step(enum owner_state state, enum owner_event event);

const char *intake_state_name(enum intake_state state);
const char *owner_state_name(enum owner_state state);

#endif
