// SPDX-License-Identifier: BSD-2-Clause
/*
 * The queue manager's own structures.  Everything here belongs to the scheduler thread (the loop's)
 * and is touched by nobody else; a worker gets a struct disk_job and gives it back.  States and
 * their reasons: doc/QUEUE.md 2.2 and 4.
 */
#ifndef PC_QMGR_QMGR_H
#define PC_QMGR_QMGR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/reason.h"
#include "deliver/delivery.h"
#include "deliver/notice.h"
#include "ipc/channel.h"
#include "qmgr/qmgr_entry.h"
#include "queue/envelope.h"
#include "queue/offer.h"
#include "queue/offer_state.h"
#include "queue/queue_control.h"
#include "queue/spool.h"
#include "rewrite/resolve.h"
#include "server/server.h"

/* ---- work on disk and tables: qmgr_job.c ---- */

struct disk_job {
	void (*work)(struct disk_job *job); /* in a worker */
	void (*done)(struct disk_job *job); /* in the scheduler; frees the job */
	struct disk_job *next;		    /* in its lane */
};
/* At once, in a thread of its own: somebody waits for it, or it is long. */
void disk_run(struct disk_job *job);
enum disk_lane {
	DISK_LOAD,  /* reading messages that waited */
	DISK_LOOK,  /* at names in the spool */
	DISK_QUICK, /* a few system calls */
	DISK_SYNC   /* waits for a sync */
};
/* After those that are in LANE already. */
void disk_run_in(enum disk_lane lane, struct disk_job *job);

/* Tables that jobs share; freed with the last of them after a reload. */
struct resolving {
	struct resolver *resolver;
	struct match_list *flush_domains;
	const struct postfix_params *params; /* the resolver's */
	atomic_int users;
};

/* ---- messages: qmgr_message.c ---- */

enum message_state {
	MESSAGE_LOADING,
	MESSAGE_ACTIVE,
	MESSAGE_NOTIFYING,
	MESSAGE_SETTLING,
	MESSAGE_WAITING,
	MESSAGE_REMOVING,
	MESSAGE_SETTING_ASIDE,
	MESSAGE_LOOKING /* after "leave": is there a name? */
};

enum recipient_state {
	RCPT_PENDING, /* to be delivered to, in this attempt or a later one */
	RCPT_RUNNING,
	RCPT_DONE, /* durable, and needs no more but perhaps a report */
	RCPT_DEFERRED,
	RCPT_BOUNCED
};

struct qmgr_recipient {
	enum recipient_state state;
	bool report; /* done, and its sender is to be told so: WHY and ACTION say what */
	const char *transport, *nexthop, *address; /* as resolved; in the message's arena */
	/* Why it is deferred or bounced, or what is reported; in the message's arena, or NULL. */
	struct reason *why;
	const char
	    *action; /* of a report: "delivered", "relayed", "expanded", "deliverable", ... */
	/* What this attempt came to, where that is to be told and it is no report; or NULL. */
	struct reason *traced;
	const char *remote_mta, *diagnostic;
};

struct intake_connection;

/* A message that does not only wait; what stays when it does is its entry. */
struct message {
	unsigned magic;
	struct entry *entry;
	char id[QUEUE_ID_SIZE];
	enum message_state state;
	bool named;		 /* adopted, or found */
	bool stopped;		 /* no further recipient is handed out */
	bool has_room;		 /* its recipients count as being in memory */
	bool left;		 /* its intake is gone: look for a name when all is quiet */
	bool from_waiting;	 /* its load counts in qm.loading */
	bool due_again;		 /* flushed while it ran */
	bool expired;		 /* in this attempt */
	bool warned;		 /* in this attempt: the sender knows of the delay */
	bool traced;		 /* in this attempt: the sender has the report on it */
	enum notice_kind notice; /* while it is NOTIFYING: which one is asked for */
	unsigned notices_asked;	 /* kinds of them, in this attempt */
	/* What is to become of it as soon as no job and no delivery is out: by postsuper, or for
	 * its agents' deaths. */
	bool deleted, held, requeued, misplaced;
	bool forced;	     /* expired by force: nothing more is delivered */
	int64_t resume_s;    /* when it was due, before a job that is no attempt */
	struct list waiters; /* struct control_waiter */
	int64_t arrival_us, ready_us;

