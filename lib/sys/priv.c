// SPDX-License-Identifier: BSD-2-Clause
/*
 * Groups go before the user, since only root may change them.  Afterwards the way back is tried:
 * capabilities that somebody let us keep would show there.
 */
#include "sys/priv.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/slice.h"

#define ENTRY_FIRST 1024
#define ENTRY_MAX   (1024 * 1024) /* a group of the size of a university */

static bool is_number(const char *name, uint64_t *value)
{
	return slice_uint(slice_of(name), UINT32_MAX - 1, value);
}

static int look_up_user(
    const char *name, struct passwd *entry, char *buf, size_t size, struct passwd **found)
{
	uint64_t number;

	if (is_number(name, &number))
		return getpwuid_r((uid_t)number, entry, buf, size, found);
	return getpwnam_r(name, entry, buf, size, found);
}

static int look_up_group(
    const char *name, struct group *entry, char *buf, size_t size, struct group **found)
{
	uint64_t number;

	if (is_number(name, &number))
		return getgrgid_r((gid_t)number, entry, buf, size, found);
	return getgrnam_r(name, entry, buf, size, found);
}

static bool user_of_entry(const struct passwd *entry, struct priv_user *user)
{
	size_t len = strlen(entry->pw_name);

	if (len >= sizeof(user->name))
		return false;
	memcpy(user->name, entry->pw_name, len + 1);
	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	return true;
}

bool priv_find_user(const char *name, struct priv_user *user)
{
	struct passwd entry, *found = NULL;
	size_t size = ENTRY_FIRST;
	char *buf = NULL;
	bool ok;
	int error;

	do {
		buf = xrealloc(buf, size);
		error = look_up_user(name, &entry, buf, size, &found);
		size *= 2;
	} while (error == EINTR || (error == ERANGE && size <= ENTRY_MAX));
	ok = error == 0 && found && user_of_entry(found, user);
	free(buf);
	return ok;
}

bool priv_find_group(const char *name, gid_t *gid)
{
	struct group entry, *found = NULL;
	size_t size = ENTRY_FIRST;
	char *buf = NULL;
	bool ok;
	int error;

	do {
		buf = xrealloc(buf, size);
		error = look_up_group(name, &entry, buf, size, &found);
		size *= 2;
	} while (error == EINTR || (error == ERANGE && size <= ENTRY_MAX));
	ok = error == 0 && found;
	if (ok)
		*gid = found->gr_gid;
	free(buf);
	return ok;
}

static bool is_already(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	return getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0 && r == uid &&
	       e == uid && s == uid && rg == gid && eg == gid && sg == gid;
}

/* Each call that must fail now; one that works is a hole worth dying for, so it is an error. */
static bool no_way_back(uid_t uid, gid_t gid)
{
	if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0 || setreuid((uid_t)-1, 0) == 0))
		return false;
	return uid == 0 || gid == 0 || (setgid(0) == -1 && setegid(0) == -1);
}

size_t priv_extra_groups(const struct priv_user *user, gid_t *groups, size_t max)
{
	gid_t all[64];
	int count = (int)(sizeof(all) / sizeof(all[0]));
	size_t n = 0;

	/* With more groups than that, the first ones. */
	if (getgrouplist(user->name, user->gid, all, &count) < 0)
		count = (int)(sizeof(all) / sizeof(all[0]));
	for (int i = 0; i < count && n < max; i++)
		if (all[i] != user->gid)
			groups[n++] = all[i];
	return n;
}

/* What root's process had before priv_act_as. */
static struct {
	gid_t groups[64];
	int count;
} before;

int priv_act_as(uid_t uid, gid_t gid)
{
	if (geteuid() != 0)
		return 0;
	before.count = getgroups((int)ARRAY_LEN(before.groups), before.groups);
	if (before.count < 0 || setgroups(0, NULL) == -1)
		return -1;
	if (setegid(gid) == 0 && seteuid(uid) == 0)
		return 0;
	priv_act_as_root();
	return -1;
}

int priv_act_as_root(void)
{
	if (getuid() != 0)
		return 0;
	if (seteuid(0) == -1 || setegid(getgid()) == -1)
		return -1;
	return setgroups((size_t)before.count, before.groups);
}

int priv_drop(uid_t uid, gid_t gid, const gid_t *extra, size_t extra_count)
{
	/* An ordinary user has no right to drop groups, and no way to have gained any. */
	if (setgroups(extra_count, extra) == -1 && (errno != EPERM || !is_already(uid, gid)))
		return -1;
	if (setresgid(gid, gid, gid) == -1 || setresuid(uid, uid, uid) == -1)
		return -1;
	if (is_already(uid, gid) && no_way_back(uid, gid))
		return 0;
	errno = EPERM;
	return -1;
}

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define CAPS_OF_PARENTS                                                                            \
	(CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_KILL) | CAP_BIT(CAP_DAC_OVERRIDE))

int priv_limit_root(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2], had[2];

	/* What a container took away already stays away. */
	if (syscall(SYS_capget, &head, had) == -1)
		return -1;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(CAPS_OF_PARENTS & CAP_BIT(cap)))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		uint32_t keep = (uint32_t)(CAPS_OF_PARENTS >> (32 * i)) & had[i].permitted;

		sets[i] = (struct __user_cap_data_struct){ .effective = keep, .permitted = keep };
	}
	return syscall(SYS_capset, &head, sets) == -1 ? -1 : 0;
}

void priv_not_dumpable(void)
{
	const struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}
