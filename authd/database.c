// SPDX-License-Identifier: BSD-2-Clause
/* Blocks of the configuration, read once. */
#include "authd/database.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/scheme.h"
#include "authd/database_list.h"
#include "base/check.h"

struct database *passdb_list, *masterdb_list, *userdb_list;
const struct dovecot_settings *database_settings;

/* Lives as long as the process. */
static struct arena arena = ARENA_INIT;

/* --- names of this host --- */

/* Read from the file and not through NSS, which has no deadline. */
bool local_user_id(const char *name, unsigned *uid)
{
	struct passwd entry, *found = NULL;
	char buf[4096];
	uint64_t number;
	FILE *file;

	if (slice_uint(slice_of(name), UINT32_MAX - 1, &number)) {
		*uid = (unsigned)number;
		return true;
	}
	file = fopen("/etc/passwd", "re");
	while (file && fgetpwent_r(file, &entry, buf, sizeof(buf), &found) == 0)
		if (!strcmp(entry.pw_name, name))
			break;
		else
			found = NULL;
	if (found)
		*uid = found->pw_uid;
	if (file)
		fclose(file);
	return found != NULL;
}

bool local_group_id(const char *name, unsigned *gid)
{
	struct group entry, *found = NULL;
	char buf[65536];
	uint64_t number;
	FILE *file;

	if (slice_uint(slice_of(name), UINT32_MAX - 1, &number)) {
		*gid = (unsigned)number;
		return true;
	}
	file = fopen("/etc/group", "re");
	while (file && fgetgrent_r(file, &entry, buf, sizeof(buf), &found) == 0)
		if (!strcmp(entry.gr_name, name))
			break;
		else
			found = NULL;
	if (found)
		*gid = found->gr_gid;
	if (file)
		fclose(file);
	return found != NULL;
}

/* --- drivers --- */

/* A database that we lack is one that is down: its users must not count as unknown. */
static enum db_result absent_password(
    const struct database *db, struct subject *subject, struct db_entry *entry)
{
	(void)entry;
	subject_log(subject, LOG_LEVEL_ERROR, db->driver_name, "passdb driver is not there yet");
	return DB_FAILED;
}

static enum db_result absent_user(
    const struct database *db, struct subject *subject, bool logged_in)
{
	(void)logged_in;
	subject_log(subject, LOG_LEVEL_ERROR, db->driver_name, "userdb driver is not there yet");
	return DB_FAILED;
}

static const struct db_driver absent_driver = {
	.name = "",
	.find_password = absent_password,
	.find_user = absent_user,
};

static const struct db_driver *find_driver(const char *name, bool is_userdb)
{
	static const struct db_driver *const drivers[] = {
		&passwd_file_driver,
		&static_driver,
		&prefetch_driver,
		&pam_driver,
		&passwd_driver,
		&shadow_driver,
		&checkpassword_driver,
	};

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		const struct db_driver *d = drivers[i];

		if (strcmp(d->name, name) != 0)
			continue;
		if (is_userdb ? !d->find_user : !d->find_password && !d->verify)
			fatal("%s driver %s: there is no such %s driver",
			    is_userdb ? "userdb" : "passdb", name, is_userdb ? "userdb" : "passdb");
		return d;
	}
	return &absent_driver;
}

/* --- blocks --- */

static enum db_rule rule_of(const struct dovecot_block *block, const char *name)
{
	static const char *const words[] = { [DB_RETURN_OK] = "return-ok",
		[DB_RETURN] = "return",
		[DB_RETURN_FAIL] = "return-fail",
		[DB_CONTINUE] = "continue",
		[DB_CONTINUE_OK] = "continue-ok",
		[DB_CONTINUE_FAIL] = "continue-fail" };
	const char *text = dovecot_block_get(block, name);

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(words[i], text))
			return (enum db_rule)i;
	fatal("%s: bad value: %s", name, text);
}

