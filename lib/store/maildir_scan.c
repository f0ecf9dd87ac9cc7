// SPDX-License-Identifier: BSD-2-Clause
/*
 * Looking into new/ and cur/.  Other programs move files meanwhile: new/ is read first, so that a
 * file on its way to cur/ is seen once at least; seen in both, the one in cur/ counts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "store/maildir_box.h"

enum { CUR, NEW };

static void push(struct maildir_file ***list, size_t *count, size_t *alloc, struct maildir_file *f)
{
	if (*count == *alloc) {
		*alloc = *alloc ? *alloc * 2 : 64;
		*list = xreallocarray(*list, *alloc, sizeof(**list));
	}
	(*list)[(*count)++] = f;
}

static void take(struct maildir_scan *scan, const char *name, bool in_new)
{
	struct maildir_file *f = ARENA_NEW(&scan->arena, struct maildir_file), *other;
	struct slice base, flags;

	f->name = arena_strdup(&scan->arena, name);
	f->in_new = in_new;
	maildir_name_split(slice_of(f->name), &base, &flags);
	f->base_len = base.len;
	if (!maildir_name_is_clean(slice_of(f->name)) || base.len == 0) {
		push(&scan->odd, &scan->odd_count, &scan->odd_alloc, f);
		return;
	}
	other = map_get(&scan->by_base, base);
	if (other == NULL) {
		(void)map_put(&scan->by_base, base, f);
		push(&scan->files, &scan->count, &scan->alloc, f);
		scan->new_count += in_new;
		return;
	}
	if (other->in_new && !in_new) { /* it was moved while we looked */
		*other = *f;
		scan->new_count--;
		return;
	}
	push(&scan->odd, &scan->odd_count, &scan->odd_alloc, f);
}

static bool scan_directory(const struct maildir_box *m, int which, struct maildir_scan *scan)
{
	/* A descriptor of its own: the position belongs to the open file. */
	int fd = openat(m->dir_fd[which], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), saved;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir == NULL) {
		saved = errno;
		if (fd >= 0)
			close(fd);
		errno = saved;
		return false;
	}
	while (errno = 0, (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && entry->d_type != DT_DIR)
			take(scan, entry->d_name, which == NEW);
	saved = errno;
	closedir(dir);
	errno = saved;
	return saved == 0;
}

bool maildir_scan(const struct maildir_box *m, struct maildir_scan *scan)
{
	*scan = (struct maildir_scan){ .arena = ARENA_INIT };
	return scan_directory(m, NEW, scan) && scan_directory(m, CUR, scan);
}

void maildir_scan_release(struct maildir_scan *scan)
{
	map_release(&scan->by_base, NULL);
	free(scan->files);
	free(scan->odd);
	arena_release(&scan->arena);
	*scan = (struct maildir_scan){ .arena = ARENA_INIT };
}

struct maildir_file *maildir_scan_find(const struct maildir_scan *scan, struct slice base)
{
	return map_get(&scan->by_base, base);
}

/* Never over a file that is there. */
static int rename_fresh(int from_fd, const char *from, int to_fd, const char *to)
{
	if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(from_fd, from, to_fd, to, 0) < 0)
		return -1;
	return unlinkat(from_fd, from, 0);
}

/* Two names of one file are one message: a link and unlink that was interrupted. */
static bool is_same_file(
    const struct maildir_box *m, const struct maildir_scan *scan, const struct maildir_file *odd)
{
	const struct maildir_file *first =
	    maildir_scan_find(scan, slice_first(slice_of(odd->name), odd->base_len));
	struct stat a, b;

	return first != NULL &&
	       fstatat(m->dir_fd[first->in_new], first->name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(m->dir_fd[odd->in_new], odd->name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_nlink > 1;
}

static void set_apart(
    const struct maildir_box *m, const struct maildir_scan *scan, const struct maildir_file *odd)
{
	static atomic_uint number;
	int64_t now = clock_wall_us();
	struct slice base, flags;
	struct strbuf name = STRBUF_INIT(MAILDIR_NAME_MAX);
	char unique[200];

	if (is_same_file(m, scan, odd)) {
		(void)unlinkat(m->dir_fd[odd->in_new], odd->name, 0);
		return;
	}
	maildir_name_split(slice_of(odd->name), &base, &flags);
	(void)snprintf(unique, sizeof(unique), "%lld.M%lldP%ldQ%u.%.100s",
	    (long long)(now / 1000000), (long long)(now % 1000000), (long)getpid(),
	    atomic_fetch_add(&number, 1), maildir_host());
	maildir_name_build(&name, slice_of(unique), SLICE_NULL, maildir_flags_parse(flags));
	(void)rename_fresh(m->dir_fd[odd->in_new], odd->name, m->dir_fd[CUR], name.ptr);
	strbuf_release(&name);
}

static void move_to_cur(const struct maildir_box *m, const struct maildir_file *f)
{
	struct strbuf name = STRBUF_INIT(2 * MAILDIR_NAME_MAX);

	strbuf_addstr(&name, f->name);
	if (f->name[f->base_len] == '\0')
		strbuf_addstr(&name, ":2,");
	if (rename_fresh(m->dir_fd[NEW], f->name, m->dir_fd[CUR], name.ptr) < 0 &&
	    errno == ENAMETOOLONG)
		(void)rename_fresh(m->dir_fd[NEW], f->name, m->dir_fd[CUR], f->name);
	strbuf_release(&name);
}

bool maildir_tidy(const struct maildir_box *m, const struct maildir_scan *scan)
{
	for (size_t i = 0; i < scan->odd_count; i++)
		set_apart(m, scan, scan->odd[i]);
	for (size_t i = 0; i < scan->count; i++)
		if (scan->files[i]->in_new)
			move_to_cur(m, scan->files[i]);
	return scan->odd_count > 0 || scan->new_count > 0;
}
