// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reads use pread(2), so that a descriptor which several processes share keeps no position.
 * A replacement is visible under its final name only when its bytes are on the disk.
 */
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/digest.h"

#define READ_STEP 16384

static int open_eintr(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(dirfd, path, flags | O_CLOEXEC | O_NOCTTY, mode);
	while (fd == -1 && errno == EINTR);
	return fd;
}

/* close(2) may set errno; what failed before it is what the caller wants to know. */
static void close_quietly(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/* Whether the file goes on past OUT's maximum. */
static int at_end(int fd, off_t at)
{
	char byte;
	ssize_t n;

	do
		n = pread(fd, &byte, 1, at);
	while (n == -1 && errno == EINTR);
	if (n == 1)
		errno = EFBIG;
	return n == 0 ? 0 : -1;
}

/* One more than what fstat says: the last read then finds the end without growing again. */
static size_t first_step(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1 || st.st_size <= 0 || st.st_size >= SSIZE_MAX)
		return READ_STEP;
	return (size_t)st.st_size + 1;
}

static int read_all(int fd, struct strbuf *out)
{
	size_t step = first_step(fd);
	off_t at = 0;
	ssize_t n;

	for (;;) {
		size_t room = out->max - out->len;

		if (!room)
			return at_end(fd, at);
		if (!strbuf_reserve(out, step < room ? step : room)) {
			errno = EFBIG;
			return -1;
		}
		n = pread(fd, out->ptr + out->len, step < room ? step : room, at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		out->len += (size_t)n;
		out->ptr[out->len] = '\0';
		at += n;
		step = READ_STEP;
	}
}

int file_read_fd(int fd, struct strbuf *out)
{
	size_t before = out->len;

	if (read_all(fd, out) == 0)
		return 0;
	strbuf_truncate(out, before);
	return -1;
}

int file_read(int dirfd, const char *path, struct strbuf *out)
{
	int fd = open_eintr(dirfd, path, O_RDONLY, 0), result;

	if (fd == -1)
		return -1;
	result = file_read_fd(fd, out);
	close_quietly(fd);
	return result;
}

int file_write_all(int fd, struct slice data)
{
	while (data.len) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		data = slice_from(data, (size_t)n);
	}
	return 0;
}

int file_pwrite_all(int fd, struct slice data, off_t at)
{
	while (data.len) {
		ssize_t n = pwrite(fd, data.ptr, data.len, at);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		data = slice_from(data, (size_t)n);
		at += n;
	}
	return 0;
}

/* EINTR is no answer about the data, so asking again is no retry of a failed sync. */
int file_sync(int fd)
{
	int result;

	do
		result = fsync(fd);
	while (result == -1 && errno == EINTR);
	return result;
}

int dir_sync_at(int dirfd, const char *dir)
{
	int fd = open_eintr(dirfd, dir, O_RDONLY | O_DIRECTORY, 0), result;

	if (fd == -1)
		return -1;
	result = file_sync(fd);
	close_quietly(fd);
	return result;
}

/* "DIR/.BASE.PID.RANDOM": in the same directory, since rename(2) does not leave a file system. */
static int temporary_name(const char *path, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	uint64_t number;
	int len;

	if (!*base) {
		errno = EISDIR;
		return -1;
	}
	random_bytes(&number, sizeof(number));
	len = snprintf(out, size, "%.*s.%.200s.%ld.%016llx", (int)(base - path), path, base,
	    (long)getpid(), (unsigned long long)number);
	if (len < 0 || (size_t)len >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

/*
 * Owner first, mode second: chown(2) takes set-id bits away.  Not being allowed to give a file
 * away is no failure (the contract says "when permitted").
 */
static int take_over_owner(int dirfd, const char *path, int fd, mode_t mode)
{
	struct stat old;

	if (fstatat(dirfd, path, &old, 0) == 0 && fchown(fd, old.st_uid, old.st_gid) == -1 &&
	    errno != EPERM)
		return -1;
	return fchmod(fd, mode);
}

static int sync_directory_of(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	int result;

	if (!slash)
		return dir_sync_at(dirfd, ".");
	dir = xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	result = dir_sync_at(dirfd, dir);
	free(dir);
	return result;
}

int file_replace(int dirfd, const char *path, struct slice data, mode_t mode)
{
	char tmp[PATH_MAX];
	int fd, saved;

	if (temporary_name(path, tmp, sizeof(tmp)) == -1)
		return -1;
	fd = open_eintr(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd == -1)
		return -1;
	if (take_over_owner(dirfd, path, fd, mode) == -1 || file_write_all(fd, data) == -1 ||
	    file_sync(fd) == -1)
		goto unlink_tmp;
	if (renameat(dirfd, tmp, dirfd, path) == -1)
		goto unlink_tmp;
	close(fd);
	return sync_directory_of(dirfd, path);

unlink_tmp:
	saved = errno;
	close(fd);
	unlinkat(dirfd, tmp, 0);
	errno = saved;
	return -1;
}

/* mkdir(2) obeys the umask, which is not what MODE asks for. */
static int make_one(int dirfd, const char *path, mode_t mode)
{
	int fd, result;

	if (mkdirat(dirfd, path, mode) == -1)
		return errno == EEXIST ? 0 : -1;
	fd = open_eintr(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -1)
		return -1;
	result = fchmod(fd, mode);
	close_quietly(fd);
	return result;
}

int dir_make(int dirfd, const char *path, mode_t mode)
{
	char *copy = xstrdup(path), *slash = copy;
	struct stat st;
	int result = 0;

	while (result == 0 && (slash = strchr(slash + (*slash == '/'), '/'))) {
		*slash = '\0';
		result = make_one(dirfd, copy, mode);
		*slash = '/';
	}
	free(copy);
	if (result == -1 || make_one(dirfd, path, mode) == -1 || fstatat(dirfd, path, &st, 0) == -1)
		return -1;
	if (S_ISDIR(st.st_mode))
		return 0;
	errno = ENOTDIR;
	return -1;
}

char *self_directory(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (len == -1)
		return NULL;
	path[len] = '\0';
	slash = strrchr(path, '/');
	if (!slash) {
		errno = ENOENT;
		return NULL;
	}
	return xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static bool is_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

bool file_is_regular(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY &&
	       is_regular(fd);
}

bool file_is_read_only(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & (O_ACCMODE | O_DIRECT | O_PATH)) == O_RDONLY &&
	       is_regular(fd);
}
