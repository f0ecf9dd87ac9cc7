// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_proc.h - looking into a stopped tracee: its memory, its descriptors, what its paths mean.
 */
#ifndef REC_PROC_H
#define REC_PROC_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Copies up to @len bytes from the tracee; returns how many could be read, 0 if none. */
size_t proc_read(pid_t tid, uint64_t addr, void *buf, size_t len);

/* Copies a NUL-terminated string into @buf of PATH_MAX; false if it cannot be read or is longer. */
bool proc_string(pid_t tid, uint64_t addr, char *buf);

/* "/proc/TID/fd/N"; @path has room for PROC_PATH. */
#define PROC_PATH 64
void proc_fd_path(pid_t tid, int fd, char *path);

/* Position and flags of a descriptor. */
bool proc_fdinfo(pid_t tid, int fd, long long *pos, unsigned *flags);

/* NAME[TID] into @buf of 48 bytes. */
void proc_name(pid_t tid, char *buf);

/*
 * Opens (O_PATH) the directory that the last component of @path lies in, as the tracee sees it, and
 * copies that component to @name. Returns -1 with errno set if there is none.
 */
int proc_open_parent(pid_t tid, int dirfd, const char *path, char name[NAME_MAX + 1]);

/* Opens (O_PATH) what @path itself means; with @empty an empty path means @dirfd. */
int proc_open_target(pid_t tid, int dirfd, const char *path, bool follow, bool empty);

#endif
