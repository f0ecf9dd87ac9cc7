// SPDX-License-Identifier: BSD-2-Clause
/*
 * t_disk.c - takes a message and says 250, rightly or wrongly, in many ways:
 *
 *	t_disk CASE DIRECTORY
 *
 * The directory has tmp/ and new/; what counts is found in new/. Names that end in "_bad" promise
 * what a power cut can break.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAD 3000

static int top, tmp, new; /* the directories */

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(1);
}

static void say(const char *id)
{
	char text[80];
	char back[80];
	int pair[2];
	int n = snprintf(text, sizeof(text), "250 2.0.0 Ok: queued as %s\r\n", id);

	need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	need(write(pair[0], text, (size_t)n) == n, "reply");
	need(read(pair[1], back, sizeof(back)) == n, "reply");
	close(pair[0]);
	close(pair[1]);
}

static size_t message(const char *id, char *buf)
{
	int n = sprintf(buf, "Subject: token-%s\n\n", id);

	memset(buf + n, 'x', PAD);
	return (size_t)(n + PAD) + (size_t)sprintf(buf + n + PAD, "\nend-%s\n", id);
}

static void put(int fd, const char *id)
{
	char buf[PAD + 100];
	size_t len = message(id, buf);

	/* in two calls, so that half of it can be there */
	need(write(fd, buf, len / 2) == (ssize_t)(len / 2), "write");
	need(write(fd, buf + len / 2, len - len / 2) == (ssize_t)(len - len / 2), "write");
}

static int make(int dir, const char *id)
{
	int fd = openat(dir, id, O_RDWR | O_CREAT | O_EXCL, 0600);

	need(fd >= 0, "create");
	return fd;
}

static void sync_fd(int fd)
{
	need(fsync(fd) == 0, "fsync");
}

static void move(const char *id)
{
	need(renameat(tmp, id, new, id) == 0, "rename");
}

static void drop(const char *id)
{
	need(unlinkat(new, id, 0) == 0, "unlink");
}

static void drop_tmp(const char *id)
{
	need(unlinkat(tmp, id, 0) == 0, "unlink");
}

static void put_synced(const char *id)
{
	int fd = make(tmp, id);

	put(fd, id);
	sync_fd(fd);
	close(fd);
}

static void rename_ok(void)
{
	put_synced("A");
	move("A");
	sync_fd(new);
	sync_fd(tmp);
	say("A");
}

static void rename_bad(void)
{
	put_synced("A");
	move("A");
	say("A");
}

/* The old name's directory alone: neither name need be on the disk. */
static void rename_one_dir_bad(void)
{
	put_synced("A");
	sync_fd(tmp);
	move("A");
	sync_fd(tmp);
	say("A");
}

static void link_tmpfile(bool through_dir, bool sync_dir)
{
	int fd = openat(top, "tmp", O_TMPFILE | O_RDWR, 0600);
	int proc = open("/proc", O_PATH | O_DIRECTORY);
	char path[64];

	need(fd >= 0 && proc >= 0, "O_TMPFILE");
	put(fd, "A");
	sync_fd(fd);
	snprintf(path, sizeof(path), "%sself/fd/%d", through_dir ? "" : "/proc/", fd);
	need(linkat(through_dir ? proc : AT_FDCWD, path, new, "A", AT_SYMLINK_FOLLOW) == 0,
	    "linkat");
	if (sync_dir)
		sync_fd(new);
	say("A");
	close(fd);
}

static void tmpfile_ok(void)
{
	link_tmpfile(false, true);
}

static void tmpfile_proc_dir_ok(void)
{
	link_tmpfile(true, true);
}

static void tmpfile_bad(void)
{
	link_tmpfile(false, false);
}

static void half_synced_bad(void)
{
	char buf[PAD + 100];
	size_t len = message("A", buf);
	int fd = make(new, "A");

	need(write(fd, buf, 100) == 100, "write");
	sync_fd(fd);
	sync_fd(new);
	need(pwrite(fd, buf + 100, len - 100, 100) == (ssize_t)len - 100, "pwrite");
	say("A");
}

