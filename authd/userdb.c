// SPDX-License-Identifier: BSD-2-Clause
/* The chain of userdb blocks, and the drivers of both kinds of databases. */
#include <string.h>

#include "authd/database_list.h"
#include "authd/passwd_file.h"
#include "base/check.h"

static enum db_result expand_failed(
    const struct database *db, struct subject *subject, const char *what, const char *error)
{
	subject_log(subject, LOG_LEVEL_ERROR, db->driver_name, "%s: %s", what, error);
	return DB_FAILED;
}

/* --- fields --- */

static bool set_id(const struct database *db, struct subject *subject, const char *name,
    const char *value, bool is_group)
{
	unsigned id;

	if (!(is_group ? local_group_id(value, &id) : local_user_id(value, &id))) {
		subject_log(subject, LOG_LEVEL_ERROR, db->driver_name, "Invalid %s value '%s'",
		    is_group ? "GID" : "UID", value);
		return false;
	}
	pairs_set(&subject->answer, subject->arena, name, arena_printf(subject->arena, "%u", id));
	return true;
}

bool userdb_set(
    const struct database *db, struct subject *subject, const char *name, const char *value)
{
	if (!strcmp(name, "uid") || !strcmp(name, "gid"))
		return set_id(db, subject, name, value, *name == 'g');
	if (!strcmp(name, "tempfail"))
		return false;
	if (!strcmp(name, "user")) {
		if (*value)
			subject->user = arena_strdup(subject->arena, value);
		return true;
	}
	pairs_set(&subject->answer, subject->arena, name, value);
	return true;
}

/* --- passwd-file --- */

static enum db_result find_entry(
    const struct database *db, struct subject *subject, struct passwd_entry *entry)
{
	const char *path, *name, *error;
	struct reason why;

	/* A name with a '/' must not lead to another file. */
	if (strchr(db->path, '%') && strchr(subject->user, '/'))
		return DB_UNKNOWN;
	path = subject_expand(subject, db->path, &error);
	if (!path)
		return expand_failed(db, subject, "args", error);
	name = subject_expand(subject, db->username_format, &error);
	if (!name)
		return expand_failed(db, subject, "username_format", error);
	switch (passwd_file_lookup(path, name, subject->arena, entry, &why)) {
	case PASSWD_FOUND:
		return DB_OK;
	case PASSWD_UNKNOWN:
		return DB_UNKNOWN;
	case PASSWD_FAILED:
		break;
	}
	subject_log(subject, LOG_LEVEL_ERROR, db->driver_name, "%s", why.text);
	return DB_FAILED;
}

static void split_extra(struct pairs *fields, struct arena *arena, const char *text)
{
	struct slice rest = slice_of(text), word;

	while (slice_token(&rest, " \t", &word)) {
		ptrdiff_t equals = slice_find(word, '=');
		const char *name =
		    arena_slicedup(arena, equals < 0 ? word : slice_first(word, (size_t)equals));

		pairs_set(fields, arena, name,
		    equals < 0 ? NULL
			       : arena_slicedup(arena, slice_from(word, (size_t)equals + 1)));
	}
}

static enum db_result file_find_password(
    const struct database *db, struct subject *subject, struct db_entry *entry)
{
	struct passwd_entry line;
	enum db_result result = find_entry(db, subject, &line);

	if (result != DB_OK)
		return result;
	entry->password = line.password;
	entry->expand = true;
	split_extra(&entry->fields, subject->arena, line.extra);
	return DB_OK;
}

static enum db_result file_find_user(
    const struct database *db, struct subject *subject, bool logged_in)
{
	struct passwd_entry line;
	struct pairs extra = { NULL, NULL };
	enum db_result result = find_entry(db, subject, &line);

	(void)logged_in;
	if (result != DB_OK)
		return result;
	if ((*line.uid && !userdb_set(db, subject, "uid", line.uid)) ||
	    (*line.gid && !userdb_set(db, subject, "gid", line.gid)))
		return DB_FAILED;
	if (*line.home)
		pairs_set(&subject->answer, subject->arena, "home", line.home);
	split_extra(&extra, subject->arena, line.extra);
	for (const struct pair *p = extra.first; p; p = p->next) {
		const char *value = "", *error;

		if (strncmp(p->name, "userdb_", 7) != 0)
			continue;
		if (p->value && !(value = subject_expand(subject, p->value, &error)))
			return expand_failed(db, subject, p->name, error);
		if (!userdb_set(db, subject, p->name + 7, value))
			return DB_FAILED;
	}
	return DB_OK;
}

