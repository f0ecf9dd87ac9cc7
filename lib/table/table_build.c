// SPDX-License-Identifier: BSD-2-Clause
/*
 * All entries are gathered first, as offsets into one buffer; they are sorted unless they came in
 * order, which is the order of LMDB's keys, so that the file is written by appending.  A million
 * entries are sorted by eight bytes of the key, kept in the entry itself.
 */
#include "table/table_build.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h> /* flock */
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "sys/file.h"
#include "table/table_sort.h"
#include "table/table_type.h"

#define KEY_MAX	       511
#define TXN_ENTRIES    200000 /* entries per transaction: bounds the dirty pages in memory */
#define PREFETCH       16
#define LOCK_WAIT_MS   60000
#define VALUE_FILE_MAX (10u << 20)

struct entry {
	uint64_t prefix; /* 8 bytes of the key behind what all keys share, big-endian */
	size_t at;	 /* offset of the key in DATA; the value follows it */
	uint32_t key_len, value_len;
	uint32_t order; /* which came first */
	unsigned line;	/* 0: came from the existing file */
};

struct builder {
	struct table_build *build;
	struct strbuf data;
	struct entry *entries;
	size_t count, alloc;
	bool unsorted, too_big;
};

static void warn_line(unsigned line, const char *text, void *arg)
{
	struct builder *b = arg;

	b->build->warnings++;
	log_warning("%s, line %u: %s", b->build->path, line, text);
}

static uint64_t prefix_of(const unsigned char *key, size_t len)
{
	uint64_t prefix = 0;

	for (size_t i = 0; i < 8; i++)
		prefix = prefix << 8 | (i < len ? key[i] : 0);
	return prefix;
}

static int compare_keys(const struct builder *b, const struct entry *x, const struct entry *y)
{
	if (x->prefix != y->prefix)
		return x->prefix < y->prefix ? -1 : 1;
	return slice_cmp(
	    slice_mem(b->data.ptr + x->at, x->key_len), slice_mem(b->data.ptr + y->at, y->key_len));
}

static int compare_entries(const void *x, const void *y, void *arg)
{
	const struct entry *a = x, *c = y;
	int order = compare_keys(arg, a, c);

	return order ? order : (a->order > c->order) - (a->order < c->order);
}

static void add_entry(struct builder *b, struct slice key, struct slice value, unsigned line)
{
	struct entry *e;
	size_t at = b->data.len, nul = b->build->with_nul ? 1 : 0;

	if (b->count == UINT32_MAX || value.len > TABLE_VALUE_MAX) {
		b->too_big = true;
		return;
	}
	strbuf_addslice(&b->data, key);
	strbuf_add(&b->data, "", nul);
	strbuf_addslice(&b->data, value);
	strbuf_add(&b->data, "", nul);
	if (b->data.overflow) {
		b->too_big = true;
		return;
	}
	if (line && !b->build->no_fold)
		ascii_tolower(b->data.ptr + at, key.len);
	if (b->count == b->alloc) {
		b->alloc = b->alloc ? 2 * b->alloc : 1024;
		b->entries = xreallocarray(b->entries, b->alloc, sizeof(*b->entries));
	}
	e = &b->entries[b->count];
	*e = (struct entry){ .at = at,
		.key_len = (uint32_t)(key.len + nul),
		.value_len = (uint32_t)(value.len + nul),
		.order = (uint32_t)b->count,
		.line = line };
	if (!b->unsorted && b->count && compare_keys(b, e - 1, e) >= 0)
		b->unsorted = true;
	b->count++;
}

/* postmap -F: the value is the name of a file, whose content is stored. */
/* The files of a list, with a line end between two. */
static bool value_from_files(
    struct builder *b, struct slice names, unsigned line, struct strbuf *value)
{
	struct strbuf content = STRBUF_INIT(VALUE_FILE_MAX);
	struct slice name;
	bool ok = true;

	strbuf_reset(value);
	while (ok && slice_token(&names, " \t\r\n,", &name)) {
		char *path = xstrndup(name.ptr, name.len);

		if (content.len)
			strbuf_addch(&content, '\n');
		ok = file_read(AT_FDCWD, path, &content) == 0;
		if (!ok) {
			b->build->warnings++;
			log_warning("%s, line %u: open %s: %s", b->build->path, line, path,
			    strerror(errno));
		}
		free(path);
	}
	if (ok)
		base64_encode(value, strbuf_slice(&content));
	strbuf_release(&content);
	return ok;
}

