// SPDX-License-Identifier: BSD-2-Clause
/*
 * One descriptor per queue; names below it are "ID" or, in hashed queues, "X/ID", "X/Y/ID" and so
 * on.  A directory that a move goes into has one dirsync, made at its first use, so that moves into
 * it share syncs.
 *
 * A sub-directory's own name has to last, too.  Who made it may be another thread, or another
 * process, that has not come to its sync; so the first move into it syncs the directories above.
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
#include "base/map.h"
#include "queue/queue_record.h"

#define DIR_MODE 0700
#define LOG_MODE 0600
/* An administrator may have changed the depth: files are looked for in depths up to this one. */
#define LOOKED_AT_DEPTH 3
/* The peer's mark of a message that was expired by force. */
#define EXPIRED_MODE S_IXGRP

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

/* A directory that moves went into. */
struct place {
	struct dirsync *sync;
	bool lasting; /* its name, and those above, are durable */
};

struct spool {
	int fds[SPOOL_QUEUES];
	unsigned depth[SPOOL_QUEUES]; /* levels of sub-directories; 0: not hashed */
	pthread_mutex_t lock;
	struct map places[SPOOL_QUEUES]; /* by path: "", "X", "X/Y" */
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

/* postdrop cannot make directories, and where it puts a name pickup looks for it. */
static unsigned levels_of(const struct spool_config *config, enum spool_queue queue)
{
	if (config->hash_depth <= 0 || !config->hash_names || queue == SPOOL_MAILDROP ||
	    !is_listed(config->hash_names, queue_names[queue]))
		return 0;
	return config->hash_depth < SPOOL_MAX_DEPTH ? (unsigned)config->hash_depth
						    : SPOOL_MAX_DEPTH;
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
		spool->depth[i] = levels_of(config, (enum spool_queue)i);
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

static void place_free(void *arg)
{
	struct place *place = arg;

	dirsync_free(place->sync);
	free(place);
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	for (int i = 0; i < SPOOL_QUEUES; i++) {
		map_release(&spool->places[i], place_free);
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

/* The name below LEVELS sub-directories. */
static void place_at(const char *id, unsigned levels, char path[SPOOL_PATH_SIZE])
{
	char *out = path;

	for (unsigned i = 0; i < levels; i++) {
		*out++ = queue_id_hash_at(slice_of(id), i);
		*out++ = '/';
	}
	memcpy(out, id, strlen(id) + 1);
}

void spool_place(
    const struct spool *spool, enum spool_queue queue, const char *id, char path[SPOOL_PATH_SIZE])
{
	place_at(id, spool->depth[queue], path);
}

/*
 * The places where it may lie, in the order of likelihood; false after the last one.
 */
static bool nth_place(const struct spool *spool, enum spool_queue queue, const char *id, unsigned n,
    char path[SPOOL_PATH_SIZE])
{
	unsigned right = spool->depth[queue], other = n - 1;

	/* 0 to 3 in turn, without the right one. */
	if (n > 0 && other >= right)
		other++;
	if (n > 0 && other > LOOKED_AT_DEPTH)
		return false;
	place_at(id, n == 0 ? right : other, path);
	return true;
}

int spool_open_file(struct spool *spool, enum spool_queue queue, const char *id, int flags)
{
	char path[SPOOL_PATH_SIZE];
	int fd = -1;

	/* O_NONBLOCK: whatever it is, opening it must not hang. */
	for (unsigned n = 0; fd == -1 && nth_place(spool, queue, id, n, path); n++) {
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

	for (unsigned n = 0; nth_place(spool, queue, id, n, path); n++) {
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
	for (unsigned n = 0; nth_place(spool, queue, id, n, path); n++) {
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

/* "X/Y" of "X/Y/ID", "" of "ID". */
static struct slice directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slice_mem(path, slash ? (size_t)(slash - path) : 0);
}

/* The directories of a place in QUEUE: makes those that are missing. */
static int make_directory_of(struct spool *spool, enum spool_queue queue, const char *path)
{
	struct slice dir = directory_of(path);
	char prefix[SPOOL_PATH_SIZE];

	if (dir.len == 0) {
		errno = ENOENT;
		return -1;
	}
	for (size_t len = 1; len <= dir.len; len += 2) {
		snprintf(prefix, sizeof(prefix), "%.*s", (int)len, path);
		if (mkdirat(spool->fds[queue], prefix, DIR_MODE) == -1 && errno != EEXIST)
			return -1;
	}
	return 0;
}

static struct place *place_of(struct spool *spool, enum spool_queue queue, struct slice dir)
{
	struct place *place;
	char path[SPOOL_PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), "%.*s", dir.len ? (int)dir.len : 1, dir.len ? dir.ptr : ".");
	pthread_mutex_lock(&spool->lock);
	place = map_get(&spool->places[queue], dir);
	if (!place && (fd = openat(spool->fds[queue], path,
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) != -1) {
		place = xcalloc(1, sizeof(*place));
		place->sync = dirsync_new(fd);
		place->lasting = dir.len == 0;
		map_put(&spool->places[queue], dir, place);
	}
	pthread_mutex_unlock(&spool->lock);
	return place;
}

static bool is_lasting(struct spool *spool, const struct place *place)
{
	bool lasting;

	pthread_mutex_lock(&spool->lock);
	lasting = place->lasting;
	pthread_mutex_unlock(&spool->lock);
	return lasting;
}

/* The new name lasts, and so do the sub-directories that it is in. */
static int sync_place(struct spool *spool, enum spool_queue queue, const char *path)
{
	struct slice dir = directory_of(path);
	struct place *place = place_of(spool, queue, dir), *above = place;

	if (!place || !place->sync || dirsync_wait(place->sync) == -1)
		return -1;
	while (!is_lasting(spool, above)) {
		dir = slice_first(dir, dir.len < 2 ? 0 : dir.len - 2);
		above = place_of(spool, queue, dir);
		if (!above || !above->sync || dirsync_wait(above->sync) == -1)
			return -1;
	}
	pthread_mutex_lock(&spool->lock);
	place->lasting = true;
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

	spool_place(spool, to, id, new);
	/* The usual case: it was deferred before. */
	if (from == to && mtime_s >= 0 &&
	    utimensat(spool->fds[to], new, times, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (locate(spool, from, id, old, &st) == -1)
		return -1;
	if (mtime_s >= 0 && utimensat(spool->fds[from], old, times, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	if (from == to && strcmp(old, new) == 0)
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

static bool is_log(enum spool_queue queue)
{
	return queue >= SPOOL_BOUNCE;
}

int spool_replace(struct spool *spool, enum spool_queue queue, const char *id)
{
	char old[SPOOL_PATH_SIZE], right[SPOOL_PATH_SIZE];
	struct stat st;

	spool_place(spool, queue, id, right);
	for (unsigned n = 1; nth_place(spool, queue, id, n, old); n++) {
		if (strcmp(old, right) == 0 ||
		    fstatat(spool->fds[queue], old, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		if (link_to(spool, spool->fds[queue], old, queue, right) == -1 &&
		    (errno != EEXIST ||
			(!is_log(queue) && !is_same_file(spool->fds[queue], right, &st))))
			return -1;
		if ((!is_log(queue) && sync_place(spool, queue, right) == -1) ||
		    unlinkat(spool->fds[queue], old, 0) == -1)
			return -1;
	}
	return 0;
}

bool spool_is_expired(mode_t mode)
{
	return (mode & EXPIRED_MODE) != 0;
}

int spool_expire(struct spool *spool, enum spool_queue queue, const char *id)
{
	int fd = spool_open_file(spool, queue, id, O_RDONLY), result = -1;
	struct stat st;

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		result = !spool_is_expired(st.st_mode);
		if (result && fchmod(fd, (st.st_mode & 07777) | EXPIRED_MODE) == -1)
			result = -1;
	} else {
		errno = EINVAL;
	}
	close(fd);
	return result;
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

int spool_mark_traced(int fd, off_t offset)
{
	char type;

	if (pread(fd, &type, 1, offset) != 1 || (type != QR_ATTRIBUTE && type != QR_KILLED)) {
		errno = EINVAL;
		return -1;
	}
	return type == QR_KILLED ? 0 : file_pwrite_all(fd, SLICE_LIT("K"), offset);
}

/* Does FD hold TEXT already? */
static bool has_text(int fd, struct slice text)
{
	char bytes[4096];
	size_t at = 0;

	for (;;) {
		ssize_t got = pread(fd, bytes, sizeof(bytes), (off_t)at);

		if (got <= 0)
			return got == 0 && at == text.len;
		if ((size_t)got > text.len - at || memcmp(bytes, text.ptr + at, (size_t)got) != 0)
			return false;
		at += (size_t)got;
	}
}

/*
 * Over what is there, and cut off only then: a file that is made empty first gets new blocks, which
 * the file system begins to write as soon as it is closed.
 */
static int write_over(int fd, struct slice text)
{
	if (has_text(fd, text))
		return 0;
	if (file_pwrite_all(fd, text, 0) == -1)
		return -1;
	return ftruncate(fd, (off_t)text.len);
}

int spool_write_log(struct spool *spool, enum spool_queue queue, const char *id, struct slice text)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	char path[SPOOL_PATH_SIZE];
	int fd, result, saved;

	spool_place(spool, queue, id, path);
	fd = openat(spool->fds[queue], path, flags, LOG_MODE);
	if (fd == -1 && errno == ENOENT && make_directory_of(spool, queue, path) == 0)
		fd = openat(spool->fds[queue], path, flags, LOG_MODE);
	if (fd == -1)
		return -1;
	result = write_over(fd, text);
	saved = errno;
	close(fd);
	errno = saved;
	return result;
}

struct scan {
	bool (*each)(const char *id, int dirfd, void *arg);
	void *arg;
	bool any_name;
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

		if (name[0] && !name[1] && (ascii_isalnum(name[0]) || name[0] == '_') &&
		    depth < SPOOL_MAX_DEPTH)
			scan_below(scan, fd, name, depth + 1);
		else if (entry->d_type != DT_DIR && name[0] != '.' &&
			 (scan->any_name || queue_id_is_valid(slice_of(name))))
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

int spool_scan_all(struct spool *spool, enum spool_queue queue,
    bool (*each)(const char *name, int dirfd, void *arg), void *arg)
{
	struct scan scan = { .each = each, .arg = arg, .any_name = true };

	scan_below(&scan, spool->fds[queue], ".", 0);
	return scan.failed ? -1 : 0;
}

bool spool_is_misplaced(
    const struct spool *spool, enum spool_queue queue, const char *id, int dirfd)
{
	char place[SPOOL_PATH_SIZE];
	struct stat here, right;

	spool_place(spool, queue, id, place);
	if (fstatat(dirfd, id, &here, AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	return fstatat(spool->fds[queue], place, &right, AT_SYMLINK_NOFOLLOW) == -1 ||
	       here.st_ino != right.st_ino || here.st_dev != right.st_dev;
}