static bool file_each(
    const struct database *db, void (*each)(const char *name, void *arg), void *arg)
{
	struct reason why;

	if (strchr(db->path, '%')) {
		log_error("passwd-file: users cannot be listed when the path has variables: %s",
		    db->path);
		return false;
	}
	if (passwd_file_each(db->path, each, arg, &why))
		return true;
	log_error("passwd-file: %s", why.text);
	return false;
}

const struct db_driver passwd_file_driver = {
	.name = "passwd-file",
	.find_password = file_find_password,
	.find_user = file_find_user,
	.each = file_each,
};

/* --- static --- */

static bool expand_pairs(
    const struct database *db, struct subject *subject, const struct pairs *from, struct pairs *to)
{
	const char *error, *value;

	for (const struct pair *p = from->first; p; p = p->next) {
		value = p->value ? subject_expand(subject, p->value, &error) : NULL;
		if (p->value && !value) {
			expand_failed(db, subject, p->name, error);
			return false;
		}
		pairs_set(to, subject->arena, p->name, value);
	}
	return true;
}

static enum db_result static_find_password(
    const struct database *db, struct subject *subject, struct db_entry *entry)
{
	pairs_copy(&entry->fields, &db->fields, subject->arena);
	entry->expand = true;
	return DB_OK;
}

static enum db_result static_find_user(
    const struct database *db, struct subject *subject, bool logged_in)
{
	struct pairs fields = { NULL, NULL };
	enum db_result result;

	if (!logged_in && !db->allow_all_users) {
		result = passdb_lookup(subject);
		if (result != DB_OK)
			return result == DB_FAILED ? DB_FAILED : DB_UNKNOWN;
	}
	if (!expand_pairs(db, subject, &db->fields, &fields))
		return DB_FAILED;
	for (const struct pair *p = fields.first; p; p = p->next)
		if (strcmp(p->name, "allow_all_users") != 0 &&
		    !userdb_set(db, subject, p->name, p->value ? p->value : ""))
			return DB_FAILED;
	return DB_OK;
}

const struct db_driver static_driver = {
	.name = "static",
	.find_password = static_find_password,
	.find_user = static_find_user,
};

/* --- prefetch --- */

/* Knows only users who have just logged in; for others the next block is asked. */
static enum db_result prefetch_find_user(
    const struct database *db, struct subject *subject, bool logged_in)
{
	(void)db;
	if (!logged_in || !pairs_find(&subject->userdb, "uid"))
		return DB_UNKNOWN;
	for (const struct pair *p = subject->userdb.first; p; p = p->next)
		pairs_set(&subject->answer, subject->arena, p->name, p->value);
	return DB_OK;
}

const struct db_driver prefetch_driver = { .name = "prefetch", .find_user = prefetch_find_user };

/* --- the chain --- */

static enum db_result add_defaults(const struct database *db, struct subject *subject)
{
	struct pairs defaults = { NULL, NULL }, overrides = { NULL, NULL };

	if (!expand_pairs(db, subject, &db->defaults, &defaults) ||
	    !expand_pairs(db, subject, &db->overrides, &overrides))
		return DB_FAILED;
	for (const struct pair *p = defaults.first; p; p = p->next)
		pairs_set_default(
		    &subject->answer, subject->arena, p->name, p->value ? p->value : "");
	for (const struct pair *p = overrides.first; p; p = p->next)
		pairs_set(&subject->answer, subject->arena, p->name, p->value ? p->value : "");
	return DB_OK;
}

enum db_result userdb_lookup(struct subject *subject, bool logged_in)
{
	bool saw_failure = false;

	for (const struct database *db = userdb_list; db; db = db->next) {
		enum db_result result;

		subject->answer = (struct pairs){ NULL, NULL };
		result = db->driver->find_user(db, subject, logged_in);
		if (result == DB_OK)
			result = add_defaults(db, subject);
		if (result == DB_OK)
			return DB_OK;
		saw_failure |= result == DB_FAILED;
	}
	return saw_failure ? DB_FAILED : DB_UNKNOWN;
}

bool userdb_each(void (*each)(const char *name, void *arg), void *arg)
{
	bool good = userdb_list != NULL;

	for (const struct database *db = userdb_list; db; db = db->next)
		good = db->driver->each && db->driver->each(db, each, arg) && good;
	return good;
}
