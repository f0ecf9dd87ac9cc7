// SPDX-License-Identifier: BSD-2-Clause
/* The chain of userdb blocks, and the drivers of both kinds of databases. */
#include <string.h>

#include "authd/auth_cache.h"
#include "authd/database_list.h"
#include "authd/passwd_file.h"
#include "base/check.h"

static enum db_result expand_failed(
    const struct database *db, struct subject *subject, const char *what, const char *error)
{
	subject_log(
	    subject, LOG_LEVEL_ERROR, db->driver_name, "Failed to expand %s: %s", what, error);
	return DB_FAILED;
}

/* --- fields --- */

static bool set_id(const struct database *db, struct subject *s, struct pairs *to, const char *name,
    const char *value)
{
	bool is_group = *name == 'g';
	unsigned id;

	if (!(is_group ? local_group_id(value, &id) : local_user_id(value, &id))) {
		subject_log(s, LOG_LEVEL_ERROR, db->driver_name, "Invalid %s value '%s'",
		    is_group ? "GID" : "UID", value);
		return false;
	}
	pairs_set(to, s->arena, name, arena_printf(s->arena, "%u", id));
	return true;
}

/* Whether NAME is a field that renames. */
static bool take_name(
    const struct database *db, struct subject *s, const char *name, const char *value)
{
	const char *user = subject_renamed(s, name, value);

	if (!user)
		return false;
	if (*user)
		s->user = user;
	else
		subject_log(s, LOG_LEVEL_ERROR, db->driver_name,
		    "username attempted to be changed to empty");
	return true;
}

static bool set_field(const struct database *db, struct subject *s, struct pairs *to,
    const char *name, const char *value)
{
	if (pair_name_ends(name, ":protected", s->arena, &name) && pairs_find(to, name))
		return true;
	if (pair_name_ends(name, ":remove", s->arena, &name)) {
		pairs_remove(to, name);
		return true;
	}
	if (!strcmp(name, "uid") || !strcmp(name, "gid"))
		return set_id(db, s, to, name, value);
	if (!strcmp(name, "tempfail"))
		return false;
	if (take_name(db, s, name, value))
		return true;
	if (!strcmp(name, "system_user")) {
		subject_log(s, LOG_LEVEL_WARNING, db->driver_name,
		    "Replace system_user with system_groups_user");
		name = "system_groups_user";
	}
	pairs_set(to, s->arena, name, value);
	return true;
}

bool userdb_set(const struct database *db, struct subject *s, const char *name, const char *value)
{
	return set_field(db, s, &s->answer, name, value);
}

static bool expand_all(
    const struct database *db, struct subject *s, const struct pairs *from, struct pairs *to)
{
	const char *error;

	for (const struct pair *p = from->first; p; p = p->next) {
		const char *value = p->value ? subject_expand(s, p->value, &error) : "";

		if (!value) {
			expand_failed(db, s, p->name, error);
			return false;
		}
		pairs_set(to, s->arena, p->name, value);
	}
	return true;
}

/* A "tempfail" among the fields fails a later lookup. */
void userdb_set_prefetch(
    const struct database *db, struct subject *s, const char *name, const char *value)
{
	struct pairs defaults = { NULL, NULL };
	bool good = true;

	if (!s->userdb.first && userdb_list && expand_all(db, s, &userdb_list->defaults, &defaults))
		for (const struct pair *p = defaults.first; p; p = p->next)
			good = set_field(db, s, &s->userdb, p->name, p->value) && good;
	if (!set_field(db, s, &s->userdb, name, value) || !good)
		pairs_set_hidden(&s->userdb, s->arena, "tempfail", NULL);
}

/* --- passwd-file --- */

static bool is_bad_id(const char *text, bool is_group)
{
	unsigned id;

	if (!*text)
		return false;
	return !(is_group ? local_group_id(text, &id) : local_user_id(text, &id)) || id == 0;
}

