// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_effect.c - writes into the trace, after a call, what it did.
 *
 * Wherever the disk itself can say what happened it is asked rather than the arguments: the inode
 * behind a new name, the bytes that a write left in the file. While a CALL_TURN call runs nothing
 * else changes the watched directories, so the answer is about this call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rec_calls.h"
#include "rec_files.h"
#include "rec_proc.h"
#include "rec_trace.h"

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static void op(const struct call *c, const char *verb)
{
	trace_op(verb, c->who, c->desc->name);
}

static void stat_file(const struct file *f, struct stat *st)
{
	if (fstat(f->pin, st) != 0)
		die("fstat: %s", strerror(errno));
}

static void put_unsafe(struct call *c)
{
	if (c->file->unsafe)
		return;
	c->file->unsafe = true;
	op(c, "unsafe");
	trace_num("id", c->file->id);
	trace_str("what", c->desc->name);
	trace_end();
}

/* The bytes that now lie at the call's offset; @len < 0: all up to the end. */
static void put_write(struct call *c, long long off, long long len)
{
	struct stat st;
	char *buf;
	ssize_t n;
	int fd;

	stat_file(c->file, &st);
	if (off >= st.st_size)
		return;
	if (len < 0 || len > st.st_size - off)
		len = st.st_size - off;
	fd = files_open(c->file);
	buf = malloc((size_t)len);
	if (fd < 0 || !buf || (n = pread(fd, buf, (size_t)len, off)) < 0)
		die("cannot read back what %s wrote: %s", c->who, strerror(errno));
	op(c, "write");
	trace_num("id", c->file->id);
	trace_num("off", off);
	trace_num("sync", c->durable);
	trace_data(buf, (size_t)n);
	free(buf);
	close(fd);
}

static void put_size(struct call *c)
{
	struct stat st;

	stat_file(c->file, &st);
	op(c, "trunc");
	trace_num("id", c->file->id);
	trace_num("size", st.st_size);
	trace_end();
}

