// SPDX-License-Identifier: BSD-2-Clause
/* What the qmgr_... files of transports share: their destinations and batches. */
#ifndef PC_QMGR_QMGR_TRANSPORT_H
#define PC_QMGR_QMGR_TRANSPORT_H

#include "qmgr/qmgr.h"
#include "qmgr/qmgr_limits.h"

enum transport_kind { TRANSPORT_AGENT, TRANSPORT_ERROR, TRANSPORT_RETRY, TRANSPORT_DISCARD };

struct transport {
	char *name, *path;
	enum transport_kind kind;
	struct transport_limits limits;
	struct schedule schedule;     /* batches that wait */
	struct schedule_job *filling; /* while a message is queued: what it has here */
	struct map destinations;
	struct list idle;    /* destinations with nothing to do, the longest idle one first */
	struct list running; /* batches */
	struct map numbers;  /* the same, by number */
	unsigned running_count, stored_count;
	bool runs_suspect; /* alone */
	struct channel *channel;
	struct loop_timer silence; /* until the agent has said HELLO */
	struct loop_watch watch;
	bool is_public;	   /* its socket */
	bool agent_leaves; /* the connection ends with what runs; nothing new is sent over it */
	bool reading;	   /* on_agent is at work on the channel, which must stay */
	bool paused;	   /* for its rate delay, until the timer expires */
	struct loop_timer pause;
	int64_t dead_until; /* clock_ms; 0: alive */
	int64_t mean_us;    /* of recent deliveries; 0: none yet */
	uint64_t next_number;
	size_t in_memory, asking; /* recipients: qmgr_room.c */
};

struct destination {
	struct transport *transport;
	char *name; /* the next hop; with a recipient limit of 1 "local@nexthop" */
	struct schedule_destination turns;
	struct list idle; /* in transport->idle */
	struct feedback feedback;
	unsigned queued, running, stored; /* batches */
	bool paused;
	struct loop_timer pause;
	int64_t mean_us;
	int64_t ended_ms;   /* the last delivery's end; 0: none yet */
	int64_t dead_until; /* while the window is 0 */
	struct reason dead;
	int64_t warned_ms; /* that it clogs the queue */
};

struct batch {
	struct list node;	  /* transport->running */
	struct list message_node; /* message->batches */
	struct schedule_entry turn;
	struct message *message;
	struct destination *destination;
	bool is_running;
	bool is_stored; /* it waits for a sync that is shared, and takes nobody's place */
	uint64_t number;
	int64_t started_us;
	bool more;		     /* other mail goes there, too */
	bool has_end;		     /* the agent is through with it */
	struct reason *site_failure; /* in the message's arena; NULL: the site is well */
	size_t count, alloc;
	size_t *indices; /* into the message's recipients */
};

/* ---- qmgr_transport.c ---- */

extern struct map transports; /* by name */
extern const struct reason transport_unavailable;

/* MAKE false: NULL when it is not known. */
struct transport *transport_get(const char *name, bool make);

/* Those that are STORED do not count, but there is an end to it. */
bool transport_has_room(unsigned running, unsigned stored, unsigned limit);
/* It cannot be reached: what waits for it is deferred, and so is what comes for some time. */
void transport_suspend(struct transport *t);
/* Takes a batch that waits out of the line. */
void batch_unqueue(struct batch *b, bool to_run);
/* Takes B, which is in no line, from all lists and frees it. */
void batch_remove(struct batch *b);

/* ---- qmgr_destination.c ---- */

struct destination *destination_find(struct transport *t, const char *name);
/* Makes it when it is not known; one that was suspended long enough is not any more. */
struct destination *destination_get(struct transport *t, const char *name);
/* The name of the destination that a recipient has in T; in the message's arena. */
const char *destination_name(const struct transport *t, struct message *m, size_t index);
/* Why nothing is delivered there now, or NULL. */
const struct reason *destination_dead(const struct destination *d);
/* After each change of its batches or of what runs: may it run one more?  Is it idle? */
void destination_update(struct destination *d);
/* A delivery reached it (CAUSE NULL) or did not; one that is dead then defers all that waits. */
void destination_feedback(struct destination *d, const struct reason *cause);
/* A delivery has ended, by whatever. */
void destination_ended(struct destination *d);
/* A batch is about to run there: does its next hop get a lot of mail now? */
bool destination_is_busy(const struct destination *d);
/* What waits there is deferred with WHY. */
void destination_defer(struct destination *d, const struct reason *why);
void destination_forgive(struct destination *d);
/* New limits. */
void destination_reload(struct destination *d);
/* Warns if too much of the active queue is for D. */
void destination_check_clog(struct destination *d);

/* ---- qmgr_folded.c ---- */

enum transport_kind folded_kind(const char *name, const struct postfix_service *service);
/* error(8), discard(8): the next hop is "[x.y.z] text". */
void folded_deliver(const struct transport *t, struct message *m, size_t index);

/* ---- qmgr_agent.c ---- */

/* Starts what may run. */
void agent_pump(struct transport *t);
/* Asks for no delivery to B's recipients that has not begun. */
void agent_cancel(const struct batch *b);

#endif
