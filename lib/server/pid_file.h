// SPDX-License-Identifier: BSD-2-Clause
/* The file whose lock says that a master runs, and whose text says which. */
#ifndef PC_SERVER_PID_FILE_H
#define PC_SERVER_PID_FILE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Takes the lock for the rest of the process and writes TEXT.  0; 1 when another process has the
 * lock; -1 with errno.
 */
int pid_file_lock(const char *path, const char *text);
/* False also when there is no such file, or it may not be opened. */
bool pid_file_is_locked(const char *path);
/* The number in the file; 0 when there is none. */
pid_t pid_file_read(const char *path);

#endif
