// SPDX-License-Identifier: BSD-2-Clause
/*
 * Boxes copy a snapshot's arrays, which they change, and point at its texts, which are never
 * written again.  It is freed by the last of them, or when the list of all lets it go.
 */
#include "store/maildir_snapshot.h"
#include "store/maildir_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"

/* Kept in all, the ones that were used last. */
#define MESSAGES_MAX  200000
#define SNAPSHOTS_MAX 1000
#define RENAMES_MAX   4 /* of each message, on average */

struct maildir_snapshot {
	struct list link; /* the latest first */
	char *path;
	unsigned users; /* the list among them */
	struct maildir_stamp stamp;
	struct arena arena;
	struct store_message *messages;
	struct maildir_file *files;
	size_t count, renamed;
	uint32_t uidvalidity;
};

/* Much longer than any tick of a file system's clock. */
static _Atomic int64_t old_s = 2;

static struct {
	pthread_mutex_t lock;
	struct map by_path;
	struct list all;
	size_t messages;
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER, .all = LIST_INIT(kept.all) };

void maildir_snapshot_set_age(int64_t seconds)
{
	atomic_store(&old_s, seconds);
}

/* ---- stamps ---- */

static bool stamp_part(int dirfd, const char *name, struct maildir_stamp *stamp, size_t part)
{
	const int64_t old = clock_wall_us() / 1000000 - atomic_load(&old_s);
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ctim.tv_sec > old || st.st_mtim.tv_sec > old)
		return false;
	stamp->parts[part].device = st.st_dev;
	stamp->parts[part].inode = st.st_ino;
	stamp->parts[part].size = (uint64_t)st.st_size;
	stamp->parts[part].changed_s = st.st_ctim.tv_sec;
	stamp->parts[part].changed_ns = (uint32_t)st.st_ctim.tv_nsec;
	stamp->parts[part].modified_s = st.st_mtim.tv_sec;
	stamp->parts[part].modified_ns = (uint32_t)st.st_mtim.tv_nsec;
	return true;
}

bool maildir_stamp(const struct maildir_box *m, struct maildir_stamp *stamp)
{
	memset(stamp, 0, sizeof(*stamp)); /* it is compared as bytes */
	if (maildir_watch(m, &stamp->changes))
		return true;
	return stamp_part(m->dir_fd[0], "", stamp, 0) && stamp_part(m->dir_fd[1], "", stamp, 1) &&
	       stamp_part(m->root_fd, MAILDIR_UIDLIST, stamp, 2);
}

/* ---- the list ---- */

static void free_snapshot(struct maildir_snapshot *s)
{
	arena_release(&s->arena);
	free(s->messages);
	free(s->files);
	free(s->path);
	free(s);
}

void maildir_snapshot_put(struct maildir_snapshot *s)
{
	bool last;

	if (s == NULL)
		return;
	pthread_mutex_lock(&kept.lock);
	last = --s->users == 0;
	pthread_mutex_unlock(&kept.lock);
	if (last)
		free_snapshot(s);
}

/* With the lock; true when nobody has it any more. */
static bool take_off(struct maildir_snapshot *s)
{
	list_del(&s->link);
	(void)map_remove(&kept.by_path, slice_of(s->path));
	kept.messages -= s->count;
	return --s->users == 0;
}

/* With the lock. */
static void make_room(void)
{
	while (!list_is_empty(&kept.all) &&
	       (kept.messages > MESSAGES_MAX || kept.by_path.count > SNAPSHOTS_MAX)) {
		struct maildir_snapshot *last =
		    list_entry(kept.all.prev, struct maildir_snapshot, link);

		if (take_off(last))
			free_snapshot(last);
	}
}

/* With the lock. */
static struct maildir_snapshot *find(const char *path, const struct maildir_stamp *stamp)
{
	struct maildir_snapshot *s = map_get_str(&kept.by_path, path);

	if (s != NULL && memcmp(&s->stamp, stamp, sizeof(*stamp)) != 0) {
		if (take_off(s))
			free_snapshot(s);
		s = NULL;
	}
	if (s != NULL) {
		s->users++;
		list_del(&s->link);
		list_add_head(&kept.all, &s->link);
	}
	return s;
}

/* ---- boxes ---- */

static void *copy(const void *from, size_t count, size_t size)
{
	void *to = xcalloc(count + 1, size);

	if (count > 0)
		memcpy(to, from, count * size);
	return to;
}

bool maildir_snapshot_show(struct maildir_box *m, const struct maildir_stamp *stamp)
{
	struct maildir_snapshot *s;

	pthread_mutex_lock(&kept.lock);
	s = find(m->path, stamp);
	if (s != NULL) {
		m->snapshot = s;
		m->box.uidvalidity = s->uidvalidity;
		m->box.count = s->count;
		m->box.messages = copy(s->messages, s->count, sizeof(*s->messages));
		m->files = copy(s->files, s->count, sizeof(*s->files));
	}
	pthread_mutex_unlock(&kept.lock);
	return s != NULL;
}

/* One whose texts were all replaced some times is let go, too, with the old ones. */
static bool is_renamed_as_known(
    struct maildir_snapshot *s, const struct maildir_box *m, size_t i, const char *from)
{
	return s == m->snapshot && !s->files[i].in_new && strcmp(s->files[i].name, from) == 0 &&
	       ++s->renamed <= RENAMES_MAX * s->count;
}

void maildir_snapshot_renamed(const struct maildir_box *m, size_t i, const char *from)
{
	struct maildir_snapshot *s;

	pthread_mutex_lock(&kept.lock);
	s = map_get_str(&kept.by_path, m->path);
	if (s != NULL && !is_renamed_as_known(s, m, i, from)) {
		if (take_off(s))
			free_snapshot(s);
	} else if (s != NULL) {
		s->files[i].name = arena_strdup(&s->arena, m->files[i].name);
		s->files[i].in_new = m->files[i].in_new;
		s->messages[i].flags = m->box.messages[i].flags;
	}
	pthread_mutex_unlock(&kept.lock);
}

void maildir_snapshot_keep(struct maildir_box *m, const struct maildir_stamp *stamp)
{
	struct maildir_snapshot *s, *old;
	uint64_t changes;

	if (m->box.count > MESSAGES_MAX / 4)
		return;
	if (stamp->changes && (!maildir_watch(m, &changes) || changes != stamp->changes))
		return;
	s = xcalloc(1, sizeof(*s));
	s->path = xstrdup(m->path);
	s->users = 2;
	s->stamp = *stamp;
	s->uidvalidity = m->box.uidvalidity;
	s->count = m->box.count;
	s->messages = copy(m->box.messages, s->count, sizeof(*s->messages));
	s->files = copy(m->files, s->count, sizeof(*s->files));
	s->arena = m->arena;
	m->arena = (struct arena)ARENA_INIT;
	m->snapshot = s;
	pthread_mutex_lock(&kept.lock);
	old = map_get_str(&kept.by_path, s->path);
	if (old != NULL && take_off(old))
		free_snapshot(old);
	(void)map_put_str(&kept.by_path, s->path, s);
	list_add_head(&kept.all, &s->link);
	kept.messages += s->count;
	make_room();
	pthread_mutex_unlock(&kept.lock);
}
