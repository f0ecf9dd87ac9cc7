// SPDX-License-Identifier: BSD-2-Clause
/*
 * The protocol between qmgr and a delivery agent, and the agent's side of it.
 *
 * qmgr connects to private/TRANSPORT and keeps the connection; any number of deliveries run over it
 * at a time.  Records:
 *
 *   qmgr -> agent   DELIVER  one message to some recipients with one next hop, and a read-only
 *                            descriptor of its queue file
 *                   CANCEL   start no further recipient of that delivery
 *   agent -> qmgr   RESULT   of one or more recipients; the last one of a delivery says end; one
 *                            without recipients may say stored, see delivery_stored
 *                   LEAVE    this process is being replaced: it serves what was sent, and qmgr
 *                            sends what comes next over a new connection, and ends this one
 *
 * "sent" means durable: the agent has synced it, or the next hop has accepted it.  The log line of
 * a recipient leaves before its result.  Results of a delivery may be sent together. A connection
 * that ends takes its deliveries along: recipients without a result count as deferred, and the
 * agent starts no further one (delivery_should_stop).
 */
#ifndef PC_DELIVER_DELIVERY_H
#define PC_DELIVER_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/reason.h"
#include "ipc/channel.h"
#include "queue/queue_id.h"

#define DELIVERY_MAX_RECIPIENTS 1000

struct delivery_recipient {
	const char *address;  /* internal form, as resolved: the agent delivers to this one */
	const char *original; /* for orig_to=; "" when it is the same as the address */
	const char *orcpt;    /* DSN; "" */
	unsigned notify;
	off_t offset; /* in the queue file; qmgr's name for the recipient */
};

/* What is to be delivered.  qmgr fills it in to send it; the agent gets it back whole. */
struct delivery_request {
	uint64_t number; /* qmgr's; unique on the connection */
	char id[QUEUE_ID_SIZE];
	const char *queue;  /* "active" */
	const char *sender; /* external form; "" */
	const char *nexthop;
	const char *envelope_id; /* "" */
	unsigned ret;
	unsigned sendopts;
	bool probe; /* only tell what would become of it: deliver nothing, report SENT or not */
	bool more;  /* this next hop gets a lot of mail now: a connection is worth keeping */
	off_t size; /* as in "size=" */
	off_t data_offset;			/* for content_reader_init */
	int64_t arrival_us, ready_us;		/* message came; qmgr could have delivered it */
	const char *encoding, *rewrite_context; /* "" when the file says nothing */
	/* The rest of what the queue file knows, for XFORWARD and logs: name, value, NULL. */
	const char **attributes;
	struct delivery_recipient *recipients;
	size_t recipient_count;
};

enum delivery_status { DELIVERY_SENT, DELIVERY_DEFERRED, DELIVERY_BOUNCED };

/* What became of one recipient. */
struct delivery_outcome {
	enum delivery_status status;
	/* 2.x.y, 4.x.y, 5.x.y with the text in the log line's parentheses.  SENT with a dsn that is
	 * empty is 2.0.0; one whose class does not fit the status is corrected. */
	struct reason why;
	const char *relay;    /* "virtual", "mx.example.com[192.0.2.1]:25", NULL: "none" */
	unsigned conn_use;    /* deliveries of this connection, with this one; told from 2 on */
	const char *extra;    /* "tls=may, ", before dsn=; NULL: nothing */
	int64_t connected_us; /* wall clock when the connection stood; 0: there is none to make */
	/* For notices: the remote host and its words, NULL when there is none. */
	const char *remote_mta, *diagnostic;
	/* SENT: the next hop makes the reports that the sender asked for (RFC 3461 5.2.2). */
	bool reports_passed;
	bool softened; /* by soft_bounce: it would have bounced, and the log says SOFTBOUNCE */
};

/* ---- agent ---- */

struct delivery {
	const struct delivery_request *request;
	int fd;		    /* the queue file, read-only, pread only; closed by delivery_end */
	int64_t started_us; /* when the agent got it */
	void *arg;	    /* agent_class.arg */
};

