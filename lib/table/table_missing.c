// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables of a host that comes from Berkeley files, or whose text was edited: compiled at start.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "log/log.h"
#include "table/table.h"
#include "table/table_build.h"

static bool is_newer(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
	return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

enum table_age table_age(const char *path)
{
	char *db = xasprintf("%s.lmdb", path);
	struct stat source, built;
	enum table_age age = TABLE_AGE_CURRENT;

	if (stat(path, &source) == 0 && S_ISREG(source.st_mode)) {
		if (stat(db, &built) < 0)
			age = TABLE_AGE_MISSING;
		else if (is_newer(&source, &built))
			age = TABLE_AGE_OLDER;
	}
	free(db);
	return age;
}

static bool build_one(const char *type, const char *path, bool aliases)
{
	struct table_build build = {
		.path = path, .type = type, .aliases = aliases, .with_nul = true, .allow_8bit = true
	};
	char *error;

	if (table_age(path) == TABLE_AGE_CURRENT)
		return false;
	if (!table_build_file(&build, &error)) {
		log_warning("cannot build table %s:%s: %s", type, path, error);
		free(error);
		return false;
	}
	log_info("built table %s:%s (%zu entries): it was missing or older than its text", type,
	    path, build.entries);
	return true;
}

bool table_type_is_built(struct slice type)
{
	return slice_eq_str(type, "hash") || slice_eq_str(type, "btree") ||
	       slice_eq_str(type, "lmdb");
}

static size_t build_missing(struct slice list, bool aliases);

/* "hash:FILE"; tables that are made of others are looked into. */
static size_t build_word(struct slice word, bool aliases)
{
	char *type, *path;
	ptrdiff_t colon;
	size_t count = 0;

	if (slice_starts(word, "proxy:"))
		word = slice_from(word, 6);
	colon = slice_find(word, ':');
	if (colon <= 0 || (size_t)colon + 1 >= word.len)
		return 0;
	type = xstrndup(word.ptr, (size_t)colon);
	word = slice_from(word, (size_t)colon + 1);
	path = xstrndup(word.ptr, word.len);
	if (table_type_is_built(slice_of(type)))
		count = build_one(type, path, aliases);
	else if ((strcmp(type, "pipemap") == 0 || strcmp(type, "unionmap") == 0) &&
		 slice_starts(word, "{") && table_unbrace(&word))
		count = build_missing(word, aliases);
	free(path);
	free(type);
	return count;
}

static size_t build_missing(struct slice list, bool aliases)
{
	struct slice word;
	size_t count = 0;

	while (table_list_next(&list, &word))
		count += build_word(word, aliases);
	return count;
}

size_t table_build_missing(const char *value, bool aliases)
{
	return build_missing(slice_of(value), aliases);
}
