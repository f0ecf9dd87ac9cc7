// SPDX-License-Identifier: BSD-2-Clause
/* What whoever started a process (master; the parent of uid workers) does when it has died. */
#ifndef PC_SERVER_DEATH_H
#define PC_SERVER_DEATH_H

#include <stddef.h>
#include <stdint.h>

#include "server/suspects.h"

/*
 * Reads who ran in process PATH, PID from its table at RUNNING_FD (server/running.h), logs that in
 * one line, and remembers them in SUSPECTS; who comes into quarantine is logged too.  Returns how
 * many ran.
 */
size_t death_examine(
    struct suspects *suspects, const char *path, int pid, int running_fd, int64_t quarantine_ms);

#endif
