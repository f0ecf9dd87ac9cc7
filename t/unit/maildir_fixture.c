// SPDX-License-Identifier: BSD-2-Clause
#include "maildir_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/file.h"
#include "unit.h"

char maildir_top[64];
static int proc_fd = -1;

int maildir_fixture_setup(void **state)
{
	(void)state;
	strcpy(maildir_top, "/tmp/postcote-store-XXXXXX");
	assert_non_null(mkdtemp(maildir_top));
	proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

int maildir_fixture_teardown(void **state)
{
	char command[100];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", maildir_top);
	close(proc_fd);
	return system(command);
}

void path_of(char out[256], const char *rest)
{
	(void)snprintf(out, 256, "%s/%s", maildir_top, rest);
}

void put_file(const char *rest, const char *text)
{
	char path[256];
	int fd;

	path_of(path, rest);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, slice_of(text)), 0);
	close(fd);
}

void want_file(const char *rest, const char *text)
{
	struct strbuf have = STRBUF_INIT(100000);
	char path[256];

	path_of(path, rest);
	assert_int_equal(file_read(AT_FDCWD, path, &have), 0);
	want_str(rest, have.ptr, text);
	strbuf_release(&have);
}

void make_maildir(const char *name)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	char path[256], rest[128];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		(void)snprintf(rest, sizeof(rest), "%s/%s", name, parts[i]);
		path_of(path, rest);
		assert_int_equal(dir_make(AT_FDCWD, path, 0700), 0);
	}
}

size_t count_files(const char *rest, char name[256])
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

struct store_box *open_box(const char *name, unsigned flags, struct reason *why)
{
	struct store_location location;
	char text[256];

	(void)snprintf(text, sizeof(text), "maildir:%s/%s", maildir_top, name);
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

bool deliver(const char *path, const char *const *pieces, uint64_t limit, struct reason *why)
{
	struct pieces p = { pieces };
	const struct store_source source = { .next = next_piece,
		.arg = &p,
		.head = SLICE_LIT("Head: 1\n"),
		.limit = limit,
		.proc_fd = proc_fd };
	struct store_location location;

	assert_true(store_location_virtual(&location, maildir_top, path, why));
	return store_deliver(&location, &source, why);
}