/* Options, then the path, in which blanks are allowed. */
static void parse_file_args(struct database *db)
{
	struct slice rest = slice_of(db->args), word, before;

	for (;;) {
		before = rest = slice_trim(rest, " \t");
		if (!slice_token(&rest, " \t", &word))
			break;
		if (slice_starts(word, "scheme="))
			db->scheme = arena_slicedup(&arena, slice_from(word, strlen("scheme=")));
		else if (slice_starts(word, "username_format="))
			db->username_format =
			    arena_slicedup(&arena, slice_from(word, strlen("username_format=")));
		else
			break;
	}
	db->path = arena_slicedup(&arena, before);
	if (*db->path != '/')
		fatal("%s passwd-file: args must end with the absolute path of a file: %s",
		    db->is_userdb ? "userdb" : "passdb", db->args);
	if (!db->is_userdb)
		db->cache_key = arena_printf(&arena, "%s\n%s", db->path, db->username_format);
	if (!password_scheme_is_known(db->scheme))
		fatal("passwd-file: unknown scheme: %s", db->scheme);
}

static void resolve_id(struct pairs *args, const char *name, bool is_group)
{
	const struct pair *pair = pairs_find(args, name);
	unsigned id;

	if (!pair || !pair->value || strchr(pair->value, '%'))
		return;
	if (!(is_group ? local_group_id(pair->value, &id) : local_user_id(pair->value, &id)))
		fatal("userdb static: %s=%s: there is no such %s", name, pair->value,
		    is_group ? "group" : "user");
	pairs_set(args, &arena, name, arena_printf(&arena, "%u", id));
}

static void parse_static_args(struct database *db)
{
	const struct pair *all;

	db->scheme = "PLAIN";
	pairs_set_words(&db->fields, &arena, db->args);
	if (!db->is_userdb)
		return;
	all = pairs_find(&db->fields, "allow_all_users");
	db->allow_all_users = all && all->value && !strcmp(all->value, "yes");
	resolve_id(&db->fields, "uid", false);
	resolve_id(&db->fields, "gid", true);
}

/* "found" and "notfound" are a userdb's words. */
static void load_rules(struct database *db, const struct dovecot_block *block)
{
	const char *skip = dovecot_block_get(block, "skip");
	const char *verbose = dovecot_block_get(block, "auth_verbose");

	if (!strcmp(skip, "authenticated") || !strcmp(skip, "found"))
		db->skip = DB_SKIP_AUTHENTICATED;
	else if (strcmp(skip, "never") != 0)
		db->skip = DB_SKIP_UNAUTHENTICATED;
	db->on_success = rule_of(block, "result_success");
	db->on_failure = rule_of(block, "result_failure");
	db->on_internal_failure = rule_of(block, "result_internalfail");
	if (strcmp(verbose, "default") != 0)
		db->verbose = !strcmp(verbose, "yes");
}

static void load_passdb_rules(struct database *db, const struct dovecot_block *block)
{
	db->deny = dovecot_block_bool(block, "deny");
	db->mechanisms = arena_strdup(&arena, dovecot_block_get(block, "mechanisms"));
	db->username_filter = arena_strdup(&arena, dovecot_block_get(block, "username_filter"));
	if (dovecot_block_bool(block, "pass"))
		db->on_success = DB_CONTINUE;
}

static struct database *load_block(const struct dovecot_block *block, bool is_userdb)
{
	struct database *db = ARENA_NEW(&arena, struct database);

