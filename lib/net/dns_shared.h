// SPDX-License-Identifier: BSD-2-Clause
/*
 * What lookups share, of any thread: channels of c-ares that are idle, and what the files alone
 * said.  Both hold as long as resolv.conf, nsswitch.conf, host.conf and hosts stay what they are,
 * which is looked at once a second.  Making a channel and reading hosts cost some 20 system calls
 * and 100 KiB otherwise, for each lookup.
 */
#ifndef PC_NET_DNS_SHARED_H
#define PC_NET_DNS_SHARED_H

#include <ares.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum dns_channel {
	DNS_CHANNEL_DNS,     /* without a search list */
	DNS_CHANNEL_SEARCH,  /* with it */
	DNS_CHANNEL_HOSTS,   /* the file hosts and nothing else */
	DNS_CHANNEL_RECORDS, /* with EDNS0, no search list */
	DNS_CHANNELS
};

/* The number of the files' present state.  Calls stat(2) at most once a second. */
unsigned dns_files_state(void);
/* Another server, say: nothing that was kept holds any more. */
void dns_files_changed(void);

/* One that nobody uses and that was made in STATE, or false. */
bool dns_channel_take(enum dns_channel kind, unsigned state, ares_channel *channel);
/* The caller's no more: kept, or destroyed when there are enough or STATE is over. */
void dns_channel_give(enum dns_channel kind, unsigned state, ares_channel channel);

/* Copies what was remembered in STATE for KEY, at most *SIZE bytes; false when there is nothing. */
bool dns_recall(struct slice key, unsigned state, void *value, size_t *size);
void dns_remember(struct slice key, unsigned state, const void *value, size_t size);

#endif
