// SPDX-License-Identifier: BSD-2-Clause
/*
 * lmdb, and hash and btree, which mean the same FILE.lmdb.
 *
 * The file is never written in place, so one that was opened does not change: no locks, no reader
 * slots.  Each lookup holds a reference to the file that it began with; a refresh that finds a new
 * inode in the (kept open) directory opens that and swaps, and the last lookup closes the old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "table/table_type.h"

#define KEY_MAX 511 /* what LMDB is compiled with; longer keys cannot be in a file */

struct lmdb_file {
	MDB_env *env;
	MDB_dbi dbi;
	unsigned refs; /* under the table's lock */
	struct table_stamp stamp;
};

struct lmdb_table {
	pthread_mutex_t lock; /* of FILE and the reference counts */
	struct lmdb_file *file;
	char *path, *directory;
	const char *base; /* the last part of PATH */
	int dirfd;
	struct table_stamp refused; /* a new file that could not be opened: said once */
};

static void file_close(struct lmdb_file *f)
{
	if (f->env)
		mdb_env_close(f->env);
	free(f);
}

/* A file that is shorter than it says would be a SIGBUS later. */
static int check_size(MDB_env *env, unsigned long long size)
{
	MDB_envinfo info;
	MDB_stat st;
	int error = mdb_env_info(env, &info);

	if (!error)
		error = mdb_env_stat(env, &st);
	if (!error && size / st.ms_psize <= info.me_last_pgno)
		error = MDB_CORRUPTED;
	return error;
}

static int open_dbi(struct lmdb_file *f)
{
	MDB_txn *txn;
	int error = mdb_txn_begin(f->env, NULL, MDB_RDONLY, &txn);

	if (error)
		return error;
	error = mdb_dbi_open(txn, NULL, 0, &f->dbi);
	if (error)
		mdb_txn_abort(txn);
	else
		error = mdb_txn_commit(txn);
	return error;
}

/* NULL with an error of errno's or LMDB's. */
static struct lmdb_file *file_open(const struct lmdb_table *t, int *error)
{
	struct lmdb_file *f = xcalloc(1, sizeof(*f));

	f->refs = 1;
	*error = mdb_env_create(&f->env);
	if (*error) {
		f->env = NULL;
		goto close_file;
	}
	*error =
	    mdb_env_open(f->env, t->path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0);
	if (!*error) {
		mdb_filehandle_t fd;

		*error = mdb_env_get_fd(f->env, &fd);
		if (!*error && !table_stamp_fd(fd, &f->stamp))
			*error = errno;
	}
	if (!*error)
		*error = check_size(f->env, f->stamp.size);
	if (!*error)
		*error = open_dbi(f);
	if (!*error)
		return f;
close_file:
	file_close(f);
	return NULL;
}

static void split_path(struct lmdb_table *t)
{
	char *slash = strrchr(t->path, '/');

	t->base = slash ? slash + 1 : t->path;
	if (!slash)
		t->directory = xstrdup(".");
	else
		t->directory = xstrndup(t->path, slash == t->path ? 1 : (size_t)(slash - t->path));
}

