// SPDX-License-Identifier: BSD-2-Clause
/*
 * Slow hashes: as many threads compute at once as there are cores.  The others wait and are let in
 * by turns of their clients, so that a flood from one address does not hold up another's login.
 */
#ifndef PC_AUTHD_GATE_H
#define PC_AUTHD_GATE_H

#include <stddef.h>

/*
 * Blocks until it is the caller's turn; each call needs its gate_leave, by the same thread and
 * without another gate_enter between them.  CLIENT is the remote IP, "" for none; it must live
 * until the call returns.  O(number of those who wait).
 */
void gate_enter(const char *client);
void gate_leave(void);

/* How many wait now. */
size_t gate_waiting(void);
/* How many may be inside. */
unsigned gate_width(void);

#endif
