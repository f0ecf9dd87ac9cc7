// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files and directories as a mail system needs them: whole-file reads with a limit, replacement
 * that survives a power cut, unnamed files, and syncs that many threads share.
 *
 * Every function that fails sets errno and returns -1 (or NULL) unless it says otherwise.  All
 * descriptors are close-on-exec.  A failed fsync is final, and nobody tries it again: the
 * caller treats the data as lost.
 */
#ifndef PC_SYS_FILE_H
#define PC_SYS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"
#include "base/strbuf.h"

/* Appends the whole file to OUT; EFBIG past OUT's maximum.  DIRFD may be AT_FDCWD. */
int file_read(int dirfd, const char *path, struct strbuf *out);
int file_read_fd(int fd, struct strbuf *out); /* from offset 0, with pread */
/* Writes all of it or fails. */
int file_write_all(int fd, struct slice data);
int file_pwrite_all(int fd, struct slice data, off_t at);

/*
 * Replaces PATH by a file with this content and mode: temporary name beside it, fsync, rename,
 * fsync of the directory.  Keeps the owner of a file that is replaced, when permitted.
 */
int file_replace(int dirfd, const char *path, struct slice data, mode_t mode);

/* fsync; -1 is final. */
int file_sync(int fd);
/* Opens the directory DIR below DIRFD and syncs it. */
int dir_sync_at(int dirfd, const char *dir);
/* mkdir -p below DIRFD, each new directory with MODE; existing ones are left as they are. */
int dir_make(int dirfd, const char *path, mode_t mode);

/*
 * An unnamed file in DIRFD's file system (O_TMPFILE), or, where there is none, a file with a
 * temporary name that is remembered in NAME for unlinking (NAME[0] is '\0' for an unnamed one).
 */
struct tmpfile {
	int fd;
	int dirfd;     /* borrowed */
	char name[64]; /* "" when unnamed */
	bool memory;   /* tmpfile_open_memory */
	mode_t mode;
};
int tmpfile_open(struct tmpfile *tmp, int dirfd, mode_t mode);
/*
 * The same, but the file is in memory alone until tmpfile_link copies it into DIRFD's file system:
 * for small files most of which never get a name.  FD is another one afterwards.
 */
int tmpfile_open_memory(struct tmpfile *tmp, int dirfd, mode_t mode);
/* What is in memory is never written to again, by whoever holds a descriptor.  0, or -1. */
int tmpfile_seal(struct tmpfile *tmp);
/*
 * Gives the file the name NAME in DIRFD; EEXIST when that exists (never replaces).  Goes through
 * PROC_FD, a descriptor of /proc/self/fd taken before any jail by this very process (a parent's
 * shows the parent's files).  Syncs nothing.
 */
int tmpfile_link(struct tmpfile *tmp, int proc_fd, int dirfd, const char *name);
/* Closes the descriptor and removes a temporary name that is left. */
void tmpfile_close(struct tmpfile *tmp);
/* For tests: from now on in this process O_TMPFILE counts as missing. */
void tmpfile_force_fallback(bool on);
/* A regular file that the descriptor can read: no FIFO that blocks, no device without an end. */
bool file_is_regular(int fd);
/* The same, by a descriptor that cannot write it. */
bool file_is_read_only(int fd);
/* A second, read-only descriptor of FD's file, through PROC_FD. */
int file_reopen_readonly(int proc_fd, int fd);

/*
 * A directory whose syncs are shared by threads.  dirsync_wait returns when a sync that began
 * after the call has ended; at most one sync runs and one waits, whatever the number of callers.
 * A failure fails for all who share it (errno EIO or the kernel's).
 */
struct dirsync;
struct dirsync *dirsync_new(int fd); /* takes the descriptor over */
void dirsync_free(struct dirsync *d);
int dirsync_fd(const struct dirsync *d);
int dirsync_wait(struct dirsync *d);

/*
 * fcntl(2) record lock on the whole file with a deadline (clock_ms); ETIMEDOUT when it passes.  It
 * belongs to the open file description: it excludes other threads too, and ends when the last
 * descriptor of that description is closed.  An exclusive one needs a descriptor open for writing.
 */
int lock_fcntl(int fd, bool exclusive, int64_t deadline);
int unlock_fcntl(int fd);
/*
 * Dovecot's dotlock protocol: NAME (for example "dovecot-uidlist.lock") is created with O_EXCL in
 * DIRFD; a lock that nobody touched for STALE_S seconds is taken over.  ETIMEDOUT at the deadline.
 */
int dotlock_take(int dirfd, const char *name, int stale_s, int64_t deadline);
/* ESTALE when the lock has been taken over from us; it is then left alone. */
int dotlock_drop(int dirfd, const char *name);

/* Directory of the running program's file, from /proc/self/exe; NULL with errno.  Free it. */
char *self_directory(void);

#endif
