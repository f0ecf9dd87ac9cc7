// SPDX-License-Identifier: BSD-2-Clause
/* rec_files.c - a hash table of inodes, and the walk that describes a tree in the trace. */
#include "rec_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rec_trace.h"

#define BUCKETS	    4096
#define MAX_WATCHES 16
#define MANY_FILES  (1 << 20)

static struct file *table[BUCKETS];
static unsigned last_id;
static struct {
	char *path;
	struct file *dir;
} watches[MAX_WATCHES];
static int watch_count;

static void walk(struct file *dir);

void files_raise_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_max < MANY_FILES) { /* root may have more */
		lim.rlim_cur = lim.rlim_max = MANY_FILES;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

const char *files_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "f";
	case S_IFDIR:
		return "d";
	case S_IFLNK:
		return "l";
	case S_IFIFO:
		return "p";
	case S_IFSOCK:
		return "s";
	default:
		return "c";
	}
}

struct file *files_find(const struct stat *st)
{
	for (struct file *f = table[st->st_ino % BUCKETS]; f; f = f->next) {
		if (f->ino == st->st_ino && f->dev == st->st_dev)
			return f;
	}
	return NULL;
}

struct file *files_stat(const char *path, struct stat *st)
{
	return stat(path, st) == 0 ? files_find(st) : NULL;
}

struct file *files_add(int dirfd, const char *name, bool follow)
{
	struct file *f = calloc(1, sizeof(*f));
	struct stat st;

	if (!f)
		die("out of memory");
	f->pin = openat(dirfd, name, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
	if (f->pin < 0 || fstat(f->pin, &st) != 0)
		die("cannot hold %s open: %s", name, strerror(errno));
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->type = st.st_mode & S_IFMT;
	f->id = ++last_id;
	f->next = table[f->ino % BUCKETS];
	table[f->ino % BUCKETS] = f;
	return f;
}

int files_open(const struct file *f)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->pin);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static void put_contents(const struct file *f)
{
	int fd = files_open(f);
	struct stat st;
	char *buf = NULL;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &st) != 0)
		die("cannot read a file of the watched directories: %s", strerror(errno));
	buf = malloc((size_t)st.st_size + 1);
	if (!buf || (n = pread(fd, buf, (size_t)st.st_size, 0)) < 0)
		die("cannot read a file of the watched directories: %s", strerror(errno));
	trace_data(buf, (size_t)n);
	free(buf);
	close(fd);
}

static void put_node(struct file *f)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fstat(f->pin, &st) != 0)
		die("fstat: %s", strerror(errno));
	trace_plain("node");
	trace_num("id", f->id);
	trace_str("type", files_type(f->type));
	trace_stat(&st);
	if (f->type == S_IFLNK && (n = readlinkat(f->pin, "", target, sizeof(target) - 1)) >= 0) {
		target[n] = '\0';
		trace_str("target", target);
	}
	if (f->type == S_IFREG)
		put_contents(f);
	else
		trace_end();
	if (f->type == S_IFDIR)
		walk(f);
}

static void put_entry(const struct file *dir, const char *name, const struct file *f)
{
	trace_plain("entry");
	trace_num("dir", dir->id);
	trace_str("name", name);
	trace_num("id", f->id);
	trace_end();
}

struct file *files_child(struct file *dir, const char *name)
{
	struct file *f;
	struct stat st;

	if (fstatat(dir->pin, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return NULL;
	f = files_find(&st);
	if (f)
		return f;
	f = files_add(dir->pin, name, false);
	put_node(f);
	put_entry(dir, name, f);
	return f;
}

static void walk(struct file *dir)
{
	int fd = openat(dir->pin, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		die("cannot read a watched directory: %s", strerror(errno));
	while ((e = readdir(d))) {
		struct stat st;
		struct file *f;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (fstatat(dir->pin, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		f = files_find(&st);
		if (f)
			put_entry(dir, e->d_name, f);
		else
			files_child(dir, e->d_name);
	}
	closedir(d);
}

void files_watch(const char *path)
{
	char *real = realpath(path, NULL);
	struct stat st;

	if (!real || stat(real, &st) != 0 || !S_ISDIR(st.st_mode))
		die("%s: not a directory", path);
	if (files_find(&st))
		die("%s: is watched already", path);
	if (watch_count == MAX_WATCHES)
		die("too many directories to watch");
	watches[watch_count].path = real;
	watches[watch_count].dir = files_add(AT_FDCWD, real, true);
	trace_plain("watch");
	trace_num("id", watches[watch_count].dir->id);
	trace_str("path", real);
	trace_end();
	put_node(watches[watch_count++].dir);
}

bool files_all_on(dev_t dev)
{
	for (int i = 0; i < watch_count; i++) {
		if (watches[i].dir->dev != dev)
			return false;
	}
	return true;
}

/* Goes down from a watched directory, name by name, so that what is unknown gets adopted. */
static struct file *descend(struct file *dir, const char *rest)
{
	char name[NAME_MAX + 1];
	size_t len;

	while (dir && *(rest += strspn(rest, "/"))) {
		len = strcspn(rest, "/");
		if (len > NAME_MAX || dir->type != S_IFDIR)
			return NULL;
		memcpy(name, rest, len);
		name[len] = '\0';
		dir = files_child(dir, name);
		rest += len;
	}
	return dir;
}

struct file *files_by_path(const char *path)
{
	for (int i = 0; i < watch_count; i++) {
		size_t len = strlen(watches[i].path);

		if (!strncmp(path, watches[i].path, len) && (path[len] == '/' || !path[len]))
			return descend(watches[i].dir, path + len);
	}
	return NULL;
}
