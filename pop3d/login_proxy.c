// SPDX-License-Identifier: BSD-2-Clause
/*
 * TLS on one side, the mailbox half on the other.  A thread moves bytes both ways while there are
 * any, lingers a moment, and parks: on the client's input, and on the mailbox half's by a watch
 * that wakes the session.  The watch belongs to the loop's thread and outlives the session by the
 * time that its removal takes, hence a struct of its own.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "pop3d/login.h"
#include "sys/socket.h"

#define LINGER_MS 20
/* The mailbox half has its own time limit for clients that say nothing. */
#define IDLE_MS	    (30 * 60 * INT64_C(1000))
#define TRANSFER_MS (10 * 60 * INT64_C(1000))
#define BLOCK	    16384

struct login_backend {
	int fd;
	struct loop_watch watch;
	pthread_mutex_t lock;
	struct session *session; /* NULL: it is gone */
};

/* In the loop's thread. */
static void backend_ready(struct loop_watch *watch, uint32_t events)
{
	struct login_backend *b = watch->arg;

	(void)events;
	pthread_mutex_lock(&b->lock);
	if (b->session != NULL)
		session_wake(b->session);
	pthread_mutex_unlock(&b->lock);
}

static void arm(void *arg)
{
	struct login_backend *b = arg;

	(void)loop_watch(server_context()->loop, &b->watch, EPOLLIN | EPOLLONESHOT);
}

static void drop(void *arg)
{
	struct login_backend *b = arg;

	loop_unwatch(server_context()->loop, &b->watch);
	close(b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void login_proxy_begin(struct login *l, int fd)
{
	struct login_backend *b = xcalloc(1, sizeof(*b));

	(void)socket_nonblocking(fd, true);
	b->fd = fd;
	b->session = &l->session;
	b->watch = (struct loop_watch){ .fd = fd, .ready = backend_ready, .arg = b };
	pthread_mutex_init(&b->lock, NULL);
	l->backend = b;
}

void login_proxy_end(struct login *l)
{
	struct login_backend *b = l->backend;

	if (b == NULL)
		return;
	l->backend = NULL;
	pthread_mutex_lock(&b->lock);
	b->session = NULL;
	pthread_mutex_unlock(&b->lock);
	loop_post(server_context()->loop, drop, b);
}

static bool write_all(int fd, struct slice data)
{
	int64_t deadline = deadline_in(TRANSFER_MS);

	while (data.len > 0) {
		ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);

		if (n > 0)
			data = slice_from(data, (size_t)n);
		else if (errno == EAGAIN && socket_wait(fd, POLLOUT, deadline) == 1)
			continue;
		else if (errno != EINTR)
			return false;
	}
	return true;
}

enum moved { MOVED_NOTHING, MOVED_SOME, MOVED_END };

static enum moved from_client(struct login *l)
{
	struct stream *s = l->session.stream;
	struct slice data;

	if (!stream_has_input(s) && !stream_poll_input(s))
		return MOVED_NOTHING;
	if (!stream_read_some(s, BLOCK, &data) || !write_all(l->backend->fd, data))
		return MOVED_END;
	return MOVED_SOME;
}

static enum moved from_backend(struct login *l)
{
	char data[BLOCK];
	ssize_t n = recv(l->backend->fd, data, sizeof(data), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return MOVED_NOTHING;
	if (n <= 0) {
		stream_finish(l->session.stream);
		return MOVED_END;
	}
	stream_write(l->session.stream, slice_mem(data, (size_t)n));
	return stream_flush(l->session.stream) ? MOVED_SOME : MOVED_END;
}

/* True when either side has something (or an end). */
static bool linger(const struct login *l)
{
	struct pollfd fds[2] = { { .fd = stream_fd(l->session.stream), .events = POLLIN },
		{ .fd = l->backend->fd, .events = POLLIN } };

	return poll(fds, 2, LINGER_MS) > 0;
}

enum session_next login_proxy_serve(struct login *l)
{
	enum moved a, b;
	int idle = 0;

	do {
		stream_set_deadline(l->session.stream, deadline_in(TRANSFER_MS));
		a = from_client(l);
		b = a == MOVED_END ? MOVED_END : from_backend(l);
		if (a == MOVED_END || b == MOVED_END)
			return SESSION_CLOSE;
		/* A client that sends half a TLS record is readable and gives nothing. */
		idle = a == MOVED_NOTHING && b == MOVED_NOTHING ? idle + 1 : 0;
	} while (idle == 0 || (idle < 3 && linger(l)));
	l->session.deadline = deadline_in(IDLE_MS);
	loop_post(server_context()->loop, arm, l->backend);
	return SESSION_INPUT;
}