static void sync_first_bad(void)
{
	int fd = make(new, "A");

	sync_fd(fd);
	sync_fd(new);
	put(fd, "A");
	say("A");
}

static void dsync_ok(void)
{
	int fd = openat(new, "A", O_WRONLY | O_CREAT | O_DSYNC | O_APPEND, 0600);

	need(fd >= 0, "create");
	put(fd, "A");
	sync_fd(new);
	say("A");
}

static void say_first_bad(void)
{
	int fd = make(new, "A");

	put(fd, "A");
	say("A");
	sync_fd(fd);
	sync_fd(new);
}

/* A good copy elsewhere must be durable before the first one goes. */
static void move_by_copy(bool sync_copy)
{
	struct stat st;
	int in, out;

	put_synced("A");
	move("A");
	sync_fd(new);
	sync_fd(tmp);
	say("A");
	in = openat(new, "A", O_RDONLY);
	out = make(new, "B");
	need(in >= 0 && fstat(in, &st) == 0, "open");
	need(copy_file_range(in, NULL, out, NULL, 10, 0) == 10, "copy_file_range");
	need(sendfile(out, in, NULL, (size_t)st.st_size) == st.st_size - 10, "sendfile");
	if (sync_copy) {
		need(fdatasync(out) == 0, "fdatasync");
		sync_fd(new);
	}
	drop("A");
}

static void copy_ok(void)
{
	move_by_copy(true);
}

static void copy_bad(void)
{
	move_by_copy(false);
}

static void send_fd(int sock, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	need(sendmsg(sock, &msg, 0) == 1, "sendmsg");
}

static int receive_fd(int sock)
{
	char space[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space) };
	int fd;

	need(recvmsg(sock, &msg, 0) == 1, "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Another process writes through a descriptor that it was given. */
static void pass_fd(bool sync_after)
{
	int pair[2];
	int fd = make(new, "A");
	int status;
	pid_t pid;

	need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		put(receive_fd(pair[1]), "A");
		_exit(0);
	}
	send_fd(pair[0], fd);
	need(waitpid(pid, &status, 0) == pid && status == 0, "the writer");
	if (sync_after)
		sync_fd(fd);
	sync_fd(new);
	say("A");
}

static void pass_fd_ok(void)
{
	pass_fd(true);
}

static void pass_fd_bad(void)
{
	pass_fd(false);
}

static void *one_thread(void *arg)
{
	const char *id = arg;

	for (int i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%s%d", id, i);
		put_synced(name);
		move(name);
		sync_fd(new);
		sync_fd(tmp);
		say(name);
	}
	return NULL;
}

static void threads_ok(void)
{
	static char ids[4][4] = { "A", "B", "C", "D" };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		need(pthread_create(&threads[i], NULL, one_thread, ids[i]) == 0, "thread");
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static pthread_barrier_t sync_begins;

static void *sync_thread(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&sync_begins);
	sync_fd(new);
	return NULL;
}

/* A sync that another thread began is trusted with a name that was made after its begin. */
static void shared_sync(bool wait_for_next)
{
	pthread_t thread;
	struct timespec pause = { .tv_nsec = 50000000 };

	put_synced("A");
	sync_fd(tmp);
	pthread_barrier_init(&sync_begins, NULL, 2);
	need(pthread_create(&thread, NULL, sync_thread, NULL) == 0, "thread");
	pthread_barrier_wait(&sync_begins);
	nanosleep(&pause, NULL);
	need(linkat(tmp, "A", new, "A", 0) == 0, "link");
	pthread_join(thread, NULL);
	if (wait_for_next)
		sync_fd(new);
	say("A");
}

static void shared_sync_ok(void)
{
	shared_sync(true);
}

static void shared_sync_bad(void)
{
	shared_sync(false);
}

/* A directory that was just made needs a durable name itself. */
static void new_dir(bool sync_parent)
{
	int dir, fd;

	need(mkdirat(new, "box", 0700) == 0, "mkdir");
	dir = openat(new, "box", O_RDONLY | O_DIRECTORY);
	need(dir >= 0, "open");
	fd = make(dir, "A");
	put(fd, "A");
	sync_fd(fd);
	sync_fd(dir);
	if (sync_parent)
		sync_fd(new);
	say("A");
}

