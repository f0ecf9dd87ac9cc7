// SPDX-License-Identifier: BSD-2-Clause
/*
 * A session's view of a Maildir.  Another program may rename a file (a flag) or remove it at any
 * time: who does not find a file under its name looks for its base name again, a few times.
 */
#include "store/maildir_box.h"
#include "store/maildir_snapshot.h"
#include "store/maildir_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "sys/file.h"

#define TRIES	   10
#define READ_BYTES 65536

/* Dovecot's lock of one POP3 session. */
#define SESSION_LOCK	   "dovecot-pop3-session.lock"
#define SESSION_LOCK_STALE 300

static struct maildir_box *maildir_of(struct store_box *box)
{
	return (struct maildir_box *)(void *)box;
}

static void close_box(struct store_box *box)
{
	struct maildir_box *m = maildir_of(box);

	if (m->session_lock && dotlock_drop(m->root_fd, SESSION_LOCK) < 0)
		log_warning("%s/" SESSION_LOCK ": %s", m->path, strerror(errno));
	if (m->root_fd >= 0)
		close(m->root_fd);
	for (size_t i = 0; i < ARRAY_LEN(m->dir_fd); i++)
		if (m->dir_fd[i] >= 0)
			close(m->dir_fd[i]);
	free(box->messages);
	free(m->files);
	arena_release(&m->arena);
	maildir_snapshot_put(m->snapshot);
	free(m);
}

static bool open_directories(struct maildir_box *m)
{
	static const char *const names[] = { "cur", "new" };

	if (m->root_fd < 0)
		m->root_fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->root_fd < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(m->dir_fd); i++) {
		if (m->dir_fd[i] < 0)
			m->dir_fd[i] = openat(
			    m->root_fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (m->dir_fd[i] < 0)
			return false;
	}
	return true;
}

static struct store_box *open_box(
    const struct store_location *location, unsigned flags, int64_t deadline, struct reason *why)
{
	struct maildir_box *m = xcalloc(1, sizeof(*m));
	bool ok;

	m->box.driver = location->driver;
	m->read_only = (flags & STORE_READ_ONLY) != 0;
	m->root_fd = m->dir_fd[0] = m->dir_fd[1] = -1;
	(void)snprintf(m->path, sizeof(m->path), "%s", location->path);
	ok = open_directories(m) || (errno == ENOENT && (flags & STORE_CREATE) &&
					maildir_make(m->path) == 0 && open_directories(m));
	if (!ok)
		maildir_reason(why, m, "cannot open the mailbox");
	if (ok && maildir_load(m, deadline, why))
		return &m->box;
	close_box(&m->box);
	return NULL;
}

/* ---- finding files again ---- */

/* Takes over the names that all files have now; those that are gone keep their old one. */
static bool look_again(struct maildir_box *m, struct reason *why)
{
	struct maildir_scan scan;
	bool ok = maildir_scan(m, &scan);

	if (!ok)
		maildir_reason(why, m, "cannot read the mailbox");
	for (size_t i = 0; ok && i < m->box.count; i++) {
		const struct maildir_file *f =
		    maildir_scan_find(&scan, slice_of(m->box.messages[i].name));

		if (f == NULL ||
		    (f->in_new == m->files[i].in_new && strcmp(f->name, m->files[i].name) == 0))
			continue;
		m->files[i] = *f;
		m->files[i].name = arena_strdup(&m->arena, f->name);
	}
	maildir_scan_release(&scan);
	return ok;
}

/*
 * Does FN on the file's present name until it is something else than ENOENT: its result, or -1 with
 * WHY and errno (ENOENT: it is gone).
 */
typedef int file_fn(struct maildir_box *m, const struct maildir_file *f, void *arg);
static int on_file(
    struct maildir_box *m, size_t i, file_fn *fn, void *arg, const char *what, struct reason *why)
{
	int result = -1;

	for (int tries = 0; tries < TRIES; tries++) {
		const char *before = m->files[i].name;
		bool in_new = m->files[i].in_new;

		result = fn(m, &m->files[i], arg);
		if (result >= 0 || errno != ENOENT)
			break;
		if (!look_again(m, why))
			return -1;
		errno = ENOENT;
		if (m->files[i].in_new == in_new && strcmp(before, m->files[i].name) == 0)
			break;
	}
	if (result < 0) {
		int saved = errno;

		maildir_reason(why, m, what);
		errno = saved;
	}
	return result;
}

