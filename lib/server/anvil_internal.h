// SPDX-License-Identifier: BSD-2-Clause
/* What anvil.c and anvil_status.c share. */
#ifndef PC_SERVER_ANVIL_INTERNAL_H
#define PC_SERVER_ANVIL_INTERNAL_H

#include <pthread.h>

#include "server/anvil_segment.h"

struct anvil_own_chunk {
	uint32_t number;
	uint64_t free; /* bits of cells */
};

struct anvil {
	struct anvil_segment *segment;
	uint64_t seed[2];
	char *service, *log_name;
	uint32_t unit_s, pid;
	unsigned ipv4_prefix, ipv6_prefix;
	int64_t status_update_ms, max_idle_ms;
	struct loop *loop;

	pthread_mutex_t lock; /* for what follows */
	struct anvil_own_chunk *chunks;
	size_t chunk_count, chunk_room;

	struct loop_timer timer;
	atomic_bool timer_is_set;
};

enum anvil_peak_kind { ANVIL_PEAK_COUNT = ANVIL_EVENTS };

static inline bool anvil_is_live(uint64_t window, uint32_t now, uint32_t unit_s)
{
	return now - (uint32_t)(window >> 32) <= unit_s;
}

/* Something happened: there will be statistics. */
void anvil_status_event(struct anvil *a);
/* KIND (an event's rate, or ANVIL_PEAK_COUNT) was VALUE for ADDR. */
void anvil_status_peak(struct anvil *a, unsigned kind, unsigned value, const struct net_addr *addr);
void anvil_status_init(struct anvil *a);
void anvil_status_release(struct anvil *a);
/* ADDR without what lies behind the prefix; returns the prefix's length, -1 when it is whole. */
int anvil_mask(const struct anvil *a, const struct net_addr *addr, struct net_addr *masked);

#endif
