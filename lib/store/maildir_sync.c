// SPDX-License-Identifier: BSD-2-Clause
/*
 * Bringing the list of UIDs and the files together.
 *
 * A look without a lock is enough when the list knows every file and nothing is to be moved.  Else,
 * under the list's lock: tidy, look again, give UIDs to files that have none (sorted by name), and
 * write, before anybody is shown a UID.  Records whose file is gone stay in the list until a
 * quarter of it is dead; one is dropped only when two scans in a row did not see its file, since a
 * file that is renamed while a directory is read may be seen under neither name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"
#include "store/maildir_box.h"
#include "store/maildir_snapshot.h"
#include "sys/file.h"

#define TRIES	    10
#define UIDVALIDITY "dovecot-uidvalidity"

/* The list as it was read. */
struct loaded {
	struct uidlist list;
	bool missing, corrupt;
	off_t size;
	ino_t inode;
};

void maildir_reason(struct reason *why, const struct maildir_box *m, const char *what)
{
	reason_set(why, errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? "5.2.0" : "4.2.0",
	    "%s: %s: %s", m->path, what, strerror(errno));
}

bool maildir_lock(const struct maildir_box *m, int64_t deadline, struct reason *why)
{
	if (dotlock_take(m->root_fd, MAILDIR_LOCK, MAILDIR_LOCK_STALE, deadline) == 0)
		return true;
	maildir_reason(
	    why, m, errno == ETIMEDOUT ? "mailbox is locked" : "cannot lock the mailbox");
	return false;
}

void maildir_unlock(const struct maildir_box *m)
{
	if (dotlock_drop(m->root_fd, MAILDIR_LOCK) < 0)
		log_warning("%s/" MAILDIR_LOCK ": %s", m->path, strerror(errno));
}

