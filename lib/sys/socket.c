// SPDX-License-Identifier: BSD-2-Clause
/*
 * A path that is too long for sockaddr_un is reached as /proc/self/fd/DIRECTORY/NAME.
 */
#include "sys/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

static int close_failed(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
	return -1;
}

struct unix_path {
	struct sockaddr_un sun;
	int dirfd; /* of a long path, or -1 */
};

static int open_parent(const char *path, const char *slash)
{
	char *dir = xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	free(dir);
	return fd;
}

static int unix_path_open(struct unix_path *address, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(path);
	int written;

	*address = (struct unix_path){ .sun.sun_family = AF_UNIX, .dirfd = -1 };
	if (len < sizeof(address->sun.sun_path)) {
		memcpy(address->sun.sun_path, path, len + 1);
		return 0;
	}
	if (!slash) {
		errno = ENAMETOOLONG;
		return -1;
	}
	address->dirfd = open_parent(path, slash);
	if (address->dirfd == -1)
		return -1;
	written = snprintf(address->sun.sun_path, sizeof(address->sun.sun_path),
	    "/proc/self/fd/%d/%s", address->dirfd, slash + 1);
	if ((size_t)written < sizeof(address->sun.sun_path))
		return 0;
	close(address->dirfd);
	errno = ENAMETOOLONG;
	return -1;
}

static void unix_path_close(struct unix_path *address)
{
	close_failed(address->dirfd);
}

static const struct sockaddr *sockaddr_of(const struct unix_path *address)
{
	return (const struct sockaddr *)&address->sun;
}