static bool add_source(struct builder *b, struct slice text, char **error)
{
	struct strbuf from_file = STRBUF_INIT(2 * VALUE_FILE_MAX);
	struct table_source source;
	struct slice key, value;
	bool ok = true;
	unsigned line;

	table_source_init(&source, text, b->build->aliases);
	source.warn = warn_line;
	source.warn_arg = b;
	while (ok && table_source_next(&source, &key, &value, &line)) {
		if (key.len + b->build->with_nul > KEY_MAX) {
			warn_line(line, "key is too long -- ignoring this line", b);
			continue;
		}
		if (!b->build->allow_8bit && (!utf8_is_valid(key) || !utf8_is_valid(value))) {
			warn_line(line, "non-UTF-8 input -- ignoring this line", b);
			continue;
		}
		if (b->build->values_are_files) {
			ok = value_from_files(b, value, line, &from_file);
			value = strbuf_slice(&from_file);
		}
		if (ok)
			add_entry(b, key, value, line);
	}
	if (!ok)
		*error = xasprintf(
		    "%s, line %u: the file with the value cannot be read", b->build->path, line);
	table_source_release(&source);
	strbuf_release(&from_file);
	return ok;
}

/* The peer's line; the number of the source's line comes behind it. */
static void report_duplicate(struct builder *b, const struct entry *e)
{
	char number[32] = "";

	if (e->line)
		snprintf(number, sizeof(number), " (line %u)", e->line);
	b->build->warnings++;
	log_warning("%s:%s: duplicate entry: \"%.*s\"%s", b->build->type, b->build->path,
	    (int)(e->key_len - b->build->with_nul), b->data.ptr + e->at, number);
}

static struct slice stored_key(const struct builder *b, const struct entry *e)
{
	return slice_mem(b->data.ptr + e->at, e->key_len);
}

/* "user1@...", "user2@...": the first bytes say nothing where they are the same for all. */
static void set_prefixes(struct builder *b)
{
	struct slice first = stored_key(b, b->entries);
	size_t shared = first.len;

	for (size_t i = 1; shared && i < b->count; i++) {
		struct slice key = stored_key(b, &b->entries[i]);
		size_t same = 0;

		while (same < shared && same < key.len && key.ptr[same] == first.ptr[same])
			same++;
		shared = same;
	}
	for (size_t i = 0; i < b->count; i++) {
		struct slice rest = slice_from(stored_key(b, &b->entries[i]), shared);

		b->entries[i].prefix = prefix_of((const unsigned char *)rest.ptr, rest.len);
	}
}

/* Those with the same prefix are told apart by the rest of their keys. */
static void sort_ties(struct builder *b)
{
	size_t end;

	for (size_t at = 0; at < b->count; at = end) {
		for (end = at + 1;
		     end < b->count && b->entries[end].prefix == b->entries[at].prefix; end++)
			;
		if (end - at > 1)
			qsort_r(&b->entries[at], end - at, sizeof(*b->entries), compare_entries, b);
	}
}

static void sort_entries(struct builder *b)
{
	struct table_sort *items = xcalloc(b->count, sizeof(*items));
	struct entry *sorted = xcalloc(b->count, sizeof(*sorted));

	set_prefixes(b);
	for (size_t i = 0; i < b->count; i++)
		items[i] = (struct table_sort){ b->entries[i].prefix, i };
	table_sort(items, b->count);
	for (size_t i = 0; i < b->count; i++)
		sorted[i] = b->entries[items[i].which];
	free(items);
	free(b->entries);
	b->entries = sorted;
	b->alloc = b->count;
	sort_ties(b);
}

/* Sorts, and leaves one entry of each key. */
static void settle(struct builder *b)
{
	size_t kept = 0;

	if (b->unsorted)
		sort_entries(b);
	for (size_t i = 0; i < b->count; i++) {
		struct entry *e = &b->entries[i];

		if (!kept || compare_keys(b, &b->entries[kept - 1], e) != 0) {
			b->entries[kept++] = *e;
			continue;
		}
		if (b->build->duplicates == TABLE_DUP_REPLACE)
			b->entries[kept - 1] = *e;
		else if (b->build->duplicates == TABLE_DUP_WARN)
			report_duplicate(b, e);
	}
	b->count = kept;
}

