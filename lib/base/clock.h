// SPDX-License-Identifier: BSD-2-Clause
/* Time: deadlines use the monotonic clock, what people and other programs see the wall clock. */
#ifndef PC_BASE_CLOCK_H
#define PC_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_ms(void);
/* Microseconds since the epoch. */
int64_t clock_wall_us(void);

#define DEADLINE_NEVER INT64_MAX
/* A moment TIMEOUT_MS from now; negative means DEADLINE_NEVER. */
int64_t deadline_in(int64_t timeout_ms);
/* Milliseconds left, for poll(2): 0 when past, -1 for DEADLINE_NEVER, at most INT32_MAX. */
int deadline_left(int64_t deadline);

#endif
