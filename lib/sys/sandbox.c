// SPDX-License-Identifier: BSD-2-Clause
/*
 * Landlock by raw system calls (glibc has none), with the rights that the running kernel knows: a
 * kernel refuses a ruleset that names rights it never heard of.  The seccomp filter is a list of
 * what is forbidden, because foreign libraries share these processes; its answer is an error, so
 * that a library which merely tries something goes on.
 */
#include "sys/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

/* Rights younger than the oldest kernel whose headers we build with. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (UINT64_C(1) << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15)
#endif

#define RIGHTS_ABI_1 ((UINT64_C(1) << 13) - 1)

#define RIGHTS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_ADD                                                                                 \
	(RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |               \
	    LANDLOCK_ACCESS_FS_MAKE_REG)
#define RIGHTS_WRITE                                                                               \
	(RIGHTS_ADD | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |               \
	    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER)
/* A rule for something that is no directory may name these only. */
#define RIGHTS_OF_FILES                                                                            \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

static bool no_landlock;

void sandbox_force_no_landlock(bool on)
{
	no_landlock = on;
}

int sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return no_landlock || abi < 0 ? 0 : (int)abi;
}

#define LINKS_DEPTH   2
#define LINKS_ENTRIES 50000

struct link_scan {
	struct sandbox_path *paths;
	size_t count, max, entries;
};

static bool look_for_links(struct link_scan *scan, const char *dir, int depth);

static bool look_at_entry(
    struct link_scan *scan, const char *dir, const struct dirent *entry, int depth)
{
	bool is_link = entry->d_type == DT_LNK, is_dir = entry->d_type == DT_DIR, ok = true;
	char *path = xasprintf("%s/%s", dir, entry->d_name);
	struct stat st;

	if (entry->d_type == DT_UNKNOWN && lstat(path, &st) == 0) {
		is_link = S_ISLNK(st.st_mode);
		is_dir = S_ISDIR(st.st_mode);
	}
	if (is_link) {
		ok = scan->count < scan->max - 1;
		if (ok)
			scan->paths[scan->count++] = (struct sandbox_path){ path, SANDBOX_WRITE };
		return ok;
	}
	if (is_dir && depth > 1)
		ok = look_for_links(scan, path, depth - 1);
	free(path);
	return ok;
}

/* A directory that cannot be read is not ours: nothing in it concerns us. */
static bool look_for_links(struct link_scan *scan, const char *dir, int depth)
{
	DIR *list = opendir(dir);
	const struct dirent *entry;
	bool ok = true;

	while (ok && list && (entry = readdir(list)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			ok = ++scan->entries <= LINKS_ENTRIES &&
			     look_at_entry(scan, dir, entry, depth);
	if (list)
		closedir(list);
	return ok;
}

bool sandbox_mail_paths(const char *root, struct sandbox_path *paths, size_t max)
{
	struct link_scan scan = { .paths = paths, .max = max };

	ASSERT(max >= 2);
	if (access(root, F_OK) == -1)
		return false;
	paths[scan.count++] = (struct sandbox_path){ root, SANDBOX_WRITE };
	if (!look_for_links(&scan, root, LINKS_DEPTH))
		return false;
	paths[scan.count] = (struct sandbox_path){ NULL, SANDBOX_READ };
	return true;
}

static uint64_t rights_known_by(int abi)
{
	uint64_t rights = RIGHTS_ABI_1;

	if (abi >= 2)
		rights |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return rights;
}

/* Finding a socket needs no right; SANDBOX_CONNECT documents what a process talks to. */
static uint64_t rights_of(enum sandbox_access access)
{
	switch (access) {
	case SANDBOX_READ:
		return RIGHTS_READ;
	case SANDBOX_WRITE:
		return RIGHTS_WRITE;
	case SANDBOX_ADD:
		return RIGHTS_ADD;
	case SANDBOX_CONNECT:
		return 0;
	}
	ASSERT(!"sandbox_access");
	return 0;
}

/* A rule that cannot be made leaves its path forbidden: less than asked for, never more. */
static void add_rule(int ruleset, const struct sandbox_path *path, uint64_t known)
{
	struct landlock_path_beneath_attr rule = { .allowed_access =
						       rights_of(path->access) & known };
	struct stat st;

	rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd == -1)
		return;
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= RIGHTS_OF_FILES;
	if (rule.allowed_access)
		syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

static bool raise_landlock(const struct sandbox_path *paths)
{
	/* Only the first member of the structure: older kernels know no more of it. */
	uint64_t handled;
	int ruleset, abi = sandbox_landlock_abi();
	bool stands;

	if (abi < 1)
		return false;
	handled = rights_known_by(abi);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (ruleset == -1)
		return false;
	for (; paths && paths->path; paths++)
		add_rule(ruleset, paths, handled);
	stands = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
	return stands;
}

/* For everybody: other processes, the kernel, the machine. */
static const int forbidden_machine[] = { SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
#ifndef PC_SANITIZED /* LeakSanitizer traces its own process */
	SCMP_SYS(ptrace),
#endif
	SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd),
	SCMP_SYS(acct), SCMP_SYS(name_to_handle_at), SCMP_SYS(open_by_handle_at),
	SCMP_SYS(fanotify_init), SCMP_SYS(init_module), SCMP_SYS(finit_module),
	SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot),
	SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(iopl), SCMP_SYS(ioperm),
	SCMP_SYS(modify_ldt), SCMP_SYS(syslog), SCMP_SYS(vhangup), SCMP_SYS(lookup_dcookie),
	SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(settimeofday), SCMP_SYS(stime),
	SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex),
	/* parts of the kernel with a history of holes, which we do not use */
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(userfaultfd), SCMP_SYS(vmsplice) };

