// SPDX-License-Identifier: BSD-2-Clause
/* Deliveries into, and sessions on, Maildirs in a directory of the test's own. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/maildir_snapshot.h"
#include "store/maildir_watch.h"
#include "store/store.h"
#include "sys/file.h"

static char top[64];
static int proc_fd = -1;

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/postcote-store-XXXXXX");
	assert_non_null(mkdtemp(top));
	proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	close(proc_fd);
	return system(command);
}

static void path_of(char out[256], const char *rest)
{
	(void)snprintf(out, 256, "%s/%s", top, rest);
}

static void put_file(const char *rest, const char *text)
{
	char path[256];
	int fd;

	path_of(path, rest);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, slice_of(text)), 0);
	close(fd);
}

static void want_file(const char *rest, const char *text)
{
	struct strbuf have = STRBUF_INIT(100000);
	char path[256];

	path_of(path, rest);
	assert_int_equal(file_read(AT_FDCWD, path, &have), 0);
	want_str(rest, have.ptr, text);
	strbuf_release(&have);
}

static void make_maildir(const char *name)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	char path[256], rest[128];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		(void)snprintf(rest, sizeof(rest), "%s/%s", name, parts[i]);
		path_of(path, rest);
		assert_int_equal(dir_make(AT_FDCWD, path, 0700), 0);
	}
}

static size_t count_files(const char *rest, char name[256])
{
	char path[256];
	const struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	path_of(path, rest);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.') {
			count++;
			(void)snprintf(name, 256, "%s", entry->d_name);
		}
	closedir(dir);
	return count;
}

static struct store_box *open_box(const char *name, unsigned flags, struct reason *why)
{
	struct store_location location;
	char text[256];

	(void)snprintf(text, sizeof(text), "maildir:%s/%s", top, name);
	assert_true(store_location_parse(&location, text, NULL, why));
	return store_open(&location, flags, deadline_in(60000), why);
}

struct pieces {
	const char *const *next;
};

static bool next_piece(void *arg, struct slice *piece, struct reason *why)
{
	struct pieces *p = arg;

	if (*p->next != NULL && strcmp(*p->next, "broken") == 0) {
		reason_set(why, "4.3.0", "broken");
		return false;
	}
	*piece = slice_of(*p->next);
	if (*p->next != NULL)
		p->next++;
	return true;
}

static bool deliver(const char *path, const char *const *pieces, uint64_t limit, struct reason *why)
{
	struct pieces p = { pieces };
	const struct store_source source = { .next = next_piece,
		.arg = &p,
		.head = SLICE_LIT("Head: 1\n"),
		.limit = limit,
		.proc_fd = proc_fd };
	struct store_location location;

	assert_true(store_location_virtual(&location, top, path, why));
	return store_deliver(&location, &source, why);
}

static void delivery(void **state)
{
	static const char *const message[] = { "Subject: x\n", "\n", "body\r\n", NULL };
	char name[256], file[300];
	struct reason why;
	struct slice base;

	(void)state;
	assert_true(deliver("a.test/u/", message, 0, &why));
	assert_int_equal(count_files("a.test/u/new", name), 1);
	assert_int_equal(count_files("a.test/u/tmp", file), 0);
	assert_int_equal(count_files("a.test/u/cur", file), 0);
	(void)snprintf(file, sizeof(file), "a.test/u/new/%s", name);
	want_file(file, "Head: 1\nSubject: x\n\nbody\r\n");
	base = slice_of(name);
	assert_true(slice_ends(base, ",S=26,W=29"));
	assert_true(slice_find_str(base, ".V") > 0);
}

static void delivery_without_tmpfile(void **state)
{
	static const char *const message[] = { "x\n", NULL };
	char name[256];
	struct reason why;

	(void)state;
	tmpfile_force_fallback(true);
	assert_true(deliver("b/", message, 0, &why));
	tmpfile_force_fallback(false);
	assert_int_equal(count_files("b/new", name), 1);
	assert_int_equal(count_files("b/tmp", name), 0);
}

static void delivery_fails(void **state)
{
	static const char *const large[] = { "0123456789\n", "0123456789\n", NULL };
	static const char *const broken[] = { "0123456789\n", "broken", NULL };
	char name[256], path[256];
	struct reason why;

	(void)state;
	assert_true(deliver("c/", large, 30, &why)); /* 8 + 22 bytes */
	assert_false(deliver("c/", large, 29, &why));
	want_str("dsn", why.dsn, "5.2.2");
	want_str(
	    "text", why.text, "maildir delivery failed: error writing message: File too large");
	assert_false(deliver("c/", broken, 0, &why));
	want_str("dsn", why.dsn, "4.3.0");
	assert_int_equal(count_files("c/new", name), 1);
	assert_int_equal(count_files("c/tmp", name), 0);

	/* A mailbox that leads somewhere else by a symbolic link. */
	make_maildir("d");
	path_of(path, "d/new");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("../c/new", path), 0);
	assert_false(deliver("d/", large, 0, &why));
	want_int("class", why.dsn[0], '4');
	assert_int_equal(count_files("c/new", name), 1);

	put_file("e", "a file");
	assert_false(deliver("e/", large, 0, &why));
	want_int("class", why.dsn[0], '4');
}

