// SPDX-License-Identifier: BSD-2-Clause
/*
 * A connection between two of our processes: records (ipc/msg.h) and descriptors over an AF_UNIX
 * stream.  Any thread may send (a mutex keeps records whole); one thread at a time receives.
 * Each side's first record is HELLO with version=MSG_VERSION and its service's name, sent by
 * channel_new and checked by the first receive, since generations of the suite may overlap.
 */
#ifndef PC_IPC_CHANNEL_H
#define PC_IPC_CHANNEL_H

#include "ipc/msg.h"
#include "sys/socket.h"

struct channel;

/* Takes FD over.  SERVICE is our own name for the peer's log.  The HELLO is sent at once. */
struct channel *channel_new(int fd, const char *service);
/* Connects first. NULL with errno. */
struct channel *channel_connect(const char *path, const char *service, int64_t deadline);
void channel_free(struct channel *ch);
int channel_fd(const struct channel *ch);
const char *channel_peer(const struct channel *ch); /* service name from HELLO, or "unknown" */

/* 0, or -1 with errno; after a failure the channel is dead.  The descriptors stay the caller's. */
int channel_send(
    struct channel *ch, const struct msg_out *m, const int *fds, size_t nfds, int64_t deadline);

/* A record and its descriptors, which the receiver owns (close them with msg_in_release). */
struct msg_in {
	struct msg msg;
	struct arena arena; /* holds the record's bytes and attributes */
	int fds[SOCKET_MAX_FDS];
	size_t fd_count;
};
void msg_in_release(struct msg_in *in); /* descriptors that were not taken (set to -1) are closed */

enum channel_result {
	CHANNEL_RECORD,	 /* *IN is filled and must be released */
	CHANNEL_NOTHING, /* nothing complete is there (DEADLINE passed, or 0 was given) */
	CHANNEL_CLOSED,	 /* end of input (errno 0), an error, a malformed record (EPROTO) */
};
/*
 * DEADLINE 0: does not wait, and says NOTHING after the records that one system call brought, for
 * callers that are told of more by a level-triggered epoll.  EINTR is handled.
 */
enum channel_result channel_recv(struct channel *ch, struct msg_in *in, int64_t deadline);

#endif