static void done_alloc(struct call *c)
{
	unsigned mode = (unsigned)c->args[1];

	if (mode & ~(unsigned)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
		put_unsafe(c);
		return;
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		put_size(c);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		put_write(c, (long long)c->args[2], (long long)c->args[3]);
}

static void put_names(
    const char *dir_key, const struct file *dir, const char *name_key, const char *name)
{
	trace_num(dir_key, dir->id);
	trace_str(name_key, name);
}

/* A name that did not exist, for an inode that did not either. */
static void put_create(struct call *c)
{
	struct file *f;
	struct stat st;
	char target[PATH_MAX];
	ssize_t n;

	if (fstatat(c->dir->pin, c->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || files_find(&st))
		return;
	f = files_add(c->dir->pin, c->name, false);
	op(c, "create");
	put_names("dir", c->dir, "name", c->name);
	trace_num("id", f->id);
	trace_str("type", files_type(f->type));
	trace_stat(&st);
	if (S_ISLNK(st.st_mode) && (n = readlinkat(f->pin, "", target, sizeof(target) - 1)) >= 0) {
		target[n] = '\0';
		trace_str("target", target);
	}
	trace_end();
}

static void done_tmpfile(struct call *c, int fd)
{
	char path[PROC_PATH];
	struct stat st;

	proc_fd_path(c->tid, fd, path);
	c->file = files_add(AT_FDCWD, path, true);
	stat_file(c->file, &st);
	op(c, "tmpfile");
	trace_num("id", c->file->id);
	trace_stat(&st);
	trace_end();
}

/* A file made through a dangling symlink: only the kernel knows where it is. */
static void follow_symlink(struct call *c, int fd)
{
	char path[PROC_PATH];
	char real[PATH_MAX];
	char *slash;
	ssize_t n;

	proc_fd_path(c->tid, fd, path);
	n = readlink(path, real, sizeof(real) - 1);
	if (n <= 0)
		die("cannot find what %s created", c->who);
	real[n] = '\0';
	slash = strrchr(real, '/');
	if (!slash)
		die("cannot find what %s created", c->who);
	*slash = '\0';
	snprintf(c->name, sizeof(c->name), "%.*s", NAME_MAX, slash + 1);
	c->dir = files_by_path(real);
}

static void done_open(struct call *c, int fd)
{
	if ((c->flags & CALL_TMPFILE_BIT) == CALL_TMPFILE_BIT) {
		done_tmpfile(c, fd);
		return;
	}
	if (c->file) {
		if (c->file->type == S_IFREG && (c->flags & O_TRUNC))
			put_size(c);
		return;
	}
	if (c->is_symlink)
		follow_symlink(c, fd);
	if (c->dir)
		put_create(c);
}

static void done_link(struct call *c)
{
	struct stat st;

	if (fstatat(c->dir->pin, c->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	c->file = files_find(&st);
	if (!c->file)
		die("%s linked %s from outside of the watched directories", c->who, c->name);
	op(c, "link");
	put_names("dir", c->dir, "name", c->name);
	trace_num("id", c->file->id);
	trace_end();
}

static void done_unlink(struct call *c)
{
	op(c, "unlink");
	put_names("dir", c->dir, "name", c->name);
	trace_num("id", c->file ? c->file->id : 0);
	trace_end();
}

static void done_rename(struct call *c)
{
	bool exchange = c->flags & RENAME_EXCHANGE;

	if (!c->dir || (exchange && !c->dir2))
		die("%s renamed %s across the border of the watched directories", c->who, c->name2);
	if (!c->dir2) {
		done_unlink(c);
		return;
	}
	if (!c->file || (c->victim == c->file && !exchange))
		return; /* two names of one inode: rename(2) does nothing then */
	op(c, "rename");
	put_names("odir", c->dir, "oname", c->name);
	put_names("ndir", c->dir2, "nname", c->name2);
	trace_num("id", c->file->id);
	if (c->victim)
		trace_num("victim", c->victim->id);
	if (exchange)
		trace_num("xchg", 1);
	trace_end();
}

static void done_meta(struct call *c)
{
	struct stat st;

	stat_file(c->file, &st);
	op(c, "meta");
	trace_num("id", c->file->id);
	trace_stat(&st);
	trace_end();
}

static void done_sync(struct call *c, bool failed)
{
	op(c, "end");
	trace_num("s", (long long)c->sync);
	trace_num("ok", !failed);
	trace_end();
}

static void put_effect(struct call *c, long long rval)
{
	switch (c->desc->kind) {
	case CALL_OPEN:
		done_open(c, (int)rval);
		break;
	case CALL_DATA:
		if (rval)
			put_write(c, c->off, rval);
		break;
	case CALL_TRUNC:
		put_size(c);
		break;
	case CALL_ALLOC:
		done_alloc(c);
		break;
	case CALL_RENAME:
		done_rename(c);
		break;
	case CALL_LINK:
		done_link(c);
		break;
	case CALL_UNLINK:
		done_unlink(c);
		break;
	case CALL_MAKE:
	case CALL_BIND:
		put_create(c);
		break;
	case CALL_META:
		done_meta(c);
		break;
	case CALL_MMAP:
	case CALL_CLONE_RANGE:
		put_unsafe(c);
		break;
	default:
		break;
	}
}

void calls_done(struct call *c, long long rval, bool failed)
{
	if (c->desc->kind == CALL_SYNC || c->desc->kind == CALL_SYNC_ALL) {
		done_sync(c, failed);
		return;
	}
	if (failed)
		return;
	if (c->unresolved)
		die("cannot tell what a %s of %s was about", c->desc->name, c->who);
	put_effect(c, rval);
}

/* Whether @name in @dir is @f. */
static bool leads_to(const struct file *dir, const char *name, const struct file *f)
{
	struct stat st;

	return fstatat(dir->pin, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && files_find(&st) == f;
}

void calls_dead(struct call *c)
{
	switch (c->desc->kind) {
	case CALL_OPEN:
		if ((c->flags & CALL_TMPFILE_BIT) == CALL_TMPFILE_BIT || c->is_symlink)
			return;
		break;
	case CALL_DATA:
		put_write(c, c->off, -1);
		return;
	case CALL_RENAME:
		if (!c->dir || !c->dir2 || !c->file || !leads_to(c->dir2, c->name2, c->file))
			return;
		break;
	case CALL_LINK:
		if (!c->dir || leads_to(c->dir, c->name, NULL))
			return;
		break;
	case CALL_UNLINK:
		if (!c->dir || !c->file || leads_to(c->dir, c->name, c->file))
			return;
		break;
	case CALL_SYNC:
	case CALL_SYNC_ALL:
		return;
	default:
		break;
	}
	if (!c->unresolved)
		put_effect(c, 0);
}
