// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sockets: making them, and passing descriptors over them.  All are close-on-exec; what a function
 * returns is blocking unless it says otherwise.  -1 and errno on failure.
 */
#ifndef PC_SYS_SOCKET_H
#define PC_SYS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define SOCKET_MAX_FDS 4

/* A stream socket that listens at PATH, which is replaced if it is a socket nobody listens on
 * (EADDRINUSE if somebody does); non-blocking. UID/GID -1: unchanged. */
int socket_unix_listen(const char *path, mode_t mode, uid_t uid, gid_t gid, int backlog);
int socket_unix_dgram(const char *path, mode_t mode, uid_t uid, gid_t gid);
/* IPV6_V6ONLY, SO_REUSEADDR; non-blocking. */
int socket_inet_listen(const struct sockaddr *addr, socklen_t len, int backlog);
/* Connects before DEADLINE (clock_ms) or fails with ETIMEDOUT; works with long paths. */
int socket_unix_connect(const char *path, int64_t deadline);
int socket_connect(const struct sockaddr *addr, socklen_t len, int64_t deadline);
/* The same with a socket that the caller has made, and bound perhaps: 0 or -1, FD stays open. */
int socket_connect_fd(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline);
/* AF_UNIX stream. */
int socket_pair(int pair[2]);
/* AF_UNIX of whole records (SOCK_SEQPACKET): of several threads that receive, one wakes up. */
int socket_pair_records(int pair[2]);
/* PEER and LEN may be NULL. */
int socket_accept(int fd, struct sockaddr_storage *peer, socklen_t *len, bool nonblocking);

int socket_nonblocking(int fd, bool on);
int socket_nodelay(int fd);
int socket_cloexec(int fd, bool on);
/*
 * Send and receive buffers of SIZE bytes, of which TCP's window follows when it is done before
 * connect(2); what is accepted has its listening socket's.
 */
int socket_buffers(int fd, int size);

/*
 * sendmsg/recvmsg with up to SOCKET_MAX_FDS descriptors; results as those calls give.  Neither
 * waits, but receiving from a blocking socket when it MAY_WAIT.  On receipt
 * *NFDS is in: room, out: number received (close-on-exec); surplus descriptors are closed.
 */
ssize_t socket_send_fds(int fd, const void *data, size_t len, const int *fds, size_t nfds);
ssize_t socket_recv_fds(int fd, void *data, size_t len, int *fds, size_t *nfds, bool may_wait);

/*
 * One record over socket_pair_records, whole or not at all, although FD may block; waits for room
 * until DEADLINE: 0, or -1 (ETIMEDOUT).  What is received of a record that is longer than LEN is
 * its begin.
 */
int socket_send_record(
    int fd, const void *data, size_t len, const int *fds, size_t nfds, int64_t deadline);
/* For reading: a blocking call fails with EAGAIN after so long; 0: it waits for ever. */
int socket_receive_limit(int fd, int64_t ms);

/* uid, gid and pid of the peer of an AF_UNIX stream. */
int socket_peer(int fd, uid_t *uid, gid_t *gid, pid_t *pid);
/* A stream socket that does not listen, and not whatever else somebody may have passed. */
bool socket_is_connection(int fd);
/* Waits until readable/writable (POLLIN/POLLOUT) or DEADLINE: 1, 0 at the deadline, -1. */
int socket_wait(int fd, short events, int64_t deadline);

#endif
