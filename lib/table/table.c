// SPDX-License-Identifier: BSD-2-Clause
/*
 * The list of open tables, and the dispatch to their types.  The list's lock is never taken by a
 * lookup; a refresh holds it, so that a table is looked at once however many threads ask.
 */
#include "table/table.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "sys/file.h"
#include "table/table_type.h"

static const struct table_type *const types[] = {
	&table_type_btree,
	&table_type_cidr,
	&table_type_environ,
	&table_type_fail,
	&table_type_hash,
	&table_type_inline,
	&table_type_lmdb,
	&table_type_pcre,
	&table_type_pipemap,
	&table_type_randmap,
	&table_type_regexp,
	&table_type_static,
	&table_type_texthash,
	&table_type_unionmap,
	&table_type_unix,
};

struct table {
	struct table *next;
	unsigned refs, flags;
	char *spec;
	const struct table_type *type; /* NULL: a type that we lack */
	void *impl;		       /* NULL: a surrogate */
	char *trouble;		       /* why it could not be opened */
	atomic_bool mended;	       /* a refresh made it usable after all */
	bool is_stale;		       /* TABLE_CHANGED was reported */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table *open_tables;

static const struct table_type *find_type(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (slice_eq_str(name, types[i]->name))
			return types[i];
	}
	return NULL;
}

bool table_type_is_known(struct slice type)
{
	return find_type(type) != NULL;
}

const char *table_type_name(size_t i)
{
	return i < ARRAY_LEN(types) ? types[i]->name : NULL;
}

static void open_impl(struct table *t)
{
	struct slice rest = slice_of(t->spec), type;
	ptrdiff_t colon;

	/* proxymap(8) exists for chroots and for SQL connections; ours have neither. */
	if (slice_starts(rest, "proxy:"))
		rest = slice_from(rest, 6);
	colon = slice_find(rest, ':');
	if (colon < 0 || (size_t)colon + 1 == rest.len) {
		t->trouble = xasprintf(
		    "open dictionary: expecting \"type:name\" form instead of \"%s\"", t->spec);
		return;
	}
	type = slice_first(rest, (size_t)colon);
	t->type = find_type(type);
	if (!t->type) {
		t->trouble = xasprintf("unsupported dictionary type: %.*s", SLICE_ARG(type));
		return;
	}
	/* T->spec is NUL-terminated, so this part of it is, too. */
	t->impl = t->type->open(rest.ptr + colon + 1, t->flags, &t->trouble);
}

static struct table *find_open(const char *spec, unsigned flags)
{
	for (struct table *t = open_tables; t; t = t->next) {
		if (t->flags == flags && strcmp(t->spec, spec) == 0)
			return t;
	}
	return NULL;
}

struct table *table_open_locked(const char *spec, unsigned flags)
{
	struct table *t = find_open(spec, flags);

	if (!t) {
		t = xcalloc(1, sizeof(*t));
		t->spec = xstrdup(spec);
		t->flags = flags;
		open_impl(t);
		if (t->trouble && !(flags & TABLE_QUIET)) {
			log_error("%s", t->trouble);
			log_warning("%s is unavailable. %s", spec, t->trouble);
		}
		t->next = open_tables;
		open_tables = t;
	}
	t->refs++;
	return t;
}

struct table *table_open(const char *spec, unsigned flags)
{
	struct table *t;

	pthread_mutex_lock(&lock);
	t = table_open_locked(spec, flags);
	pthread_mutex_unlock(&lock);
	return t;
}

void table_free_locked(struct table *t)
{
	struct table **at = &open_tables;

	if (--t->refs)
		return;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	if (t->impl)
		t->type->free(t->impl);
	free(t->trouble);
	free(t->spec);
	free(t);
}

void table_free(struct table *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&lock);
	table_free_locked(t);
	pthread_mutex_unlock(&lock);
}

const char *table_spec(const struct table *t)
{
	return t->spec;
}

bool table_is_pattern(const struct table *t)
{
	if (t->impl && t->type->has_patterns)
		return t->type->has_patterns(t->impl);
	return t->type && t->type->is_pattern;
}

bool table_asks_nobody(const struct table *t)
{
	return !t->type || t->type->asks_nobody;
}

