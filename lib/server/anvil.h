// SPDX-License-Identifier: BSD-2-Clause
/*
 * How many connections each client has open, and how often it does what is limited (what Postfix's
 * anvil(8) counts), for all processes of the suite together: a part of the shared segment
 * (server/shared.h).
 *
 * A client is a service and an address, of which a prefix counts.  Nothing of it is stored but a
 * hash under a secret of the segment, so that nobody outside can choose clients that collide.
 *
 * What holds, whatever a process does and wherever it dies:
 *
 *   - No process waits for another: there are no locks in the segment that one could hold.
 *   - An open connection is one cell of a chunk that belongs to its process, and a count is the
 *     number of cells of a client.  When a process is gone master clears its chunks: what it had
 *     open is given back exactly.
 *   - Rates are counters in a table of fixed size.  Who floods cannot be pushed out of it: a new
 *     client takes the place of the one who did least among its neighbours, and inherits what that
 *     one did, so that a count may be too high in a table that overflows and is never too low for
 *     somebody who did more than his neighbours.
 *   - The content of the segment is believed by nobody: a process that was taken over can make
 *     counts wrong, and nothing else.
 */
#ifndef PC_SERVER_ANVIL_H
#define PC_SERVER_ANVIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/addr.h"
#include "server/loop.h"

struct shared;

enum anvil_event {
	ANVIL_CONNECTION,
	ANVIL_MESSAGE,
	ANVIL_RECIPIENT,
	ANVIL_NEW_TLS,
	ANVIL_AUTH,
	ANVIL_EVENTS
};

struct anvil_config {
	struct shared *shared;	  /* outlives the anvil */
	const char *service;	  /* "smtp": clients of other services are others */
	int64_t time_unit_s;	  /* anvil_rate_time_unit */
	unsigned ipv4_prefix;	  /* at most 32 */
	unsigned ipv6_prefix;	  /* at most 128 */
	int64_t status_update_ms; /* anvil_status_update_time */
	int64_t max_idle_ms;	  /* after so long without a client statistics are logged, too */
	const char *log_name;	  /* "postfix/anvil", for the statistics */
	struct loop *loop;	  /* whose timer logs them; NULL: somebody else does */
};

/* A process's part in it; for all its threads.  Before they start.  Copies texts. */
struct anvil;
struct anvil *anvil_new(const struct anvil_config *config);
/* Gives back all connections of the process. */
void anvil_free(struct anvil *anvil);

/* One connection's part.  Belongs to the session. */
struct anvil_client {
	uint64_t hash;
	uint32_t cell; /* where it is counted, from 1; 0: nowhere */
};

/* More than any limit: so many connections are open that this one cannot be counted. */
#define ANVIL_UNCOUNTABLE 0x7fffffffu

/*
 * The connection of ADDR begins: *COUNT connections of this client are open, with this one, and
 * *RATE began in the last unit of time.  O(connections of the suite): some 500 of them per
 * microsecond.
 */
void anvil_connect(struct anvil *anvil, const struct net_addr *addr, struct anvil_client *client,
    unsigned *count, unsigned *rate);
/* It is over.  Does nothing for one that did not begin, and the second time. */
void anvil_disconnect(struct anvil *anvil, struct anvil_client *client);

/*
 * ADDR does something; returns how often in its unit of time, with this, which begins with the
 * first event and is followed by another one that begins with the next.
 */
unsigned anvil_add(struct anvil *anvil, const struct net_addr *addr, enum anvil_event event);
/* How often it did, without doing it. */
unsigned anvil_rate(struct anvil *anvil, const struct net_addr *addr, enum anvil_event event);

/* master: process PID is gone; its connections are given back.  O(the segment's chunks). */
void anvil_process_gone(struct shared *shared, pid_t pid);

#endif