static int put_range(MDB_env *env, const struct builder *b, size_t from, size_t to)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int error = mdb_txn_begin(env, NULL, 0, &txn);

	if (error)
		return error;
	error = mdb_dbi_open(txn, NULL, 0, &dbi);
	for (size_t i = from; !error && i < to; i++) {
		const struct entry *e = &b->entries[i];
		MDB_val k = { e->key_len, b->data.ptr + e->at };
		MDB_val v = { e->value_len, b->data.ptr + e->at + e->key_len };

		/* In order of the keys is all over the place in memory. */
		if (i + PREFETCH < to)
			__builtin_prefetch(b->data.ptr + b->entries[i + PREFETCH].at);
		error = mdb_put(txn, dbi, &k, &v, MDB_APPEND);
	}
	if (!error)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return error;
}

/*
 * Pages are at least half full when appended to in order, but a value above a page's half takes
 * pages of its own.
 */
static size_t map_size(const struct builder *b)
{
	size_t need = 1 << 20;

	for (size_t i = 0; i < b->count; i++) {
		size_t size = (size_t)b->entries[i].key_len + b->entries[i].value_len + 32;

		need += size < 1024 ? 2 * size : 2 * size + 8192;
	}
	return b->build->map_size > need ? b->build->map_size : need;
}

/*
 * LMDB opens by name; through the descriptor nobody can put another file in the place of the one
 * that was made.
 */
static int write_file(const struct builder *b, int fd, const char *path)
{
	char by_fd[64];
	MDB_env *env;
	int error = mdb_env_create(&env);

	if (error)
		return error;
	snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
	error = mdb_env_set_mapsize(env, map_size(b));
	if (!error)
		error = mdb_env_open(env, access(by_fd, F_OK) == 0 ? by_fd : path,
		    MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_NOTLS, 0600);
	/* Once even for no entries at all: an empty table is a file, too. */
	for (size_t at = 0; !error; at += TXN_ENTRIES) {
		size_t end = at + TXN_ENTRIES < b->count ? at + TXN_ENTRIES : b->count;

		error = put_range(env, b, at, end);
		if (end == b->count)
			break;
	}
	mdb_env_close(env);
	return error;
}