static int open_file(struct maildir_box *m, const struct maildir_file *f, void *arg)
{
	int fd =
	    openat(m->dir_fd[f->in_new], f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat *st = arg;

	if (fd < 0)
		return -1;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

static int open_message(struct store_box *box, size_t i, struct reason *why)
{
	struct stat st;

	return on_file(maildir_of(box), i, open_file, &st, "cannot open a message", why);
}

static int stat_file(struct maildir_box *m, const struct maildir_file *f, void *arg)
{
	return fstatat(m->dir_fd[f->in_new], f->name, arg, AT_SYMLINK_NOFOLLOW);
}

static bool received(struct store_box *box, size_t i, int64_t *when)
{
	struct reason why;
	struct stat st;

	if (on_file(maildir_of(box), i, stat_file, &st, "cannot look at a message", &why) < 0)
		return false;
	*when = st.st_mtim.tv_sec;
	return true;
}

/* ---- sizes ---- */

static bool read_size(struct maildir_box *m, size_t i, struct reason *why)
{
	struct store_message *msg = &m->box.messages[i];
	char last = '\0', *data;
	struct stat st;
	int fd = on_file(m, i, open_file, &st, "cannot open a message", why);
	ssize_t n;

	msg->size = msg->vsize = 0;
	if (fd < 0)
		return errno == ENOENT;
	data = xmalloc(READ_BYTES);
	while ((n = read(fd, data, READ_BYTES)) > 0) {
		msg->size += (uint64_t)n;
		msg->vsize += store_virtual_size(slice_mem(data, (size_t)n), &last);
	}
	if (n < 0)
		maildir_reason(why, m, "cannot read a message");
	free(data);
	close(fd);
	return n == 0;
}

static bool measure(struct store_box *box, bool roughly, int64_t deadline, struct reason *why)
{
	struct maildir_box *m = maildir_of(box);
	size_t *which = xcalloc(box->count + 1, sizeof(*which)), count = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < box->count; i++) {
		if (box->messages[i].vsize != STORE_SIZE_UNKNOWN ||
		    (roughly && box->messages[i].size != STORE_SIZE_UNKNOWN))
			continue;
		ok = read_size(m, i, why);
		if (ok && box->messages[i].size > 0)
			which[count++] = i;
	}
	/* That they could not be noted is no reason to refuse them. */
	if (ok && !maildir_record_sizes(m, which, count, deadline, why))
		log_warning("%s", why->text);
	free(which);
	return ok;
}

/* ---- changes ---- */

struct change {
	unsigned add, remove;
	const char *from; /* the name in cur/ that it was renamed from; NULL: it was not */
	struct maildir_own_rename told;
};

static int rename_file(struct maildir_box *m, const struct maildir_file *f, const char *to)
{
	int from_fd = m->dir_fd[f->in_new];
	int result = renameat2(from_fd, f->name, m->dir_fd[0], to, RENAME_NOREPLACE);

	if (result < 0 && (errno == EINVAL || errno == ENOSYS))
		result = renameat(from_fd, f->name, m->dir_fd[0], to);
	return result;
}

static int change_file(struct maildir_box *m, const struct maildir_file *f, void *arg)
{
	struct change *change = arg;
	struct strbuf name = STRBUF_INIT(2 * MAILDIR_NAME_MAX);
	struct slice base, flags;
	struct maildir_file *own = &m->files[f - m->files];
	const char *to;
	int error;

	maildir_name_split(slice_of(f->name), &base, &flags);
	maildir_name_build(
	    &name, base, flags, (maildir_flags_parse(flags) | change->add) & ~change->remove);
	to = arena_strdup(&m->arena, name.ptr);
	strbuf_release(&name);
	if (!f->in_new && strcmp(to, f->name) == 0)
		return 0;
	if (!f->in_new)
		maildir_watch_announce(m, f->name, to, &change->told);
	if (rename_file(m, f, to) < 0) {
		error = errno;
		maildir_watch_done(&change->told);
		errno = error;
		return -1;
	}
	change->from = f->in_new ? NULL : f->name;
	own->name = to;
	own->in_new = false;
	m->touched = true;
	return 0;
}

static bool change_flags(
    struct store_box *box, size_t i, unsigned add, unsigned remove, struct reason *why)
{
	struct maildir_box *m = maildir_of(box);
	struct change change = { .add = add, .remove = remove };

	if (m->read_only) {
		reason_set(why, "5.2.0", "the mailbox is open for reading only");
		return false;
	}
	if (on_file(m, i, change_file, &change, "cannot change flags", why) < 0)
		return false;
	box->messages[i].flags = (box->messages[i].flags | add) & ~remove;
	if (change.from) {
		maildir_snapshot_renamed(m, i, change.from);
		maildir_watch_done(&change.told);
	}
	return true;
}

static int unlink_file(struct maildir_box *m, const struct maildir_file *f, void *arg)
{
	(void)arg;
	return unlinkat(m->dir_fd[f->in_new], f->name, 0);
}

static bool expunge(struct store_box *box, size_t i, struct reason *why)
{
	struct maildir_box *m = maildir_of(box);

	if (m->read_only) {
		reason_set(why, "5.2.0", "the mailbox is open for reading only");
		return false;
	}
	if (on_file(m, i, unlink_file, NULL, "cannot remove a message", why) < 0)
		return errno == ENOENT;
	m->touched = true;
	return true;
}

static bool sync_box(struct store_box *box, struct reason *why)
{
	struct maildir_box *m = maildir_of(box);

	if (!m->touched)
		return true;
	m->touched = false;
	for (size_t i = 0; i < ARRAY_LEN(m->dir_fd); i++)
		if (file_sync(m->dir_fd[i]) < 0) {
			maildir_reason(why, m, "cannot sync the mailbox");
			return false;
		}
	return true;
}

/* ---- the session's lock ---- */

static bool lock_box(struct store_box *box, int64_t deadline, struct reason *why)
{
	struct maildir_box *m = maildir_of(box);

	if (dotlock_take(m->root_fd, SESSION_LOCK, SESSION_LOCK_STALE, deadline) < 0) {
		maildir_reason(why, m, "cannot lock the mailbox");
		return false;
	}
	m->session_lock = true;
	return true;
}

static void lock_touch(struct store_box *box)
{
	struct maildir_box *m = maildir_of(box);

	if (m->session_lock)
		(void)utimensat(m->root_fd, SESSION_LOCK, NULL, AT_SYMLINK_NOFOLLOW);
}

const struct store_driver maildir_driver = { .name = "maildir",
	.deliver = maildir_deliver,
	.open = open_box,
	.close = close_box,
	.measure = measure,
	.message_open = open_message,
	.received = received,
	.change_flags = change_flags,
	.keyword = maildir_keyword,
	.record_uidls = maildir_record_uidls,
	.expunge = expunge,
	.sync = sync_box,
	.lock = lock_box,
	.lock_touch = lock_touch };