	/* The offer, until it is over. */
	bool offered;
	bool never_wait, hold_asked;
	bool waits_for_durable; /* counted in qmgr.inflight */
	enum owner_state offer;
	struct intake_connection *connection;
	struct list connection_node;
	uint64_t done_number; /* which DONE of the connection it was given */

	/* While it is loaded. */
	struct envelope *env;
	int fd;
	struct arena arena;
	const char *sender;		   /* external form */
	const char *verp;		   /* delimiters, or NULL: no VERP */
	struct qmgr_recipient *recipients; /* as many as the envelope has */
	struct list batches;
	unsigned queued, running; /* batches waiting for a slot, and with agents */
};

/* One that does not only wait; or NULL. */
struct message *message_find(const char *id);
/* A message that was found in the spool; due at DUE_S.  A pump has to follow. */
void message_found(
    const char *id, enum spool_queue queue, int64_t due_s, bool has_bounce_log, bool has_trace_log);
/* LOAD false: there is no room for it to run; it is only waited for its name. */
struct message *message_offered(const char *id, int fd, bool load);
/* Something has changed that may let waiting messages run. */
void message_pump(void);
/* At once, or as soon as its attempt has ended.  The next pump finds it. */
void message_make_due(struct entry *e);
/* Makes those due that wait; ID NULL: all. */
void message_flush(const char *id);
/* Has it been with an agent at two deaths?  Then it is delivered alone. */
bool message_is_suspect(const struct message *m);
/* An agent died that had M, ALONE or among others.  DEATH counts once. */
void message_agent_died(struct message *m, const char *transport, uint64_t death, bool alone);
/* What a delivery says about a recipient; OUTCOME's texts are copied. */
void message_result(struct message *m, size_t index, const struct delivery_outcome *outcome);
/* A batch has ended: waiting batches or running ones are fewer. */
void message_batch_ended(struct message *m, bool was_running);
/* One step of the offer's table. */
void message_offer_event(struct message *m, enum owner_event event);
/*
 * What postsuper wants.  It is done when M is at rest: at once where it only waits.  False: it has
 * no name yet, is on its way out, or was told before.
 */
bool message_delete(struct message *m);
bool message_hold(struct message *m);
bool message_requeue(struct message *m);
/* The message of an entry, which may wait: then something is to be begun with it at once. */
struct message *message_wake(struct entry *e);
/* Takes back a hold that is not on the disk yet; false: there is none. */
bool message_unhold(struct message *m);
/* Its file goes to the directory that hashing asks for. */
void message_place(struct entry *e);
/* Is a job out that changes its name? */
bool message_is_moving(const struct message *m);
/* The answer for notice_ask. */
void message_notified(struct message *m, bool durable, const struct reason *why);

/* RFC 5321's form of an address; in ARENA. */
const char *external_form(struct arena *arena, const char *internal);
/*
 * The sender of the copy for recipient INDEX, external form: the message's, or with VERP one in M's
 * arena.
 */
const char *message_sender_for(struct message *m, size_t index);
/* The request's part that is the same for all agents. */
void message_fill_request(const struct message *m, struct delivery_request *request);

/* ---- jobs for messages: qmgr_disk.c ---- */

void disk_load(struct message *m);
void disk_settle(struct message *m, int64_t next_s, enum spool_queue to);
void disk_remove(struct message *m);
void disk_set_aside(struct message *m);
void disk_look(struct message *m);
/* In a worker: something was put into maildrop. */
void disk_wake_pickup(void);

/* In the scheduler, from the jobs. */
struct loaded {
	struct envelope *env; /* NULL: failed, see why; the message takes env, fd and arena over */
	int fd;
	struct arena arena;
	struct qmgr_recipient *recipients;
	bool vanished, has_bounce_log, has_trace_log;
	bool forced; /* marked as expired by force */
	struct reason why;
};
void message_loaded(struct message *m, struct loaded *loaded);
/* NEXT_S -1: as it was before. */
void message_settled(struct message *m, bool ok, enum spool_queue queue, int64_t next_s);
void message_removed(struct message *m);
void message_looked(struct message *m, bool is_there);

