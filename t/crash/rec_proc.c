// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_proc.c - everything is asked of /proc/TID, so descriptors that came over a socket, were
 * duplicated or inherited need no bookkeeping.
 *
 * Two paths mean something else to us than to the tracee: those below another root directory
 * (openat2 resolves them in it), and /proc/self, which is replaced before we resolve.
 */
#include "rec_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PAGE	      4096
#define PROC_ROOT_INO 1

/* For kernels or policies that refuse process_vm_readv to a tracer. */
static size_t peek(pid_t tid, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		uint64_t at = (addr + done) & ~7ull;
		size_t skip = (size_t)(addr + done - at);
		size_t n = 8 - skip < len - done ? 8 - skip : len - done;
		long word;

		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, tid, (void *)(uintptr_t)at, NULL);
		if (errno)
			break;
		memcpy((char *)buf + done, (char *)&word + skip, n);
		done += n;
	}
	return done;
}

size_t proc_read(pid_t tid, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = { buf, len };
	struct iovec remote = { (void *)(uintptr_t)addr, len };
	ssize_t n;

	if (!len)
		return 0;
	n = process_vm_readv(tid, &local, 1, &remote, 1, 0);
	return n >= 0 ? (size_t)n : peek(tid, addr, buf, len);
}

bool proc_string(pid_t tid, uint64_t addr, char *buf)
{
	size_t used = 0;

	/* page by page: the string may end just before memory that is not there */
	while (used < PATH_MAX) {
		size_t want = PAGE - (size_t)((addr + used) % PAGE);
		size_t got;

		if (want > PATH_MAX - used)
			want = PATH_MAX - used;
		got = proc_read(tid, addr + used, buf + used, want);
		if (memchr(buf + used, '\0', got))
			return true;
		if (got < want)
			return false;
		used += got;
	}
	return false;
}

void proc_fd_path(pid_t tid, int fd, char *path)
{
	if (fd == AT_FDCWD)
		snprintf(path, PROC_PATH, "/proc/%d/cwd", (int)tid);
	else
		snprintf(path, PROC_PATH, "/proc/%d/fd/%d", (int)tid, fd);
}

static bool read_small(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	buf[n] = '\0';
	return true;
}

bool proc_fdinfo(pid_t tid, int fd, long long *pos, unsigned *flags)
{
	char path[PROC_PATH];
	char buf[512];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)tid, fd);
	return read_small(path, buf, sizeof(buf)) &&
	       sscanf(buf, "pos: %lld flags: %o", pos, flags) == 2;
}

void proc_name(pid_t tid, char *buf)
{
	char path[PROC_PATH];
	char comm[24] = "?";

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)tid);
	if (read_small(path, comm, sizeof(comm)))
		comm[strcspn(comm, "\n")] = '\0';
	snprintf(buf, 48, "%s[%d]", comm, (int)tid);
}

static pid_t thread_group(pid_t tid)
{
	char path[PROC_PATH];
	char buf[1024];
	char *line;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	if (!read_small(path, buf, sizeof(buf)) || !(line = strstr(buf, "\nTgid:")))
		return tid;
	return (pid_t)atoi(line + 6);
}

static bool is_proc_root(int fd)
{
	struct statfs sfs;
	struct stat st;

	return fstatfs(fd, &sfs) == 0 && sfs.f_type == PROC_SUPER_MAGIC && fstat(fd, &st) == 0 &&
	       st.st_ino == PROC_ROOT_INO;
}

/* Writes @path into @out with a leading "self" or "thread-self" (after @prefix) made explicit. */
static void replace_self(pid_t tid, const char *prefix, const char *path, char *out)
{
	size_t len = strlen(prefix);
	const char *rest = path + len;

	if (strncmp(path, prefix, len) != 0)
		snprintf(out, PATH_MAX, "%s", path);
	else if (!strncmp(rest, "self", 4) && (rest[4] == '/' || !rest[4]))
		snprintf(out, PATH_MAX, "%s%d%s", prefix, (int)thread_group(tid), rest + 4);
	else if (!strncmp(rest, "thread-self", 11) && (rest[11] == '/' || !rest[11]))
		snprintf(out, PATH_MAX, "%s%d%s", prefix, (int)tid, rest + 11);
	else
		snprintf(out, PATH_MAX, "%s", path);
}

/* A descriptor of the tracee's root directory if that is not ours, else -1. */
static int other_root(pid_t tid)
{
	char path[PROC_PATH];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%d/root", (int)tid);
	if (stat("/", &ours) != 0 || stat(path, &theirs) != 0)
		return -1;
	if (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev)
		return -1;
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_in_root(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)flags, .resolve = RESOLVE_IN_ROOT };

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int open_absolute(pid_t tid, const char *path, int flags)
{
	int root = other_root(tid);
	int fd;

	if (root < 0)
		return open(path, flags);
	fd = open_in_root(root, path, flags);
	close(root);
	return fd;
}

/* Opens @path (not empty) as the tracee would. */
static int open_as(pid_t tid, int dirfd, const char *path, int flags)
{
	char base_path[PROC_PATH];
	char real[PATH_MAX];
	int base, fd;

	if (path[0] == '/') {
		replace_self(tid, "/proc/", path, real);
		return open_absolute(tid, real, flags);
	}
	proc_fd_path(tid, dirfd, base_path);
	base = open(base_path, O_PATH | O_CLOEXEC);
	if (base < 0)
		return -1;
	if (is_proc_root(base))
		replace_self(tid, "", path, real);
	else
		snprintf(real, sizeof(real), "%s", path);
	fd = openat(base, real, flags);
	close(base);
	return fd;
}

int proc_open_parent(pid_t tid, int dirfd, const char *path, char name[NAME_MAX + 1])
{
	char dir[PATH_MAX];
	size_t len = strlen(path);
	size_t start, name_len;

	while (len > 1 && path[len - 1] == '/')
		len--;
	for (start = len; start > 0 && path[start - 1] != '/'; start--)
		;
	name_len = len - start;
	if (!name_len || name_len > NAME_MAX) {
		errno = ENOENT;
		return -1;
	}
	memcpy(name, path + start, name_len);
	name[name_len] = '\0';
	memcpy(dir, path, start);
	dir[start] = '\0';
	return open_as(tid, dirfd, start ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int proc_open_target(pid_t tid, int dirfd, const char *path, bool follow, bool empty)
{
	char fd_path[PROC_PATH];

	if (!*path && empty) {
		proc_fd_path(tid, dirfd, fd_path);
		return open(fd_path, O_PATH | O_CLOEXEC);
	}
	return open_as(tid, dirfd, path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
}
