// SPDX-License-Identifier: BSD-2-Clause
/* The parameters that every transport has under its own name: NAME_destination_rate_delay, ... */
#ifndef PC_QMGR_QMGR_LIMITS_H
#define PC_QMGR_QMGR_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "qmgr/feedback.h"
#include "qmgr/schedule.h"

struct transport_limits {
	struct feedback_config feedback; /* of a destination's window */
	struct schedule_config slots;
	unsigned recipient_limit; /* of one delivery */
	bool by_recipient;	  /* a destination is one recipient, not a next hop */
	unsigned deliveries;	  /* of the transport, at a time */
	int64_t destination_delay_ms, transport_delay_ms;
	bool is_deferred;	       /* in defer_transports */
	size_t recipients_max, refill; /* in memory: see qmgr_room.c */
	int64_t refill_delay_ms;
};

/*
 * Those of transport NAME, as configured; PROCESSES is what master.cf allows it, 0: what it wants.
 * Values that make no sense are logged, and their default_... one counts.
 */
void transport_limits_read(struct transport_limits *l, const char *name, unsigned processes);

#endif