const char *table_trouble(const struct table *t)
{
	return atomic_load(&t->mended) ? NULL : t->trouble;
}

static bool folds(const struct table *t)
{
	return !t->type->is_pattern && !t->type->keeps_case && !(t->flags & TABLE_NO_FOLD);
}

static enum table_result ask(struct table *t, struct slice key, struct strbuf *value)
{
	enum table_result result = t->type->get(t->impl, key, value);

	if (result == TABLE_FOUND && value->overflow) {
		log_warning("%s: the value of \"%.*s\" is too long", t->spec,
		    SLICE_ARG(slice_first(key, 100)));
		result = TABLE_ERROR;
	}
	if (result != TABLE_FOUND)
		strbuf_reset(value);
	return result;
}

static enum table_result ask_folded(struct table *t, struct slice key, struct strbuf *value)
{
	char small[512], *folded = small;
	enum table_result result;

	if (key.len > TABLE_VALUE_MAX)
		return TABLE_NOT_FOUND;
	if (key.len > sizeof(small))
		folded = xmalloc(key.len);
	if (key.len)
		memcpy(folded, key.ptr, key.len);
	ascii_tolower(folded, key.len);
	result = ask(t, slice_mem(folded, key.len), value);
	if (folded != small)
		free(folded);
	return result;
}

enum table_result table_get(struct table *t, struct slice key, struct strbuf *value)
{
	strbuf_reset(value);
	if (!t->impl)
		return TABLE_ERROR;
	return folds(t) ? ask_folded(t, key, value) : ask(t, key, value);
}

bool table_each(struct table *t, table_each_fn *each, void *arg)
{
	return t->impl && t->type->each && t->type->each(t->impl, each, arg);
}

static void refresh(struct table *t)
{
	if (!t->impl || !t->type->refresh || t->is_stale)
		return;
	switch (t->type->refresh(t->impl)) {
	case TABLE_SAME:
		break;
	case TABLE_RELOADED:
		atomic_store(&t->mended, true);
		break;
	case TABLE_CHANGED:
		log_info("table %s has changed -- restarting", t->spec);
		t->is_stale = true;
		break;
	}
}

bool table_refresh_all(void)
{
	bool fresh = true;

	pthread_mutex_lock(&lock);
	for (struct table *t = open_tables; t; t = t->next) {
		refresh(t);
		fresh &= !t->is_stale;
	}
	pthread_mutex_unlock(&lock);
	return fresh;
}

static const char *directory_of(const struct table *t)
{
	return t->impl && t->type->directory ? t->type->directory(t->impl) : NULL;
}

static bool is_named_before(const struct table *end, const char *dir)
{
	for (const struct table *t = open_tables; t != end; t = t->next) {
		const char *other = directory_of(t);

		if (other && strcmp(other, dir) == 0)
			return true;
	}
	return false;
}

const char *table_directory(size_t i)
{
	const char *found = NULL;

	pthread_mutex_lock(&lock);
	for (const struct table *t = open_tables; t && !found; t = t->next) {
		const char *dir = directory_of(t);

		if (dir && !is_named_before(t, dir) && i-- == 0)
			found = dir;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

static void stamp_from(const struct stat *st, struct table_stamp *stamp)
{
	*stamp = (struct table_stamp){ .dev = st->st_dev,
		.ino = st->st_ino,
		.size = (unsigned long long)st->st_size,
		.mtime_s = st->st_mtim.tv_sec,
		.mtime_ns = st->st_mtim.tv_nsec };
}

bool table_stamp_fd(int fd, struct table_stamp *stamp)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	stamp_from(&st, stamp);
	return true;
}

bool table_stamp_at(int dirfd, const char *path, struct table_stamp *stamp)
{
	struct stat st;

	if (fstatat(dirfd, path, &st, 0) < 0)
		return false;
	stamp_from(&st, stamp);
	return true;
}

bool table_stamp_equal(const struct table_stamp *a, const struct table_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns;
}

bool table_read_file(const char *path, struct strbuf *text, struct table_stamp *stamp, char **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	bool ok = fd >= 0 && table_stamp_fd(fd, stamp) && file_read_fd(fd, text) == 0;

	if (!ok)
		*error = xasprintf("open %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}