/* ---- transports and destinations: qmgr_transport.c ---- */

/* Queues every recipient of M that is to do, and starts what may run. */
void transport_queue(struct message *m);
/* A recipient that is not delivered to at all. */
void transport_defer(struct message *m, size_t index, const struct reason *why);
/* Takes M's waiting batches back, and asks agents to start none of its recipients. */
void transport_stop(struct message *m);
/* Do all of M's recipients go where deliveries lately took less than the limit? */
bool transport_is_fast(struct message *m);
/* Suspended transports and destinations may be tried again (flush). */
void transport_forgive(void);
void transport_reload(void);
/*
 * May M's recipients stay in memory?  False: in DELAY_S seconds it is to be asked again.  True:
 * they count until they are given back.
 */
bool transport_take_room(struct message *m, int64_t *delay_s);
void transport_give_room(struct message *m); /* no-op when it has none */

/* ---- notices: qmgr_notice.c ---- */

/* Is there a recipient whose sender is to get a notice of this kind now? */
bool notice_is_due(const struct message *m, enum notice_kind kind);
/* Asks for the notice m->notice; message_notified follows, maybe at once. */
void notice_ask(struct message *m);

/* ---- requests of commands: qmgr_control.c ---- */

/*
 * A record CONTROL came over CHANNEL; COMMANDER: from root.  The answer follows, maybe at once;
 * until then the request is in LIST.  False: malformed.
 */
bool control_begin(
    struct list *list, struct channel *channel, bool commander, const struct msg *msg);
/* The channel of the requests in LIST is gone. */
void control_forget_all(struct list *list);
/* Makes due what REQUEST (QUEUE_CONTROL_FLUSH, QUEUE_CONTROL_FLUSH_SITE) says. */
void control_flush(const struct queue_control *request);
/* No job of M is out any more. */
void control_message_rests(struct message *m);

/* ---- flushing by domain: qmgr_site.c ---- */

void sites_of_envelope(struct sites *sites, const struct envelope *env);
void sites_release(struct sites *sites);
/* Makes due what waits for recipients in SITE; what was not read yet soon. */
void site_flush(const char *site);

/* ---- public/flush: qmgr_flush.c ---- */

void flush_accept(int fd); /* takes FD over */

/* ---- connections of intake, triggers: qmgr_intake.c ---- */

void intake_accept(int fd); /* takes FD over */
void intake_answer(struct message *m, bool done);
void intake_forget(struct message *m); /* its offer is over */
/* The peer broke the protocol. */
void intake_violation(struct intake_connection *conn);

/* ---- names that appear: qmgr_walk.c ---- */

void walk_prepare(void); /* before the jail */
void walk_start(void);
void walk_now(void);
/* Runs JOB once the first walk no longer finishes moves that a crash interrupted. */
void walk_run_settled(struct disk_job *job);

/* ---- public/showq: qmgr_showq.c ---- */

void showq_accept(int fd); /* takes FD over */

/* ---- the process ---- */

struct qmgr {
	struct server_context *ctx;
	struct loop *loop;
	const struct postfix_params *params;
	struct spool *spool;
	struct resolving *resolving;
	struct entry_table entries;
	struct heap waiting;
	size_t active, active_limit;
	unsigned inflight; /* offers that wait for durable deliveries */
	unsigned loading;  /* messages that waited and are being read */
	unsigned jobs;	   /* disk jobs that are out */
	unsigned deliveries;
	bool draining, held_process;
	atomic_bool little_space; /* in the spool's file system; set by workers */
};
extern struct qmgr qm;

/* From any thread: a table that is read at start only has changed; the process ends and is
 * replaced. */
void qmgr_tables_changed(void);
/* Lets a draining process go when no delivery and no job is out. */
void qmgr_check_drained(void);
/* Sets the timer for the first message of the heap. */
void qmgr_arm(int64_t due_s);
struct resolving *qmgr_use_resolver(void);
void qmgr_drop_resolver(struct resolving *resolving);

#endif