static bool read_list(const struct maildir_box *m, struct loaded *l, struct reason *why)
{
	struct strbuf text = STRBUF_INIT(UIDLIST_MAX_BYTES);
	int fd =
	    openat(m->root_fd, MAILDIR_UIDLIST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	bool ok = false;

	*l = (struct loaded){ .missing = false };
	uidlist_init(&l->list);
	if (fd < 0 && errno == ENOENT) {
		l->missing = true;
		return true;
	}
	if (fd < 0 || fstat(fd, &st) < 0 || file_read_fd(fd, &text) < 0) {
		maildir_reason(why, m, MAILDIR_UIDLIST);
	} else {
		ok = true;
		l->inode = st.st_ino;
		l->size = (off_t)text.len;
		l->corrupt = !uidlist_parse(&l->list, strbuf_slice(&text));
	}
	if (fd >= 0)
		close(fd);
	strbuf_release(&text);
	return ok;
}

static void unload(struct loaded *l)
{
	uidlist_release(&l->list);
}

/* Above the last one that was given out in this tree, which is noted as Dovecot does. */
static uint32_t new_uidvalidity(const struct maildir_box *m)
{
	struct strbuf text = STRBUF_INIT(64);
	uint32_t next = (uint32_t)(clock_wall_us() / 1000000), last = 0;
	char name[64];

	if (file_read(m->root_fd, UIDVALIDITY, &text) == 0)
		last = (uint32_t)strtoul(text.ptr, NULL, 16);
	strbuf_release(&text);
	if (last >= next && last < UINT32_MAX - 1)
		next = last + 1;
	(void)snprintf(name, sizeof(name), "%08lx", (unsigned long)next);
	(void)file_replace(m->root_fd, UIDVALIDITY, slice_of(name), 0600);
	(void)snprintf(name, sizeof(name), UIDVALIDITY ".%08lx", (unsigned long)last);
	if (last != 0)
		(void)unlinkat(m->root_fd, name, 0);
	(void)snprintf(name, sizeof(name), UIDVALIDITY ".%08lx", (unsigned long)next);
	(void)close(openat(m->root_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
	return next;
}

static void begin_list(const struct maildir_box *m, struct loaded *l)
{
	struct strbuf guid = STRBUF_INIT(64);
	unsigned char bytes[16];

	if (l->corrupt)
		log_error("%s/" MAILDIR_UIDLIST ": broken, all messages get new UIDs", m->path);
	uidlist_release(&l->list);
	l->list.uidvalidity = new_uidvalidity(m);
	random_bytes(bytes, sizeof(bytes));
	strbuf_addch(&guid, 'G');
	hex_encode(&guid, slice_mem(bytes, sizeof(bytes)));
	l->list.extra = arena_slicedup(&l->list.arena, strbuf_slice(&guid));
	strbuf_release(&guid);
}

/* ---- writing ---- */

static bool rewrite(const struct maildir_box *m, struct loaded *l, struct reason *why)
{
	struct strbuf text = STRBUF_INIT(UIDLIST_MAX_BYTES);
	struct stat st;
	mode_t mode = fstat(m->root_fd, &st) == 0 ? st.st_mode & 0666 : 0600;
	bool ok;

	uidlist_format(&l->list, &text);
	if (text.overflow)
		errno = EFBIG;
	ok = !text.overflow &&
	     file_replace(m->root_fd, MAILDIR_UIDLIST, strbuf_slice(&text), mode | 0600) == 0;
	if (!ok)
		maildir_reason(why, m, "cannot write " MAILDIR_UIDLIST);
	strbuf_release(&text);
	return ok;
}

/* The records from FIRST on; what was read must still be what is there. */
static bool append(const struct maildir_box *m, struct loaded *l, size_t first, struct reason *why)
{
	int fd = openat(m->root_fd, MAILDIR_UIDLIST, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	struct strbuf text = STRBUF_INIT(UIDLIST_MAX_BYTES);
	struct stat st;
	bool ok;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != l->inode || st.st_size != l->size) {
		if (fd >= 0)
			close(fd);
		return rewrite(m, l, why);
	}
	for (size_t i = first; i < l->list.count; i++)
		uidlist_format_record(&l->list.records[i], &text);
	ok = !text.overflow && file_write_all(fd, strbuf_slice(&text)) == 0 && file_sync(fd) == 0;
	if (!ok)
		maildir_reason(why, m, "cannot write " MAILDIR_UIDLIST);
	close(fd);
	strbuf_release(&text);
	return ok;
}

/* ---- matching ---- */

/* Marks the files that records have; returns the number of records without one. */
static size_t match(struct uidlist *list, struct maildir_scan *scan)
{
	size_t dead = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct maildir_file *f = maildir_scan_find(scan, slice_of(list->records[i].name));

		if (f == NULL || f->used)
			dead++;
		else
			f->used = true;
	}
	return dead;
}

static bool knows_all(const struct maildir_scan *scan)
{
	for (size_t i = 0; i < scan->count; i++)
		if (!scan->files[i]->used)
			return false;
	return true;
}

static bool is_mostly_dead(const struct uidlist *list, size_t dead)
{
	return dead > 0 && dead >= list->count / 4;
}

static void drop_dead(
    struct uidlist *list, const struct maildir_scan *a, const struct maildir_scan *b)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct slice name = slice_of(list->records[i].name);

		if (maildir_scan_find(a, name) != NULL || maildir_scan_find(b, name) != NULL)
			list->records[kept++] = list->records[i];
	}
	list->count = kept;
}

