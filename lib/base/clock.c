// SPDX-License-Identifier: BSD-2-Clause
/* clock_gettime(2) through the vDSO: no system call, so sandboxes need not know of it. */
#include "base/clock.h"

#include "base/check.h"

int64_t clock_ms(void)
{
	struct timespec now;

	ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_us(void)
{
	struct timespec now;

	ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t deadline_in(int64_t timeout_ms)
{
	int64_t deadline;

	if (timeout_ms < 0 || __builtin_add_overflow(clock_ms(), timeout_ms, &deadline))
		return DEADLINE_NEVER;
	return deadline;
}

int deadline_left(int64_t deadline)
{
	int64_t now;

	if (deadline == DEADLINE_NEVER)
		return -1;
	now = clock_ms();
	if (deadline <= now)
		return 0;
	return deadline - now > INT32_MAX ? INT32_MAX : (int)(deadline - now);
}