	db->args = arena_strdup(&arena, dovecot_block_get(block, "args"));
	db->is_userdb = is_userdb;
	db->driver_name = arena_strdup(&arena, dovecot_block_get(block, "driver"));
	db->driver = find_driver(db->driver_name, is_userdb);
	db->scheme = "CRYPT";
	db->username_format = "%u";
	db->verbose = database_settings->auth_verbose;
	pairs_set_words(&db->defaults, &arena, dovecot_block_get(block, "default_fields"));
	pairs_set_words(&db->overrides, &arena, dovecot_block_get(block, "override_fields"));
	load_rules(db, block);
	if (!is_userdb)
		load_passdb_rules(db, block);
	if (db->driver == &passwd_file_driver)
		parse_file_args(db);
	else if (db->driver == &static_driver)
		parse_static_args(db);
	else if (db->driver->parse)
		db->driver->parse(db, &arena);
	else if (db->driver == &absent_driver)
		log_warning("%s driver %s is not there yet: asking it is a temporary failure",
		    is_userdb ? "userdb" : "passdb", db->driver_name);
	return db;
}

enum db_rule database_rule(const struct database *db, enum db_result result)
{
	if (result == DB_OK)
		return db->on_success;
	return result == DB_FAILED ? db->on_internal_failure : db->on_failure;
}

static void append(struct database **list, struct database *db)
{
	while (*list)
		list = &(*list)->next;
	*list = db;
}

static void load_list(const struct dovecot_source *source, bool is_userdb)
{
	const char *kind = is_userdb ? "userdb" : "passdb";

	for (size_t i = 0; i < dovecot_block_count(source, kind); i++) {
		const struct dovecot_block *block = dovecot_block_at(source, kind, i);
		struct database *db = load_block(block, is_userdb);

		db->position = i;
		db->is_master = !is_userdb && dovecot_block_bool(block, "master");
		append(is_userdb       ? &userdb_list
		       : db->is_master ? &masterdb_list
				       : &passdb_list,
		    db);
	}
}

/* Where no userdb is configured, who has a passdb entry is a user with its "userdb_" fields. */
static struct database *nothing_more(void)
{
	struct database *db = ARENA_NEW(&arena, struct database);

	db->is_userdb = true;
	db->driver = &static_driver;
	db->driver_name = db->driver->name;
	db->args = db->mechanisms = db->username_filter = "";
	db->scheme = "PLAIN";
	db->username_format = "%u";
	db->on_success = DB_RETURN_OK;
	db->on_failure = db->on_internal_failure = DB_CONTINUE;
	return db;
}

static void note_shared_files(struct database *list)
{
	for (struct database *db = list; db; db = db->next)
		for (const struct database *user = userdb_list; user; user = user->next)
			db->has_ids |= db->path && user->path && !strcmp(db->path, user->path);
}

/* A path that begins with a variable, or has one in a name right below /, may be anywhere. */
static const char *directory_of(const char *path)
{
	size_t len = strcspn(path, "%");

	while (len > 0 && path[len - 1] != '/')
		len--;
	return arena_slicedup(&arena, slice_mem(path, len > 1 ? len - 1 : len));
}

/* A file may be a link to one somewhere else. */
static const char *real_directory_of(const char *path)
{
	char *real = strchr(path, '%') ? NULL : realpath(path, NULL);
	const char *dir = directory_of(real ? real : path);

	free(real);
	return dir;
}

const char *database_directory(size_t i)
{
	const struct database *const lists[] = { passdb_list, masterdb_list, userdb_list };

	for (size_t k = 0; k < ARRAY_LEN(lists); k++)
		for (const struct database *db = lists[k]; db; db = db->next) {
			if (db->driver != &passwd_file_driver)
				continue;
			if (i < 2)
				return i == 0 ? directory_of(db->path)
					      : real_directory_of(db->path);
			i -= 2;
		}
	return NULL;
}

void database_load(const struct dovecot_source *source, const struct dovecot_settings *settings)
{
	database_settings = settings;
	passdb_list = masterdb_list = userdb_list = NULL;
	load_list(source, false);
	load_list(source, true);
	if (!userdb_list)
		userdb_list = nothing_more();
	note_shared_files(passdb_list);
	note_shared_files(masterdb_list);
	if (!passdb_list)
		fatal("No passdbs specified in configuration file");
}
