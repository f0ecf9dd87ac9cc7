// SPDX-License-Identifier: BSD-2-Clause
/* The tables are those of doc/QUEUE.md 2.1 and 2.2, row by row. */
#include "queue/offer_state.h"

/* clang-format off */
#define TO(state, action) { true, INTAKE_##state, INTAKE_##action }
#define STAY(state)	  { true, INTAKE_##state, INTAKE_NOTHING }
static const struct intake_step intake_table[INTAKE_STATES][INTAKE_EVENTS] = {
	[INTAKE_OFFERED] = {
		[INTAKE_DONE] = TO(ACCEPTED, NOTHING),
		[INTAKE_SPOOL] = TO(SPOOLING, SEND_SPOOLING),
		[INTAKE_TIMEOUT] = TO(SPOOLING, SEND_SPOOLING),
		[INTAKE_GONE] = TO(DETACHED, NOTHING),
		[INTAKE_BROKEN] = TO(REFUSED, SEND_FAILED),
	},
	[INTAKE_SPOOLING] = {
		[INTAKE_DONE] = STAY(SPOOLING),
		[INTAKE_SPOOL] = STAY(SPOOLING),
		[INTAKE_GONE] = TO(DETACHED, NOTHING),
		[INTAKE_SYNCED] = TO(ACCEPTED, SEND_SPOOLED),
		[INTAKE_BROKEN] = TO(REFUSED, SEND_FAILED),
	},
	[INTAKE_DETACHED] = {
		[INTAKE_TIMEOUT] = STAY(DETACHED),
		[INTAKE_GONE] = STAY(DETACHED),
		[INTAKE_SYNCED] = TO(ACCEPTED, NOTHING),
		[INTAKE_BROKEN] = TO(REFUSED, NOTHING),
	},
	[INTAKE_ACCEPTED] = {
		[INTAKE_DONE] = STAY(ACCEPTED),
		[INTAKE_SPOOL] = STAY(ACCEPTED),
		[INTAKE_GONE] = STAY(ACCEPTED),
	},
	[INTAKE_REFUSED] = {
		[INTAKE_DONE] = STAY(REFUSED),
		[INTAKE_SPOOL] = STAY(REFUSED),
		[INTAKE_GONE] = STAY(REFUSED),
	},
};
#undef TO
#undef STAY

#define TO(state, action) { OWNER_##state, OWNER_##action }
static const struct owner_step owner_table[OWNER_STATES][OWNER_EVENTS] = {
	[OWNER_OPEN] = {
		[OWNER_DURABLE] = TO(GIVEN, SEND_DONE),
		[OWNER_WAIT] = TO(TOLD, SEND_SPOOL),
		[OWNER_R_SPOOLING] = TO(SPOOLING, NOTHING),
		[OWNER_R_SPOOLED] = TO(OPEN, VIOLATION),
		[OWNER_R_FAILED] = TO(OVER, STOP),
		[OWNER_SEEN] = TO(OPEN, NOTHING),
		[OWNER_GONE] = TO(OVER, LEAVE),
	},
	[OWNER_TOLD] = {
		[OWNER_DURABLE] = TO(TOLD, NOTHING),
		[OWNER_WAIT] = TO(TOLD, NOTHING),
		[OWNER_R_SPOOLING] = TO(SPOOLING, NOTHING),
		[OWNER_R_SPOOLED] = TO(TOLD, VIOLATION),
		[OWNER_R_FAILED] = TO(OVER, STOP),
		[OWNER_SEEN] = TO(TOLD, NOTHING),
		[OWNER_GONE] = TO(OVER, LEAVE),
	},
	[OWNER_SPOOLING] = {
		[OWNER_DURABLE] = TO(SPOOLING, NOTHING),
		[OWNER_WAIT] = TO(SPOOLING, NOTHING),
		[OWNER_R_SPOOLING] = TO(SPOOLING, VIOLATION),
		[OWNER_R_SPOOLED] = TO(OVER, ADOPT),
		[OWNER_R_FAILED] = TO(OVER, STOP_AND_REMOVE),
		[OWNER_SEEN] = TO(SPOOLING, NOTHING),
		[OWNER_GONE] = TO(OVER, LEAVE),
	},
	[OWNER_GIVEN] = {
		[OWNER_DURABLE] = TO(GIVEN, NOTHING),
		[OWNER_WAIT] = TO(GIVEN, NOTHING),
		[OWNER_R_SPOOLING] = TO(GIVEN_SPOOLING, NOTHING),
		[OWNER_R_SPOOLED] = TO(GIVEN, VIOLATION),
		[OWNER_R_FAILED] = TO(OVER, FORGET),
		[OWNER_SEEN] = TO(OVER, FORGET),
		[OWNER_GONE] = TO(OVER, FORGET),
	},
	[OWNER_GIVEN_SPOOLING] = {
		[OWNER_DURABLE] = TO(GIVEN_SPOOLING, NOTHING),
		[OWNER_WAIT] = TO(GIVEN_SPOOLING, NOTHING),
		[OWNER_R_SPOOLING] = TO(GIVEN_SPOOLING, VIOLATION),
		[OWNER_R_SPOOLED] = TO(OVER, REMOVE_NAME),
		[OWNER_R_FAILED] = TO(OVER, REMOVE_NAME),
		[OWNER_SEEN] = TO(GIVEN_SPOOLING, NOTHING),
		[OWNER_GONE] = TO(OVER, LEAVE),
	},
	[OWNER_OVER] = {
		[OWNER_DURABLE] = TO(OVER, NOTHING),
		[OWNER_WAIT] = TO(OVER, NOTHING),
		[OWNER_R_SPOOLING] = TO(OVER, VIOLATION),
		[OWNER_R_SPOOLED] = TO(OVER, VIOLATION),
		[OWNER_R_FAILED] = TO(OVER, VIOLATION),
		[OWNER_SEEN] = TO(OVER, NOTHING),
		[OWNER_GONE] = TO(OVER, NOTHING),
	},
};
#undef TO
/* clang-format on */

struct intake_step intake_step(enum intake_state state, enum intake_event event)
{
	return intake_table[state][event];
}

struct owner_step owner_step(enum owner_state state, enum owner_event event)
{
	return owner_table[state][event];
}

const char *intake_state_name(enum intake_state state)
{
	static const char *const names[INTAKE_STATES] = { "OFFERED", "SPOOLING", "DETACHED",
		"ACCEPTED", "REFUSED" };

	return names[state];
}

const char *owner_state_name(enum owner_state state)
{
	static const char *const names[OWNER_STATES] = { "OPEN", "TOLD", "SPOOLING", "GIVEN",
		"GIVEN_SPOOLING", "OVER" };

	return names[state];
}
