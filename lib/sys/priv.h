// SPDX-License-Identifier: BSD-2-Clause
/* Users and rights.  Only for processes that have not started a thread yet. */
#ifndef PC_SYS_PRIV_H
#define PC_SYS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct priv_user {
	uid_t uid;
	gid_t gid;
	char name[64];
};

/* By name or number; false when there is no such account. */
bool priv_find_user(const char *name, struct priv_user *user);
bool priv_find_group(const char *name, gid_t *gid);
/* The groups of USER beside its own, as login(1) gives them; how many, at most MAX. */
size_t priv_extra_groups(const struct priv_user *user, gid_t *groups, size_t max);
/*
 * Drops to UID and GID (and EXTRA groups) for good: real, effective, saved; supplementary groups
 * gone; verifies that there is no way back.  0, or -1 with errno.  As an ordinary user it
 * succeeds when both are that user's own already.
 */
int priv_drop(uid_t uid, gid_t gid, const gid_t *extra, size_t extra_count);
/*
 * For a moment before serving, a process of root's opens files with the rights of UID and GID
 * alone, in a directory where that user may have laid links; priv_act_as_root ends it.  0, or -1
 * with errno; both do nothing in a process of an ordinary user.
 */
int priv_act_as(uid_t uid, gid_t gid);
int priv_act_as_root(void);
/*
 * For a process that stays root: keeps the rights to become any user, to reach files and sockets of
 * any, and to send signals to any; the other capabilities go for good.  0, or -1 with errno.
 */
int priv_limit_root(void);
/* PR_SET_DUMPABLE 0, no core files. */
void priv_not_dumpable(void);

#endif
