// SPDX-License-Identifier: BSD-2-Clause
#include "server/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "sys/file.h"

int pid_file_lock(const char *path, const char *text)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	struct stat st;

	if (fd < 0)
		return -1;
	/* In a directory of the mail owner's a name may be a link to something of root's. */
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	if (lock_fcntl(fd, true, clock_ms()) < 0) {
		int held = errno == ETIMEDOUT || errno == EAGAIN || errno == EACCES;

		close(fd);
		return held ? 1 : -1;
	}
	if (ftruncate(fd, 0) < 0 || file_pwrite_all(fd, slice_of(text), 0) < 0) {
		close(fd);
		return -1;
	}
	return 0; /* the descriptor stays open, and with it the lock */
}

bool pid_file_is_locked(const char *path)
{
	/* Whoever may only read it can still meet the lock with a shared one. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool locked;

	if (fd < 0)
		return false;
	locked = lock_fcntl(fd, false, clock_ms()) < 0;
	close(fd);
	return locked;
}

pid_t pid_file_read(const char *path)
{
	struct strbuf text = STRBUF_INIT(64);
	uint64_t pid = 0;

	if (file_read(AT_FDCWD, path, &text) < 0 ||
	    !slice_uint(slice_trim(strbuf_slice(&text), " \n"), INT32_MAX, &pid))
		pid = 0;
	strbuf_release(&text);
	return (pid_t)pid;
}
