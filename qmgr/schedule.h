// SPDX-License-Identifier: BSD-2-Clause
/*
 * Whose turn is it?  The order of the deliveries of one transport (the peer's SCHEDULER_README,
 * "Preemptive scheduling").  Pure: no I/O, and the time is given.
 *
 * A *job* is a message within the transport, a *peer* what it has for one destination, an *entry*
 * a batch of recipients, which is one delivery.  Jobs stand in a list in the order of their
 * arrival; the next entry is one of the first job that has any whose destination is open (may run
 * one more), going round that job's destinations.
 *
 * Preemption: for every $delivery_slot_cost entries a job has handed out it owns a *slot*.  Before
 * the first job's next entry is handed out, the job behind it that is best by age / entries, out of
 * those that could do with the slots that the first one may ever own, moves in front of it, if the
 * slots are there already, or nearly ($delivery_slot_loan, $delivery_slot_discount); it pays for
 * all, and is preempted again when it has earned that and more.  So a job of N entries waits for at
 * most N / cost others, and with those that preempt these for N / (cost - 1).
 *
 * Candidates are kept by how many entries they have: one class for each number below 16, eight for
 * each power of two above, and within a class by age; so the best one is the best of a class's
 * oldest.  A candidate none of whose destinations is open is *parked* at these when a search meets
 * it, a few at a time, and comes back, a few at a time, while one of them is open.
 *
 * Cost: O(log n) for each call, in jobs and in peers; a search looks at the oldest of every class
 * in use; a job that moves costs its peers.
 *
 * All structs are embedded in their owner's, or belong to the schedule (jobs and peers).
 */
#ifndef PC_QMGR_SCHEDULE_H
#define PC_QMGR_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"

#define SCHEDULE_CLASSES 256

struct schedule_config {
	unsigned slot_cost; /* below 2: nobody is preempted */
	unsigned slot_loan;
	unsigned slot_discount; /* percent */
	unsigned minimum_slots; /* who may own fewer is never preempted */
};

struct schedule {
	struct schedule_config config;
	struct list jobs;  /* the job list */
	struct heap ready; /* jobs with a peer that may run, by place */
	struct heap classes[SCHEDULE_CLASSES];
	uint64_t used[SCHEDULE_CLASSES / 64]; /* classes that are not empty */
	uint64_t next_number;
	size_t waiting; /* entries */
};

struct schedule_peer;

struct schedule_destination {
	struct schedule *schedule;
	bool open;
	struct schedule_peer *offered; /* the first one waiting, while it is open */
	struct schedule_peer *latest;  /* the one that entries were added to last */
	struct heap waiting;	       /* peers by their jobs' place */
	struct heap parked;	       /* peers by their jobs' number */
};

struct schedule_job;

struct schedule_entry {
	struct list node; /* of the peer's; on no list: not scheduled */
	struct schedule_peer *peer;
};

void schedule_init(struct schedule *s, const struct schedule_config *config);
/* No entry waits any more. */
void schedule_release(struct schedule *s);

void schedule_destination_init(struct schedule_destination *d, struct schedule *s);
void schedule_destination_release(struct schedule_destination *d);
/* May D run one more?  To be told after each change. */
void schedule_open(struct schedule_destination *d, bool open);
bool schedule_is_waiting(const struct schedule_destination *d);

/* A job at the end of the list, which entries are added to until schedule_job_end. */
struct schedule_job *schedule_job_begin(struct schedule *s, int64_t now_ms);
void schedule_job_end(struct schedule_job *job);
/* Behind all others that JOB has there. */
void schedule_add(
    struct schedule_job *job, struct schedule_destination *d, struct schedule_entry *e);
/* The last entry that JOB has at D; NULL: none. */
struct schedule_entry *schedule_last(
    const struct schedule_job *job, const struct schedule_destination *d);
/* The first entry that waits at D, in the list's order; NULL: none. */
struct schedule_entry *schedule_first(const struct schedule_destination *d);

/* The one whose turn it is, or NULL.  It stays until it is taken or removed. */
struct schedule_entry *schedule_next(struct schedule *s, int64_t now_ms);
/* Out of the schedule, as handed out; pays a part of a slot to its job. */
void schedule_take(struct schedule_entry *e);
/* Out of the schedule, for other reasons. */
void schedule_remove(struct schedule_entry *e);

#endif