/* Who has no usable user or group is as if not there, where those are asked for. */
static enum db_result check_entry(
    const struct database *db, const char *path, const struct passwd_entry *entry)
{
	if (!db->is_userdb && !db->has_ids)
		return DB_OK;
	if (is_bad_id(entry->uid, false)) {
		log_error(
		    "passwd-file %s:User %s has invalid UID '%s'", path, entry->name, entry->uid);
		return DB_UNKNOWN;
	}
	if (is_bad_id(entry->gid, true)) {
		log_error(
		    "passwd-file %s:User %s has invalid GID '%s'", path, entry->name, entry->gid);
		return DB_UNKNOWN;
	}
	if (!entry->has_uid && db->is_userdb) {
		log_error("passwd-file %s:User %s is missing userdb info", path, entry->name);
		return DB_UNKNOWN;
	}
	return DB_OK;
}

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
		return check_entry(db, path, entry);
	case PASSWD_UNKNOWN:
		return DB_UNKNOWN;
	case PASSWD_NO_FILE:
		/* A domain that has no file has no users; the only file must be there. */
		if (!strchr(db->path, '%'))
			break;
		if (db->verbose)
			log_info("missing passwd file: %s", path);
		return DB_UNKNOWN;
	case PASSWD_FAILED:
		break;
	}
	subject_log(subject, LOG_LEVEL_ERROR, db->driver_name, "%s", why.text);
	return DB_FAILED;
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
	entry->field_word = "extra field";
	if (!line.extra_is_mail)
		pairs_set_words(&entry->fields, subject->arena, line.extra);
	else if (*line.extra && db->has_ids)
		pairs_set(&entry->fields, subject->arena, "userdb_mail", line.extra);
	return DB_OK;
}

/* All are expanded before the first counts: one of them may rename the user. */
static bool take_extra(const struct database *db, struct subject *s, const struct pairs *extra)
{
	struct pairs fields = { NULL, NULL };
	const char *error;

	for (const struct pair *p = extra->first; p; p = p->next) {
		const char *value = p->value ? subject_expand(s, p->value, &error) : "";

		if (strncmp(p->name, "userdb_", 7) != 0)
			continue;
		if (!value) {
			subject_log(s, LOG_LEVEL_ERROR, db->driver_name,
			    "Failed to expand extra field %s=%s: %s", p->name, p->value, error);
			return false;
		}
		pairs_set(&fields, s->arena, p->name + 7, value);
	}
	for (const struct pair *p = fields.first; p; p = p->next)
		if (!userdb_set(db, s, p->name, p->value))
			return false;
	return true;
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
	if (line.extra_is_mail && *line.extra)
		pairs_set(&subject->answer, subject->arena, "mail", line.extra);
	else
		pairs_set_words(&extra, subject->arena, line.extra);
	return take_extra(db, subject, &extra) ? DB_OK : DB_FAILED;
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

/* The password comes last, so that a nopassword is never in its way. */
static enum db_result static_find_password(
    const struct database *db, struct subject *subject, struct db_entry *entry)
{
	const struct pair *password = pairs_find(&db->fields, "password");

	pairs_copy(&entry->fields, &db->fields, subject->arena);
	pairs_remove(&entry->fields, "password");
	if (password)
		pairs_set(&entry->fields, subject->arena, "password", password->value);
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
		if (pairs_find(&subject->userdb, "tempfail"))
			return DB_FAILED;
		for (const struct pair *p = subject->userdb.first; p; p = p->next)
			pairs_set(&subject->answer, subject->arena, p->name, p->value);
	}
	if (!expand_all(db, subject, &db->fields, &fields))
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
	if (!logged_in || !subject->userdb.first)
		return DB_UNKNOWN;
	return pairs_find(&subject->userdb, "tempfail") ? DB_FAILED : DB_OK;
}

const struct db_driver prefetch_driver = { .name = "prefetch", .find_user = prefetch_find_user };

/* --- the chain --- */

static bool add_fields(
    const struct database *db, struct subject *subject, const struct pairs *fields)
{
	struct pairs expanded = { NULL, NULL };

	if (!expand_all(db, subject, fields, &expanded))
		return false;
	for (const struct pair *p = expanded.first; p; p = p->next)
		if (!userdb_set(db, subject, p->name, p->value))
			return false;
	return true;
}

/* The fields alone that the driver gives, with the name when that changed, to be kept. */
static enum db_result ask_driver(const struct database *db, struct subject *subject, bool logged_in,
    struct slice key, struct pairs *found)
{
	struct pairs before = subject->answer;
	const char *user = subject->user;
	struct db_entry entry = { .password = NULL };
	enum db_result result;

	subject->answer = (struct pairs){ NULL, NULL };
	result = db->driver->find_user(db, subject, logged_in);
	if (strcmp(user, subject->user) != 0)
		pairs_set(&subject->answer, subject->arena, "user", subject->user);
	*found = subject->answer;
	subject->answer = before;
	subject->user = user;
	entry.fields = *found;
	auth_cache_put(subject, key, result, &entry);
	return result;
}