/* What modules of PAM and the programs that they start may have to do. */
static const int forbidden[] = {
	/* other programs */
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(personality),
	/* the tree of files */
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	/*
	 * What changes a file by its name and is not Landlock's: before ABI 3 truncate(2), and all
	 * of these on files of our own user, which are other processes' mail.
	 */
	SCMP_SYS(truncate), SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(lchown),
	SCMP_SYS(fchownat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(removexattr),
	SCMP_SYS(lremovexattr),
	/* name spaces */
	SCMP_SYS(unshare), SCMP_SYS(setns),
	/* the keyrings of the kernel */
	SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
	/* signals by other ways than those below, which look at the receiver */
	SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(tkill)
};

/* Their first argument is a process; of our own user's there are many. */
static const int calls_for_oneself[] = { SCMP_SYS(kill), SCMP_SYS(tgkill) };

static const uint64_t namespace_flags[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET,
	CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP };

/* Both put words into a terminal's input, which a shell outside may then read. */
static const uint64_t terminal_requests[] = { TIOCSTI, TIOCLINUX };

static int forbid(scmp_filter_ctx filter, int call)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
}

/*
 * Daemons of one user could stop each other.  0 is a process's own limits, and for kill(2) its
 * process group.
 */
static int forbid_other_processes(scmp_filter_ctx filter)
{
	const scmp_datum_t own = (scmp_datum_t)getpid();
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(calls_for_oneself) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls_for_oneself[i], 1,
		    SCMP_A0(SCMP_CMP_NE, own, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 2,
		    SCMP_A0(SCMP_CMP_NE, 0, 0), SCMP_A2(SCMP_CMP_NE, 0, 0));
	return error;
}

/*
 * clone3 has its flags in memory, where a filter cannot look: ENOSYS makes glibc use clone.  The
 * kernel takes the lower 32 bits of an ioctl's request.
 */
static int forbid_by_argument(scmp_filter_ctx filter, const struct sandbox *walls)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	const bool namespaces = walls->calls != SANDBOX_CALLS_DENY_MACHINE;

	for (size_t i = 0; namespaces && i < ARRAY_LEN(namespace_flags) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, namespace_flags[i], namespace_flags[i]));
	for (size_t i = 0; i < ARRAY_LEN(terminal_requests) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, terminal_requests[i]));
	/* Who opens a file that another process leased waits for it, most of a minute. */
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETLEASE));
	return error;
}

static int fill_filter(scmp_filter_ctx filter, const struct sandbox *walls)
{
	/* Calls of another architecture's table (32-bit on 64) would pass by the whole list. */
	int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));

	if (!error && walls->new_privs)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	for (size_t i = 0; i < ARRAY_LEN(forbidden_machine) && !error; i++)
		error = forbid(filter, forbidden_machine[i]);
	for (size_t i = 0; i < ARRAY_LEN(forbidden) && !error; i++)
		if (walls->calls != SANDBOX_CALLS_DENY_MACHINE)
			error = forbid(filter, forbidden[i]);
	if (!error)
		error = forbid_by_argument(filter, walls);
	if (!error && !walls->signals)
		error = forbid_other_processes(filter);
	if (!error && walls->calls == SANDBOX_CALLS_NO_NET)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
		    SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
	return error;
}

static bool raise_seccomp(const struct sandbox *walls)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	bool stands;

	if (!filter)
		return false;
	stands = fill_filter(filter, walls) == 0 && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return stands;
}

void sandbox_enter(const struct sandbox *walls, struct sandbox_report *report)
{
	*report = (struct sandbox_report){ false, false, false };
	if (!walls->new_privs)
		report->no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	if (walls->landlock)
		report->landlock = raise_landlock(walls->paths);
	if (walls->calls != SANDBOX_CALLS_ANY)
		report->seccomp = raise_seccomp(walls);
}
