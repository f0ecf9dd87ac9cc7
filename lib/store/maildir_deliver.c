// SPDX-License-Identifier: BSD-2-Clause
/*
 * Delivery into a Maildir: an unnamed file (or one in tmp/) is written and synced, linked into
 * new/, and new/ is synced.  Threads that deliver into one mailbox at a time share its descriptors
 * and the sync of its directory.
 *
 * A message is durable only if the names of the directories above it are.  Another process may have
 * made them a moment ago and may not have come to its sync, so whoever meets a young directory
 * syncs its parent as well, up to one that is old enough to be on the disk, or to the base that the
 * administrator made.
 */
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
#include "base/list.h"
#include "base/map.h"
#include "store/maildir.h"
#include "sys/file.h"

#define BUFFER_BYTES 65536
/* Ten times what a kernel lets a directory entry stay in memory only. */
#define YOUNG_S	  600
#define KNOWN_MAX 10000

/* A mailbox that is being delivered into. */
struct target {
	struct list link;
	char *path;
	unsigned users;
	int tmp_fd;
	struct dirsync *new_dir;
};

static struct {
	pthread_mutex_t lock;
	struct list targets;
	struct map known; /* "DEV:INO:BIRTH" of new/ directories whose names are durable */
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER, .targets = LIST_INIT(shared.targets) };

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

static int make_durable(const struct target *t, size_t base_len)
{
	int fd = dirsync_fd(t->new_dir);
	char key[80], path[1100];
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) < 0)
		return -1;
	/* With the time of its birth: a mailbox that was removed leaves its inode to the next. */
	(void)snprintf(key, sizeof(key), "%x:%x:%llx:%llx.%x", st.stx_dev_major, st.stx_dev_minor,
	    (unsigned long long)st.stx_ino,
	    st.stx_mask & STATX_BTIME ? (unsigned long long)st.stx_btime.tv_sec : 0,
	    st.stx_mask & STATX_BTIME ? st.stx_btime.tv_nsec : 0);
	if (is_known(key))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/new", t->path);
	if (is_young(fd) && sync_parents(path, base_len) < 0)
		return -1;
	make_known(key);
	return 0;
}

/* ---- the mailbox's descriptors ---- */

static int open_part(const char *path, const char *part)
{
	char name[1100];

	(void)snprintf(name, sizeof(name), "%s/%s", path, part);
	return open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void target_free(struct target *t)
{
	if (t->new_dir != NULL)
		dirsync_free(t->new_dir);
	if (t->tmp_fd >= 0)
		close(t->tmp_fd);
	free(t->path);
	free(t);
}

static struct target *target_open(const char *path)
{
	struct target *t = xcalloc(1, sizeof(*t));
	int new_fd = -1, saved;

	t->path = xstrdup(path);
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
		return t;
	}
	saved = errno;
	target_free(t);
	errno = saved;
	return NULL;
}

/* NULL with errno. */
static struct target *target_get(const char *path)
{
	struct target *t;

	pthread_mutex_lock(&shared.lock);
	list_for_each(l, &shared.targets) {
		t = list_entry(l, struct target, link);
		if (strcmp(t->path, path) == 0) {
			t->users++;
			pthread_mutex_unlock(&shared.lock);
			return t;
		}
	}
	pthread_mutex_unlock(&shared.lock);
	t = target_open(path);
	if (t == NULL)
		return NULL;
	/* Another thread may have done the same: two for one mailbox share less, that is all. */
	pthread_mutex_lock(&shared.lock);
	list_add_tail(&shared.targets, &t->link);
	pthread_mutex_unlock(&shared.lock);
	return t;
}

static void target_put(struct target *t)
{
	bool last;

	pthread_mutex_lock(&shared.lock);
	last = --t->users == 0;
	if (last)
		list_del(&t->link);
	pthread_mutex_unlock(&shared.lock);
	if (last)
		target_free(t);
}

/* ---- the message ---- */

struct writing {
	int fd;
	struct strbuf buf;
	uint64_t size, vsize, limit;
	char last;
};

static bool fail(struct reason *why, const char *dsn, const char *what)
{
	int error = errno;

	if (error == EDQUOT || error == EFBIG)
		dsn = "5.2.2";
	else if (error == ENOSPC || error == EMFILE || error == ENFILE || error == ENOMEM ||
		 error == EIO)
		dsn = "4.3.0";
	reason_set(why, dsn, "maildir delivery failed: %s: %s", what, strerror(error));
	errno = error;
	return false;
}