static void new_dir_ok(void)
{
	new_dir(true);
}

static void new_dir_bad(void)
{
	new_dir(false);
}

/* A daemon: the process that was started is gone before the work begins. */
static void daemon_ok(void)
{
	struct timespec pause = { .tv_nsec = 50000000 };

	if (fork() != 0)
		return;
	setsid();
	if (fork() != 0)
		_exit(0);
	nanosleep(&pause, NULL);
	rename_ok();
}

/* Allows all but chdir: that a filter is there, not what it says, is the point. */
static void install_filter(void)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chdir, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(insns) / sizeof(*insns), insns };

	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == 0, "seccomp");
}

static void drop_rights(void)
{
	if (geteuid() == 0)
		need(setgid(65534) == 0 && setuid(65534) == 0, "setuid");
	need(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "dumpable");
	need(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0, "dumpable");
	install_filter();
	need(chdir("/") == -1 && errno == EPERM, "chdir");
}

static void jailed_ok(void)
{
	drop_rights();
	tmpfile_ok();
}

static void jailed_bad(void)
{
	drop_rights();
	rename_bad();
}

/* In a chroot, by absolute paths, as the peers' daemons do. */
static void chroot_ok(void)
{
	int fd;

	need(fchdir(top) == 0, "chdir");
	if (geteuid() == 0)
		need(chroot(".") == 0, "chroot");
	fd = open(geteuid() == 0 ? "/tmp/A" : "tmp/A", O_WRONLY | O_CREAT, 0600);
	need(fd >= 0, "create");
	put(fd, "A");
	sync_fd(fd);
	need(rename(geteuid() == 0 ? "/tmp/../tmp/A" : "tmp/A", "new/A") == 0, "rename");
	sync_fd(new);
	sync_fd(tmp);
	say("A");
}

/* Processes that are killed in the middle of calls must not leave a hole in the trace. */
static void killed_ok(void)
{
	for (int i = 0; i < 30; i++) {
		struct timespec pause = { .tv_nsec = 1000000 + i * 100000 };
		pid_t pid = fork();

		need(pid >= 0, "fork");
		if (pid == 0) {
			for (unsigned n = 0;; n++) {
				char name[32];

				snprintf(name, sizeof(name), "k%d.%u", i, n);
				put_synced(name);
				move(name);
				drop(name);
			}
		}
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	rename_ok();
}

static void *exec_thread(void *arg)
{
	struct timespec pause = { .tv_nsec = 3000000 };
	char path[32];

	(void)arg;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", top);
	nanosleep(&pause, NULL);
	need(chdir(path) == 0, "chdir");
	execl("/proc/self/exe", "t_disk", "quiet", ".", NULL);
	need(false, "exec");
	return NULL;
}

static void quiet(void)
{
}

/* exec by one thread, while the first one, whose number it takes over, is in the middle of calls.
 */
static void exec_ok(void)
{
	for (int i = 0; i < 20; i++) {
		pthread_t thread;
		int status;
		pid_t pid = fork();

		need(pid >= 0, "fork");
		if (pid == 0) {
			need(pthread_create(&thread, NULL, exec_thread, NULL) == 0, "thread");
			for (unsigned n = 0;; n++) {
				char name[32];

				snprintf(name, sizeof(name), "e%d.%u", i, n);
				put_synced(name);
				drop_tmp(name);
			}
		}
		need(waitpid(pid, &status, 0) == pid && status == 0, "exec");
	}
	rename_ok();
}

static void mapped(void)
{
	int fd = make(new, "map");
	char *p;

	need(ftruncate(fd, 4096) == 0, "ftruncate");
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED, "mmap");
	p[0] = 'x';
	rename_ok();
}

static void uring(void)
{
	char params[120] = { 0 };

	syscall(SYS_io_uring_setup, 4, params);
	rename_ok();
}

static void hang(void)
{
	if (fork() == 0)
		signal(SIGTERM, SIG_IGN);
	for (;;)
		pause();
}

