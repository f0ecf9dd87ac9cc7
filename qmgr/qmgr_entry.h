// SPDX-License-Identifier: BSD-2-Clause
/*
 * What qmgr remembers of every message that it knows, by queue id.  It is all that a message costs
 * while it waits for its next attempt: about 100 bytes with its places in hash and heap, for there
 * may be 100,000 of them.  What an attempt (or a job of postsuper's) needs besides is a struct
 * message, which exists only for that long.
 *
 * Everything here belongs to the scheduler thread.
 */
#ifndef PC_QMGR_QMGR_ENTRY_H
#define PC_QMGR_QMGR_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"
#include "queue/spool.h"

struct message;

/* Of more than these a message counts as having recipients everywhere. */
#define SITES_MAX 64

/*
 * The domains of the recipients that a message still has, by hash.  Two domains with one hash cost
 * an attempt that nobody asked for.
 */
struct sites {
	union {
		uint32_t one;
		uint32_t *many; /* when COUNT > 1 */
	};
	uint8_t count;
	bool known; /* false: it was not read yet */
	bool any;   /* too many to keep */
};

struct entry {
	struct entry *chain;
	struct message *message; /* NULL: it waits */
	struct heap_node due;	 /* seconds since the epoch; in qm.waiting while it waits */
	struct sites sites;
	uint32_t last_death; /* which one it was */
	uint32_t log;	     /* what defer/ID says, by hash; 0: not known */
	/* How often an agent died that had it; when it had nothing else. */
	uint8_t deaths, lone_deaths;
	uint8_t queue;	/* enum spool_queue: where its name lies, when named */
	bool found : 1; /* by a scan: verified when it is loaded */
	bool has_defer_log : 1, has_bounce_log : 1, has_trace_log : 1;
	bool half_moved : 1; /* a move failed: deferred may have its name too */
	bool flushed : 1;    /* somebody asked for this attempt: defer_transports do not count */
	char id[];
};

struct entry_table {
	struct entry **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t count;
};

struct entry *entry_find(const char *id); /* or NULL */
/* ID is not known yet. */
struct entry *entry_add(const char *id);
/* It is forgotten; no message belongs to it any more. */
void entry_drop(struct entry *e);
/*
 * In no order; NULL starts and ends.  Only the entry just returned may be dropped, after the next
 * one was fetched, and none added.
 */
struct entry *entry_next(const struct entry *e);
struct entry *entry_of_due(struct heap_node *node);

#endif