/* For drivers to which a question is dear. */
static enum db_result ask_cached(
    const struct database *db, struct subject *subject, bool logged_in, struct slice key)
{
	struct cached_answer old;
	struct pairs found = { NULL, NULL };
	enum db_result result;

	auth_cache_get(subject, key, &old);
	result = old.state == CACHED_FRESH ? old.result
					   : ask_driver(db, subject, logged_in, key, &found);
	if (old.state == CACHED_EXPIRED && result == DB_FAILED) {
		subject_log(subject, LOG_LEVEL_INFO, db->driver_name,
		    "Falling back to expired data from cache");
		result = old.result;
		found = old.entry.fields;
	} else if (old.state == CACHED_FRESH) {
		found = old.entry.fields;
	}
	for (const struct pair *p = found.first; p && result == DB_OK; p = p->next)
		if (!userdb_set(db, subject, p->name, p->value ? p->value : ""))
			return DB_FAILED;
	return result;
}

/* Defaults come before the block's own fields and so give way to them. */
static enum db_result ask_block(const struct database *db, struct subject *subject, bool logged_in)
{
	struct slice key = auth_cache_key(db, subject);
	enum db_result result;

	if (!add_fields(db, subject, &db->defaults))
		return DB_FAILED;
	result = key.ptr ? ask_cached(db, subject, logged_in, key)
			 : db->driver->find_user(db, subject, logged_in);
	if (result == DB_UNKNOWN && db->verbose && db->driver == &passwd_file_driver)
		subject_log(subject, LOG_LEVEL_INFO, db->driver_name, "unknown user");
	if (result == DB_OK && !add_fields(db, subject, &db->overrides))
		return DB_FAILED;
	return result;
}

struct user_chain {
	bool success, saw_failure;
};

/* Whether the chain goes on. */
static bool apply_rule(struct user_chain *chain, enum db_rule rule)
{
	switch (rule) {
	case DB_RETURN_OK:
	case DB_CONTINUE_OK:
		chain->success = true;
		break;
	case DB_RETURN_FAIL:
	case DB_CONTINUE_FAIL:
		chain->success = false;
		break;
	case DB_RETURN:
	case DB_CONTINUE:
		break;
	}
	return rule == DB_CONTINUE || rule == DB_CONTINUE_OK || rule == DB_CONTINUE_FAIL;
}

static const struct database *next_block(const struct user_chain *chain, const struct database *db)
{
	while (db && ((db->skip == DB_SKIP_AUTHENTICATED && chain->success) ||
			 (db->skip == DB_SKIP_UNAUTHENTICATED && !chain->success)))
		db = db->next;
	return db;
}

static void log_missing_user(const struct subject *subject)
{
	subject_log(subject, LOG_LEVEL_ERROR,
	    userdb_list->next ? subject_mechanism(subject) : userdb_list->driver_name,
	    userdb_list->next ? "user not found from any userdbs" : "user not found from userdb");
}

enum db_result userdb_lookup(struct subject *subject, bool logged_in)
{
	struct user_chain chain = { false, false };
	const struct database *db = next_block(&chain, userdb_list);
	enum db_result result = DB_UNKNOWN;

	subject->answer = (struct pairs){ NULL, NULL };
	if (logged_in)
		pairs_copy(&subject->answer, &subject->userdb, subject->arena);
	pairs_remove(&subject->answer, "tempfail");
	while (db) {
		struct pairs kept;
		bool goes_on;

		pairs_copy(&kept, &subject->answer, subject->arena);
		result = ask_block(db, subject, logged_in);
		if (result != DB_OK)
			subject->answer = kept;
		goes_on = apply_rule(&chain, database_rule(db, result));
		chain.saw_failure |= result == DB_FAILED;
		db = goes_on ? next_block(&chain, db->next) : NULL;
	}
	if (chain.success)
		return DB_OK;
	if (chain.saw_failure)
		return DB_FAILED;
	if (logged_in && userdb_list)
		log_missing_user(subject);
	return DB_UNKNOWN;
}

bool userdb_each(void (*each)(const char *name, void *arg), void *arg)
{
	bool good = userdb_list != NULL;

	for (const struct database *db = userdb_list; db; db = db->next)
		good = db->driver->each && db->driver->each(db, each, arg) && good;
	return good;
}
