// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables of a host that comes from Berkeley files, or whose text was edited: compiled at start.
 */
#include <stdlib.h>
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

static bool is_needed(const char *path)
{
	char *db = xasprintf("%s.lmdb", path);
	struct stat source, built;
	bool needed = stat(path, &source) == 0 && S_ISREG(source.st_mode) &&
		      (stat(db, &built) < 0 || is_newer(&source, &built));

	free(db);
	return needed;
}

static bool build_one(const char *type, const char *path, bool aliases)
{
	struct table_build build = {
		.path = path, .type = type, .aliases = aliases, .with_nul = true, .allow_8bit = true
	};
	char *error;

	if (!is_needed(path))
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

size_t table_build_missing(const char *value, bool aliases)
{
	static const char *const types[] = { "hash", "btree", "lmdb" };
	struct slice rest = slice_of(value), word;
	size_t count = 0;

	while (table_list_next(&rest, &word)) {
		ptrdiff_t colon;

		if (slice_starts(word, "proxy:"))
			word = slice_from(word, 6);
		colon = slice_find(word, ':');
		for (size_t i = 0; colon > 0 && i < ARRAY_LEN(types); i++) {
			char *path;

			if (!slice_eq_str(slice_first(word, (size_t)colon), types[i]) ||
			    (size_t)colon + 1 >= word.len)
				continue;
			word = slice_from(word, (size_t)colon + 1);
			path = xstrndup(word.ptr, word.len);
			count += build_one(types[i], path, aliases);
			free(path);
			break;
		}
	}
	return count;
}
