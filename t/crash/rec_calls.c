// SPDX-License-Identifier: BSD-2-Clause
/* rec_calls.c - finds out, before a call, what it is about. What it did: rec_effect.c. */
#include "rec_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "rec_files.h"
#include "rec_mark.h"
#include "rec_proc.h"
#include "rec_trace.h"

static int arg_fd(const struct call *c, int column)
{
	return column < 0 ? AT_FDCWD : (int)c->args[column];
}

static void op(const struct call *c, const char *verb)
{
	trace_op(verb, c->who, c->desc->name);
}

/*
 * What a descriptor of the tracee is, if watched. A file that appeared without us (a test driver
 * made it) is found by its path and adopted.
 */
static struct file *fd_file(const struct call *c, int fd, struct stat *st)
{
	char path[PROC_PATH];
	char real[PATH_MAX];
	struct file *f;
	ssize_t n;

	proc_fd_path(c->tid, fd, path);
	st->st_mode = 0;
	f = files_stat(path, st);
	if (f || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)))
		return f;
	n = readlink(path, real, sizeof(real) - 1);
	if (n <= 0)
		return NULL;
	real[n] = '\0';
	return files_by_path(real) ? files_find(st) : NULL;
}

/* ---- before the call ---- */

static enum call_verdict enter_data(struct call *c)
{
	struct stat st;

	c->file = fd_file(c, arg_fd(c, c->desc->fd), &st);
	if (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode))
		mark_check(c);
	if (!c->file || c->desc->kind == CALL_SEND)
		return CALL_PASS;
	/* it may wait for its pipe to fill, so it cannot be given the turn */
	if (c->desc->nr == SYS_splice)
		return calls_prepare(c) ? CALL_FOLLOW : CALL_PASS;
	return CALL_TURN;
}

static enum call_verdict enter_sync(struct call *c)
{
	static unsigned long syncs;
	struct stat st;
	const char *what = "all";

	if (c->desc->kind == CALL_SYNC) {
		c->file = fd_file(c, arg_fd(c, c->desc->fd), &st);
		if (!c->file)
			return CALL_PASS;
		what = c->desc->nr == SYS_fdatasync ? "data" : "file";
	} else if (c->desc->nr == SYS_syncfs) {
		/* of two file systems it may sync the wrong one: then it is not believed */
		fd_file(c, arg_fd(c, c->desc->fd), &st);
		if (!st.st_mode || !files_all_on(st.st_dev))
			return CALL_PASS;
	}
	c->sync = ++syncs;
	op(c, "begin");
	trace_num("s", (long long)c->sync);
	trace_num("id", c->file ? c->file->id : 0);
	trace_str("what", what);
	trace_end();
	return CALL_FOLLOW;
}

static enum call_verdict enter_fd(struct call *c)
{
	struct stat st;

	c->file = fd_file(c, arg_fd(c, c->desc->fd), &st);
	if (!c->file)
		return CALL_PASS;
	return c->desc->kind == CALL_MMAP ? CALL_FOLLOW : CALL_TURN;
}

enum call_verdict calls_enter(struct call *c)
{
	switch (c->desc->kind) {
	case CALL_DATA:
	case CALL_SEND:
		return enter_data(c);
	case CALL_SYNC:
	case CALL_SYNC_ALL:
		return enter_sync(c);
	case CALL_MMAP:
	case CALL_ALLOC:
	case CALL_CLONE_RANGE:
		return enter_fd(c);
	case CALL_TRUNC:
	case CALL_META:
		return c->desc->path < 0 ? enter_fd(c) : CALL_TURN;
	case CALL_URING:
		die("%s uses io_uring, whose writes cannot be recorded", c->who);
	default:
		return CALL_TURN;
	}
}

/* ---- the turn has come ---- */

/* The watched directory of a path and the name in it; NULL if it is not watched. */
static struct file *parent_of(struct call *c, int dirfd, const char *path, char *name)
{
	struct file *dir = NULL;
	struct stat st;
	int fd = proc_open_parent(c->tid, dirfd, path, name);

	if (fd < 0) {
		c->unresolved = true;
		return NULL;
	}
	if (fstat(fd, &st) == 0)
		dir = files_find(&st);
	close(fd);
	return dir;
}

static struct file *parent_of_arg(struct call *c, int fd_col, int path_col, char *name)
{
	char path[PATH_MAX];

	if (!proc_string(c->tid, c->args[path_col], path)) {
		c->unresolved = true;
		return NULL;
	}
	return parent_of(c, arg_fd(c, fd_col), path, name);
}

static bool prepare_offset(struct call *c)
{
	int fd = arg_fd(c, c->desc->fd);
	uint64_t arg = c->desc->path < 0 ? (uint64_t)-1 : c->args[c->desc->path];
	unsigned flags;
	struct stat st;

	/* The thread is dying with its process, or another one has closed it: no call will succeed.
	 */
	if (!proc_fdinfo(c->tid, fd, &c->off, &flags))
		return c->unresolved = true;
	c->durable = flags & O_DSYNC;
	if (c->desc->flags >= 0)
		c->durable |= !!(c->args[c->desc->flags] & (RWF_DSYNC | RWF_SYNC));
	if (flags & O_APPEND) {
		if (fstat(c->file->pin, &st) != 0)
			die("fstat: %s", strerror(errno));
		c->off = st.st_size;
	} else if (c->desc->fd2 == 1) {
		if (arg && proc_read(c->tid, arg, &c->off, sizeof(c->off)) != sizeof(c->off))
			c->unresolved = true;
	} else if (arg != (uint64_t)-1) {
		c->off = (long long)arg;
	}
	return true;
}

