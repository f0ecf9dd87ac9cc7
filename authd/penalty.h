// SPDX-License-Identifier: BSD-2-Clause
/*
 * Addresses from which logins failed wait before their next request is looked at: 4, 8, then 15
 * seconds, Dovecot's figures.  An address is forgiven when a login succeeds, and when none has
 * failed for PENALTY_FRESH_MS.  The same name and password again count once, since a forgotten
 * mail program is no attack.  Networks of 48 bits count as one IPv6 address, and all clients
 * without an address as one.
 *
 * Any thread may call.  At most PENALTY_CLIENTS_MAX addresses are known; who has not failed for
 * the longest time makes room.
 */
#ifndef PC_AUTHD_PENALTY_H
#define PC_AUTHD_PENALTY_H

#include <stdint.h>

#define PENALTY_CLIENTS_MAX 10000
#define PENALTY_FRESH_MS    (15 * 1000)
#define PENALTY_LEVEL_MAX   10

/* How often ADDRESS (a literal, or "" for none) has failed, as far as it counts at NOW (clock_ms).
 */
unsigned penalty_level(const char *address, int64_t now);
/* How long a request has to wait for that; 0 for level 0. */
int64_t penalty_wait_ms(unsigned level);
/* A request that began at LEVEL failed.  CHECKSUM is of name and password; 0: no password came. */
void penalty_add(const char *address, unsigned level, uint32_t checksum, int64_t now);
void penalty_forgive(const char *address);

#endif
