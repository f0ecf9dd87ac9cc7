// SPDX-License-Identifier: BSD-2-Clause
/*
 * Mailboxes that are being delivered into, and some that were: opening one costs more than a look
 * whether its name still means the same directory.
 *
 * A message is durable only if the names of the directories above it are.  Another process may have
 * made them a moment ago and may not have come to its sync, so whoever meets a young directory
 * syncs its parent as well, up to one that is old enough to be on the disk, or to the base that the
 * administrator made.
 */
#include "store/maildir_target.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "store/maildir.h"

/* Ten times what a kernel lets a directory entry stay in memory only. */
#define YOUNG_S	  600
#define KNOWN_MAX 10000
/* Mailboxes that nobody delivers into are kept open so many, and so long. */
#define KEPT_MAX 128
#define KEPT_MS	 30000

static struct {
	pthread_mutex_t lock;
	struct map targets; /* by path */
	struct list by_use; /* the latest first */
	unsigned unused;    /* of them */
	struct map known;   /* "DEV:INO:BIRTH" of new/ directories whose names are durable */
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER, .by_use = LIST_INIT(shared.by_use) };

int maildir_make(const char *path)
{
	static const char *const parts[] = { "tmp", "cur", "new" };
	int fd, saved;

	if (dir_make(AT_FDCWD, path, 0700) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (mkdirat(fd, parts[i], 0700) < 0 && errno != EEXIST) {
			saved = errno;
			close(fd);
			errno = saved;
			return -1;
		}
	close(fd);
	return 0;
}

/* ---- durable directories ---- */

/* When it was made; a file system that does not tell makes every directory a young one. */
static bool is_young(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) < 0 || !(st.stx_mask & STATX_BTIME))
		return true;
	return clock_wall_us() / 1000000 - st.stx_btime.tv_sec < YOUNG_S;
}

/*
 * Syncs the directory that holds the name of PATH, and its parents'.  One that may be passed
 * through but not read cannot be synced by itself: then all of the file system is.
 */
static int sync_parents(const char *path, size_t base_len)
{
	char *dir = xstrdup(path), *slash;
	int fd = -1, result = 0;

	while (result == 0 && strlen(dir) > base_len && (slash = strrchr(dir, '/')) != NULL) {
		*slash = '\0';
		fd = open(dir[0] != '\0' ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			break;
		result = file_sync(fd);
		if (!is_young(fd))
			slash = NULL;
		close(fd);
		if (slash == NULL)
			break;
	}
	if (fd < 0) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		result = fd < 0 ? -1 : syncfs(fd);
		if (fd >= 0)
			close(fd);
	}
	free(dir);
	return result;
}

static bool is_known(const char *key)
{
	bool found;

	pthread_mutex_lock(&shared.lock);
	found = map_get_str(&shared.known, key) != NULL;
	pthread_mutex_unlock(&shared.lock);
	return found;
}

static void make_known(const char *key)
{
	static char something;

	pthread_mutex_lock(&shared.lock);
	if (shared.known.count >= KNOWN_MAX)
		map_release(&shared.known, NULL);
	(void)map_put_str(&shared.known, key, &something);
	pthread_mutex_unlock(&shared.lock);
}

int maildir_target_durable(struct maildir_target *t, size_t base_len)
{
	int fd = dirsync_fd(t->new_dir);
	char key[80], path[1100];
	struct statx st;

	if (atomic_load(&t->is_durable))
		return 0;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) < 0)
		return -1;
	/* With the time of its birth: a mailbox that was removed leaves its inode to the next. */
	(void)snprintf(key, sizeof(key), "%x:%x:%llx:%llx.%x", st.stx_dev_major, st.stx_dev_minor,
	    (unsigned long long)st.stx_ino,
	    st.stx_mask & STATX_BTIME ? (unsigned long long)st.stx_btime.tv_sec : 0,
	    st.stx_mask & STATX_BTIME ? st.stx_btime.tv_nsec : 0);
	if (!is_known(key)) {
		(void)snprintf(path, sizeof(path), "%s/new", t->path);
		if (is_young(fd) && sync_parents(path, base_len) < 0)
			return -1;
		make_known(key);
	}
	atomic_store(&t->is_durable, true);
	return 0;
}

/* ---- the mailbox's descriptors ---- */

