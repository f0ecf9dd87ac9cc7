// SPDX-License-Identifier: BSD-2-Clause
/*
 * Slow hashes: as many threads compute at once as there are cores.  The others wait and are let in
 * by turns of their clients, so that a flood from one address does not hold up another's login.
 */
#ifndef PC_AUTHD_GATE_H
#define PC_AUTHD_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Blocks until it is the caller's turn, at most until DEADLINE (clock_ms): false, then.  Each call
 * that let the caller in needs its gate_leave, by the same thread and without another gate_enter
 * between them.  CLIENT is the remote IP, "" for none; it must live until the call returns.
 * O(number of those who wait).
 */
bool gate_enter(const char *client, int64_t deadline);
void gate_leave(void);

/* How many wait now. */
size_t gate_waiting(void);
/* How many may be inside. */
unsigned gate_width(void);

#endif
