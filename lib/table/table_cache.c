// SPDX-License-Identifier: BSD-2-Clause
/*
 * LMDB without its own lock file, which the peer does not make either, and whose slots would tie
 * the file to the processes of one machine's boot: an fcntl lock on the file takes its place
 * among processes, as with the peer, and a mutex among our threads.  Keys and values are stored
 * with their NUL, as postmap does it.
 */
#include "table/table_cache.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "sys/file.h"

#define CACHE_KEY_MAX 500
#define LOCK_MS	      5000
#define LEAST_SIZE    (1024 * 1024)

struct table_cache {
	pthread_mutex_t mutex;
	MDB_env *env;
	MDB_dbi dbi;
	mdb_filehandle_t fd;
	char *path;
};

/* What is done in one transaction; an error of LMDB's, or 0. */
typedef int action_fn(struct table_cache *cache, MDB_txn *txn, void *arg);

static int begin(struct table_cache *cache, bool writes, MDB_txn **txn)
{
	unsigned flags = writes ? 0 : MDB_RDONLY;
	int error = mdb_txn_begin(cache->env, NULL, flags, txn);

	if (error != MDB_MAP_RESIZED)
		return error;
	/* Another process has been told of a larger one. */
	error = mdb_env_set_mapsize(cache->env, 0);
	return error ? error : mdb_txn_begin(cache->env, NULL, flags, txn);
}

static int run_locked(struct table_cache *cache, bool writes, action_fn *action, void *arg)
{
	MDB_txn *txn;
	int error = begin(cache, writes, &txn);

	if (error)
		return error;
	error = action(cache, txn, arg);
	if (error || !writes)
		mdb_txn_abort(txn);
	else
		error = mdb_txn_commit(txn);
	return error;
}

static int run(struct table_cache *cache, bool writes, action_fn *action, void *arg)
{
	int error;

	pthread_mutex_lock(&cache->mutex);
	if (lock_fcntl(cache->fd, writes, deadline_in(LOCK_MS)) == -1) {
		error = errno;
	} else {
		error = run_locked(cache, writes, action, arg);
		unlock_fcntl(cache->fd);
	}
	pthread_mutex_unlock(&cache->mutex);
	if (error && error != MDB_NOTFOUND)
		log_warning("database %s: %s", cache->path, mdb_strerror(error));
	return error;
}

static int open_dbi(struct table_cache *cache, MDB_txn *txn, void *arg)
{
	(void)arg;
	return mdb_dbi_open(txn, NULL, 0, &cache->dbi);
}

/* FILE of "proxy:TYPE:FILE"; empty for a type that no program can write to. */
static struct slice file_of(const char *spec)
{
	struct slice rest = slice_of(spec);
	ptrdiff_t colon;

	if (slice_starts(rest, "proxy:"))
		rest = slice_from(rest, strlen("proxy:"));
	colon = slice_find(rest, ':');
	if (colon < 0 || !(slice_eq_str(slice_first(rest, (size_t)colon), "lmdb") ||
			     slice_eq_str(slice_first(rest, (size_t)colon), "hash") ||
			     slice_eq_str(slice_first(rest, (size_t)colon), "btree")))
		return SLICE_NULL;
	return slice_from(rest, (size_t)colon + 1);
}

/* A file that is shorter than it says would be a SIGBUS later. */
static int check_size(const struct table_cache *cache)
{
	MDB_envinfo info;
	MDB_stat st;
	struct stat file;
	int error = mdb_env_info(cache->env, &info);

	if (!error)
		error = mdb_env_stat(cache->env, &st);
	if (!error && fstat(cache->fd, &file) == -1)
		error = errno;
	if (!error && (size_t)file.st_size / st.ms_psize <= info.me_last_pgno)
		error = MDB_CORRUPTED;
	return error;
}

