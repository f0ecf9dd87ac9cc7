// SPDX-License-Identifier: BSD-2-Clause
/*
 * Delivery into a Maildir: an unnamed file (or one in tmp/) is written and synced, linked into
 * new/, and new/ is synced.  Threads that deliver into one mailbox at a time share its descriptors
 * and the sync of its directory (maildir_target.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/maildir.h"
#include "store/maildir_target.h"
#include "sys/file.h"

#define BUFFER_BYTES 65536
/* A disk that took so long for the message will do so for its directory. */
#define SLOW_SYNC_MS 20

struct writing {
	int fd;
	struct strbuf buf;
	uint64_t size, vsize, limit;
	bool is_slow; /* the disk */
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
	int64_t before;

	while (ok && (ok = source->next(source->arg, &piece, why)) && piece.len > 0)
		ok = put(w, piece, why);
	ok = ok && flush(w, why);
	before = clock_ms();
	if (ok && file_sync(w->fd) < 0)
		ok = fail(why, "4.3.0", "error writing message");
	w->is_slow = clock_ms() - before >= SLOW_SYNC_MS;
	return ok;
}

/* As Postfix's virtual names them, with the sizes that spare readers a look. */
static bool link_message(struct maildir_target *t, struct tmpfile *tmp, const struct writing *w,
    int proc_fd, char name[256])
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

static bool link_durably(const struct store_location *location, struct maildir_target *t,
    struct tmpfile *tmp, const struct writing *w, const struct store_source *source,
    struct reason *why)
{
	char name[256], what[1200];
	int saved;

	if (!link_message(t, tmp, w, source->proc_fd, name)) {
		(void)snprintf(what, sizeof(what), "create maildir file %s/new", t->path);
		return fail(why, "4.2.0", what);
	}
	if (w->is_slow && source->stored != NULL)
		source->stored(source->arg);
	if (dirsync_wait(t->new_dir) == 0 && maildir_target_durable(t, location->base_len) == 0)
		return true;
	saved = errno;
	(void)unlinkat(dirsync_fd(t->new_dir), name, 0);
	errno = saved;
	return fail(why, "4.3.0", "sync of the mailbox directory");
}

static bool deliver_to(const struct store_location *location, struct maildir_target *t,
    struct tmpfile *tmp, const struct store_source *source, struct reason *why)
{
	struct writing w = { .fd = tmp->fd, .limit = source->limit };
	int saved;
	bool ok;

	strbuf_init(&w.buf, BUFFER_BYTES);
	ok = write_message(&w, source, why) && link_durably(location, t, tmp, &w, source, why);
	saved = errno;
	strbuf_release(&w.buf);
	errno = saved;
	return ok;
}

/*
 * The mailbox, with a file for the message; NULL with errno.  A tmp/ that is open may have been
 * removed, which nothing but its use shows: the mailbox is opened once more.
 */
static struct maildir_target *begin(const char *path, struct tmpfile *tmp)
{
	struct maildir_target *t;
	int saved;

	for (int i = 0; i < 2; i++) {
		t = maildir_target_get(path);
		if (t == NULL)
			return NULL;
		if (tmpfile_open(tmp, t->tmp_fd, 0600) == 0)
			return t;
		saved = errno;
		maildir_target_forget(t);
		maildir_target_put(t);
		errno = saved;
	}
	return NULL;
}

bool maildir_deliver(
    const struct store_location *location, const struct store_source *source, struct reason *why)
{
	struct tmpfile tmp;
	struct maildir_target *t = begin(location->path, &tmp);
	char what[1200];
	int saved;
	bool ok;

	if (t == NULL) {
		(void)snprintf(what, sizeof(what), "create maildir file %s/tmp", location->path);
		return fail(why, "4.2.0", what);
	}
	ok = deliver_to(location, t, &tmp, source, why);
	saved = errno;
	tmpfile_close(&tmp);
	maildir_target_put(t);
	errno = saved;
	return ok;
}