static int open_part(const char *path, const char *part)
{
	char name[1100];

	(void)snprintf(name, sizeof(name), "%s/%s", path, part);
	return open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void target_free(struct maildir_target *t)
{
	if (t->new_dir != NULL)
		dirsync_free(t->new_dir);
	if (t->tmp_fd >= 0)
		close(t->tmp_fd);
	free(t->path);
	free(t);
}

static struct maildir_target *target_open(const char *path)
{
	struct maildir_target *t = xcalloc(1, sizeof(*t));
	int new_fd = -1, saved;
	struct stat st;

	t->path = xstrdup(path);
	list_init(&t->link);
	t->users = 1;
	t->tmp_fd = -1;
	if (((t->tmp_fd = open_part(path, "tmp")) < 0 || (new_fd = open_part(path, "new")) < 0) &&
	    errno == ENOENT && maildir_make(path) == 0) {
		if (t->tmp_fd < 0)
			t->tmp_fd = open_part(path, "tmp");
		if (t->tmp_fd >= 0)
			new_fd = open_part(path, "new");
	}
	if (new_fd >= 0) {
		t->new_dir = dirsync_new(new_fd);
		if (fstat(new_fd, &st) == 0) {
			t->device = st.st_dev;
			t->inode = st.st_ino;
			return t;
		}
	}
	saved = errno;
	target_free(t);
	errno = saved;
	return NULL;
}

/* With the lock: nobody finds it any more. */
static void take_off(struct maildir_target *t)
{
	list_del(&t->link);
	if (map_get_str(&shared.targets, t->path) == t)
		(void)map_remove(&shared.targets, slice_of(t->path));
}

/* With the lock, from the oldest on: those that have to go, for the caller to free. */
static void take_surplus(struct list *surplus)
{
	const int64_t now = clock_ms();

	for (struct list *l = shared.by_use.prev, *before; l != &shared.by_use; l = before) {
		struct maildir_target *t = list_entry(l, struct maildir_target, link);

		before = l->prev;
		if (shared.unused <= KEPT_MAX && now - t->last_use < KEPT_MS)
			return;
		if (t->users > 0)
			continue;
		shared.unused--;
		take_off(t);
		list_add_tail(surplus, &t->link);
	}
}

static void free_list(struct list *list)
{
	list_for_each_safe(l, tmp, list)
		target_free(list_entry(l, struct maildir_target, link));
	list_init(list);
}

/* The one that is open, with a user more; or NULL. */
static struct maildir_target *find(const char *path)
{
	struct maildir_target *t;

	pthread_mutex_lock(&shared.lock);
	t = map_get_str(&shared.targets, path);
	if (t != NULL) {
		shared.unused -= t->users++ == 0;
		list_del(&t->link);
		list_add_head(&shared.by_use, &t->link);
	}
	pthread_mutex_unlock(&shared.lock);
	return t;
}

/* Has nobody put another directory into its place? */
static bool is_in_place(const struct maildir_target *t)
{
	char name[1100];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s/new", t->path);
	return fstatat(AT_FDCWD, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == t->device &&
	       st.st_ino == t->inode;
}

void maildir_target_forget(struct maildir_target *t)
{
	pthread_mutex_lock(&shared.lock);
	take_off(t);
	t->is_forgotten = true;
	pthread_mutex_unlock(&shared.lock);
}

struct maildir_target *maildir_target_get(const char *path)
{
	struct maildir_target *t = find(path);

	if (t != NULL && is_in_place(t))
		return t;
	if (t != NULL) {
		maildir_target_forget(t);
		maildir_target_put(t);
	}
	t = target_open(path);
	if (t == NULL)
		return NULL;
	pthread_mutex_lock(&shared.lock);
	/* Another thread may have done the same: two for one mailbox share less, that is all. */
	t->is_forgotten = map_get_str(&shared.targets, path) != NULL;
	if (!t->is_forgotten) {
		(void)map_put_str(&shared.targets, path, t);
		list_add_head(&shared.by_use, &t->link);
	}
	pthread_mutex_unlock(&shared.lock);
	return t;
}

void maildir_target_put(struct maildir_target *t)
{
	struct list surplus = LIST_INIT(surplus);

	pthread_mutex_lock(&shared.lock);
	t->last_use = clock_ms();
	if (--t->users == 0) {
		if (t->is_forgotten)
			list_add_tail(&surplus, &t->link);
		else
			shared.unused++;
	}
	take_surplus(&surplus);
	pthread_mutex_unlock(&shared.lock);
	free_list(&surplus);
}