struct agent_class {
	const char *name; /* "virtual": for HELLO */
	/* The log name of this role, "postfix/virtual"; NULL: the process's own. */
	const char *log_name;
	/*
	 * Runs in a thread of its own (see RUN).  Reports every recipient with delivery_result, in
	 * any order, and returns; recipients that it did not report are deferred with 4.3.0
	 * "delivery agent gave no result".  Or it calls delivery_keep and delivery_end itself
	 * later, from any thread.
	 */
	void (*deliver)(struct delivery *d);
	/* Runs FN(ARG) in another thread: pool_run. */
	void (*run)(void (*fn)(void *), void *arg);
	void *arg;
	int delay_resolution; /* delay_logging_resolution_limit; 0: 2 */
	bool soft_bounce;     /* what would bounce is deferred (soft_bounce) */
	/*
	 * What every outcome's WHY goes through before it counts (rewrite/status_filter.h), in any
	 * thread; a failure may change its class.  NULL: nothing.
	 */
	void (*filter)(void *arg, struct reason *why);
	void *filter_arg;
};

/*
 * Serves one connection from qmgr until it ends: blocks the calling thread, which is only for
 * this.  Takes FD over.  Returns after the last delivery has ended.
 */
void delivery_serve(int fd, const struct agent_class *agent);

/* At a reload: sends LEAVE on every connection that is being served.  Any thread. */
void delivery_leave(void);
/* At a stop: no further delivery begins, and delivery_serve returns with the last one. */
void delivery_stop(void);

/*
 * Logs the recipient's line, then takes note of the result: it is sent with the end, or earlier
 * when others of the delivery take more than 50 ms.  Once per recipient; INDEX is into
 * request->recipients.  Any thread.
 */
void delivery_result(struct delivery *d, size_t index, const struct delivery_outcome *outcome);
/* The same outcome for every recipient that has none yet. */
void delivery_result_rest(struct delivery *d, const struct delivery_outcome *outcome);
/*
 * The next hop cannot be reached at all (connection refused, no route): qmgr suspends the
 * destination.  Beside the results, before the end.
 */
void delivery_site_failed(struct delivery *d, const struct reason *why);
/*
 * All that this delivery does in parallel with others is done: what is left is to wait for a sync
 * that it shares with them.  qmgr gives its place under the concurrency limits to another one (the
 * peer's deliveries end there); the results follow.  Once, for deliveries that take long.
 */
void delivery_stored(struct delivery *d);
/* qmgr is gone or has cancelled: start no further recipient (they stay without result). */
bool delivery_should_stop(const struct delivery *d);
/* In deliver(): it will end later, by delivery_end.  Without this the end is deliver's return. */
void delivery_keep(struct delivery *d);
void delivery_end(struct delivery *d); /* frees D */

/* ---- log lines (both sides: qmgr logs for error, retry and discard) ---- */

/*
 * "ID: to=<X>, orig_to=<Y>, relay=R, conn_use=N, delay=D, delays=A/B/C/D, EXTRAdsn=2.0.0,
 * status=sent (TEXT)" (postfix.md 8.2).  LOG_NAME as in log_as.  STARTED_US: when the agent got it;
 * END_US: when this recipient was through.
 */
void delivery_log(const char *log_name, const struct delivery_request *request,
    const struct delivery_recipient *recipient, const struct delivery_outcome *outcome,
    int64_t started_us, int64_t end_us, int resolution);
/* "0.02", "1.5", "12": two significant digits, RESOLUTION digits after the point at most. */
void delivery_format_delay(int64_t us, int resolution, char out[32]);

/* ---- records, for both sides ---- */

void delivery_request_write(struct msg_out *m, const struct delivery_request *request);
/* Everything is copied into ARENA.  False when malformed. */
bool delivery_request_parse(
    const struct msg *m, struct arena *arena, struct delivery_request *request);

struct delivery_report_item {
	size_t index; /* of the recipient in the request */
	struct delivery_outcome outcome;
	int64_t end_us;
};
struct delivery_report {
	uint64_t number;
	struct delivery_report_item *items;
	size_t item_count;
	bool end;
	bool stored; /* delivery_stored */
	bool has_site_failure;
	struct reason site_failure;
};
void delivery_report_begin(struct msg_out *m, uint64_t number);
void delivery_report_add(
    struct msg_out *m, size_t index, const struct delivery_outcome *outcome, int64_t end_us);
void delivery_report_site(struct msg_out *m, const struct reason *why);
void delivery_report_stored(struct msg_out *m);
void delivery_report_end(struct msg_out *m);
bool delivery_report_parse(
    const struct msg *m, struct arena *arena, struct delivery_report *report);

void delivery_leave_write(struct msg_out *m);
bool delivery_leave_parse(const struct msg *m);

void delivery_cancel_write(struct msg_out *m, uint64_t number);
bool delivery_cancel_parse(const struct msg *m, uint64_t *number);

#endif