static size_t open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

/* Directories stay open between deliveries: what is put in their place counts all the same. */
static void delivery_after_a_change(void **state)
{
	static const char *const message[] = { "x\n", NULL };
	char name[256], from[256], to[256];
	struct reason why;

	(void)state;
	assert_true(deliver("moved/", message, 0, &why));
	path_of(from, "moved");
	path_of(to, "moved.old");
	assert_int_equal(rename(from, to), 0);
	assert_true(deliver("moved/", message, 0, &why));
	assert_true(deliver("moved/", message, 0, &why));
	assert_int_equal(count_files("moved/new", name), 2);
	assert_int_equal(count_files("moved.old/new", name), 1);

	path_of(from, "moved/new");
	path_of(to, "moved/new.old");
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(symlink("../moved.old/new", from), 0);
	assert_false(deliver("moved/", message, 0, &why));
	assert_int_equal(unlink(from), 0);
	assert_true(deliver("moved/", message, 0, &why));
	assert_int_equal(count_files("moved.old/new", name), 1);
	assert_int_equal(count_files("moved/new", name), 1);

	path_of(to, "moved/new.old");
	assert_int_equal(rename(from, to), -1); /* not empty */
	path_of(to, "gone");
	assert_int_equal(rename(from, to), 0);
	path_of(from, "moved/tmp");
	assert_int_equal(rmdir(from), 0);
	assert_true(deliver("moved/", message, 0, &why));
	assert_int_equal(count_files("moved/new", name), 1);
	assert_int_equal(count_files("moved/tmp", name), 0);
}

/* A tmp/ that somebody removed while it was open is made again. */
static void delivery_without_tmp(void **state)
{
	static const char *const message[] = { "x\n", NULL };
	char name[256], path[256];
	struct reason why;

	(void)state;
	path_of(path, "swept/tmp");
	for (int fallback = 0; fallback < 2; fallback++) {
		assert_true(deliver("swept/", message, 0, &why));
		assert_int_equal(rmdir(path), 0);
		tmpfile_force_fallback(fallback);
		assert_true(deliver("swept/", message, 0, &why));
		tmpfile_force_fallback(false);
		assert_int_equal(count_files("swept/new", name), 2 * (fallback + 1));
		assert_int_equal(count_files("swept/tmp", name), 0);
	}
}

static void many_mailboxes(void **state)
{
	static const char *const message[] = { "x\n", NULL };
	struct reason why;
	char name[64];

	(void)state;
	for (int i = 0; i < 150; i++) {
		(void)snprintf(name, sizeof(name), "box%d/", i);
		assert_true(deliver(name, message, 0, &why));
	}
	assert_in_range(open_files(), 2, 2 * 129 + 40);
}

#define THREADS 8
static void *deliver_many(void *arg)
{
	static const char *const message[] = { "x\n", NULL };
	struct reason why;
	bool *ok = arg;

	for (int i = 0; i < 5; i++)
		*ok = deliver("many/", message, 0, &why) && *ok;
	return NULL;
}

