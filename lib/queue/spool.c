// SPDX-License-Identifier: BSD-2-Clause
/*
 * One descriptor per queue; names below it are "ID" or, in hashed queues, "X/ID".  A directory
 * that a move goes into has one dirsync, made at its first use, so that moves into it share syncs.
 *
 * A sub-directory's own name has to last, too.  Who made it may be another thread, or another
 * process, that has not come to its sync; so the first move into it syncs the queue's directory.
 */
#include "queue/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "queue/queue_record.h"

#define DIR_MODE  0700
#define LOG_MODE  0600
#define MAX_DEPTH 2 /* of sub-directories that we look into */

static const char *const queue_names[SPOOL_QUEUES] = {
	[SPOOL_MAILDROP] = "maildrop",
	[SPOOL_INCOMING] = "incoming",
	[SPOOL_ACTIVE] = "active",
	[SPOOL_DEFERRED] = "deferred",
	[SPOOL_HOLD] = "hold",
	[SPOOL_CORRUPT] = "corrupt",
	[SPOOL_BOUNCE] = "bounce",
	[SPOOL_DEFER] = "defer",
	[SPOOL_TRACE] = "trace",
};

struct spool {
	int fds[SPOOL_QUEUES];
	bool hashed[SPOOL_QUEUES];
	pthread_mutex_t lock;
	/* By the sub-directory's character; 0 is the queue's own directory. */
	struct dirsync *syncs[SPOOL_QUEUES][128];
	bool lasting[SPOOL_QUEUES][128]; /* sub-directories whose names are durable */
};

const char *spool_queue_name(enum spool_queue queue)
{
	return queue_names[queue];
}

bool spool_queue_by_name(const char *name, enum spool_queue *queue)
{
	for (int i = 0; i < SPOOL_QUEUES; i++) {
		if (strcmp(queue_names[i], name) != 0)
			continue;
		*queue = (enum spool_queue)i;
		return true;
	}
	return false;
}

static bool is_listed(const char *names, const char *name)
{
	struct slice rest = slice_of(names);
	size_t len = strlen(name);

	for (size_t i = 0; i + len <= rest.len; i++) {
		bool begins = i == 0 || strchr(", \t\r\n", rest.ptr[i - 1]);
		bool ends = i + len == rest.len || strchr(", \t\r\n", rest.ptr[i + len]);

		if (begins && ends && memcmp(rest.ptr + i, name, len) == 0)
			return true;
	}
	return false;
}

struct spool *spool_open(const struct spool_config *config, struct reason *why)
{
	struct spool *spool = xcalloc(1, sizeof(*spool));
	int top;

