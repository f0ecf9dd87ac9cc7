// SPDX-License-Identifier: BSD-2-Clause
/*
 * Record locks are taken as open file description locks: they exclude Postfix's and Dovecot's
 * fcntl(2) locks like any other, but also other threads of ours, and they are not lost when some
 * other descriptor of the same file is closed.  The kernel has no lock with a time limit, hence
 * the polling.
 *
 * A dotlock is "PID:HOSTNAME" as Dovecot writes it.  Taking a stale one over has a race (two
 * waiters find it stale, the second removes the new lock of the first), which a flock(2) on the
 * stale file closes among our processes: only who holds that, and finds the name still there for
 * the same file, removes the name.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/file.h"

#define FIRST_PAUSE_MS 1
#define MAX_PAUSE_MS   50

/* Sleeps, a little longer each time; false when the deadline has passed. */
static bool pause_until(int64_t deadline, int *pause_ms)
{
	int left = deadline_left(deadline), ms = *pause_ms;
	struct timespec wait;

	if (left == 0) {
		errno = ETIMEDOUT;
		return false;
	}
	if (left > 0 && left < ms)
		ms = left;
	wait = (struct timespec){ .tv_nsec = ms * 1000000L };
	nanosleep(&wait, NULL);
	*pause_ms = *pause_ms * 2 > MAX_PAUSE_MS ? MAX_PAUSE_MS : *pause_ms * 2;
	return true;
}

int lock_fcntl(int fd, bool exclusive, int64_t deadline)
{
	struct flock whole = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
	int pause_ms = FIRST_PAUSE_MS;

	while (fcntl(fd, F_OFD_SETLK, &whole) == -1) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return -1;
		if (!pause_until(deadline, &pause_ms))
			return -1;
	}
	return 0;
}

int unlock_fcntl(int fd)
{
	struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &whole);
}

static int lock_content(char *out, size_t size)
{
	char host[HOST_NAME_MAX + 1] = "localhost";

	gethostname(host, sizeof(host) - 1);
	return snprintf(out, size, "%ld:%s", (long)getpid(), host);
}

static int create_lock(int dirfd, const char *name)
{
	char content[HOST_NAME_MAX + 32];
	int len = lock_content(content, sizeof(content)), saved;
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd == -1)
		return -1;
	if (file_write_all(fd, slice_mem(content, (size_t)len)) == 0) {
		close(fd);
		return 0;
	}
	saved = errno;
	close(fd);
	unlinkat(dirfd, name, 0);
	errno = saved;
	return -1;
}

/* The lock that we wait for, and since when it has not changed before our eyes. */
struct watch {
	struct stat st;
	int64_t since;
};

static bool same_state(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * By the file's times, or, when a file server's clock runs ahead of ours, by our own watching.
 */
static bool is_stale(struct watch *watch, const struct stat *st, int stale_s)
{
	time_t touched = st->st_mtime > st->st_ctime ? st->st_mtime : st->st_ctime;

	if (!same_state(&watch->st, st)) {
		watch->st = *st;
		watch->since = clock_ms();
	}
	return clock_wall_us() / 1000000 - touched >= stale_s ||
	       clock_ms() - watch->since >= stale_s * INT64_C(1000);
}

static void remove_stale(int dirfd, const char *name, const struct stat *stale)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat ours, named;

	if (fd == -1)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &ours) == 0 &&
	    same_state(&ours, stale) && fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    same_state(&named, stale))
		unlinkat(dirfd, name, 0);
	close(fd);
}

int dotlock_take(int dirfd, const char *name, int stale_s, int64_t deadline)
{
	struct watch watch = { .since = 0 };
	int pause_ms = FIRST_PAUSE_MS;
	struct stat st;

	while (create_lock(dirfd, name) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EEXIST)
			return -1;
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    is_stale(&watch, &st, stale_s))
			remove_stale(dirfd, name, &st);
		if (!pause_until(deadline, &pause_ms))
			return -1;
	}
	return 0;
}

/* A lock that was taken over from us is not ours to remove. */
static bool is_ours(int dirfd, const char *name)
{
	char want[HOST_NAME_MAX + 32];
	int len = lock_content(want, sizeof(want));
	struct strbuf have = STRBUF_INIT(sizeof(want));
	bool found = file_read(dirfd, name, &have) == 0 || errno == EFBIG;
	bool same = slice_eq(strbuf_slice(&have), slice_mem(want, (size_t)len));

	strbuf_release(&have);
	if (found && !same)
		errno = ESTALE;
	return found && same;
}

int dotlock_drop(int dirfd, const char *name)
{
	if (!is_ours(dirfd, name))
		return -1;
	return unlinkat(dirfd, name, 0);
}