static bool flush(struct writing *w, struct reason *why)
{
	if (file_write_all(w->fd, strbuf_slice(&w->buf)) < 0)
		return fail(why, "4.2.0", "error writing message");
	strbuf_reset(&w->buf);
	return true;
}

static bool put(struct writing *w, struct slice data, struct reason *why)
{
	w->size += data.len;
	w->vsize += store_virtual_size(data, &w->last);
	if (w->limit != 0 && w->size > w->limit) {
		errno = EFBIG;
		return fail(why, "5.2.2", "error writing message");
	}
	while (data.len > 0) {
		struct slice piece = slice_first(data, BUFFER_BYTES - w->buf.len);

		strbuf_addslice(&w->buf, piece);
		data = slice_from(data, piece.len);
		if (w->buf.len == BUFFER_BYTES && !flush(w, why))
			return false;
	}
	return true;
}

static bool write_message(struct writing *w, const struct store_source *source, struct reason *why)
{
	struct slice piece = SLICE_NULL;
	bool ok = put(w, source->head, why);

	while (ok && (ok = source->next(source->arg, &piece, why)) && piece.len > 0)
		ok = put(w, piece, why);
	ok = ok && flush(w, why);
	if (ok && file_sync(w->fd) < 0)
		ok = fail(why, "4.3.0", "error writing message");
	return ok;
}

/* As Postfix's virtual names them, with the sizes that spare readers a look. */
static bool link_message(
    struct target *t, struct tmpfile *tmp, const struct writing *w, int proc_fd, char name[256])
{
	struct stat st;

	if (fstat(tmp->fd, &st) < 0)
		return false;
	for (int i = 0; i < 100; i++) {
		int64_t now = clock_wall_us();

		(void)snprintf(name, 256, "%lld.V%llxI%llxM%lld.%.100s,S=%llu,W=%llu",
		    (long long)(now / 1000000), (unsigned long long)st.st_dev,
		    (unsigned long long)st.st_ino, (long long)(now % 1000000), maildir_host(),
		    (unsigned long long)w->size, (unsigned long long)w->vsize);
		if (tmpfile_link(tmp, proc_fd, dirsync_fd(t->new_dir), name) == 0)
			return true;
		if (errno != EEXIST)
			return false;
	}
	return false;
}

static bool link_durably(const struct store_location *location, struct target *t,
    struct tmpfile *tmp, const struct writing *w, int proc_fd, struct reason *why)
{
	char name[256];
	int saved;

	if (!link_message(t, tmp, w, proc_fd, name))
		return fail(why, "4.2.0", "link to new/");
	if (dirsync_wait(t->new_dir) == 0 && make_durable(t, location->base_len) == 0)
		return true;
	saved = errno;
	(void)unlinkat(dirsync_fd(t->new_dir), name, 0);
	errno = saved;
	return fail(why, "4.3.0", "sync of the mailbox directory");
}

static bool deliver_to(const struct store_location *location, struct target *t,
    const struct store_source *source, struct reason *why)
{
	struct writing w = { .limit = source->limit };
	struct tmpfile tmp;
	char what[1200];
	int saved;
	bool ok;

	if (tmpfile_open(&tmp, t->tmp_fd, 0600) < 0) {
		(void)snprintf(what, sizeof(what), "create maildir file %s/tmp", t->path);
		return fail(why, "4.2.0", what);
	}
	w.fd = tmp.fd;
	strbuf_init(&w.buf, BUFFER_BYTES);
	ok = write_message(&w, source, why) &&
	     link_durably(location, t, &tmp, &w, source->proc_fd, why);
	saved = errno;
	strbuf_release(&w.buf);
	tmpfile_close(&tmp);
	errno = saved;
	return ok;
}

bool maildir_deliver(
    const struct store_location *location, const struct store_source *source, struct reason *why)
{
	struct target *t = target_get(location->path);
	char what[1200];
	int saved;
	bool ok;

	if (t == NULL) {
		(void)snprintf(what, sizeof(what), "create maildir file %s/tmp", location->path);
		return fail(why, "4.2.0", what);
	}
	ok = deliver_to(location, t, source, why);
	saved = errno;
	target_put(t);
	errno = saved;
	return ok;
}
