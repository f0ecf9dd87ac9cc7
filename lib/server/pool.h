// SPDX-License-Identifier: BSD-2-Clause
/*
 * Threads for blocking work.  There are as many as jobs that run (small stacks, retired when idle
 * for some seconds): a job never waits for another one to end.  One pool per process.
 */
#ifndef PC_SERVER_POOL_H
#define PC_SERVER_POOL_H

#include <stdbool.h>

/* FN(ARG) in some thread.  When no thread can be made the job waits for one that is free. */
void pool_run(void (*fn)(void *arg), void *arg);
/* Waits until no job runs or waits, or DEADLINE (clock_ms); true when idle. */
bool pool_drain(long long deadline);
/*
 * Makes the thread that is never retired, so that from now on every job finds one in the end.
 * False with errno when there is not even one.
 */
bool pool_start(void);
/*
 * The calling thread's number among the pool's: small ones, each used again when its thread has
 * gone.  UINT_MAX for other threads.
 */
unsigned pool_thread_number(void);

#endif
