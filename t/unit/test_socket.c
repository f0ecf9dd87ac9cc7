// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "scratch.h"
#include "sys/file.h"
#include "sys/socket.h"

#define UNCHANGED ((uid_t)-1), ((gid_t)-1)

static int listen_at(const char *path)
{
	return socket_unix_listen(path, 0666, UNCHANGED, 5);
}

static void test_unix_listen(void **state)
{
	struct stat st;
	int fd, peer;
	uid_t uid;
	gid_t gid;
	pid_t pid;

	(void)state;
	umask(077);
	fd = socket_unix_listen(scratch_path("s"), 0622, UNCHANGED, 5);
	assert_true(fd != -1);
	assert_int_equal(fstatat(scratch_fd(), "s", &st, 0), 0);
	want_int("mode in spite of the umask", st.st_mode & 07777, 0622);
	want_int("non-blocking", fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	want_int("close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	want_int("somebody listens", listen_at(scratch_path("s")), -1);
	want_int("somebody listens", errno, EADDRINUSE);
	peer = socket_unix_connect(scratch_path("s"), deadline_in(60000));
	assert_true(peer != -1);
	want_int("blocking", fcntl(peer, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(socket_peer(peer, &uid, &gid, &pid), 0);
	want_int("peer's pid", pid, getpid());
	want_int("peer's uid", uid, geteuid());
	close(peer);
	close(fd);
	want_int("nobody listens", socket_unix_connect(scratch_path("s"), deadline_in(60000)), -1);
	want_int("nobody listens", errno, ECONNREFUSED);
	fd = listen_at(scratch_path("s"));
	assert_true(fd != -1);
	close(fd);
}

static void test_keeps_other_files(void **state)
{
	(void)state;
	assert_int_equal(file_replace(scratch_fd(), "mail", SLICE_LIT("x"), 0600), 0);
	want_int("a file", listen_at(scratch_path("mail")), -1);
	want_int("a file", errno, EADDRINUSE);
	assert_int_equal(faccessat(scratch_fd(), "mail", F_OK, 0), 0);
}

/* A datagram socket is alive though a stream cannot be connected to it. */
static void test_dgram(void **state)
{
	int fd = socket_unix_dgram(scratch_path("d"), 0600, UNCHANGED), again;

	(void)state;
	assert_true(fd != -1);
	want_int("alive", listen_at(scratch_path("d")), -1);
	want_int("alive", socket_unix_dgram(scratch_path("d"), 0600, UNCHANGED), -1);
	close(fd);
	again = socket_unix_dgram(scratch_path("d"), 0600, UNCHANGED);
	assert_true(again != -1);
	close(again);
}

static void test_long_path(void **state)
{
	char path[600], name[101];
	int fd, peer;

	(void)state;
	memset(name, 'p', 100);
	name[100] = '\0';
	snprintf(path, sizeof(path), "%s/%s", name, name);
	assert_int_equal(dir_make(scratch_fd(), path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/%s/sock", scratch_path(""), name, name);
	assert_true(strlen(path) > sizeof(((struct sockaddr_un *)0)->sun_path));
	fd = listen_at(path);
	assert_true(fd != -1);
	peer = socket_unix_connect(path, deadline_in(60000));
	assert_true(peer != -1);
	want_int("replaced only when dead", listen_at(path), -1);
	close(peer);
	close(fd);
	fd = listen_at(path);
	assert_true(fd != -1);
	close(fd);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	want_int("a name too long", listen_at(path), -1);
	want_int("a name too long", errno, ENAMETOOLONG);
}

static void test_unix_connect_deadline(void **state)
{
	int fd = socket_unix_listen(scratch_path("full"), 0600, UNCHANGED, 0), peers[8];
	size_t count = 0;
	int64_t before;

	(void)state;
	assert_true(fd != -1);
	for (; count < ARRAY_LEN(peers); count++) {
		before = clock_ms();
		peers[count] = socket_unix_connect(scratch_path("full"), deadline_in(100));
		if (peers[count] == -1)
			break;
	}
	assert_true(count < ARRAY_LEN(peers));
	want_int("full", errno, ETIMEDOUT);
	assert_in_range(clock_ms() - before, 90, 60000);
	while (count > 0)
		close(peers[--count]);
	close(fd);
}

static int listen_on_loopback(struct sockaddr_in *in)
{
	socklen_t len = sizeof(*in);
	int fd;

	*in = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	fd = socket_inet_listen((struct sockaddr *)in, sizeof(*in), 5);
	assert_true(fd != -1);
	assert_int_equal(getsockname(fd, (struct sockaddr *)in, &len), 0);
	return fd;
}

static void test_inet(void **state)
{
	struct sockaddr_storage from;
	struct sockaddr_in in;
	socklen_t len;
	int fd = listen_on_loopback(&in), peer, accepted;

	(void)state;
	want_int("nobody there", socket_accept(fd, NULL, NULL, true), -1);
	want_int("nobody there", errno, EAGAIN);
	peer = socket_connect((struct sockaddr *)&in, sizeof(in), deadline_in(60000));
	assert_true(peer != -1);
	want_int("blocking", fcntl(peer, F_GETFL) & O_NONBLOCK, 0);
	want_int("comes", socket_wait(fd, POLLIN, deadline_in(60000)), 1);
	accepted = socket_accept(fd, &from, &len, true);
	assert_true(accepted != -1);
	want_int("family", from.ss_family, AF_INET);
	want_int("non-blocking", fcntl(accepted, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	want_int("close-on-exec", fcntl(accepted, F_GETFD), FD_CLOEXEC);
	assert_int_equal(socket_nodelay(accepted), 0);
	close(accepted);
	close(peer);
	close(fd);
	want_int(
	    "refused", socket_connect((struct sockaddr *)&in, sizeof(in), deadline_in(60000)), -1);
	want_int("refused", errno, ECONNREFUSED);
}

/* What is accepted has them, too; the kernel doubles the number. */
static void test_buffers(void **state)
{
	struct sockaddr_in in;
	int fd = listen_on_loopback(&in), peer, accepted, size = 0;
	socklen_t len = sizeof(size);

	(void)state;
	want_int("set", socket_buffers(fd, 8192), 0);
	peer = socket_connect((struct sockaddr *)&in, sizeof(in), deadline_in(60000));
	assert_true(peer != -1);
	want_int("comes", socket_wait(fd, POLLIN, deadline_in(60000)), 1);
	accepted = socket_accept(fd, NULL, NULL, true);
	assert_int_equal(getsockopt(accepted, SOL_SOCKET, SO_RCVBUF, &size, &len), 0);
	want_int("receive", size, 2 * 8192);
	assert_int_equal(getsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
	want_int("send", size, 2 * 8192);
	close(accepted);
	close(peer);
	close(fd);
}

/* A full backlog drops SYNs, so a connection to it hangs as one to a dead host does. */
static void test_inet_connect_deadline(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket_inet_listen((struct sockaddr *)&in, sizeof(in), 0), peers[8];
	size_t count = 0;
	int64_t before;

	(void)state;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	for (; count < ARRAY_LEN(peers); count++) {
		before = clock_ms();
		peers[count] = socket_connect((struct sockaddr *)&in, sizeof(in), deadline_in(100));
		if (peers[count] == -1)
			break;
	}
	assert_true(count < ARRAY_LEN(peers));
	want_int("hangs", errno, ETIMEDOUT);
	assert_in_range(clock_ms() - before, 90, 60000);
	while (count > 0)
		close(peers[--count]);
	close(fd);
}

static size_t open_descriptors(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 200; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

static void test_fds(void **state)
{
	int pair[2], sent[SOCKET_MAX_FDS], got[SOCKET_MAX_FDS];
	char text[8] = "";
	struct stat a, b;
	size_t nfds, before;

	(void)state;
	assert_int_equal(socket_pair(pair), 0);
	for (int i = 0; i < SOCKET_MAX_FDS; i++)
		sent[i] = dup(scratch_fd());
	want_int("send", socket_send_fds(pair[0], "hi", 2, sent, SOCKET_MAX_FDS), 2);
	nfds = SOCKET_MAX_FDS;
	want_int("receive", socket_recv_fds(pair[1], text, sizeof(text), got, &nfds, true), 2);
	want_str("data", text, "hi");
	want_int("all", nfds, SOCKET_MAX_FDS);
	for (int i = 0; i < SOCKET_MAX_FDS; i++) {
		assert_int_equal(fstat(got[i], &a) | fstat(sent[i], &b), 0);
		want_int("the same file", a.st_ino, b.st_ino);
		want_int("close-on-exec", fcntl(got[i], F_GETFD), FD_CLOEXEC);
		close(got[i]);
	}
	before = open_descriptors();
	want_int("send", socket_send_fds(pair[0], "hi", 2, sent, SOCKET_MAX_FDS), 2);
	nfds = 1;
	want_int("receive", socket_recv_fds(pair[1], text, sizeof(text), got, &nfds, true), 2);
	want_int("room for one", nfds, 1);
	want_int("the others are closed", open_descriptors(), before + 1);
	want_int("send none", socket_send_fds(pair[0], "hi", 2, NULL, 0), 2);
	nfds = SOCKET_MAX_FDS;
	want_int("receive", socket_recv_fds(pair[1], text, sizeof(text), got, &nfds, true), 2);
	want_int("none", nfds, 0);
	close(pair[0]);
	nfds = SOCKET_MAX_FDS;
	want_int("end", socket_recv_fds(pair[1], text, sizeof(text), got, &nfds, true), 0);
	want_int("no SIGPIPE", socket_send_fds(pair[1], "hi", 2, NULL, 0), -1);
	want_int("no SIGPIPE", errno, EPIPE);
	close(pair[1]);
}

static void test_wait(void **state)
{
	int pair[2];
	int64_t before = clock_ms();

	(void)state;
	assert_int_equal(socket_pair(pair), 0);
	want_int("nothing", socket_wait(pair[0], POLLIN, deadline_in(50)), 0);
	assert_in_range(clock_ms() - before, 45, 60000);
	want_int("past", socket_wait(pair[0], POLLIN, clock_ms() - 1), 0);
	want_int("writable", socket_wait(pair[0], POLLOUT, DEADLINE_NEVER), 1);
	close(pair[1]);
	want_int("an end is input", socket_wait(pair[0], POLLIN, DEADLINE_NEVER), 1);
	close(pair[0]);
}

static void test_is_connection(void **state)
{
	int pair[2], fd;

	(void)state;
	assert_int_equal(socket_pair(pair), 0);
	want_int("one of a pair", socket_is_connection(pair[0]), true);
	close(pair[0]);
	close(pair[1]);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	want_int("TCP", socket_is_connection(fd), true);
	assert_int_equal(listen(fd, 1), 0);
	want_int("a listening socket", socket_is_connection(fd), false);
	close(fd);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	want_int("datagrams", socket_is_connection(fd), false);
	close(fd);
	want_int("a directory", socket_is_connection(scratch_fd()), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unix_listen),
		cmocka_unit_test(test_keeps_other_files),
		cmocka_unit_test(test_dgram),
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_unix_connect_deadline),
		cmocka_unit_test(test_inet),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_inet_connect_deadline),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_is_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
