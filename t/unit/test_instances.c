// SPDX-License-Identifier: BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/instances.h"
#include "unit.h"

static char path[] = "/tmp/postcote-instances-XXXXXX";

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_list(void **state)
{
	struct instance_list list;

	(void)state;
	put("");
	want_int("new", instances_note(path, "a", "/run/a", "/etc/a.conf", 100), 0);
	want_int("another", instances_note(path, "b", "/run/b", "/etc/b.conf", 200), 0);
	want_int("again", instances_note(path, "c", "/run/a", "/etc/c.conf", 300), 0);
	want_int("read", instances_read(path, &list), true);
	want_int("a base_dir has one line", (long)list.count, 2);
	want_str("its newest name", list.list[0].name, "c");
	want_str("and file", list.list[0].config, "/etc/c.conf");
	want_int("and time", (long)list.list[0].last_used, 300);
	want_str("the other one stays", list.list[1].base_dir, "/run/b");
	instances_release(&list);
	want_int("none of that name", instances_remove(path, "a"), 0);
	want_int("by name", instances_remove(path, "c"), 1);
	want_int("by directory", instances_remove(path, "/run/b"), 1);
	want_int("read", instances_read(path, &list), true);
	want_int("none left", (long)list.count, 0);
	instances_release(&list);
}

static void test_broken(void **state)
{
	struct instance_list list;

	(void)state;
	put("nonsense\n\nx\ty\tz\tw\n5\tname\t/run/x\n7\tn\t\t/c\n9\ta\t/b\t/c\td\n");
	want_int("read", instances_read(path, &list), true);
	want_int("lines that are some", (long)list.count, 2);
	want_str("without a file", list.list[0].config, "");
	want_str("with a word more", list.list[1].config, "/c");
	instances_release(&list);
	unlink(path);
	want_int("no file", instances_read(path, &list), true);
	want_int("is an empty list", (long)list.count, 0);
	want_int("nothing to remove", instances_remove(path, "x"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_list),
		cmocka_unit_test(test_broken) };
	int fd = mkstemp(path);

	if (fd >= 0)
		close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