/* Every other call once; the trace is compared with the directory afterwards. */
static void calls(void)
{
	struct iovec iov[2] = { { "ab", 2 }, { "cdef", 4 } };
	struct timespec times[2] = { { 1000000000, 5 }, { 1000000000, 5 } };
	int fd = make(new, "calls");
	int pipes[2];

	need(writev(fd, iov, 2) == 6, "writev");
	need(pwritev(fd, iov, 2, 100) == 6, "pwritev");
	need(pwritev2(fd, iov, 2, -1, RWF_DSYNC) == 6, "pwritev2");
	need(ftruncate(fd, 105) == 0, "ftruncate");
	need(fallocate(fd, 0, 0, 200) == 0, "fallocate");
	need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 3) == 0, "punch");
	need(pipe(pipes) == 0 && write(pipes[1], "pipe", 4) == 4, "pipe");
	need(splice(pipes[0], NULL, fd, NULL, 4, 0) == 4, "splice");
	need(fchmod(fd, 0640) == 0 && futimens(fd, times) == 0, "meta");
	need(symlinkat("gone", new, "sym") == 0, "symlink");
	close(openat(new, "sym", O_CREAT | O_WRONLY, 0600)); /* makes new/gone */
	need(mkdirat(new, "d", 0700) == 0 && unlinkat(new, "d", AT_REMOVEDIR) == 0, "mkdir");
	need(mkdirat(new, "d", 0750) == 0, "mkdir");
	close(make(new, "d/x"));
	need(mkfifoat(new, "fifo", 0600) == 0, "fifo");
	need(renameat(new, "d", tmp, "e") == 0, "rename");
	need(syscall(SYS_renameat2, tmp, "e", new, "calls", 2) == 0, "exchange");
	need(linkat(tmp, "e", tmp, "hard", 0) == 0, "link");
	need(fchmodat(new, "calls/x", 0400, 0) == 0, "fchmodat");
	need(unlinkat(new, "fifo", 0) == 0 && mkfifoat(new, "fifo", 0644) == 0, "fifo");
	close(openat(tmp, "hard", O_WRONLY | O_APPEND));
	fd = openat(tmp, "hard", O_WRONLY | O_APPEND);
	need(pwrite(fd, "end", 3, 0) == 3, "append");
	close(openat(new, "trunc", O_CREAT | O_WRONLY | O_TRUNC, 0600));
	need(syncfs(top) == 0, "syncfs");
	sync();
}

/* For measuring: as many messages as COUNT in the environment says. */
static void bench(void)
{
	int count = atoi(getenv("COUNT") ? getenv("COUNT") : "1000");

	for (int i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "m%d", i);
		put_synced(name);
		move(name);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
#define CASE(name)                                                                                 \
	{                                                                                          \
#name, name                                                                        \
	}
	CASE(rename_ok),
	CASE(rename_bad),
	CASE(rename_one_dir_bad),
	CASE(tmpfile_ok),
	CASE(tmpfile_bad),
	CASE(tmpfile_proc_dir_ok),
	CASE(dsync_ok),
	CASE(half_synced_bad),
	CASE(sync_first_bad),
	CASE(say_first_bad),
	CASE(copy_ok),
	CASE(copy_bad),
	CASE(pass_fd_ok),
	CASE(pass_fd_bad),
	CASE(threads_ok),
	CASE(new_dir_ok),
	CASE(new_dir_bad),
	CASE(shared_sync_ok),
	CASE(jailed_ok),
	CASE(jailed_bad),
	CASE(shared_sync_bad),
	CASE(daemon_ok),
	CASE(killed_ok),
	CASE(chroot_ok),
	CASE(mapped),
	CASE(uring),
	CASE(hang),
	CASE(exec_ok),
	CASE(quiet),
	CASE(calls),
	CASE(bench),
};

static int open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	need(fd >= 0, name);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	top = open_dir(AT_FDCWD, argv[2]);
	tmp = open_dir(top, "tmp");
	new = open_dir(top, "new");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (strcmp(cases[i].name, argv[1]))
			continue;
		cases[i].run();
		return 0;
	}
	return 2;
}
