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

#include "auth/passwd_line.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/map.h"
#include "log/log.h"
#include "sys/file.h"

#define FILE_MAX_BYTES ((size_t)256 * 1024 * 1024)
#define FILES_MAX      10000 /* "/etc/mail/%d/passwd" has one per domain */

struct cached_file {
	struct stat st;
	struct strbuf content;
	struct passwd_line *lines;
	size_t count, alloc;
	struct map by_name; /* to struct passwd_line */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct map files = MAP_INIT; /* path to struct cached_file */

static void cached_file_free(void *arg)
{
	struct cached_file *file = arg;

	if (!file)
		return;
	map_release(&file->by_name, NULL);
	secret_release(&file->content);
	free(file->lines);
	free(file);
}

static void add_line(struct cached_file *file, struct slice text)
{
	struct passwd_line line;

	if (!passwd_line_split(text, &line))
		return;
	if (file->count == file->alloc) {
		file->alloc = file->alloc ? 2 * file->alloc : 64;
		file->lines = xreallocarray(file->lines, file->alloc, sizeof(file->lines[0]));
	}
	file->lines[file->count++] = line;
}

/* After all lines are there: growing the array moves them. The first line of a name counts. */
static void index_lines(struct cached_file *file, const char *path)
{
	for (size_t i = 0; i < file->count; i++) {
		if (!map_get(&file->by_name, file->lines[i].name))
			map_put(&file->by_name, file->lines[i].name, &file->lines[i]);
		else
			log_error("passwd-file %s:User %.*s exists more than once", path,
			    SLICE_ARG(file->lines[i].name));
	}
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
	index_lines(file, path);
	return file;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static struct cached_file *forget_file(const char *path, const char *call, struct reason *why)
{
	int saved = errno;

	reason_set(why, "4.3.0", "%s(%s) failed: %s", call, path, strerror(saved));
	cached_file_free(map_remove(&files, slice_of(path)));
	errno = saved;
	return NULL;
}

/* The file as it is now, or NULL with WHY and errno; under the mutex. */
static struct cached_file *current_file(const char *path, struct reason *why)
{
	struct cached_file *file = map_get_str(&files, path);
	struct stat st;

	if (stat(path, &st) < 0)
		return forget_file(path, file ? "stat" : "open", why);
	if (file && is_same(&file->st, &st))
		return file;
	if (!file && files.count >= FILES_MAX)
		map_release(&files, cached_file_free);
	file = read_file(path);
	if (!file)
		return forget_file(path, "open", why);
	cached_file_free(map_put_str(&files, path, file));
	return file;
}

static void copy_line(
    const struct passwd_line *line, struct arena *arena, struct passwd_entry *entry)
{
	entry->name = arena_slicedup(arena, line->name);
	entry->password = passwd_line_password(line, arena);
	entry->uid = arena_slicedup(arena, line->uid);
	entry->gid = arena_slicedup(arena, line->gid);
	entry->home = arena_slicedup(arena, line->home);
	entry->extra = arena_slicedup(arena, line->extra);
	entry->has_uid = line->has_uid;
	entry->extra_is_mail = line->extra_is_mail;
}

enum passwd_result passwd_file_lookup(const char *path, const char *name, struct arena *arena,
    struct passwd_entry *entry, struct reason *why)
{
	enum passwd_result result = PASSWD_FAILED;
	const struct cached_file *file;
	const struct passwd_line *line;

	pthread_mutex_lock(&mutex);
	file = current_file(path, why);
	if (file) {
		line = map_get_str(&file->by_name, name);
		result = line ? PASSWD_FOUND : PASSWD_UNKNOWN;
		if (line)
			copy_line(line, arena, entry);
	} else if (errno == ENOENT) {
		result = PASSWD_NO_FILE;
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
