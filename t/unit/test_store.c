// SPDX-License-Identifier: BSD-2-Clause
/* Deliveries into, and sessions on, Maildirs in a directory of the test's own. */
#include "maildir_fixture.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/store.h"
#include "sys/file.h"

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
		cmocka_unit_test(foreign_list),
		cmocka_unit_test(broken_list),
		cmocka_unit_test(dead_records),
		cmocka_unit_test(locked),
		cmocka_unit_test(changes),
		cmocka_unit_test(keywords),
		cmocka_unit_test(odd_names),
	};

	return cmocka_run_group_tests(tests, maildir_fixture_setup, maildir_fixture_teardown);
}