static int env_open(struct table_cache *cache, size_t map_size)
{
	int error = mdb_env_create(&cache->env);

	if (error) {
		cache->env = NULL;
		return error;
	}
	error = mdb_env_set_mapsize(cache->env, map_size > LEAST_SIZE ? map_size : LEAST_SIZE);
	if (!error)
		error = mdb_env_open(
		    cache->env, cache->path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
	if (!error)
		error = mdb_env_get_fd(cache->env, &cache->fd);
	if (!error)
		error = check_size(cache);
	return error ? error : run(cache, true, open_dbi, NULL);
}

struct table_cache *table_cache_open(const char *spec, size_t map_size, char **error)
{
	struct slice file = file_of(spec);
	struct table_cache *cache;
	int code;

	if (!file.len) {
		*error = xasprintf("%s: no table that can be written to", spec);
		return NULL;
	}
	cache = xcalloc(1, sizeof(*cache));
	pthread_mutex_init(&cache->mutex, NULL);
	cache->path = xasprintf("%.*s.lmdb", SLICE_ARG(file));
	code = env_open(cache, map_size);
	if (!code)
		return cache;
	*error = xasprintf("open database %s: %s", cache->path, mdb_strerror(code));
	table_cache_free(cache);
	return NULL;
}

void table_cache_free(struct table_cache *cache)
{
	if (!cache)
		return;
	if (cache->env)
		mdb_env_close(cache->env);
	pthread_mutex_destroy(&cache->mutex);
	free(cache->path);
	free(cache);
}

/* --- entries --- */

struct entry {
	char key[CACHE_KEY_MAX + 1];
	MDB_val k, v;
	struct strbuf *value;
};

static bool entry_init(struct entry *e, struct slice key)
{
	if (!key.len || key.len > CACHE_KEY_MAX)
		return false;
	memcpy(e->key, key.ptr, key.len);
	e->key[key.len] = '\0';
	e->k = (MDB_val){ .mv_size = key.len + 1, .mv_data = e->key };
	return true;
}

static int get(struct table_cache *cache, MDB_txn *txn, void *arg)
{
	struct entry *e = arg;
	int error = mdb_get(txn, cache->dbi, &e->k, &e->v);

	if (error)
		return error;
	strbuf_addslice(e->value, slice_mem(e->v.mv_data, e->v.mv_size ? e->v.mv_size - 1 : 0));
	return e->value->overflow ? MDB_BAD_VALSIZE : 0;
}

static int put(struct table_cache *cache, MDB_txn *txn, void *arg)
{
	struct entry *e = arg;

	return mdb_put(txn, cache->dbi, &e->k, &e->v, 0);
}

static int empty(struct table_cache *cache, MDB_txn *txn, void *arg)
{
	(void)arg;
	return mdb_drop(txn, cache->dbi, 0);
}

static int take_away(struct table_cache *cache, MDB_txn *txn, void *arg)
{
	struct entry *e = arg;
	int error = mdb_del(txn, cache->dbi, &e->k, NULL);

	return error == MDB_NOTFOUND ? 0 : error;
}

enum table_result table_cache_get(struct table_cache *cache, struct slice key, struct strbuf *value)
{
	struct entry e = { .value = value };
	int error;

	strbuf_reset(value);
	if (!entry_init(&e, key))
		return TABLE_NOT_FOUND;
	error = run(cache, false, get, &e);
	if (error == MDB_NOTFOUND)
		return TABLE_NOT_FOUND;
	return error ? TABLE_ERROR : TABLE_FOUND;
}

/*
 * Pages that a transaction gave back can be used in the second one after it: the one between writes
 * next to nothing.
 */
static bool make_room(struct table_cache *cache, const struct entry *wanted)
{
	struct entry small = { .k = wanted->k, .v = { .mv_size = 1, .mv_data = "" } };

	return run(cache, true, empty, NULL) == 0 && run(cache, true, put, &small) == 0;
}

bool table_cache_put(struct table_cache *cache, struct slice key, struct slice value)
{
	struct entry e;
	char *copy;
	int error;

	if (!entry_init(&e, key))
		return false;
	copy = xstrndup(value.ptr, value.len);
	e.v = (MDB_val){ .mv_size = value.len + 1, .mv_data = copy };
	error = run(cache, true, put, &e);
	if (error == MDB_MAP_FULL && make_room(cache, &e))
		error = run(cache, true, put, &e);
	free(copy);
	return !error;
}

bool table_cache_remove(struct table_cache *cache, struct slice key)
{
	struct entry e;

	return entry_init(&e, key) && run(cache, true, take_away, &e) == 0;
}
