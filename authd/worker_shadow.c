// SPDX-License-Identifier: BSD-2-Clause
/* The host's passwords, by NSS: in /etc/shadow, which only root reads. */
#include <errno.h>
#include <shadow.h>
#include <string.h>
#include <unistd.h>

#include "authd/worker_args.h"
#include "authd/worker_hash.h"

enum db_result worker_take_hash(const struct database *db, struct subject *subject,
    const char *name, const char *hash, bool show, struct db_entry *entry)
{
	if (*hash == '\0' || *hash == '*' || *hash == '!') {
		if (db->verbose)
			subject_log(subject, LOG_LEVEL_INFO, db->driver_name,
			    "invalid password field%s%s%s", show ? " '" : "", show ? hash : "",
			    show ? "'" : "");
		return DB_DISABLED;
	}
	entry->password = arena_strdup(subject->arena, hash);
	entry->scheme = "CRYPT";
	pairs_set(&entry->fields, subject->arena, "user", name);
	return DB_OK;
}

/* NSS tells nobody from nobody that one may see. */
static bool may_not_look(void)
{
	int error = errno;

	if (access("/etc/shadow", R_OK) == -1 && errno == EACCES)
		return true;
	errno = error;
	return false;
}

/* Whether the account has expired is not looked at; with the peer neither. */
static enum db_result shadow_find_password(
    const struct database *db, struct subject *subject, struct db_entry *entry)
{
	const struct spwd *found;

	errno = 0;
	found = getspnam(subject->user);
	if (!found && !may_not_look() && (errno == 0 || errno == ENOENT || errno == ESRCH))
		return DB_UNKNOWN;
	if (!found) {
		subject_log(subject, LOG_LEVEL_ERROR, db->driver_name, "getspnam() failed: %s",
		    strerror(errno));
		return DB_FAILED;
	}
	return worker_take_hash(db, subject, found->sp_namp, found->sp_pwdp, false, entry);
}

const struct db_driver shadow_driver = {
	.name = "shadow",
	.find_password = shadow_find_password,
	.parse = worker_parse_shadow,
};
