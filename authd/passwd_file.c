// SPDX-License-Identifier: BSD-2-Clause
/*
 * One cache of all files that were asked for, under one mutex: what is done under it is a stat, a
 * hash lookup and, after a change, a read.  A change shows in inode, size, or times (with
 * nanoseconds); an editor that writes in place within one tick of the clock and keeps the size is
 * not noticed before its next change, as with the peer.
 */
#include "authd/passwd_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/map.h"
#include "sys/file.h"

#define FILE_MAX_BYTES ((size_t)256 * 1024 * 1024)
#define FILES_MAX      10000 /* "/etc/mail/%d/passwd" has one per domain */

struct user_line {
	struct slice name, rest; /* in the file's content */
};

struct cached_file {
	struct stat st;
	struct strbuf content;
	struct user_line *lines;
	size_t count, alloc;
	struct map by_name; /* to struct user_line */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct map files = MAP_INIT; /* path to struct cached_file */

static void cached_file_free(void *arg)
{
	struct cached_file *file = arg;

	if (!file)
		return;
	map_release(&file->by_name, NULL);
	strbuf_release(&file->content);
	free(file->lines);
	free(file);
}

static void add_line(struct cached_file *file, struct slice line)
{
	ptrdiff_t colon = slice_find(line, ':');
	struct user_line *user;

	if (slice_ends(line, "\r"))
		line = slice_first(line, line.len - 1);
	if (!line.len || line.ptr[0] == '#' || colon == 0 || slice_has_nul(line))
		return;
	if (file->count == file->alloc) {
		file->alloc = file->alloc ? 2 * file->alloc : 64;
		file->lines = xreallocarray(file->lines, file->alloc, sizeof(file->lines[0]));
	}
	user = &file->lines[file->count++];
	user->name = colon < 0 ? line : slice_first(line, (size_t)colon);
	user->rest = colon < 0 ? SLICE_NULL : slice_from(line, (size_t)colon + 1);
}

/* After all lines are there: growing the array moves them. The first line of a name counts. */
static void index_lines(struct cached_file *file)
{
	for (size_t i = 0; i < file->count; i++)
		if (!map_get(&file->by_name, file->lines[i].name))
			map_put(&file->by_name, file->lines[i].name, &file->lines[i]);
}

static struct cached_file *read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct cached_file *file;
	struct slice rest;
	int saved;

	if (fd < 0)
		return NULL;
	file = xcalloc(1, sizeof(*file));
	strbuf_init(&file->content, FILE_MAX_BYTES);
	if (fstat(fd, &file->st) < 0 || file_read_fd(fd, &file->content) < 0) {
		saved = errno;
		close(fd);
		cached_file_free(file);
		errno = saved;
		return NULL;
	}
	close(fd);
	rest = strbuf_slice(&file->content);
	while (rest.len) {
		ptrdiff_t lf = slice_find(rest, '\n');
		size_t len = lf < 0 ? rest.len : (size_t)lf;

		add_line(file, slice_first(rest, len));
		rest = slice_from(rest, len + 1);
	}
	index_lines(file);
	return file;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The file as it is now, or NULL with WHY; under the mutex. */
static struct cached_file *current_file(const char *path, struct reason *why)
{
	struct cached_file *file = map_get_str(&files, path);
	struct stat st;

	if (stat(path, &st) < 0) {
		reason_set(why, "4.3.0", "stat(%s) failed: %s", path, strerror(errno));
		cached_file_free(map_remove(&files, slice_of(path)));
		return NULL;
	}
	if (file && is_same(&file->st, &st))
		return file;
	if (!file && files.count >= FILES_MAX)
		map_release(&files, cached_file_free);
	file = read_file(path);
	if (!file) {
		reason_set(why, "4.3.0", "open(%s) failed: %s", path, strerror(errno));
		cached_file_free(map_remove(&files, slice_of(path)));
		return NULL;
	}
	cached_file_free(map_put_str(&files, path, file));
	return file;
}

/* The next field; the last one, the extra fields, may hold colons. */
static const char *next_field(struct slice *rest, struct arena *arena)
{
	ptrdiff_t colon = slice_find(*rest, ':');
	struct slice field = colon < 0 ? *rest : slice_first(*rest, (size_t)colon);

	*rest = colon < 0 ? SLICE_NULL : slice_from(*rest, (size_t)colon + 1);
	return arena_slicedup(arena, field);
}

static void split_line(
    const struct user_line *line, struct arena *arena, struct passwd_entry *entry)
{
	struct slice rest = line->rest;

	entry->name = arena_slicedup(arena, line->name);
	entry->password = next_field(&rest, arena);
	entry->uid = next_field(&rest, arena);
	entry->gid = next_field(&rest, arena);
	next_field(&rest, arena); /* gecos */
	entry->home = next_field(&rest, arena);
	next_field(&rest, arena); /* shell */
	entry->extra = arena_slicedup(arena, rest);
}

enum passwd_result passwd_file_lookup(const char *path, const char *name, struct arena *arena,
    struct passwd_entry *entry, struct reason *why)
{
	enum passwd_result result = PASSWD_FAILED;
	const struct cached_file *file;
	const struct user_line *line;

	pthread_mutex_lock(&mutex);
	file = current_file(path, why);
	if (file) {
		line = map_get_str(&file->by_name, name);
		result = line ? PASSWD_FOUND : PASSWD_UNKNOWN;
		if (line)
			split_line(line, arena, entry);
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

bool passwd_file_each(
    const char *path, void (*each)(const char *name, void *arg), void *arg, struct reason *why)
{
	struct arena names = ARENA_INIT;
	const struct cached_file *file;
	const char **list = NULL;
	size_t count = 0;

	pthread_mutex_lock(&mutex);
	file = current_file(path, why);
	if (file) {
		count = file->count;
		list = arena_alloc(&names, (count + 1) * sizeof(list[0]));
		for (size_t i = 0; i < count; i++)
			list[i] = arena_slicedup(&names, file->lines[i].name);
	}
	pthread_mutex_unlock(&mutex);
	for (size_t i = 0; i < count; i++)
		each(list[i], arg);
	arena_release(&names);
	return file != NULL;
}
