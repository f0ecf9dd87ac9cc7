// SPDX-License-Identifier: BSD-2-Clause
/*
 * Editing a file as the peer's postconf does it, so that the two can edit one file at the same
 * time: the new text is written to "main.cf.tmp", which is locked meanwhile, and takes the name of
 * the old file when it is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/postconf.h"
#include "log/log.h"
#include "sys/file.h"

#define FILE_LIMIT   ((size_t)8 << 20)
#define LOCK_WAIT_MS 60000
#define LOCK_POLL_US 10000

/* Whoever had the lock before us has renamed or removed the file that we waited for. */
static bool is_still_there(int fd, const char *path)
{
	struct stat ours, theirs;
	return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
	       ours.st_dev == theirs.st_dev && ours.st_nlink == 1;
}

/* The peer's kind of lock. */
static void lock(int fd, const char *path, int64_t deadline)
{
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			fatal("lock %s: %s", path, strerror(errno));
		if (clock_ms() >= deadline)
			fatal("lock %s: somebody else is editing", path);
		usleep(LOCK_POLL_US);
	}
}

static int open_locked(const char *path, int64_t deadline)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			fatal("open %s: %s", path, strerror(errno));
		lock(fd, path, deadline);
		if (is_still_there(fd, path))
			return fd;
		close(fd);
	}
}

static _Noreturn void fail(const struct postconf_file *file, const char *what, const char *path)
{
	int error = errno;
	unlink(file->new_path);
	fatal("%s %s: %s", what, path, strerror(error));
}

void postconf_file_open(struct postconf_file *file, const char *dir, const char *name)
{
	*file = (struct postconf_file){ .path = xasprintf("%s/%s", dir, name) };
	file->new_path = xasprintf("%s.tmp", file->path);
	strbuf_init(&file->text, FILE_LIMIT);
	file->new_fd = open_locked(file->new_path, clock_ms() + LOCK_WAIT_MS);
	if (file_read(AT_FDCWD, file->path, &file->text) < 0)
		fail(file, "open", file->path);
}

static void keep_rights(const struct postconf_file *file)
{
	struct stat st;
	if (stat(file->path, &st) < 0)
		fail(file, "open", file->path);
	if (fchown(file->new_fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		fail(file, "chown", file->new_path);
	if (fchmod(file->new_fd, st.st_mode & 07777) < 0)
		fail(file, "chmod", file->new_path);
}

void postconf_file_replace(struct postconf_file *file, struct slice text)
{
	if (ftruncate(file->new_fd, 0) < 0 || file_write_all(file->new_fd, text) < 0)
		fail(file, "write", file->new_path);
	keep_rights(file);
	if (file_sync(file->new_fd) < 0)
		fail(file, "write", file->new_path);
	if (rename(file->new_path, file->path) < 0)
		fail(file, "rename", file->new_path);
	char *slash = strrchr(file->path, '/');
	*slash = '\0';
	if (dir_sync_at(AT_FDCWD, file->path) < 0)
		log_warning("sync %s: %s", file->path, strerror(errno));
	close(file->new_fd);
	free(file->path);
	free(file->new_path);
	strbuf_release(&file->text);
}