static int by_name(const void *a, const void *b)
{
	const struct maildir_file *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static bool assign(struct uidlist *list, struct maildir_scan *scan)
{
	if (scan->count > 1)
		qsort(scan->files, scan->count, sizeof(scan->files[0]), by_name);
	for (size_t i = 0; i < scan->count; i++) {
		struct maildir_file *f = scan->files[i];

		if (f->used)
			continue;
		if (list->uidnext >= UINT32_MAX - 1)
			return false;
		(void)uidlist_add(list, list->uidnext, slice_mem(f->name, f->base_len));
		f->used = true;
	}
	return true;
}

/* ---- the session's view ---- */

static uint64_t number_of(const char *extra, char letter, uint64_t otherwise)
{
	struct slice value;
	uint64_t n;

	return uidlist_extra_get(extra, letter, &value) && slice_uint(value, INT64_MAX, &n)
		   ? n
		   : otherwise;
}

static const char *text_of(struct arena *arena, const char *extra, char letter)
{
	struct slice value;

	return uidlist_extra_get(extra, letter, &value) ? arena_slicedup(arena, value) : NULL;
}

static void fill_message(struct maildir_box *m, const struct uidlist_record *r,
    const struct maildir_file *f, struct store_message *out)
{
	struct slice base, flags;
	uint64_t order = number_of(r->extra, 'O', 0);

	maildir_name_split(slice_of(f->name), &base, &flags);
	*out = (struct store_message){ .uid = r->uid,
		.flags = maildir_flags_parse(flags),
		.size = maildir_name_size(base, 'S'),
		.vsize = maildir_name_size(base, 'W'),
		.name = arena_slicedup(&m->arena, base),
		.guid = text_of(&m->arena, r->extra, 'G'),
		.uidl = text_of(&m->arena, r->extra, 'P'),
		.pop3_order = order <= UINT32_MAX ? (uint32_t)order : 0 };
	if (out->size == STORE_SIZE_UNKNOWN)
		out->size = number_of(r->extra, 'S', STORE_SIZE_UNKNOWN);
	if (out->vsize == STORE_SIZE_UNKNOWN)
		out->vsize = number_of(r->extra, 'W', STORE_SIZE_UNKNOWN);
}

static void show(struct maildir_box *m, const struct uidlist *list, struct maildir_scan *scan)
{
	m->box.uidvalidity = list->uidvalidity;
	m->box.messages = xcalloc(scan->count + 1, sizeof(m->box.messages[0]));
	m->files = xcalloc(scan->count + 1, sizeof(m->files[0]));
	for (size_t i = 0; i < scan->count; i++)
		scan->files[i]->used = false;
	for (size_t i = 0; i < list->count; i++) {
		const struct uidlist_record *r = &list->records[i];
		struct maildir_file *f = maildir_scan_find(scan, slice_of(r->name));

		if (f == NULL || f->used)
			continue;
		f->used = true;
		fill_message(m, r, f, &m->box.messages[m->box.count]);
		m->files[m->box.count] = *f;
		m->files[m->box.count].name = arena_strdup(&m->arena, f->name);
		m->box.count++;
	}
}

/* ---- the two looks ---- */

static bool scan_or_say(struct maildir_box *m, struct maildir_scan *scan, struct reason *why)
{
	if (maildir_scan(m, scan))
		return true;
	maildir_reason(why, m, "cannot read the mailbox");
	return false;
}

/* Under the lock. */
static bool scan_tidily(struct maildir_box *m, struct maildir_scan *scan, struct reason *why)
{
	for (int i = 0; i < TRIES; i++) {
		if (!scan_or_say(m, scan, why))
			return false;
		/* At the last try what cannot be moved stays where it is. */
		if (i == TRIES - 1 || !maildir_tidy(m, scan))
			return true;
		m->touched = true;
		maildir_scan_release(scan);
	}
	return true;
}

static bool drop_if_twice_missed(
    struct maildir_box *m, struct uidlist *list, struct maildir_scan *scan, struct reason *why)
{
	struct maildir_scan again;
	bool ok = scan_or_say(m, &again, why);

	if (ok)
		drop_dead(list, scan, &again);
	maildir_scan_release(&again);
	return ok;
}

static bool bring_together(
    struct maildir_box *m, struct loaded *l, struct maildir_scan *scan, struct reason *why)
{
	size_t dead, first;
	bool anew;

	if (l->missing || l->corrupt)
		begin_list(m, l);
	dead = match(&l->list, scan);
	anew = l->missing || l->corrupt || l->list.torn || l->list.old_version ||
	       is_mostly_dead(&l->list, dead);
	if (anew && dead > 0 && !drop_if_twice_missed(m, &l->list, scan, why))
		return false;
	first = l->list.count;
	if (!assign(&l->list, scan)) {
		/* All UIDs are used up: only a new UIDVALIDITY helps. */
		l->corrupt = true;
		begin_list(m, l);
		for (size_t i = 0; i < scan->count; i++)
			scan->files[i]->used = false;
		return assign(&l->list, scan) && rewrite(m, l, why);
	}
	if (anew)
		return rewrite(m, l, why);
	return first == l->list.count || append(m, l, first, why);
}

static bool load_locked(struct maildir_box *m, int64_t deadline, struct reason *why)
{
	struct maildir_scan scan = { .arena = ARENA_INIT };
	struct loaded l;
	bool ok;

	if (!maildir_lock(m, deadline, why))
		return false;
	ok = read_list(m, &l, why);
	ok = ok && scan_tidily(m, &scan, why) && bring_together(m, &l, &scan, why);
	maildir_unlock(m);
	if (ok)
		show(m, &l.list, &scan);
	maildir_scan_release(&scan);
	unload(&l);
	return ok;
}

bool maildir_load(struct maildir_box *m, int64_t deadline, struct reason *why)
{
	struct maildir_scan scan = { .arena = ARENA_INIT };
	struct loaded l = { .missing = false };
	bool ok, enough = false, is_old;
	struct maildir_stamp stamp;
	size_t dead;

	is_old = maildir_stamp(m, &stamp);
	if (is_old && maildir_snapshot_show(m, &stamp))
		return true;
	uidlist_init(&l.list);
	/* The list first: a file that comes in between is unknown, and that is seen. */
	ok = read_list(m, &l, why) && scan_or_say(m, &scan, why);
	if (ok && !l.missing && !l.corrupt && !l.list.torn && !l.list.old_version) {
		dead = match(&l.list, &scan);
		enough = knows_all(&scan) &&
			 (m->read_only || (scan.new_count == 0 && scan.odd_count == 0 &&
					      !is_mostly_dead(&l.list, dead)));
	}
	if (enough)
		show(m, &l.list, &scan);
	if (enough && is_old && !m->read_only)
		maildir_snapshot_keep(m, &stamp);
	maildir_scan_release(&scan);
	unload(&l);
	if (!ok || enough)
		return ok;
	if (m->read_only) {
		reason_set(
		    why, "4.2.0", "%s: messages without UIDs in a read-only mailbox", m->path);
		return false;
	}
	return load_locked(m, deadline, why);
}

/* ---- what is recorded for single messages ---- */

/* The value of LETTER for the message that is the Nth of them, in their arena or static. */
struct values {
	const size_t *which; /* indices of messages; UIDs grow */
	size_t count;
	char letter;
	const char *(*value)(
	    const struct maildir_box *m, size_t n, char number[32], const void *arg);
	const void *arg;
};

static void set_values(const struct maildir_box *m, struct uidlist *list, const struct values *v)
{
	size_t at = 0;
	char number[32];

	for (size_t i = 0; i < v->count; i++) {
		const struct store_message *msg = &m->box.messages[v->which[i]];
		struct uidlist_record *r;

		while (at < list->count && list->records[at].uid < msg->uid)
			at++;
		if (at == list->count || list->records[at].uid != msg->uid)
			continue;
		r = &list->records[at];
		r->extra =
		    uidlist_extra_set(list, r->extra, v->letter, v->value(m, i, number, v->arg));
	}
}

static bool record(
    struct maildir_box *m, const struct values *v, int64_t deadline, struct reason *why)
{
	struct loaded l;
	bool ok;

	if (m->read_only || v->count == 0)
		return true;
	if (!maildir_lock(m, deadline, why))
		return false;
	ok = read_list(m, &l, why);
	if (ok && !l.missing && !l.corrupt && l.list.uidvalidity == m->box.uidvalidity) {
		set_values(m, &l.list, v);
		ok = rewrite(m, &l, why);
	}
	maildir_unlock(m);
	unload(&l);
	return ok;
}

static const char *size_text(
    const struct maildir_box *m, size_t n, char number[32], const void *arg)
{
	const size_t *which = arg;

	(void)snprintf(number, 32, "%llu", (unsigned long long)m->box.messages[which[n]].vsize);
	return number;
}

bool maildir_record_sizes(
    struct maildir_box *m, const size_t *which, size_t count, int64_t deadline, struct reason *why)
{
	const struct values values = { which, count, 'W', size_text, which };

	return record(m, &values, deadline, why);
}

static const char *uidl_text(
    const struct maildir_box *m, size_t n, char number[32], const void *arg)
{
	const struct store_uidl *uidls = arg;

	(void)m, (void)number;
	return uidls[n].uidl;
}

bool maildir_record_uidls(struct store_box *box, const struct store_uidl *uidls, size_t count,
    int64_t deadline, struct reason *why)
{
	struct maildir_box *m = (struct maildir_box *)(void *)box;
	size_t *which = xcalloc(count + 1, sizeof(*which));
	const struct values values = { which, count, 'P', uidl_text, uidls };
	bool ok;

	for (size_t i = 0; i < count; i++)
		which[i] = uidls[i].message;
	ok = record(m, &values, deadline, why);
	for (size_t i = 0; ok && i < count; i++)
		box->messages[which[i]].uidl = arena_strdup(&m->arena, uidls[i].uidl);
	free(which);
	return ok;
}