/* A socket that a process left behind refuses; anything else (full, other type) is alive. */
static bool is_abandoned(const struct unix_path *address, int type)
{
	struct stat st;
	bool refused;
	int fd;

	if (lstat(address->sun.sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return false;
	refused =
	    connect(fd, sockaddr_of(address), sizeof(address->sun)) == -1 && errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int bind_replacing(int fd, const struct unix_path *address, int type)
{
	if (bind(fd, sockaddr_of(address), sizeof(address->sun)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -1;
	if (!is_abandoned(address, type) || unlink(address->sun.sun_path) == -1) {
		errno = EADDRINUSE;
		return -1;
	}
	return bind(fd, sockaddr_of(address), sizeof(address->sun));
}

/*
 * The directory may belong to a user who puts something else under the name as soon as it is there:
 * owner and mode are given to what is a socket, and by descriptor.
 */
static int give_socket(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), result = -1;
	char self[32];
	struct stat st;

	if (fd == -1)
		return -1;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	errno = EEXIST;
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_nlink == 1 &&
	    st.st_uid == geteuid() &&
	    ((uid == (uid_t)-1 && gid == (gid_t)-1) ||
		fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0))
		result = chmod(self, mode);
	close(fd);
	return result;
}

/*
 * bind(2) gives the name the mode of the socket's inode, so that fchmod before it leaves no moment
 * in which the name allows more than MODE; the chmod after it adds what the umask took.
 */
static int bind_unix(int type, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	struct unix_path address;
	int fd;

	if (unix_path_open(&address, path) == -1)
		return -1;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		goto close_path;
	if (fchmod(fd, mode) == -1 || bind_replacing(fd, &address, type) == -1)
		goto close_socket;
	if (give_socket(address.sun.sun_path, mode, uid, gid) == -1)
		goto unlink_socket;
	unix_path_close(&address);
	return fd;

unlink_socket:
	unlink(path);
close_socket:
	close_failed(fd);
close_path:
	unix_path_close(&address);
	return -1;
}

int socket_unix_listen(const char *path, mode_t mode, uid_t uid, gid_t gid, int backlog)
{
	int fd = bind_unix(SOCK_STREAM, path, mode, uid, gid);

	if (fd != -1 && listen(fd, backlog) == -1)
		return close_failed(fd);
	return fd;
}

int socket_unix_dgram(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	return bind_unix(SOCK_DGRAM, path, mode, uid, gid);
}

int socket_inet_listen(const struct sockaddr *addr, socklen_t len, int backlog)
{
	const int on = 1;
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -1;
	if (addr->sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1)
		return close_failed(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, addr, len) == -1 || listen(fd, backlog) == -1)
		return close_failed(fd);
	return fd;
}

/*
 * poll(2) cannot wait for room in the backlog of an AF_UNIX listener; a blocking connect(2) with a
 * send time-out can.  False when the deadline has passed.
 */
static bool limit_connect(int fd, int64_t deadline)
{
	int left = deadline_left(deadline);
	struct timeval limit = { 0, 0 };

	if (left == 0)
		return false;
	if (left > 0)
		limit = (struct timeval){ left / 1000, left % 1000 * 1000 };
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0;
}

static int connect_unix_until(int fd, const struct unix_path *address, int64_t deadline)
{
	while (limit_connect(fd, deadline)) {
		if (connect(fd, sockaddr_of(address), sizeof(address->sun)) == 0) {
			limit_connect(fd, DEADLINE_NEVER);
			return 0;
		}
		if (errno != EINTR && errno != EAGAIN)
			return -1;
	}
	errno = ETIMEDOUT;
	return -1;
}

int socket_unix_connect(const char *path, int64_t deadline)
{
	struct unix_path address;
	int fd;

	if (unix_path_open(&address, path) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect_unix_until(fd, &address, deadline) == -1)
		fd = close_failed(fd);
	unix_path_close(&address);
	return fd;
}

/* The end of a connect(2) that goes on in the kernel. */
static int finish_connect(int fd, int64_t deadline)
{
	int ready = socket_wait(fd, POLLOUT, deadline), error = 0;
	socklen_t len = sizeof(error);

	if (ready == -1)
		return -1;
	if (ready == 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		return -1;
	errno = error;
	return error ? -1 : 0;
}

int socket_connect_fd(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline)
{
	if (socket_nonblocking(fd, true) == -1)
		return -1;
	/* After EINTR the connection is under way like after EINPROGRESS. */
	if (connect(fd, addr, len) == -1 &&
	    ((errno != EINPROGRESS && errno != EINTR) || finish_connect(fd, deadline) == -1))
		return -1;
	return socket_nonblocking(fd, false);
}

int socket_connect(const struct sockaddr *addr, socklen_t len, int64_t deadline)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd != -1 && socket_connect_fd(fd, addr, len, deadline) == -1)
		return close_failed(fd);
	return fd;
}

int socket_pair(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

int socket_pair_records(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

int socket_accept(int fd, struct sockaddr_storage *peer, socklen_t *len, bool nonblocking)
{
	int accepted;

	/* A connection that died in the queue is no reason to stop looking at the others. */
	do {
		if (len)
			*len = sizeof(*peer);
		accepted = accept4(fd, (struct sockaddr *)peer, peer ? len : NULL,
		    SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0));
	} while (accepted == -1 && (errno == EINTR || errno == ECONNABORTED));
	return accepted;
}

int socket_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return -1;
	if (!(flags & O_NONBLOCK) == !on)
		return 0;
	return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int socket_nodelay(int fd)
{
	const int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int socket_buffers(int fd, int size)
{
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == -1)
		return -1;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

int socket_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

union fd_control {
	char space[CMSG_SPACE(sizeof(int) * SOCKET_MAX_FDS)];
	struct cmsghdr align;
};

static void attach_fds(struct msghdr *m, union fd_control *control, const int *fds, size_t nfds)
{
	struct cmsghdr *header;

	memset(control, 0, sizeof(*control));
	m->msg_control = control;
	m->msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
	header = CMSG_FIRSTHDR(m);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	memcpy(CMSG_DATA(header), fds, sizeof(int) * nfds);
}

ssize_t socket_send_fds(int fd, const void *data, size_t len, const int *fds, size_t nfds)
{
	struct iovec part = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	union fd_control control;
	ssize_t n;

	/* Without a byte of data the kernel passes no descriptor on a stream. */
	ASSERT(nfds <= SOCKET_MAX_FDS && (len > 0 || nfds == 0));
	if (nfds)
		attach_fds(&m, &control, fds, nfds);
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n;
}

int socket_send_record(
    int fd, const void *data, size_t len, const int *fds, size_t nfds, int64_t deadline)
{
	int ready;

	while (socket_send_fds(fd, data, len, fds, nfds) == -1) {
		if (errno != EAGAIN || (ready = socket_wait(fd, POLLOUT, deadline)) == -1)
			return -1;
		if (ready == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
	return 0;
}

int socket_receive_limit(int fd, int64_t ms)
{
	const struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* The descriptors of one control message; those without room are closed. */
static void take_fds(const struct cmsghdr *header, int *fds, size_t room, size_t *count)
{
	size_t received = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int fd;

	for (size_t i = 0; i < received; i++) {
		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
		if (*count < room)
			fds[(*count)++] = fd;
		else
			close(fd);
	}
}

ssize_t socket_recv_fds(int fd, void *data, size_t len, int *fds, size_t *nfds, bool may_wait)
{
	union fd_control control;
	struct iovec part = { data, len };
	struct msghdr m;
	size_t room = *nfds;
	ssize_t n;

	do {
		m = (struct msghdr){ .msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control) };
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | (may_wait ? 0 : MSG_DONTWAIT));
	} while (n == -1 && errno == EINTR);
	*nfds = 0;
	if (n == -1)
		return -1;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&m); header; header = CMSG_NXTHDR(&m, header))
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
			take_fds(header, fds, room, nfds);
	return n;
}

int socket_peer(int fd, uid_t *uid, gid_t *gid, pid_t *pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return -1;
	*uid = peer.uid;
	*gid = peer.gid;
	*pid = peer.pid;
	return 0;
}

int socket_wait(int fd, short events, int64_t deadline)
{
	struct pollfd one = { .fd = fd, .events = events };

	for (;;) {
		int n = poll(&one, 1, deadline_left(deadline));

		if (n > 0)
			return 1;
		if (n == 0 && deadline_left(deadline) == 0)
			return 0;
		if (n == -1 && errno != EINTR)
			return -1;
	}
}

bool socket_is_connection(int fd)
{
	int type = 0, listens = 1;
	socklen_t type_len = sizeof(type), listens_len = sizeof(listens);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_len) == 0 && !listens;
}
