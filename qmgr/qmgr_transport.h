// SPDX-License-Identifier: BSD-2-Clause
/* What qmgr_transport.c and qmgr_agent.c share of transports, their destinations and batches. */
#ifndef PC_QMGR_QMGR_TRANSPORT_H
#define PC_QMGR_QMGR_TRANSPORT_H

#include "qmgr/qmgr.h"

enum transport_kind { TRANSPORT_AGENT, TRANSPORT_ERROR, TRANSPORT_RETRY, TRANSPORT_DISCARD };

struct transport {
	char *name, *path;
	enum transport_kind kind;
	struct list ready; /* destinations with a batch and room for it */
	struct map destinations;
	struct list running; /* batches */
	unsigned running_count, stored_count, limit, destination_limit, recipient_limit;
	bool runs_suspect; /* alone */
	struct channel *channel;
	struct loop_watch watch;
	bool agent_leaves;  /* the connection ends with what runs; nothing new is sent over it */
	bool reading;	    /* on_agent is at work on the channel, which must stay */
	int64_t dead_until; /* clock_ms; 0: alive */
	uint64_t next_number;
};

struct destination {
	struct transport *transport;
	char *nexthop;
	struct list node; /* in transport->ready */
	struct list batches;
	unsigned running, stored;
	int64_t mean_us; /* of recent deliveries; 0: none yet */
	int64_t dead_until;
	struct reason dead;
};

struct batch {
	struct list node;	  /* destination->batches or transport->running */
	struct list message_node; /* message->batches */
	struct message *message;
	struct destination *destination;
	bool is_running;
	bool is_stored; /* it waits for a sync that is shared, and takes nobody's place */
	uint64_t number;
	int64_t started_us;
	bool has_site_failure;
	struct reason site_failure;
	size_t count, alloc;
	size_t *indices; /* into the message's recipients */
};

/* ---- qmgr_transport.c ---- */

extern const struct reason transport_unavailable;

/* Those that are STORED do not count, but there is an end to it. */
bool transport_has_room(unsigned running, unsigned stored, unsigned limit);
/* It cannot be reached: what waits for it is deferred, and so is what comes for some time. */
void transport_suspend(struct transport *t);
/* The same for a site that an agent could not reach. */
void destination_suspend(struct destination *d, const struct reason *cause);
/* After each change of its batches or of what runs: may it run one more? */
void destination_update(struct destination *d);
/* Takes B from all lists and frees it. */
void batch_remove(struct batch *b);

/* ---- qmgr_agent.c ---- */

/* Starts what may run. */
void agent_pump(struct transport *t);
/* Asks for no delivery to B's recipients that has not begun. */
void agent_cancel(const struct batch *b);

#endif