static bool open_flags(struct call *c)
{
	struct open_how how;

	if (c->desc->flags >= 0) {
		c->flags = (unsigned)c->args[c->desc->flags];
	} else if (c->desc->nr == SYS_openat2) {
		if (proc_read(c->tid, c->args[2], &how, sizeof(how)) != sizeof(how))
			return false;
		c->flags = (unsigned)how.flags;
	} else {
		c->flags = O_CREAT | O_TRUNC;
	}
	return (c->flags & (O_CREAT | O_TRUNC | CALL_TMPFILE_BIT)) != 0;
}

/* What the opened path leads to now, NULL if nothing; @st_mode 0 then. */
static struct file *open_target(struct call *c, const char *path, struct stat *st)
{
	int fd = proc_open_target(c->tid, arg_fd(c, c->desc->fd), path, true, false);
	struct file *f = NULL;

	st->st_mode = 0;
	if (fd >= 0) {
		if (fstat(fd, st) == 0)
			f = files_find(st);
		close(fd);
	}
	return f;
}

/* A FIFO or device is let go: opening it may wait, and changes no disk. */
static bool prepare_open(struct call *c)
{
	char path[PATH_MAX];
	struct stat st;

	if (!open_flags(c))
		return false;
	if (!proc_string(c->tid, c->args[c->desc->path], path))
		return c->unresolved = true;
	c->file = open_target(c, path, &st);
	if (st.st_mode && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return false;
	if ((c->flags & CALL_TMPFILE_BIT) == CALL_TMPFILE_BIT)
		return c->file != NULL;
	c->dir = parent_of(c, arg_fd(c, c->desc->fd), path, c->name);
	if (c->dir && st.st_mode && !c->file)
		c->file = files_child(c->dir, c->name);
	if (c->unresolved && c->file)
		c->unresolved = false; /* "." or the like: the target is what counts */
	if (!c->file && !st.st_mode && c->dir)
		c->is_symlink = fstatat(c->dir->pin, c->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	return c->file || c->dir || c->unresolved;
}

static bool prepare_rename(struct call *c)
{
	const struct call_desc *d = c->desc;
	struct file *parent;

	c->dir = parent_of_arg(c, d->fd, d->path, c->name);
	parent = c->dir2 = parent_of_arg(c, d->fd2, d->path2, c->name2);
	c->flags = d->flags < 0 ? 0 : (unsigned)c->args[d->flags];
	if (c->dir)
		c->file = files_child(c->dir, c->name);
	if (parent)
		c->victim = files_child(parent, c->name2);
	return c->dir || c->dir2 || c->unresolved;
}

/* One name that comes or goes. */
static bool prepare_name(struct call *c)
{
	c->dir = parent_of_arg(c, c->desc->fd, c->desc->path, c->name);
	if (c->dir && c->desc->kind == CALL_UNLINK)
		c->file = files_child(c->dir, c->name);
	return c->dir || c->unresolved;
}

static bool prepare_bind(struct call *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNSPEC };
	char path[sizeof(sa.sun_path) + 1] = "";
	size_t len = c->args[2] < sizeof(sa) ? c->args[2] : sizeof(sa);
	size_t got = proc_read(c->tid, c->args[1], &sa, len);

	if (got <= offsetof(struct sockaddr_un, sun_path) || sa.sun_family != AF_UNIX)
		return false;
	memcpy(path, sa.sun_path, got - offsetof(struct sockaddr_un, sun_path));
	if (!path[0])
		return false;
	c->dir = parent_of(c, AT_FDCWD, path, c->name);
	return c->dir || c->unresolved;
}

/* CALL_TRUNC and CALL_META. */
static bool prepare_inode(struct call *c)
{
	const struct call_desc *d = c->desc;
	unsigned flags = d->flags < 0 ? 0 : (unsigned)c->args[d->flags];
	bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
	char path[PATH_MAX] = "";
	struct stat st;
	int fd;

	if (d->path < 0)
		return true;
#ifdef SYS_lchown
	if (d->nr == SYS_lchown)
		follow = false;
#endif
	/* utimensat(fd, NULL) is futimens */
	if (c->args[d->path] && !proc_string(c->tid, c->args[d->path], path))
		return c->unresolved = true;
	fd = proc_open_target(
	    c->tid, arg_fd(c, d->fd), path, follow, !c->args[d->path] || (flags & AT_EMPTY_PATH));
	if (fd < 0)
		return c->unresolved = true;
	if (fstat(fd, &st) == 0)
		c->file = files_find(&st);
	close(fd);
	return c->file != NULL;
}

bool calls_prepare(struct call *c)
{
	switch (c->desc->kind) {
	case CALL_DATA:
		return prepare_offset(c);
	case CALL_OPEN:
		return prepare_open(c);
	case CALL_RENAME:
		return prepare_rename(c);
	case CALL_LINK:
	case CALL_UNLINK:
	case CALL_MAKE:
		return prepare_name(c);
	case CALL_BIND:
		return prepare_bind(c);
	case CALL_TRUNC:
	case CALL_META:
		return prepare_inode(c);
	default:
		return true;
	}
}
