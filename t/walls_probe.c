// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attacks from inside a real daemon.  Linked with all of a daemon and --wrap=loop_run it becomes
 * that daemon, which, when its rights are gone and its walls stand, first tries what a stranger who
 * took it over would try.  Each attempt becomes one line of the log, "attack NAME: WHAT CAME OF
 * IT"; then the daemon serves as ever.  t/walls.t puts these programs in the places of the daemons.
 *
 * With a file /etc/postcote-no-landlock it is as on a kernel without Landlock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "server/loop.h"
#include "sys/sandbox.h"

void __real_loop_run(struct loop *loop);
void __wrap_loop_run(struct loop *loop);

/* Each returns 0 or an errno. */
static int result(long r)
{
	return r == -1 ? errno : 0;
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	int error = result(fd);

	if (fd >= 0)
		close(fd);
	return error;
}

static int read_shadow(void)
{
	return opened("/etc/shadow", O_RDONLY);
}

static int read_key(void)
{
	return opened("/etc/walls/server.key", O_RDONLY);
}

static int read_passwords(void)
{
	return opened("/etc/dovecot/vusers", O_RDONLY);
}

static int read_held_mail(void)
{
	return opened("/var/spool/postfix/hold/0WALLS1", O_RDONLY);
}

static int write_held_mail(void)
{
	return opened("/var/spool/postfix/hold/0WALLS1", O_WRONLY);
}

static int truncate_held_mail(void)
{
	return result(truncate("/var/spool/postfix/hold/0WALLS1", 4));
}

static int chmod_held_mail(void)
{
	return result(chmod("/var/spool/postfix/hold/0WALLS1", 0700));
}

/* To itself: a rename that may be done changes nothing. */
static int rename_held_mail(void)
{
	static const char *const path = "/var/spool/postfix/hold/0WALLS1";

	return result(rename(path, path));
}

static int rename_incoming_mail(void)
{
	static const char *const path = "/var/spool/postfix/incoming/0WALLS2";

	return result(rename(path, path));
}

static int read_mail_of_others(void)
{
	return opened("/var/mail/vhosts/other.test/bob/new/1", O_RDONLY);
}

static int read_mail_of_one_user(void)
{
	return opened("/var/mail/vhosts/example.test/carol/1", O_RDONLY);
}

static int make_in_etc(void)
{
	return opened("/etc/postfix/made-by-walls", O_WRONLY | O_CREAT);
}

static int make_in_tmp(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/made-by-%ld", (long)getpid());
	return opened(path, O_WRONLY | O_CREAT);
}

static int find_outside(void)
{
	struct stat st;

	return result(stat("/usr", &st));
}

static int network(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = result(fd);

	if (fd >= 0)
		close(fd);
	return error;
}

static int run_shell(void)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"exit 200", NULL };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execv("/bin/sh", argv);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return ECHILD;
	return WEXITSTATUS(status) == 200 ? 0 : WEXITSTATUS(status);
}

static int trace_parent(void)
{
	return result(ptrace(PTRACE_SEIZE, getppid(), 0, 0));
}

static int read_parent_memory(void)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { (void *)(uintptr_t)&opened, 1 };

	return result(process_vm_readv(getppid(), &local, 1, &remote, 1, 0));
}

static int signal_parent(void)
{
	return result(kill(getppid(), 0));
}

static int limit_parent(void)
{
	const struct rlimit files = { 100000, 100000 };

	return result(prlimit(getppid(), RLIMIT_NOFILE, &files, NULL));
}

static int become_root(void)
{
	return result(setuid(0));
}

static int mount_something(void)
{
	return result(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int change_root(void)
{
	return result(chroot("/"));
}

static int new_namespace(void)
{
	return result(unshare(CLONE_NEWUSER));
}

static int make_fifo(void)
{
	return result(mknod("/tmp/fifo-by-walls", S_IFIFO | 0600, 0));
}

static int dump(void)
{
	return prctl(PR_GET_DUMPABLE) == 0 ? EPERM : 0;
}

static const struct {
	const char *name;
	int (*attempt)(void);
} attacks[] = {
	{ "read-shadow", read_shadow },
	{ "read-key", read_key },
	{ "read-passwords", read_passwords },
	{ "read-held", read_held_mail },
	{ "write-held", write_held_mail },
	{ "truncate-held", truncate_held_mail },
	{ "chmod-held", chmod_held_mail },
	{ "rename-held", rename_held_mail },
	{ "rename-incoming", rename_incoming_mail },
	{ "read-mail-of-others", read_mail_of_others },
	{ "read-mail-of-one", read_mail_of_one_user },
	{ "make-in-etc", make_in_etc },
	{ "make-in-tmp", make_in_tmp },
	{ "find-outside", find_outside },
	{ "network", network },
	{ "shell", run_shell },
	{ "trace-parent", trace_parent },
	{ "read-parent", read_parent_memory },
	{ "signal-parent", signal_parent },
	{ "limit-parent", limit_parent },
	{ "become-root", become_root },
	{ "mount", mount_something },
	{ "chroot", change_root },
	{ "namespace", new_namespace },
	{ "fifo", make_fifo },
	{ "dump", dump },
};

static void __attribute__((constructor)) choose_kernel(void)
{
	sandbox_force_no_landlock(access("/etc/postcote-no-landlock", F_OK) == 0);
}

void __wrap_loop_run(struct loop *loop)
{
	for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
		int error = attacks[i].attempt();

		log_info("attack uid=%lu landlock=%d %s: %s", (unsigned long)geteuid(),
		    sandbox_landlock_abi() > 0, attacks[i].name,
		    error ? strerrorname_np(error) : "done");
	}
	__real_loop_run(loop);
}
