// SPDX-License-Identifier: BSD-2-Clause
/* What the commands that control a master share: is it there, a signal, waiting for its end. */
#ifndef PC_CMD_CONTROL_H
#define PC_CMD_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The pid of the master that holds the lock of PID_FILE; 0 when none does. */
pid_t control_running(const char *pid_file);
/* fatal() when the signal may not be sent. */
void control_signal(pid_t pid, int signo);
/* True when the master PID has let PID_FILE go before DEADLINE (clock_ms). */
bool control_wait_end(const char *pid_file, pid_t pid, int64_t deadline);
/* Stops it: SIGNO, then after PATIENCE_MS harder.  fatal() when it does not go. */
void control_stop(const char *pid_file, pid_t pid, int signo, int64_t patience_ms);

#endif
