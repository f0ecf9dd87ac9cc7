// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/file.h"
#include "sys/priv.h"

#define SOME_UID 54321
#define SOME_GID 54322

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("needs root to drop from\n");
	skip();
}

static void test_find(void **state)
{
	struct priv_user user = { 1, 1, "" };
	gid_t gid = 1;

	(void)state;
	assert_true(priv_find_user("root", &user));
	want_int("uid", user.uid, 0);
	want_int("gid", user.gid, 0);
	assert_true(priv_find_user("0", &user));
	want_str("by number", user.name, "root");
	assert_false(priv_find_user("no-such-user-here", &user));
	assert_false(priv_find_user("", &user));
	assert_false(priv_find_user("4294967295", &user));
	assert_true(priv_find_group("root", &gid));
	want_int("group", gid, 0);
	assert_true(priv_find_group("0", &gid));
	assert_false(priv_find_group("no-such-group-here", &gid));
}

/* Exit status 0, or the number of the line that is wrong. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 255 + 1);                                                 \
	} while (0)

static void drop_and_try(void)
{
	const gid_t extra[] = { 77, 78 };
	gid_t have[8];

	MUST(priv_drop(SOME_UID, SOME_GID, extra, 2) == 0);
	MUST(getuid() == SOME_UID && geteuid() == SOME_UID);
	MUST(getgid() == SOME_GID && getegid() == SOME_GID);
	MUST(getgroups(8, have) == 2 && have[0] == 77 && have[1] == 78);
	MUST(setuid(0) == -1);
	MUST(seteuid(0) == -1);
	MUST(setresuid(0, 0, 0) == -1);
	MUST(setresuid(-1, 0, -1) == -1);
	MUST(setgid(0) == -1);
	MUST(setresgid(-1, 0, -1) == -1);
	MUST(setgroups(0, NULL) == -1);
	MUST(open("/etc/shadow", O_RDONLY) == -1 && (errno == EACCES || errno == ENOENT));
	/* Once more is fine, and to anybody else is not. */
	MUST(priv_drop(SOME_UID, SOME_GID, NULL, 0) == 0);
	MUST(priv_drop(SOME_UID + 1, SOME_GID, NULL, 0) == -1);
	MUST(priv_drop(0, 0, NULL, 0) == -1);
	_exit(0);
}

static void test_drop(void **state)
{
	(void)state;
	need_root();
	want_int("no way back", unit_run_apart(drop_and_try, NULL, 0), 0);
}

static void drop_groups(void)
{
	const gid_t many[] = { 0, 5, 6 };
	gid_t have[8];

	MUST(setgroups(3, many) == 0);
	MUST(priv_drop(SOME_UID, SOME_GID, NULL, 0) == 0);
	MUST(getgroups(8, have) == 0);
	_exit(0);
}

static void test_groups(void **state)
{
	(void)state;
	need_root();
	want_int("groups are gone", unit_run_apart(drop_groups, NULL, 0), 0);
}

/* A saved uid of root is the classic way back. */
static void drop_with_saved_root(void)
{
	MUST(setresuid(SOME_UID, SOME_UID, 0) == 0);
	if (priv_drop(SOME_UID, SOME_GID, NULL, 0) == 0)
		MUST(setuid(0) == -1 && seteuid(0) == -1);
	_exit(0);
}

static void test_saved_root(void **state)
{
	(void)state;
	need_root();
	want_int("saved root", unit_run_apart(drop_with_saved_root, NULL, 0), 0);
}

/* Keeping capabilities over setuid must show as a failure. */
static void drop_with_capabilities(void)
{
	MUST(prctl(PR_SET_KEEPCAPS, 1) == 0);
	MUST(setresuid(SOME_UID, SOME_UID, SOME_UID) == 0);
	MUST(prctl(PR_SET_KEEPCAPS, 0) == 0);
	if (priv_drop(SOME_UID, SOME_GID, NULL, 0) == 0)
		MUST(setresuid(0, 0, 0) == -1);
	_exit(0);
}

static void test_capabilities(void **state)
{
	(void)state;
	need_root();
	want_int("capabilities", unit_run_apart(drop_with_capabilities, NULL, 0), 0);
}

/* Our own descriptors stay reachable through /proc, which belongs to root then. */
static void hide(void)
{
	int proc_fd = scratch_proc_fd(), fd;
	struct tmpfile tmp;
	struct rlimit core;

	fchmod(scratch_fd(), 0777);
	if (geteuid() == 0)
		MUST(priv_drop(SOME_UID, SOME_GID, NULL, 0) == 0);
	priv_not_dumpable();
	MUST(prctl(PR_GET_DUMPABLE) == 0);
	MUST(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
	MUST(tmpfile_open(&tmp, scratch_fd(), 0600) == 0);
	MUST(tmpfile_link(&tmp, proc_fd, scratch_fd(), "linked") == 0);
	fd = file_reopen_readonly(proc_fd, tmp.fd);
	MUST(fd != -1);
	_exit(0);
}

static void test_not_dumpable(void **state)
{
	(void)state;
	scratch_fd();
	want_int("not dumpable", unit_run_apart(hide, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_saved_root),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_not_dumpable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
