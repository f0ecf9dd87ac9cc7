// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files of the form user:password:uid:gid:gecos:home:shell:extra fields.  Kept in memory, read anew
 * when the file changed.  Any thread may call.
 */
#ifndef PC_AUTHD_PASSWD_FILE_H
#define PC_AUTHD_PASSWD_FILE_H

#include "base/arena.h"
#include "base/reason.h"

struct passwd_entry {
	const char *name, *password, *uid, *gid, *home, *extra; /* "" for what the line lacks */
	bool has_uid, extra_is_mail;				/* see auth/passwd_line.h */
};

enum passwd_result {
	PASSWD_FOUND,
	PASSWD_UNKNOWN,
	PASSWD_NO_FILE, /* as PASSWD_UNKNOWN or PASSWD_FAILED, as the path is made; WHY */
	PASSWD_FAILED	/* the file cannot be read; WHY */
};

/* ENTRY's texts are copies in ARENA. */
enum passwd_result passwd_file_lookup(const char *path, const char *name, struct arena *arena,
    struct passwd_entry *entry, struct reason *why);
/* Each name, in the order of the file.  False with WHY. */
bool passwd_file_each(
    const char *path, void (*each)(const char *name, void *arg), void *arg, struct reason *why);

#endif
