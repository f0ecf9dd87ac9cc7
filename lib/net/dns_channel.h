// SPDX-License-Identifier: BSD-2-Clause
/*
 * Channels of c-ares.  Each lookup has one of its own while it runs, driven by poll(2) in the
 * caller's thread without a lock; idle ones are kept (net/dns_shared.h).
 */
#ifndef PC_NET_DNS_CHANNEL_H
#define PC_NET_DNS_CHANNEL_H

#include "net/dns_shared.h"

/* What fits through every network in one piece (DNS flag day 2020). */
#define DNS_UDP_SIZE 1232

/* STATE is dns_files_state's, of the whole lookup. */
bool dns_channel_open(ares_channel *channel, enum dns_channel kind, unsigned state);
/*
 * Until every query of the channel has called back: true; or at DEADLINE, cancelled: false.  The
 * channel is the caller's no more in any case.
 */
bool dns_channel_run(ares_channel channel, enum dns_channel kind, unsigned state, int64_t deadline);

#endif
