// SPDX-License-Identifier: BSD-2-Clause
/* Sessions on a Maildir that follow each other, or meet: what is kept between them. */
#include "maildir_fixture.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/maildir_snapshot.h"
#include "store/maildir_watch.h"

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

		strbuf_addf(&now, "%s/%s/cur/", maildir_top, box_name);
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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sessions_in_a_row),
		cmocka_unit_test(own_changes), cmocka_unit_test(crowd) };

	return cmocka_run_group_tests_name(
	    "store_sessions", tests, maildir_fixture_setup, maildir_fixture_teardown);
}