	pthread_mutex_init(&spool->lock, NULL);
	for (int i = 0; i < SPOOL_QUEUES; i++)
		spool->fds[i] = -1;
	top = open(config->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top == -1) {
		reason_set(why, "4.3.0", "open queue directory %s: %s", config->directory,
		    strerror(errno));
		goto free_spool;
	}
	for (int i = 0; i < SPOOL_QUEUES; i++) {
		spool->hashed[i] = config->hash_depth > 0 && config->hash_names &&
				   is_listed(config->hash_names, queue_names[i]);
		spool->fds[i] =
		    openat(top, queue_names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (spool->fds[i] == -1) {
			reason_set(why, "4.3.0", "open queue directory %s/%s: %s",
			    config->directory, queue_names[i], strerror(errno));
			goto close_top;
		}
	}
	close(top);
	return spool;

close_top:
	close(top);
free_spool:
	spool_free(spool);
	return NULL;
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	for (int i = 0; i < SPOOL_QUEUES; i++) {
		for (size_t c = 0; c < ARRAY_LEN(spool->syncs[i]); c++)
			dirsync_free(spool->syncs[i][c]);
		if (spool->fds[i] != -1)
			close(spool->fds[i]);
	}
	pthread_mutex_destroy(&spool->lock);
	free(spool);
}

int spool_queue_fd(const struct spool *spool, enum spool_queue queue)
{
	return spool->fds[queue];
}

void spool_place(
    const struct spool *spool, enum spool_queue queue, const char *id, char path[SPOOL_PATH_SIZE])
{
	if (spool->hashed[queue])
		snprintf(path, SPOOL_PATH_SIZE, "%c/%s", queue_id_hash(slice_of(id)), id);
	else
		snprintf(path, SPOOL_PATH_SIZE, "%s", id);
}

/* The places where it may lie, in the order of likelihood; false after the last one. */
static bool nth_place(const struct spool *spool, enum spool_queue queue, const char *id, int n,
    char path[SPOOL_PATH_SIZE])
{
	char first = queue_id_hash(slice_of(id));

	if (n == 0)
		spool_place(spool, queue, id, path);
	else if (n == 1 && spool->hashed[queue])
		snprintf(path, SPOOL_PATH_SIZE, "%s", id);
	else if (n == 1)
		snprintf(path, SPOOL_PATH_SIZE, "%c/%s", first, id);
	else if (n == 2)
		snprintf(path, SPOOL_PATH_SIZE, "%c/%c/%s", first, id[1], id);
	else
		return false;
	return true;
}

int spool_open_file(struct spool *spool, enum spool_queue queue, const char *id, int flags)
{
	char path[SPOOL_PATH_SIZE];
	int fd = -1;

	/* O_NONBLOCK: whatever it is, opening it must not hang. */
	for (int n = 0; fd == -1 && nth_place(spool, queue, id, n, path); n++) {
		fd = openat(spool->fds[queue], path,
		    flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		if (fd == -1 && errno != ENOENT)
			return -1;
	}
	return fd;
}

int spool_unlink(struct spool *spool, enum spool_queue queue, const char *id)
{
	char path[SPOOL_PATH_SIZE];

	for (int n = 0; nth_place(spool, queue, id, n, path); n++) {
		if (unlinkat(spool->fds[queue], path, 0) == 0)
			return 0;
		if (errno != ENOENT)
			return -1;
	}
	return -1;
}

/* Where it is now. */
static int locate(struct spool *spool, enum spool_queue queue, const char *id,
    char path[SPOOL_PATH_SIZE], struct stat *st)
{
	for (int n = 0; nth_place(spool, queue, id, n, path); n++) {
		if (fstatat(spool->fds[queue], path, st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (S_ISREG(st->st_mode))
				return 0;
			errno = EINVAL;
			return -1;
		}
		if (errno != ENOENT)
			return -1;
	}
	return -1;
}

int spool_stat(struct spool *spool, enum spool_queue queue, const char *id, struct stat *st)
{
	char path[SPOOL_PATH_SIZE];

	return locate(spool, queue, id, path, st);
}

bool spool_find(struct spool *spool, const char *id, enum spool_queue *queue)
{
	static const enum spool_queue order[] = { SPOOL_CORRUPT, SPOOL_HOLD, SPOOL_DEFERRED,
		SPOOL_ACTIVE, SPOOL_INCOMING, SPOOL_MAILDROP };
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (spool_stat(spool, order[i], id, &st) == -1)
			continue;
		*queue = order[i];
		return true;
	}
	return false;
}

static bool is_hashed(const char *path)
{
	return path[0] && path[1] == '/';
}

/* The directory of a place in QUEUE: makes it when it is missing. */
static int make_directory_of(struct spool *spool, enum spool_queue queue, const char *path)
{
	char dir[2] = { path[0], '\0' };

	if (!is_hashed(path)) {
		errno = ENOENT;
		return -1;
	}
	if (mkdirat(spool->fds[queue], dir, DIR_MODE) == -1 && errno != EEXIST)
		return -1;
	return 0;
}

static struct dirsync *sync_of(struct spool *spool, enum spool_queue queue, const char *path)
{
	char dir[2] = { is_hashed(path) ? path[0] : '.', '\0' };
	struct dirsync **sync = &spool->syncs[queue][is_hashed(path) ? path[0] & 127 : 0];
	struct dirsync *result;
	int fd;

	pthread_mutex_lock(&spool->lock);
	if (!*sync) {
		fd = openat(spool->fds[queue], dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd != -1)
			*sync = dirsync_new(fd);
	}
	result = *sync;
	pthread_mutex_unlock(&spool->lock);
	return result;
}

static bool is_lasting(struct spool *spool, enum spool_queue queue, const char *path)
{
	bool lasting;

	pthread_mutex_lock(&spool->lock);
	lasting = !is_hashed(path) || spool->lasting[queue][path[0] & 127];
	pthread_mutex_unlock(&spool->lock);
	return lasting;
}

/* The new name lasts, and so does the sub-directory that it is in. */
static int sync_place(struct spool *spool, enum spool_queue queue, const char *path)
{
	struct dirsync *sync = sync_of(spool, queue, path);

	if (!sync || dirsync_wait(sync) == -1)
		return -1;
	if (is_lasting(spool, queue, path))
		return 0;
	sync = sync_of(spool, queue, "");
	if (!sync || dirsync_wait(sync) == -1)
		return -1;
	pthread_mutex_lock(&spool->lock);
	spool->lasting[queue][path[0] & 127] = true;
	pthread_mutex_unlock(&spool->lock);
	return 0;
}

static int link_to(
    struct spool *spool, int from_fd, const char *from_path, enum spool_queue to, const char *path)
{
	int result = linkat(from_fd, from_path, spool->fds[to], path, 0);

	if (result == -1 && errno == ENOENT && make_directory_of(spool, to, path) == 0)
		result = linkat(from_fd, from_path, spool->fds[to], path, 0);
	return result;
}

static bool is_same_file(int dirfd, const char *path, const struct stat *st)
{
	struct stat other;

	return fstatat(dirfd, path, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
	       other.st_ino == st->st_ino && other.st_dev == st->st_dev;
}

int spool_move(struct spool *spool, const char *id, enum spool_queue from, enum spool_queue to,
    int64_t mtime_s)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = mtime_s } };
	char old[SPOOL_PATH_SIZE], new[SPOOL_PATH_SIZE];
	struct stat st;

