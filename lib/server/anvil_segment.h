// SPDX-License-Identifier: BSD-2-Clause
/*
 * What lies in the shared segment for server/anvil.h: for shared.c, anvil*.c and their tests.
 * A segment begins as zeroes, with a seed.  Everything in it is atomic, and written by all.
 */
#ifndef PC_SERVER_ANVIL_SEGMENT_H
#define PC_SERVER_ANVIL_SEGMENT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "server/anvil.h"

/* Open connections: 4096 * 63 in the suite. */
#define ANVIL_CHUNKS 4096
#define ANVIL_CELLS  63
struct anvil_chunk {
	alignas(64) _Atomic uint32_t owner;  /* a pid; 0: free */
	_Atomic uint64_t cells[ANVIL_CELLS]; /* a client's hash; 0: free */
};

/* Rates: so many clients and events at a time before the least of them are mixed. */
#define ANVIL_BUCKETS 16384
#define ANVIL_WAYS    8
struct anvil_counter {
	_Atomic uint64_t key;	 /* hash of client and event, whose number are the lowest bits */
	_Atomic uint64_t window; /* begin in seconds of clock_ms << 32 | count */
};
#define ANVIL_EVENT_BITS 7u

/* The highest value since the last statistics, and who had it. */
#define ANVIL_PEAKS	  (ANVIL_EVENTS + 1)
#define ANVIL_IDENT_WORDS 16
struct anvil_peak {
	_Atomic uint64_t busy_since; /* clock_ms of who writes; 0: nobody */
	_Atomic uint64_t value, when;
	_Atomic uint64_t ident[ANVIL_IDENT_WORDS];
};

struct anvil_segment {
	uint64_t seed[2];
	_Atomic uint32_t chunks_used; /* none behind was ever used */
	struct {
		_Atomic int64_t due;	    /* of the next statistics; 0: nothing to say */
		_Atomic int64_t last_event; /* clock_ms */
		_Atomic int64_t counted;    /* when the table's clients were counted */
		_Atomic uint64_t clients, clients_when; /* the most there were */
		struct anvil_peak peaks[ANVIL_PEAKS];
	} status;
	struct anvil_chunk chunks[ANVIL_CHUNKS];
	struct anvil_counter buckets[ANVIL_BUCKETS][ANVIL_WAYS];
};

struct shared;
struct anvil_segment *shared_anvil(struct shared *shared);

#endif