/* A missing file is no failure for good: a refresh finds it when it comes. */
static void *lmdb_open(const char *name, unsigned flags, char **error)
{
	struct lmdb_table *t = xcalloc(1, sizeof(*t));
	int code;

	(void)flags;
	pthread_mutex_init(&t->lock, NULL);
	t->path = xasprintf("%s.lmdb", name);
	split_path(t);
	t->dirfd = open(t->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	t->file = file_open(t, &code);
	if (!t->file)
		*error = xasprintf("open database %s: %s", t->path, mdb_strerror(code));
	return t;
}

static void lmdb_free(void *impl)
{
	struct lmdb_table *t = impl;

	if (t->file)
		file_close(t->file);
	if (t->dirfd >= 0)
		close(t->dirfd);
	pthread_mutex_destroy(&t->lock);
	free(t->directory);
	free(t->path);
	free(t);
}

static struct lmdb_file *file_take(struct lmdb_table *t)
{
	struct lmdb_file *f;

	pthread_mutex_lock(&t->lock);
	f = t->file;
	if (f)
		f->refs++;
	pthread_mutex_unlock(&t->lock);
	return f;
}

static void file_drop(struct lmdb_table *t, struct lmdb_file *f)
{
	bool last;

	pthread_mutex_lock(&t->lock);
	last = --f->refs == 0;
	pthread_mutex_unlock(&t->lock);
	if (last)
		file_close(f);
}

static struct slice without_nul(const MDB_val *v)
{
	struct slice s = slice_mem(v->mv_data, v->mv_size);

	if (s.len && s.ptr[s.len - 1] == '\0')
		s.len--;
	return s;
}

/*
 * Keys are stored with their NUL (postmap's default, -N) or without (-n): both are tried.
 */
static int find(MDB_txn *txn, MDB_dbi dbi, struct slice key, MDB_val *found)
{
	char with_nul[KEY_MAX + 1];
	MDB_val k = { .mv_size = key.len + 1, .mv_data = with_nul };
	int error = MDB_NOTFOUND;

	if (key.len)
		memcpy(with_nul, key.ptr, key.len);
	with_nul[key.len] = '\0';
	if (k.mv_size <= KEY_MAX)
		error = mdb_get(txn, dbi, &k, found);
	if (error != MDB_NOTFOUND || !key.len)
		return error;
	k.mv_size = key.len;
	return mdb_get(txn, dbi, &k, found);
}

static enum table_result lmdb_get(void *impl, struct slice key, struct strbuf *value)
{
	struct lmdb_table *t = impl;
	struct lmdb_file *f;
	MDB_txn *txn;
	MDB_val found;
	int error;

	if (key.len > KEY_MAX)
		return TABLE_NOT_FOUND;
	f = file_take(t);
	if (!f)
		return TABLE_ERROR;
	error = mdb_txn_begin(f->env, NULL, MDB_RDONLY, &txn);
	if (!error) {
		error = find(txn, f->dbi, key, &found);
		if (!error)
			strbuf_addslice(value, without_nul(&found));
		mdb_txn_abort(txn);
	}
	file_drop(t, f);
	if (!error)
		return TABLE_FOUND;
	if (error == MDB_NOTFOUND)
		return TABLE_NOT_FOUND;
	log_warning("database %s: %s", t->path, mdb_strerror(error));
	return TABLE_ERROR;
}

static int walk(MDB_txn *txn, MDB_dbi dbi, table_each_fn *each, void *arg)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	int error = mdb_cursor_open(txn, dbi, &cursor);

	if (error)
		return error;
	while ((error = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
		if (!each(without_nul(&k), without_nul(&v), arg))
			break;
	}
	mdb_cursor_close(cursor);
	return error == MDB_NOTFOUND ? 0 : error;
}

static bool lmdb_each(void *impl, table_each_fn *each, void *arg)
{
	struct lmdb_table *t = impl;
	struct lmdb_file *f = file_take(t);
	MDB_txn *txn;
	int error;

	if (!f)
		return false;
	error = mdb_txn_begin(f->env, NULL, MDB_RDONLY, &txn);
	if (!error) {
		error = walk(txn, f->dbi, each, arg);
		mdb_txn_abort(txn);
	}
	if (error)
		log_warning("database %s: %s", t->path, mdb_strerror(error));
	file_drop(t, f);
	return !error;
}

static void swap_in(struct lmdb_table *t, struct lmdb_file *fresh)
{
	struct lmdb_file *old;

	pthread_mutex_lock(&t->lock);
	old = t->file;
	t->file = fresh;
	pthread_mutex_unlock(&t->lock);
	if (old)
		file_drop(t, old);
}

static enum table_change lmdb_refresh(void *impl)
{
	struct lmdb_table *t = impl;
	struct table_stamp now;
	struct lmdb_file *fresh;
	int error;

	/* Gone for a moment, or for good: the old content stands until there is another. */
	if (!table_stamp_at(t->dirfd, t->base, &now) || table_stamp_equal(&now, &t->refused) ||
	    (t->file && table_stamp_equal(&now, &t->file->stamp)))
		return TABLE_SAME;
	fresh = file_open(t, &error);
	if (!fresh) {
		log_warning("open database %s: %s", t->path, mdb_strerror(error));
		t->refused = now;
		return error == EACCES || error == EPERM ? TABLE_CHANGED : TABLE_SAME;
	}
	swap_in(t, fresh);
	return TABLE_RELOADED;
}

static const char *lmdb_directory(void *impl)
{
	const struct lmdb_table *t = impl;

	return t->directory;
}

#define LMDB_TYPE(type)                                                                            \
	{                                                                                          \
		.name = (type), .open = lmdb_open, .free = lmdb_free, .get = lmdb_get,             \
		.each = lmdb_each, .refresh = lmdb_refresh, .directory = lmdb_directory,           \
		.asks_nobody = true                                                                \
	}

const struct table_type table_type_lmdb = LMDB_TYPE("lmdb");
const struct table_type table_type_hash = LMDB_TYPE("hash");
const struct table_type table_type_btree = LMDB_TYPE("btree");