	if (locate(spool, from, id, old, &st) == -1)
		return -1;
	spool_place(spool, to, id, new);
	if (mtime_s >= 0 && utimensat(spool->fds[from], old, times, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	if (from == to)
		return 0;
	if (link_to(spool, spool->fds[from], old, to, new) == -1) {
		if (errno != EEXIST)
			return -1;
		if (!is_same_file(spool->fds[to], new, &st)) {
			errno = EEXIST;
			return -1;
		}
	}
	if (sync_place(spool, to, new) == -1)
		return -1;
	return unlinkat(spool->fds[from], old, 0);
}

int spool_sync_incoming(struct spool *spool)
{
	return sync_place(spool, SPOOL_INCOMING, "");
}

int spool_mark_done(int fd, off_t offset)
{
	char type;

	if (pread(fd, &type, 1, offset) != 1 || (type != 'R' && type != '/' && type != 'D')) {
		errno = EINVAL;
		return -1;
	}
	return type == 'D' ? 0 : file_pwrite_all(fd, SLICE_LIT("D"), offset);
}

int spool_mark_warned(int fd, off_t offset)
{
	char text[QUEUE_WARN_TIME_LEN + 1];

	snprintf(text, sizeof(text), "%*d", QUEUE_WARN_TIME_LEN, -1);
	return file_pwrite_all(fd, slice_of(text), offset);
}

int spool_write_log(struct spool *spool, enum spool_queue queue, const char *id, struct slice text)
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	char path[SPOOL_PATH_SIZE];
	int fd, result, saved;

	spool_place(spool, queue, id, path);
	fd = openat(spool->fds[queue], path, flags, LOG_MODE);
	if (fd == -1 && errno == ENOENT && make_directory_of(spool, queue, path) == 0)
		fd = openat(spool->fds[queue], path, flags, LOG_MODE);
	if (fd == -1)
		return -1;
	result = file_write_all(fd, text);
	saved = errno;
	close(fd);
	errno = saved;
	return result;
}

struct scan {
	bool (*each)(const char *id, int dirfd, void *arg);
	void *arg;
	bool failed, stopped;
};

static void scan_directory(struct scan *scan, int fd, int depth);

static void scan_below(struct scan *scan, int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1)
		scan->failed |= errno != ENOENT && errno != ENOTDIR;
	else
		scan_directory(scan, fd, depth);
}

/* Takes FD over. */
static void scan_directory(struct scan *scan, int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close(fd);
		scan->failed = true;
		return;
	}
	while (!scan->stopped && (errno = 0, entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (name[0] && !name[1] && ascii_isalnum(name[0]) && depth < MAX_DEPTH)
			scan_below(scan, fd, name, depth + 1);
		else if (entry->d_type != DT_DIR && queue_id_is_valid(slice_of(name)))
			scan->stopped = !scan->each(name, fd, scan->arg);
	}
	scan->failed |= !scan->stopped && errno != 0;
	closedir(dir);
}

int spool_scan(struct spool *spool, enum spool_queue queue,
    bool (*each)(const char *id, int dirfd, void *arg), void *arg)
{
	struct scan scan = { .each = each, .arg = arg };

	scan_below(&scan, spool->fds[queue], ".", 0);
	return scan.failed ? -1 : 0;
}