struct target {
	char *path, *tmp, *directory;
	int dirfd;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

static bool lock_directory(struct target *t, char **error)
{
	int64_t deadline = deadline_in(LOCK_WAIT_MS);

	while (flock(t->dirfd, LOCK_EX | LOCK_NB) < 0) {
		static const struct timespec pause = { 0, 10000000 };

		if ((errno != EWOULDBLOCK && errno != EINTR) || deadline_left(deadline) == 0) {
			*error = xasprintf("lock %s: %s", t->directory, strerror(errno));
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Owner and mode: the source's, else the existing table's, else ours. */
static void pick_owner(const struct table_build *build, struct target *t)
{
	struct stat st;

	t->uid = geteuid();
	t->gid = getegid();
	t->mode = 0644;
	if (stat(build->path, &st) < 0 && stat(t->path, &st) < 0)
		return;
	t->uid = st.st_uid;
	t->gid = st.st_gid;
	if (!build->default_mode)
		t->mode = st.st_mode & 0666;
}

static bool target_open(const struct table_build *build, struct target *t, char **error)
{
	const char *slash = strrchr(build->path, '/');

	*t = (struct target){ .path = xasprintf("%s.lmdb", build->path), .dirfd = -1 };
	t->directory =
	    slash ? xstrndup(build->path, (size_t)(slash - build->path) + 1) : xstrdup(".");
	pick_owner(build, t);
	t->dirfd = open(t->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dirfd < 0) {
		*error = xasprintf("open database %s: %s", t->path, strerror(errno));
		return false;
	}
	return lock_directory(t, error);
}

static void target_close(struct target *t)
{
	if (t->dirfd >= 0)
		close(t->dirfd);
	free(t->tmp);
	free(t->path);
	free(t->directory);
}

static int make_tmp(struct target *t)
{
	unsigned long long number = (unsigned long long)clock_wall_us();

	(void)!getrandom(&number, sizeof(number), GRND_NONBLOCK);
	t->tmp = xasprintf("%s.%016llx.tmp", t->path, number);
	return open(t->tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* Only root can give a file away; for others the owner is right as it is. */
static bool set_owner(const struct target *t, int fd)
{
	if (geteuid() == 0 && fchown(fd, t->uid, t->gid) < 0)
		return false;
	return fchmod(fd, t->mode) == 0;
}

static bool target_write(struct target *t, const struct builder *b, char **error)
{
	int fd = make_tmp(t), code;

	if (fd < 0) {
		*error = xasprintf("open database %s: %s", t->path, strerror(errno));
		return false;
	}
	code = write_file(b, fd, t->tmp);
	if (code) {
		*error = xasprintf("write database %s: %s", t->path, mdb_strerror(code));
		goto unlink_tmp;
	}
	if (!set_owner(t, fd) || file_sync(fd) < 0 || rename(t->tmp, t->path) < 0 ||
	    fsync(t->dirfd) < 0) {
		*error = xasprintf("write database %s: %s", t->path, strerror(errno));
		goto unlink_tmp;
	}
	close(fd);
	return true;
unlink_tmp:
	unlink(t->tmp);
	close(fd);
	return false;
}

static bool add_existing(struct slice key, struct slice value, void *arg)
{
	add_entry(arg, key, value, 0);
	return true;
}

/* A table that is not there yet has no entries. */
static bool read_existing(struct builder *b, const struct target *t, char **error)
{
	void *table;
	bool ok;

	if (access(t->path, F_OK) < 0 && errno == ENOENT)
		return true;
	table = table_type_lmdb.open(b->build->path, TABLE_NO_FOLD, error);
	ok = !*error && table_type_lmdb.each(table, add_existing, b);
	if (!ok && !*error)
		*error = xasprintf("read database %s", t->path);
	table_type_lmdb.free(table);
	return ok;
}

static void builder_init(struct builder *b, struct table_build *build)
{
	*b = (struct builder){ .build = build };
	strbuf_init(&b->data, STRBUF_NO_LIMIT);
	build->warnings = build->entries = 0;
}

static void builder_release(struct builder *b)
{
	strbuf_release(&b->data);
	free(b->entries);
}

bool table_build(struct table_build *build, struct slice source, char **error)
{
	struct builder b;
	struct target t;
	bool ok;

	*error = NULL;
	builder_init(&b, build);
	ok = target_open(build, &t, error) &&
	     (!build->incremental || read_existing(&b, &t, error)) && add_source(&b, source, error);
	if (ok && b.too_big) {
		*error = xasprintf("write database %s: too much data", t.path);
		ok = false;
	}
	if (ok) {
		settle(&b);
		build->entries = b.count;
		ok = target_write(&t, &b, error);
	}
	target_close(&t);
	builder_release(&b);
	return ok;
}

bool table_build_file(struct table_build *build, char **error)
{
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct table_stamp stamp;
	bool ok;

	*error = NULL;
	ok = table_read_file(build->path, &text, &stamp, error) &&
	     table_build(build, strbuf_slice(&text), error);
	strbuf_release(&text);
	return ok;
}

static struct slice key_of(const struct builder *b, const struct entry *e)
{
	return slice_mem(b->data.ptr + e->at, e->key_len - b->build->with_nul);
}

static bool is_listed(struct slice key, bool fold, const struct slice *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fold ? slice_caseeq(key, keys[i]) : slice_eq(key, keys[i]))
			return true;
	}
	return false;
}

bool table_remove(struct table_build *build, const struct slice *keys, size_t count,
    size_t *removed, char **error)
{
	struct builder b;
	struct target t;
	size_t kept = 0;
	bool ok;

	*error = NULL;
	*removed = 0;
	builder_init(&b, build);
	ok = target_open(build, &t, error) && read_existing(&b, &t, error);
	for (size_t i = 0; ok && i < b.count; i++) {
		if (is_listed(key_of(&b, &b.entries[i]), !build->no_fold, keys, count))
			++*removed;
		else
			b.entries[kept++] = b.entries[i];
	}
	b.count = kept;
	if (ok && *removed)
		ok = target_write(&t, &b, error);
	target_close(&t);
	builder_release(&b);
	return ok;
}
