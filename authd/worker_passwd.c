// SPDX-License-Identifier: BSD-2-Clause
/* Accounts of the host, by NSS: files, or whatever nsswitch.conf(5) names, which may block. */
#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "authd/database_list.h"
#include "authd/worker_args.h"
#include "authd/worker_hash.h"

/* DB_OK with *ENTRY, which is NSS's until the next call. */
static enum db_result find(
    const struct database *db, struct subject *subject, const struct passwd **entry)
{
	errno = 0;
	*entry = getpwnam(subject->user);
	if (*entry)
		return DB_OK;
	/* getpwnam(3): these all mean that there is none. */
	if (errno == 0 || errno == ENOENT || errno == ESRCH || errno == EBADF || errno == EPERM)
		return DB_UNKNOWN;
	subject_log(
	    subject, LOG_LEVEL_ERROR, db->driver_name, "getpwnam() failed: %s", strerror(errno));
	return DB_FAILED;
}

static enum db_result passwd_find_password(
    const struct database *db, struct subject *subject, struct db_entry *entry)
{
	const struct passwd *found;
	enum db_result result = find(db, subject, &found);

	return result == DB_OK
		   ? worker_take_hash(db, subject, found->pw_name, found->pw_passwd, true, entry)
		   : result;
}

static bool set_number(
    const struct database *db, struct subject *subject, const char *name, unsigned value)
{
	return userdb_set(db, subject, name, arena_printf(subject->arena, "%u", value));
}

/* "args": fields that take the place of the entry's. */
static bool set_template(const struct database *db, struct subject *subject)
{
	const char *value, *error;

	for (const struct pair *p = db->fields.first; p; p = p->next) {
		value = subject_expand(subject, p->value ? p->value : "", &error);
		if (!value)
			subject_log(subject, LOG_LEVEL_ERROR, db->driver_name,
			    "Failed to expand template: %s", error);
		if (!value || !userdb_set(db, subject, p->name, value))
			return false;
	}
	return true;
}

static enum db_result passwd_find_user(
    const struct database *db, struct subject *subject, bool logged_in)
{
	const struct passwd *found;
	enum db_result result = find(db, subject, &found);

	(void)logged_in;
	if (result == DB_UNKNOWN && db->verbose)
		subject_log(subject, LOG_LEVEL_INFO, db->driver_name, "unknown user");
	if (result != DB_OK)
		return result;
	/* The name as the database has it: another case of letters is the same account there. */
	if (!userdb_set(db, subject, "user", found->pw_name) ||
	    !userdb_set(db, subject, "system_groups_user", found->pw_name) ||
	    !set_number(db, subject, "uid", found->pw_uid) ||
	    !set_number(db, subject, "gid", found->pw_gid) ||
	    !userdb_set(db, subject, "home", found->pw_dir))
		return DB_FAILED;
	return set_template(db, subject) ? DB_OK : DB_FAILED;
}

/* 0: no limit. */
static bool is_within(unsigned long id, unsigned long first, unsigned long last)
{
	return id >= first && (last == 0 || id <= last);
}

/* Accounts of the system itself have no mail. */
static bool is_mail_user(const struct passwd *entry)
{
	const struct dovecot_settings *set = database_settings;

	return is_within(entry->pw_uid, set->first_valid_uid, set->last_valid_uid) &&
	       is_within(entry->pw_gid, set->first_valid_gid, set->last_valid_gid);
}

static bool passwd_each(
    const struct database *db, void (*each)(const char *name, void *arg), void *arg)
{
	const struct passwd *entry;
	int error;

	setpwent();
	for (;;) {
		errno = 0;
		entry = getpwent();
		if (!entry)
			break;
		if (is_mail_user(entry))
			each(entry->pw_name, arg);
	}
	error = errno;
	endpwent();
	if (!error || error == ENOENT)
		return true;
	log_error("%s: getpwent() failed: %s", db->driver_name, strerror(error));
	return false;
}

const struct db_driver passwd_driver = {
	.name = "passwd",
	.find_password = passwd_find_password,
	.find_user = passwd_find_user,
	.each = passwd_each,
	.parse = worker_parse_passwd,
};
