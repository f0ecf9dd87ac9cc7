// SPDX-License-Identifier: BSD-2-Clause
#include "store/maildir_watch.h"

#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"

#define WATCHES_MAX 1000 /* mailboxes; those that were asked for last */
#define XFS_MAGIC   0x58465342
#define ZFS_MAGIC   0x2fc12fc1
#define NAMES	    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define ITSELF	    (IN_DELETE_SELF | IN_MOVE_SELF)
#define ENDS	    (ITSELF | IN_UNMOUNT | IN_IGNORED)

enum part { CUR, NEW, ROOT, PARTS };

struct watch {
	struct list link; /* the latest first */
	char *path;
	uint64_t changes;
	bool broken; /* the kernel watches it no more */
	struct {
		int wd;
		dev_t device;
		ino_t inode;
	} parts[PARTS];
};

static struct {
	pthread_mutex_t lock;
	int fd; /* -1: not yet; -2: there is none to be had */
	struct map by_path;
	struct list all;
	size_t count;
	uint64_t started; /* changes begin here, so that no count comes twice for a path */
	struct list own;  /* renames that were announced */
	bool forbidden;
} watches = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.fd = -1,
	.all = LIST_INIT(watches.all),
	.own = LIST_INIT(watches.own) };

/* ---- one mailbox ---- */

static void forget(struct watch *w)
{
	for (int i = 0; i < PARTS; i++)
		if (w->parts[i].wd >= 0)
			(void)inotify_rm_watch(watches.fd, w->parts[i].wd);
	(void)map_remove(&watches.by_path, slice_of(w->path));
	list_del(&w->link);
	watches.count--;
	free(w->path);
	free(w);
}

static int descriptor(const struct maildir_box *m, int part)
{
	return part == ROOT ? m->root_fd : m->dir_fd[part];
}

static bool is_local(int fd)
{
	static const unsigned long magic[] = { EXT4_SUPER_MAGIC, XFS_MAGIC, BTRFS_SUPER_MAGIC,
		TMPFS_MAGIC, F2FS_SUPER_MAGIC, ZFS_MAGIC, OVERLAYFS_SUPER_MAGIC };
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(magic); i++)
		if ((unsigned long)fs.f_type == magic[i])
			return true;
	return false;
}

/* By the descriptor, so that it is the directory that is open. */
static bool begin_part(struct watch *w, const struct maildir_box *m, int part)
{
	int fd = descriptor(m, part);
	char name[64];
	struct stat st;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) < 0 || !is_local(fd))
		return false;
	w->parts[part].device = st.st_dev;
	w->parts[part].inode = st.st_ino;
	w->parts[part].wd = inotify_add_watch(watches.fd, name,
	    NAMES | ITSELF | IN_ONLYDIR | (part == ROOT ? IN_MODIFY | IN_ATTRIB : 0));
	return w->parts[part].wd >= 0;
}

static struct watch *begin(const struct maildir_box *m)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	bool good = true;

	w->path = xstrdup(m->path);
	w->changes = watches.started += (uint64_t)1 << 32;
	for (int i = 0; i < PARTS; i++)
		w->parts[i].wd = -1;
	(void)map_put_str(&watches.by_path, w->path, w);
	list_add_head(&watches.all, &w->link);
	watches.count++;
	for (int i = 0; good && i < PARTS; i++)
		good = begin_part(w, m, i);
	if (good)
		return w;
	forget(w);
	return NULL;
}

/* Another directory may have come in the place of one that was watched. */
static bool is_same(const struct watch *w, const struct maildir_box *m)
{
	struct stat st;

	if (w->broken)
		return false;
	for (int i = 0; i < PARTS; i++)
		if (fstat(descriptor(m, i), &st) < 0 || st.st_dev != w->parts[i].device ||
		    st.st_ino != w->parts[i].inode)
			return false;
	return true;
}

/* ---- events ---- */

