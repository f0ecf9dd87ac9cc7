// SPDX-License-Identifier: BSD-2-Clause
/*
 * A line of a passwd-file: user:password:uid:gid:gecos:home:shell:extra fields.  Later fields may
 * be missing.  Pure: no file, no lookup.
 */
#ifndef PC_AUTH_PASSWD_LINE_H
#define PC_AUTH_PASSWD_LINE_H

#include "base/arena.h"
#include "base/slice.h"

struct passwd_line {
	struct slice name, password, uid, gid, home; /* empty for what the line lacks */
	struct slice extra;			     /* words between blanks, with colons in them */
	bool has_uid;	    /* the third field is there, though perhaps empty */
	bool extra_is_mail; /* the old form, "...:shell::mail": EXTRA is a mail location */
};

/* False for what is no entry: an empty line, a comment, a line without a name or with a NUL. */
bool passwd_line_split(struct slice text, struct passwd_line *line);
/*
 * The password with its scheme: "pw[13]" and "pw[34]", as libpam-pwdfile writes them, become
 * "{CRYPT}pw" and "{PLAIN-MD5}pw", "pw[56]" is "{DIGEST-MD5}pw".  In ARENA.
 */
const char *passwd_line_password(const struct passwd_line *line, struct arena *arena);

#endif
