// SPDX-License-Identifier: BSD-2-Clause
/* Attacks from inside: each case tries one thing in a process of its own behind the walls. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/file.h"
#include "sys/sandbox.h"

/* Each returns 0 or an errno. */
static int result(long r)
{
	return r == -1 ? errno : 0;
}

static int try_exec(void)
{
	char *argv[] = { (char *)"true", NULL };

	return result(execv("/bin/true", argv));
}

static int try_execveat(void)
{
	int fd = open("/proc/self/exe", O_PATH);

	return result(syscall(SYS_execveat, fd, "", NULL, NULL, AT_EMPTY_PATH));
}

static int try_mount(void)
{
	return result(mount("none", "/", "tmpfs", 0, NULL));
}

static int try_unshare(void)
{
	return result(unshare(CLONE_NEWUSER));
}

static int try_clone_newuser(void)
{
	return result(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
}

static int try_clone3(void)
{
	return result(syscall(SYS_clone3, NULL, 0));
}

static int try_chroot(void)
{
	return result(chroot("/"));
}

static int try_bpf(void)
{
	return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int try_io_uring(void)
{
	return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int try_keyctl(void)
{
	return result(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int try_tiocsti(void)
{
	return result(ioctl(0, TIOCSTI, "x"));
}

/* The kernel looks at 32 bits only; a filter that compares 64 would let this pass. */
static int try_tiocsti_high(void)
{
	return result(syscall(SYS_ioctl, 0, (1UL << 32) | TIOCSTI, "x"));
}

static int try_socket_inet(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_socket_inet_high(void)
{
	return result(syscall(SYS_socket, (1UL << 32) | AF_INET, SOCK_STREAM, 0));
}

static int try_socket_netlink(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_socket_unix(void)
{
	int pair[2];

	return result(socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) +
	       result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int try_kill_parent(void)
{
	return result(kill(getppid(), 0));
}

static int try_kill_group(void)
{
	return result(kill(-1, 0));
}

static int try_tgkill_parent(void)
{
	return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int try_kill_high(void)
{
	return result(syscall(SYS_kill, (1UL << 32) | (unsigned long)getppid(), 0));
}

static int try_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getppid(), 0);

	return result(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
}

static int try_kill_self(void)
{
	return result(kill(getpid(), 0)) + result(raise(0));
}

static int try_limit_parent(void)
{
	const struct rlimit limit = { 3, 3 };

	return result(prlimit(getppid(), RLIMIT_NOFILE, &limit, NULL));
}

static int try_limit_self(void)
{
	struct rlimit limit;

	return result(getrlimit(RLIMIT_NOFILE, &limit)) + result(setrlimit(RLIMIT_NOFILE, &limit));
}

static int try_truncate_any(void)
{
	return result(truncate(scratch_path("rw/file"), 0));
}

static int try_chmod(void)
{
	return result(chmod(scratch_path("rw/file"), 0600)) +
	       result(fchmodat(scratch_fd(), "rw/file", 0600, 0));
}

static int try_lease(void)
{
	int fd = openat(scratch_fd(), "rw/file", O_RDONLY);

	return result(fcntl(fd, F_SETLEASE, F_WRLCK));
}

static void *nothing(void *arg)
{
	return arg;
}

static int try_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, nothing, NULL);

	return error ? error : pthread_join(thread, NULL);
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result(waitpid(pid, NULL, 0));
}

static int try_read_passwd(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int try_read_dotdot(void)
{
	return result(openat(scratch_fd(), "../../etc/passwd", O_RDONLY));
}

static int try_read_symlink(void)
{
	return result(openat(scratch_fd(), "rw/link", O_RDONLY));
}

static int try_read_ro(void)
{
	return result(openat(scratch_fd(), "ro/file", O_RDONLY));
}

static int try_write_ro(void)
{
	return result(openat(scratch_fd(), "ro/file", O_WRONLY));
}

static int try_truncate_ro(void)
{
	return result(truncate(scratch_path("ro/file"), 0));
}

static int try_create_ro(void)
{
	return result(openat(scratch_fd(), "ro/new", O_WRONLY | O_CREAT, 0600));
}

static int try_unlink_ro(void)
{
	return result(unlinkat(scratch_fd(), "ro/file", 0));
}

static int try_rename_out(void)
{
	return result(renameat(scratch_fd(), "rw/file", scratch_fd(), "ro/stolen"));
}

static int try_add(void)
{
	int fd = openat(scratch_fd(), "add/new", O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd == -1 || write(fd, "x", 1) != 1)
		return errno;
	return result(linkat(scratch_fd(), "add/new", scratch_fd(), "add/again", 0));
}

static int try_unlink_added(void)
{
	return result(unlinkat(scratch_fd(), "add/file", 0));
}

static int try_rename_added(void)
{
	return result(renameat(scratch_fd(), "add/file", scratch_fd(), "add/other"));
}

static int try_one_file(void)
{
	return result(openat(scratch_fd(), "one/allowed", O_RDONLY));
}

static int try_file_beside(void)
{
	return result(openat(scratch_fd(), "one/other", O_RDONLY));
}

/* What a delivery does. */
static int try_write_rw(void)
{
	int fd = openat(scratch_fd(), "rw/new", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1)
		return errno;
	if (write(fd, "x", 1) != 1 || ftruncate(fd, 0) == -1 ||
	    renameat(scratch_fd(), "rw/new", scratch_fd(), "rw/sub/new") == -1 ||
	    linkat(scratch_fd(), "rw/sub/new", scratch_fd(), "rw/again", 0) == -1 ||
	    mkdirat(scratch_fd(), "rw/dir", 0700) == -1 ||
	    unlinkat(scratch_fd(), "rw/dir", AT_REMOVEDIR) == -1 ||
	    unlinkat(scratch_fd(), "rw/again", 0) == -1)
		return errno;
	return result(file_replace(scratch_fd(), "rw/replaced", SLICE_LIT("x"), 0600));
}

static int proc_fd = -1;

static int try_tmpfile(void)
{
	int dir = openat(scratch_fd(), "rw", O_RDONLY | O_DIRECTORY);
	struct tmpfile tmp;

	if (tmpfile_open(&tmp, dir, 0600) == -1)
		return errno;
	if (file_reopen_readonly(proc_fd, tmp.fd) == -1)
		return errno;
	return result(tmpfile_link(&tmp, proc_fd, dir, "sub/linked"));
}

enum kind { FS, CALL, NET };
static const struct attack {
	const char *name;
	int (*attempt)(void);
	enum kind kind;
	int want;
} attacks[] = {
	{ "exec", try_exec, CALL, EPERM },
	{ "execveat", try_execveat, CALL, EPERM },
	{ "mount", try_mount, CALL, EPERM },
	{ "unshare", try_unshare, CALL, EPERM },
	{ "clone with a user name space", try_clone_newuser, CALL, EPERM },
	{ "clone3", try_clone3, CALL, ENOSYS },
	{ "chroot", try_chroot, CALL, EPERM },
	{ "bpf", try_bpf, CALL, EPERM },
	{ "io_uring", try_io_uring, CALL, EPERM },
	{ "keyctl", try_keyctl, CALL, EPERM },
	{ "TIOCSTI", try_tiocsti, CALL, EPERM },
	{ "TIOCSTI with high bits", try_tiocsti_high, CALL, EPERM },
	{ "a signal to the parent", try_kill_parent, CALL, EPERM },
	{ "a signal to everybody", try_kill_group, CALL, EPERM },
	{ "a signal to a thread of the parent", try_tgkill_parent, CALL, EPERM },
	{ "a signal to the parent with high bits", try_kill_high, CALL, EPERM },
	{ "a signal through a pidfd", try_pidfd, CALL, EPERM },
	{ "a signal to oneself", try_kill_self, CALL, 0 },
	{ "the parent's limits", try_limit_parent, CALL, EPERM },
	{ "one's own limits", try_limit_self, CALL, 0 },
	{ "a lease", try_lease, CALL, EPERM },
	{ "truncate by name", try_truncate_any, CALL, EPERM },
	{ "chmod by name", try_chmod, CALL, 2 * EPERM },
	{ "a thread", try_thread, CALL, 0 },
	{ "a child", try_fork, CALL, 0 },
	{ "the network is open", try_socket_inet, CALL, 0 },
	{ "the network", try_socket_inet, NET, EPERM },
	{ "the network with high bits", try_socket_inet_high, NET, EPERM },
	{ "netlink", try_socket_netlink, NET, EPERM },
	{ "AF_UNIX", try_socket_unix, NET, 0 },
	{ "/etc/passwd", try_read_passwd, FS, EACCES },
	{ "/etc/passwd by ..", try_read_dotdot, FS, EACCES },
	{ "/etc/passwd by a link", try_read_symlink, FS, EACCES },
	{ "read where reading is allowed", try_read_ro, FS, 0 },
	{ "write there", try_write_ro, FS, EACCES },
	{ "create there", try_create_ro, FS, EACCES },
	{ "unlink there", try_unlink_ro, FS, EACCES },
	{ "rename to there", try_rename_out, FS, EACCES },
	{ "write where writing is allowed", try_write_rw, FS, 0 },
	{ "an unnamed file there", try_tmpfile, FS, 0 },
	{ "add a file where that is allowed", try_add, FS, 0 },
	{ "unlink there", try_unlink_added, FS, EACCES },
	{ "rename there", try_rename_added, FS, EACCES },
	{ "a file that is allowed", try_one_file, FS, 0 },
	{ "the file beside it", try_file_beside, FS, EACCES },
	{ "exec", try_exec, FS, EACCES },
};

static const struct attack *attack;
static struct sandbox walls;
static char paths[4][400];

#define NO_WALL 200

static void attack_from_inside(void)
{
	struct sandbox_report report;

	proc_fd = scratch_proc_fd();
	sandbox_enter(&walls, &report);
	if (!report.no_new_privs || (attack->kind != FS && !report.seccomp) ||
	    (attack->kind == FS && !report.landlock))
		_exit(NO_WALL);
	_exit(attack->attempt());
}

static void put(const char *name)
{
	int fd = openat(scratch_fd(), name, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	assert_true(fd != -1);
	assert_int_equal(file_write_all(fd, SLICE_LIT("content")), 0);
	close(fd);
}

static int set_up(void **state)
{
	(void)state;
	umask(0);
	dir_make(scratch_fd(), "ro", 0777);
	dir_make(scratch_fd(), "one", 0777);
	dir_make(scratch_fd(), "rw/sub", 0777);
	dir_make(scratch_fd(), "add", 0777);
	put("ro/file");
	put("add/file");
	put("rw/file");
	put("one/allowed");
	put("one/other");
	snprintf(paths[0], sizeof(paths[0]), "%s", scratch_path("ro"));
	snprintf(paths[1], sizeof(paths[1]), "%s", scratch_path("rw"));
	snprintf(paths[2], sizeof(paths[2]), "%s", scratch_path("one/allowed"));
	snprintf(paths[3], sizeof(paths[3]), "%s", scratch_path("add"));
	return symlinkat("/etc/passwd", scratch_fd(), "rw/link");
}

static bool have_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1;
}

static void run_attack(const struct attack *a)
{
	static const struct sandbox_path none = { NULL, 0 };
	const struct sandbox_path allowed[] = { { paths[0], SANDBOX_READ },
		{ "/no/such/path", SANDBOX_WRITE }, { paths[1], SANDBOX_WRITE },
		{ paths[2], SANDBOX_READ }, { paths[3], SANDBOX_ADD }, none };

	attack = a;
	walls = (struct sandbox){ .paths = allowed,
		.landlock = a->kind == FS,
		.calls = a->kind == FS	   ? SANDBOX_CALLS_ANY
			 : a->kind == CALL ? SANDBOX_CALLS_DENY
					   : SANDBOX_CALLS_NO_NET };
	want_int(a->name, unit_run_apart(attack_from_inside, NULL, 0), a->want);
}

static void test_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attacks); i++)
		if (attacks[i].kind != FS)
			run_attack(&attacks[i]);
}

static void test_paths(void **state)
{
	(void)state;
	if (!have_landlock()) {
		print_message("this kernel has no Landlock\n");
		skip();
	}
	put("add/file"); /* which an attempt without walls has removed */
	for (size_t i = 0; i < ARRAY_LEN(attacks); i++)
		if (attacks[i].kind == FS)
			run_attack(&attacks[i]);
}

static void test_truncate(void **state)
{
	static const struct attack truncation = { "truncate", try_truncate_ro, FS, EACCES };

	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 3) {
		print_message("Landlock of this kernel does not know truncate(2)\n");
		skip();
	}
	run_attack(&truncation);
}

static void test_no_path_at_all(void **state)
{
	static const struct attack reading = { "read", try_read_ro, FS, EACCES };

	(void)state;
	if (!have_landlock()) {
		print_message("this kernel has no Landlock\n");
		skip();
	}
	attack = &reading;
	sandbox_force_no_landlock(true);
	assert_int_equal(sandbox_landlock_abi(), 0);
	sandbox_force_no_landlock(false);
	assert_true(sandbox_landlock_abi() >= 1);
	walls = (struct sandbox){ .paths = NULL, .landlock = true };
	want_int("no file", unit_run_apart(attack_from_inside, NULL, 0), EACCES);
}

/* Without walls every attempt that a wall has to stop must work here, or the cases above prove
 * nothing. */
static void without_walls(void)
{
	_exit(attack->attempt());
}

static void test_attempts_are_real(void **state)
{
	static const struct attack open_ones[] = { { "passwd", try_read_passwd, FS, 0 },
		{ "link", try_read_symlink, FS, 0 }, { "write", try_write_ro, FS, 0 },
		{ "beside", try_file_beside, FS, 0 }, { "inet", try_socket_inet, NET, 0 },
		{ "exec", try_exec, CALL, 0 }, { "kill", try_kill_parent, CALL, 0 },
		{ "lease", try_lease, CALL, 0 }, { "unlink", try_unlink_added, FS, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(open_ones); i++) {
		attack = &open_ones[i];
		want_int(attack->name, unit_run_apart(without_walls, NULL, 0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts_are_real),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_truncate),
		cmocka_unit_test(test_no_path_at_all),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