static bool is_own(const struct watch *w, const struct inotify_event *event)
{
	list_for_each(pos, &watches.own) {
		struct maildir_own_rename *own = list_entry(pos, struct maildir_own_rename, link);
		const char *name = event->mask & IN_MOVED_FROM ? own->from : own->to;
		unsigned bit = event->mask & (IN_MOVED_FROM | IN_MOVED_TO);

		if (bit && !(own->seen & bit) && !strcmp(own->path, w->path) &&
		    !strcmp(name, event->name)) {
			own->seen |= bit;
			return true;
		}
	}
	return false;
}

static bool counts(const struct watch *w, int part, const struct inotify_event *event)
{
	if (part == ROOT)
		return event->len && !strcmp(event->name, MAILDIR_UIDLIST);
	return !event->len || part != CUR || !is_own(w, event);
}

/* A mailbox may be known by several paths, each with a watch of its own on the same directory. */
static void take_event(const struct inotify_event *event)
{
	list_for_each(pos, &watches.all) {
		struct watch *w = list_entry(pos, struct watch, link);

		for (int i = 0; i < PARTS; i++) {
			bool its_own = w->parts[i].wd == event->wd;

			w->broken |= its_own && event->mask & ENDS;
			if (event->mask & IN_Q_OVERFLOW || (its_own && counts(w, i, event)))
				w->changes++;
		}
	}
}

/* With the lock. */
static void drain(void)
{
	_Alignas(struct inotify_event) char buf[8192];
	const struct inotify_event *event;
	ssize_t n;

	do {
		n = read(watches.fd, buf, sizeof(buf));
		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const struct inotify_event *)(const void *)(buf + at);
			take_event(event);
		}
		/* What does not nearly fill the buffer was all. */
	} while (n > (ssize_t)(sizeof(buf) - sizeof(*event) - MAILDIR_NAME_MAX - 1) ||
		 (n < 0 && errno == EINTR));
}

bool maildir_watch(const struct maildir_box *m, uint64_t *changes)
{
	struct watch *w = NULL;

	pthread_mutex_lock(&watches.lock);
	if (watches.fd == -1 && !watches.forbidden &&
	    (watches.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) < 0)
		watches.fd = -2;
	if (watches.fd >= 0 && !watches.forbidden) {
		drain();
		w = map_get_str(&watches.by_path, m->path);
		if (w && !is_same(w, m)) {
			forget(w);
			w = NULL;
		}
		if (!w)
			w = begin(m);
	}
	if (w) {
		*changes = w->changes;
		list_del(&w->link);
		list_add_head(&watches.all, &w->link);
		while (watches.count > WATCHES_MAX)
			forget(list_entry(watches.all.prev, struct watch, link));
	}
	pthread_mutex_unlock(&watches.lock);
	return w != NULL;
}

void maildir_watch_forbid(bool on)
{
	pthread_mutex_lock(&watches.lock);
	watches.forbidden = on;
	pthread_mutex_unlock(&watches.lock);
}

void maildir_watch_announce(
    const struct maildir_box *m, const char *from, const char *to, struct maildir_own_rename *own)
{
	*own = (struct maildir_own_rename){ .path = m->path, .from = from, .to = to };
	pthread_mutex_lock(&watches.lock);
	own->announced = watches.fd >= 0 && map_get_str(&watches.by_path, m->path);
	if (own->announced)
		list_add_tail(&watches.own, &own->link);
	pthread_mutex_unlock(&watches.lock);
}

void maildir_watch_done(struct maildir_own_rename *own)
{
	struct watch *w;

	if (!own->announced)
		return;
	own->announced = false;
	pthread_mutex_lock(&watches.lock);
	drain();
	list_del(&own->link);
	w = map_get_str(&watches.by_path, own->path);
	if (w && own->seen != (IN_MOVED_FROM | IN_MOVED_TO))
		w->changes++;
	pthread_mutex_unlock(&watches.lock);
}