static void deliveries_at_a_time(void **state)
{
	bool ok[THREADS];
	pthread_t threads[THREADS];
	char name[256];

	(void)state;
	for (size_t i = 0; i < THREADS; i++) {
		ok[i] = true;
		assert_int_equal(pthread_create(&threads[i], NULL, deliver_many, &ok[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(ok[i]);
	}
	assert_int_equal(count_files("many/new", name), THREADS * 5);
}

static void first_session(void **state)
{
	const struct store_message *m;
	struct store_box *box;
	char name[256];
	struct reason why;
	uint32_t validity;

	(void)state;
	assert_null(open_box("f", 0, &why));
	box = open_box("f", STORE_CREATE, &why);
	assert_non_null(box);
	want_int("count", store_count(box), 0);
	store_close(box);

	put_file("f/new/2.h", "b\n");
	put_file("f/new/1.h,S=4,W=6", "a\nb\n");
	put_file("f/cur/3.h:2,FSa", "c");
	box = open_box("f", 0, &why);
	assert_non_null(box);
	want_int("count", store_count(box), 3);
	validity = store_uidvalidity(box);
	m = store_message(box, 0);
	want_int("uid", m->uid, 1);
	want_str("name", m->name, "1.h,S=4,W=6");
	want_int("size", m->size, 4);
	want_int("vsize", m->vsize, 6);
	want_int(
	    "flags", store_message(box, 2)->flags, STORE_FLAGGED | STORE_SEEN | STORE_KEYWORD(0));
	assert_true(store_message(box, 1)->vsize == STORE_SIZE_UNKNOWN);
	assert_true(store_measure(box, false, deadline_in(60000), &why));
	want_int("vsize", store_message(box, 1)->vsize, 3);
	want_int("vsize", store_message(box, 2)->vsize, 1);
	assert_int_equal(count_files("f/new", name), 0);
	store_close(box);

	box = open_box("f", STORE_READ_ONLY, &why);
	assert_non_null(box);
	want_int("uidvalidity", store_uidvalidity(box), validity);
	want_int("vsize", store_message(box, 1)->vsize, 3);
	store_close(box);
}

static const struct maildir_snapshot *snapshot_of(const struct store_box *box)
{
	return ((const struct maildir_box *)(const void *)box)->snapshot;
}

/* After a moment, so that what was done before is older than what comes now. */
static struct store_box *open_later(const char *path)
{
	struct store_box *box;
	struct reason why;

	usleep(30000);
	box = open_box(path, 0, &why);
	assert_non_null(box);
	return box;
}

/* What the last session saw is shown again as long as nothing has changed. */
static void look_in_a_row(bool watched)
{
	static const char *const message[] = { "x\n", NULL };
	const struct maildir_snapshot *first;
	struct store_box *box, *other;
	char name[256], from[600], to[600];
	struct reason why;

	maildir_watch_forbid(!watched);
	maildir_snapshot_set_age(0);
	make_maildir("row");
	put_file("row/cur/1.h,S=1,W=1:2,", "1");
	put_file("row/cur/2.h,S=1,W=1:2,", "2");
	box = open_later("row");
	store_close(box);
	box = open_later("row");
	first = snapshot_of(box);
	assert_non_null(first);
	other = open_later("row");
	assert_ptr_equal(snapshot_of(other), first);
	want_int("count", store_count(other), 2);
	want_str("name", store_message(other, 1)->name, "2.h,S=1,W=1");
	store_close(box);

	/* A flag that another program sets. */
	path_of(from, "row/cur/1.h,S=1,W=1:2,");
	path_of(to, "row/cur/1.h,S=1,W=1:2,S");
	assert_int_equal(rename(from, to), 0);
	box = open_later("row");
	assert_true(snapshot_of(box) != first);
	want_int("flags", store_message(box, 0)->flags, STORE_SEEN);
	want_int("flags before", store_message(other, 0)->flags, 0);
	store_close(box);

	/* New mail. */
	assert_true(deliver("row/", message, 0, &why));
	box = open_later("row");
	want_int("count", store_count(box), 3);
	store_close(box);

	/* What a session that shows a snapshot does itself. */
	store_close(open_later("row"));
	box = open_later("row");
	assert_non_null(snapshot_of(box));
	assert_true(store_expunge(box, 1, &why));
	assert_true(store_change_flags(box, 2, STORE_FLAGGED, 0, &why));
	assert_true(store_sync(box, &why));
	store_close(box);
	box = open_later("row");
	want_int("count", store_count(box), 2);
	want_int("uid", store_message(box, 1)->uid, 3);
	want_int("flags", store_message(box, 1)->flags, STORE_FLAGGED);
	store_close(box);
	store_close(other);

	/* Another mailbox in its place. */
	store_close(open_later("row"));
	path_of(from, "row");
	path_of(to, "row.old");
	assert_int_equal(rename(from, to), 0);
	make_maildir("row");
	box = open_later("row");
	want_int("count", store_count(box), 0);
	store_close(box);
	assert_int_equal(count_files("row.old/cur", name), 2);

	/* Times of now tell nothing. */
	maildir_snapshot_set_age(1000);
	store_close(open_later("row"));
	box = open_later("row");
	assert_int_equal(snapshot_of(box) != NULL, watched);
	store_close(box);
	maildir_snapshot_set_age(2);
	maildir_watch_forbid(false);
}

static void rename_in(const char *box, const char *from, const char *to)
{
	char old[600], new[600], name[100];

	(void)snprintf(name, sizeof(name), "%s/%s", box, from);
	path_of(old, name);
	(void)snprintf(name, sizeof(name), "%s/%s", box, to);
	path_of(new, name);
	assert_int_equal(rename(old, new), 0);
}

static void sessions_in_a_row(void **state)
{
	(void)state;
	look_in_a_row(true);
	rename_in(".", "row", "row.watched");
	rename_in(".", "row.old", "row.watched.old");
	look_in_a_row(false);
}

/* A session that opens the mailbox now; what it must see of message I. */
static void want_seen(const char *what, size_t count, size_t i, unsigned flags)
{
	struct store_box *box = open_box("own", 0, &(struct reason){ .text = "" });
	struct reason why;
	int fd;

	assert_non_null(box);
	want_int(what, store_count(box), count);
	want_int(what, store_message(box, i)->flags, flags);
	fd = store_message_open(box, i, &why);
	assert_true(fd >= 0);
	close(fd);
	store_close(box);
}

static const struct maildir_snapshot *snapshot_now(void)
{
	struct store_box *box = open_box("own", 0, &(struct reason){ .text = "" });
	const struct maildir_snapshot *s = snapshot_of(box);

	store_close(box);
	return s;
}

/* A session's own flags do not make the next one look anew; what others do does. */
static void own_changes(void **state)
{
	static const char *const message[] = { "x\n", NULL };
	const struct maildir_snapshot *first;
	struct store_box *box, *other;
	struct reason why;

	(void)state;
	make_maildir("own");
	put_file("own/cur/1.h,S=1,W=1:2,", "1");
	put_file("own/cur/2.h,S=1,W=1:2,", "2");
	store_close(open_box("own", 0, &why)); /* gives UIDs */
	box = open_box("own", 0, &why);
	first = snapshot_of(box);
	if (!first) { /* a file system that is not watched */
		store_close(box);
		skip();
	}
	assert_true(store_change_flags(box, 0, STORE_SEEN, 0, &why));
	assert_ptr_equal(snapshot_now(), first);
	want_seen("one's own", 2, 0, STORE_SEEN);

	/* Another session that has the old name sets another flag. */
	other = open_box("own", 0, &why);
	assert_true(store_change_flags(box, 1, STORE_SEEN, 0, &why));
	assert_true(store_change_flags(other, 1, STORE_FLAGGED, 0, &why));
	want_seen("of two sessions", 2, 1, STORE_SEEN | STORE_FLAGGED);
	assert_true(store_change_flags(box, 1, STORE_DELETED, 0, &why));
	want_seen("of both again", 2, 1, STORE_SEEN | STORE_FLAGGED | STORE_DELETED);
	store_close(other);
	store_close(box);

	/* Foreign renames before, between and after our own. */
	box = open_box("own", 0, &why);
	rename_in("own/cur", "1.h,S=1,W=1:2,S", "1.h,S=1,W=1:2,FS");
	assert_true(store_change_flags(box, 1, 0, STORE_DELETED, &why));
	want_seen("a foreign one before", 2, 0, STORE_SEEN | STORE_FLAGGED);
	rename_in("own/cur", "1.h,S=1,W=1:2,FS", "1.h,S=1,W=1:2,");
	want_seen("after", 2, 0, 0);
	assert_true(store_change_flags(box, 0, STORE_DELETED, 0, &why));
	want_seen("and ours on it", 2, 0, STORE_DELETED);
	store_close(box);

	/* Others' mail, expunges and lists. */
	box = open_box("own", 0, &why);
	assert_true(deliver("own/", message, 0, &why));
	assert_true(store_change_flags(box, 0, STORE_FLAGGED, 0, &why));
	store_close(box);
	want_seen("new mail", 3, 0, STORE_DELETED | STORE_FLAGGED);
	box = open_box("own", 0, &why);
	assert_true(store_expunge(box, 0, &why));
	store_close(box);
	want_seen("an expunge", 2, 0, STORE_SEEN | STORE_FLAGGED);
	put_file("own/new-list", "3 V5000000 N20\n");
	rename_in("own", "new-list", "dovecot-uidlist");
	box = open_box("own", 0, &why);
	want_int("another list", store_uidvalidity(box), 5000000);
	store_close(box);

	/* Another mailbox of that name. */
	rename_in(".", "own", "own.old");
	make_maildir("own");
	box = open_box("own", 0, &why);
	want_int("another mailbox", store_count(box), 0);
	store_close(box);
}

#define CROWD_FILES   8
#define CROWD_CHANGES 3
#define CROWD_ROUNDS  300

/* Sessions of this process that set and take away flags. */
static void *flag_often(void *arg)
{
	unsigned flag = *(const unsigned *)arg;

	for (int i = 0; i < CROWD_CHANGES; i++) {
		struct reason why;
		struct store_box *box = open_box("crowd", 0, &why);

		assert_non_null(box);
		for (size_t k = 0; k < store_count(box); k++) {
			bool is_set = store_message(box, k)->flags & flag;

			(void)store_change_flags(
			    box, k, is_set ? 0 : flag, is_set ? flag : 0, &why);
		}
		store_close(box);
	}
	return NULL;
}

/* Another program. */
static void *rename_often(void *arg)
{
	char from[600], to[600], name[100];

	(void)arg;
	for (int i = 0; i < CROWD_CHANGES; i++) {
		(void)snprintf(name, sizeof(name), "crowd/cur/%d.h,S=1,W=1:2,", i % CROWD_FILES);
		path_of(from, name);
		(void)snprintf(name, sizeof(name), "crowd/cur/%d.h,S=1,W=1:2,R", i % CROWD_FILES);
		path_of(to, name);
		(void)(rename(from, to) == 0 || rename(to, from) == 0);
	}
	return NULL;
}

static void want_as_on_disk(const char *box_name)
{
	struct reason why;
	struct store_box *box = open_box(box_name, 0, &why);

	assert_non_null(box);
	want_int("messages", store_count(box), CROWD_FILES);
	for (size_t i = 0; i < store_count(box); i++) {
		const struct store_message *m = store_message(box, i);
		struct strbuf now = STRBUF_INIT(600);
		struct stat st;

		strbuf_addf(&now, "%s/%s/cur/", top, box_name);
		maildir_name_build(&now, slice_of(m->name), SLICE_NULL, m->flags);
		want_int(now.ptr, stat(now.ptr, &st), 0);
		strbuf_release(&now);
	}
	store_close(box);
}

/* What is kept is what is there, when all is quiet. */
static void crowd(void **state)
{
	static const unsigned flags[] = { STORE_SEEN, STORE_FLAGGED };
	pthread_t threads[3];
	char name[100];

	(void)state;
	make_maildir("crowd");
	for (int i = 0; i < CROWD_FILES; i++) {
		(void)snprintf(name, sizeof(name), "crowd/cur/%d.h,S=1,W=1:2,", i);
		put_file(name, "x");
	}
	for (int round = 0; round < CROWD_ROUNDS; round++) {
		size_t count = round % 2 ? 2 : 3;

		for (size_t i = 0; i < count; i++)
			assert_int_equal(
			    pthread_create(&threads[i], NULL, i < 2 ? flag_often : rename_often,
				(void *)(uintptr_t)&flags[i % 2]),
			    0);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		want_as_on_disk("crowd");
	}
}

static void foreign_list(void **state)
{
	struct store_box *box;
	struct reason why;

	(void)state;
	make_maildir("g");
	put_file("g/cur/1.h,S=1,W=1:2,S", "a");
	put_file("g/cur/2.h,S=1,W=1:2,", "b");
	put_file("g/dovecot-uidlist", "3 V77 N9 Gabc\n5 Pold O2 :2.h,S=1,W=1\n");
	box = open_box("g", 0, &why);
	assert_non_null(box);
	want_int("uidvalidity", store_uidvalidity(box), 77);
	want_int("first", store_message(box, 0)->uid, 5);
	want_str("uidl", store_message(box, 0)->uidl, "old");
	want_int("order", store_message(box, 0)->pop3_order, 2);
	want_int("second", store_message(box, 1)->uid, 9);
	store_close(box);
	want_file("g/dovecot-uidlist", "3 V77 N9 Gabc\n5 Pold O2 :2.h,S=1,W=1\n9 :1.h,S=1,W=1\n");

	/* Courier's. */
	make_maildir("i");
	put_file("i/cur/1.h,S=1,W=1:2,S", "a");
	put_file("i/dovecot-uidlist", "1 78 4\n3 1.h,S=1,W=1\n");
	box = open_box("i", 0, &why);
	assert_non_null(box);
	want_int("uid", store_message(box, 0)->uid, 3);
	store_close(box);
	want_file("i/dovecot-uidlist", "3 V78 N4\n3 :1.h,S=1,W=1\n");
}

static void broken_list(void **state)
{
	struct store_box *box;
	struct reason why;

	(void)state;
	make_maildir("j");
	put_file("j/cur/1.h,S=1,W=1:2,S", "a");
	put_file("j/dovecot-uidlist", "3 V79 N9\n5 :1.h,S=1,W=1\n4 :2.h\n");
	box = open_box("j", 0, &why);
	assert_non_null(box);
	assert_true(store_uidvalidity(box) > 79);
	want_int("uid", store_message(box, 0)->uid, 1);
	store_close(box);
}

static void dead_records(void **state)
{
	struct store_box *box;
	struct reason why;

	(void)state;
	make_maildir("k");
	put_file("k/cur/5.h,S=1,W=1:2,S", "a");
	put_file("k/dovecot-uidlist", "3 V80 N2\n1 :1.h\n2 :2.h\n3 :3.h\n5 :5.h,S=1,W=1\n9 :9.h\n");
	box = open_box("k", 0, &why);
	assert_non_null(box);
	want_int("count", store_count(box), 1);
	want_int("uid", store_message(box, 0)->uid, 5);
	store_close(box);
	/* The next UID stays above all that were ever given. */
	want_file("k/dovecot-uidlist", "3 V80 N10\n5 :5.h,S=1,W=1\n");
}

static void locked(void **state)
{
	struct store_location location;
	struct store_box *box;
	struct reason why;
	char path[256];

	(void)state;
	make_maildir("l");
	put_file("l/dovecot-uidlist.lock", "");
	put_file("l/new/1.h", "a");
	path_of(path, "l");
	assert_true(store_location_virtual(&location, path, "/", &why));
	assert_null(store_open(&location, 0, deadline_in(300), &why));
	want_str("dsn", why.dsn, "4.2.0");
	path_of(path, "l/dovecot-uidlist.lock");
	assert_int_equal(unlink(path), 0);
	path_of(path, "l/dovecot-pop3-session.lock");
	box = store_open(&location, 0, deadline_in(60000), &why);
	assert_non_null(box);
	assert_true(store_lock(box, deadline_in(60000), &why));
	assert_int_equal(access(path, F_OK), 0);
	store_lock_touch(box);
	store_close(box);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void changes(void **state)
{
	struct store_box *box;
	struct reason why;
	char name[256], from[256], to[256];
	int fd;
	int64_t when;

	(void)state;
	make_maildir("m");
	put_file("m/cur/1.h,S=1,W=1:2,Fa", "a");
	put_file("m/cur/2.h,S=1,W=1:2,", "b");
	put_file("m/cur/3.h,S=1,W=1:2,", "c");
	box = open_box("m", 0, &why);
	assert_non_null(box);
	assert_true(store_change_flags(box, 0, STORE_SEEN, STORE_FLAGGED, &why));
	want_file("m/cur/1.h,S=1,W=1:2,Sa", "a");
	want_int("flags", store_message(box, 0)->flags, STORE_SEEN | STORE_KEYWORD(0));

	/* Another program renames one, and removes one. */
	path_of(from, "m/cur/2.h,S=1,W=1:2,");
	path_of(to, "m/cur/2.h,S=1,W=1:2,F");
	assert_int_equal(rename(from, to), 0);
	path_of(from, "m/cur/3.h,S=1,W=1:2,");
	assert_int_equal(unlink(from), 0);
	fd = store_message_open(box, 1, &why);
	assert_true(fd >= 0);
	close(fd);
	assert_true(store_change_flags(box, 1, STORE_SEEN, 0, &why));
	want_file("m/cur/2.h,S=1,W=1:2,FS", "b");
	assert_true(store_message_open(box, 2, &why) < 0);
	assert_false(store_received(box, 2, &when));
	assert_true(store_expunge(box, 2, &why));
	assert_true(store_expunge(box, 1, &why));
	assert_true(store_sync(box, &why));
	assert_int_equal(count_files("m/cur", name), 1);
	store_close(box);
}

static void odd_names(void **state)
{
	struct store_box *box;
	struct reason why;
	char from[256], to[256], name[256];

	(void)state;
	make_maildir("n");
	/* Two files with one base name are two messages; two names of one file are one. */
	put_file("n/cur/1.h:2,", "a");
	put_file("n/cur/1.h:2,S", "b");
	put_file("n/cur/2.h:2,", "c");
	put_file("n/new/3\n.h", "d");
	path_of(from, "n/cur/2.h:2,");
	path_of(to, "n/cur/2.h:2,S");
	assert_int_equal(link(from, to), 0);
	/* What leads elsewhere is no message that can be read. */
	path_of(to, "n/cur/4.h:2,");
	assert_int_equal(symlink("/etc/passwd", to), 0);
	box = open_box("n", 0, &why);
	assert_non_null(box);
	want_int("count", store_count(box), 5);
	assert_int_equal(count_files("n/cur", name), 5);
	for (size_t i = 0; i < store_count(box); i++) {
		int fd = store_message_open(box, i, &why);

		if (strcmp(store_message(box, i)->name, "4.h") == 0)
			want_int("a link is not followed", fd, -1);
		else
			assert_true(fd >= 0);
		if (fd >= 0)
			close(fd);
	}
	store_close(box);
}

static void keywords(void **state)
{
	static const struct {
		const char *name;
		bool create, ok;
		unsigned flag;
	} cases[] = {
		{ "$Label", false, true, STORE_KEYWORD(0) },
		{ "$LABEL", true, true, STORE_KEYWORD(0) },
		{ "far", false, true, STORE_KEYWORD(25) },
		{ "away", false, true, 0 }, /* 26 is no letter */
		{ "new", false, true, 0 },
		{ "new", true, true, STORE_KEYWORD(1) },
		{ "new", false, true, STORE_KEYWORD(1) },
		{ "", true, false, 0 },
		{ "two words", true, false, 0 },
		{ "\\Seen", true, false, 0 },
		{ "line\nend", true, false, 0 },
		{ "0123456789012345678901234567890123456789012345678901234567890", true, false, 0 },
	};
	struct store_uidl uidls[] = { { 0, "first" }, { 1, "second" } };
	struct store_box *box;
	struct reason why;

	(void)state;
	make_maildir("kw");
	put_file("kw/cur/1.h,S=1,W=1:2,Sa", "a");
	put_file("kw/cur/2.h,S=1,W=1:2,", "b");
	put_file("kw/dovecot-keywords", "0 $Label\n25 far\n26 away\nnonsense\n");
	box = open_box("kw", 0, &why);
	assert_non_null(box);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned flag = 1;

		want_int(cases[i].name,
		    store_keyword(
			box, cases[i].name, cases[i].create, deadline_in(60000), &flag, &why),
		    cases[i].ok);
		want_int(cases[i].name, flag, cases[i].flag);
	}
	want_file("kw/dovecot-keywords", "0 $Label\n1 new\n25 far\n");
	assert_true(store_change_flags(box, 0, STORE_KEYWORD(1), STORE_KEYWORD(0), &why));
	want_file("kw/cur/1.h,S=1,W=1:2,Sb", "a");
	assert_true(store_record_uidls(box, uidls, 2, deadline_in(60000), &why));
	want_str("recorded", store_message(box, 1)->uidl, "second");
	store_close(box);
	box = open_box("kw", 0, &why);
	assert_non_null(box);
	want_str("read again", store_message(box, 0)->uidl, "first");
	store_close(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delivery),
		cmocka_unit_test(delivery_without_tmpfile),
		cmocka_unit_test(delivery_fails),
		cmocka_unit_test(delivery_after_a_change),
		cmocka_unit_test(delivery_without_tmp),
		cmocka_unit_test(many_mailboxes),
		cmocka_unit_test(deliveries_at_a_time),
		cmocka_unit_test(first_session),
		cmocka_unit_test(sessions_in_a_row),
		cmocka_unit_test(own_changes),
		cmocka_unit_test(crowd),
		cmocka_unit_test(foreign_list),
		cmocka_unit_test(broken_list),
		cmocka_unit_test(dead_records),
		cmocka_unit_test(locked),
		cmocka_unit_test(changes),
		cmocka_unit_test(keywords),
		cmocka_unit_test(odd_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
