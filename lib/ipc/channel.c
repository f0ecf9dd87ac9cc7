// SPDX-License-Identifier: BSD-2-Clause
/*
 * The socket is blocking.  Sending never waits in the call itself, but in poll(2) with the
 * deadline; so does receiving, after a first attempt that waits for what is a round part of the
 * time left (SO_RCVTIMEO, which is rarely set anew then): who waits for an answer that comes makes
 * one call.
 *
 * Descriptors travel with the first byte of their record.  The kernel never returns bytes of two
 * sets of descriptors from one call, so sets come in the order of the records that announce them:
 * a queue of descriptors and the number in each record's front are enough to match them.
 *
 * A failure shuts the socket down in both directions: the thread that receives wakes up when one
 * that sends has failed.
 */
#include "ipc/channel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/cursor.h"

#define CHANNEL_MAGIC	  0x6368616e
#define READ_STEP	  4096
#define READ_STEP_MAX	  65536
#define SEND_WHOLE_MAX	  4096
#define HELLO_MS	  1000
#define RECV_LIMIT_MAX_MS 60000
/* Those of a record that is not complete, and of the next one. */
#define PENDING_FDS (2 * SOCKET_MAX_FDS)

struct channel {
	unsigned magic;
	int fd;
	atomic_bool dead;
	pthread_mutex_t lock; /* of BUSY, and never held over a system call on the socket */
	pthread_cond_t idle;
	bool busy; /* a record is being sent */
	/* The rest belongs to the thread that receives. */
	int limit;    /* the socket's, for waiting reads; milliseconds, 0: none */
	bool emptied; /* a call of the kernel has brought what is given out since */
	struct strbuf in;
	int fds[PENDING_FDS];
	size_t fd_count;
	bool greeted;
	char peer[64];
};

static void check(const struct channel *ch)
{
	ASSERT(ch && ch->magic == CHANNEL_MAGIC);
}

static void send_hello(struct channel *ch, const char *service)
{
	struct msg_out m = { 0 };

	msg_begin(&m, "HELLO");
	msg_add_u64(&m, "version", MSG_VERSION);
	msg_add_str(&m, "service", service);
	channel_send(ch, &m, NULL, 0, deadline_in(HELLO_MS));
	msg_release(&m);
}

/* Waits by the clock that deadlines use, which no change of the date moves. */
static void init_turns(struct channel *ch)
{
	pthread_condattr_t attr;

	ASSERT(pthread_condattr_init(&attr) == 0);
	ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	ASSERT(pthread_mutex_init(&ch->lock, NULL) == 0);
	ASSERT(pthread_cond_init(&ch->idle, &attr) == 0);
	pthread_condattr_destroy(&attr);
}

struct channel *channel_new(int fd, const char *service)
{
	struct channel *ch = xcalloc(1, sizeof(*ch));

	ch->magic = CHANNEL_MAGIC;
	ch->fd = fd;
	init_turns(ch);
	strbuf_init(&ch->in, MSG_MAX);
	snprintf(ch->peer, sizeof(ch->peer), "unknown");
	if (socket_nonblocking(fd, false) == -1)
		atomic_store(&ch->dead, true);
	send_hello(ch, service);
	return ch;
}

struct channel *channel_connect(const char *path, const char *service, int64_t deadline)
{
	int fd = socket_unix_connect(path, deadline);

	return fd == -1 ? NULL : channel_new(fd, service);
}

static void close_fds(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] != -1)
			close(fds[i]);
}

void channel_free(struct channel *ch)
{
	if (!ch)
		return;
	check(ch);
	close_fds(ch->fds, ch->fd_count);
	strbuf_release(&ch->in);
	pthread_cond_destroy(&ch->idle);
	pthread_mutex_destroy(&ch->lock);
	close(ch->fd);
	ch->magic = 0;
	free(ch);
}

int channel_fd(const struct channel *ch)
{
	check(ch);
	return ch->fd;
}

const char *channel_peer(const struct channel *ch)
{
	check(ch);
	return ch->peer;
}

static int fail(struct channel *ch, int error)
{
	atomic_store(&ch->dead, true);
	shutdown(ch->fd, SHUT_RDWR);
	errno = error;
	return -1;
}

/* Room in the socket, before the deadline. */
static int wait_for_room(struct channel *ch, int64_t deadline)
{
	int ready = socket_wait(ch->fd, POLLOUT, deadline);

	if (ready == 0)
		errno = ETIMEDOUT;
	return ready == 1 ? 0 : -1;
}

static int send_bytes(
    struct channel *ch, struct slice data, const int *fds, size_t nfds, int64_t deadline)
{
	while (data.len) {
		ssize_t n = socket_send_fds(ch->fd, data.ptr, data.len, fds, nfds);

		if (n > 0) {
			data = slice_from(data, (size_t)n);
			nfds = 0;
			continue;
		}
		if (errno != EAGAIN || wait_for_room(ch, deadline) == -1)
			return -1;
	}
	return 0;
}

/*
 * A record of the usual size leaves with one call, its front filled in on a copy; a large one is
 * not worth copying for that.
 */
static int send_record(
    struct channel *ch, struct slice record, const int *fds, size_t nfds, int64_t deadline)
{
	size_t len = record.len - 4;
	char copy[SEND_WHOLE_MAX];
	size_t whole = record.len <= sizeof(copy) ? record.len : MSG_FRONT;

	memcpy(copy, record.ptr, whole);
	copy[0] = (char)(len >> 24);
	copy[1] = (char)(len >> 16);
	copy[2] = (char)(len >> 8);
	copy[3] = (char)len;
	copy[4] = (char)nfds;
	if (send_bytes(ch, slice_mem(copy, whole), fds, nfds, deadline) == -1)
		return -1;
	return send_bytes(ch, slice_from(record, whole), NULL, 0, deadline);
}

/* Who waits behind a slow record keeps his own deadline.  0 or an errno. */
static int take_turn(struct channel *ch, int64_t deadline)
{
	struct timespec until = { deadline / 1000, deadline % 1000 * 1000000 };
	int error = 0;

	pthread_mutex_lock(&ch->lock);
	while (ch->busy && !error) {
		if (deadline == DEADLINE_NEVER)
			pthread_cond_wait(&ch->idle, &ch->lock);
		else
			error = pthread_cond_timedwait(&ch->idle, &ch->lock, &until);
	}
	/* Who ran out of time may have taken the one signal: then the turn is his all the same. */
	if (!ch->busy)
		error = 0;
	if (!error)
		ch->busy = true;
	pthread_mutex_unlock(&ch->lock);
	return error;
}

static void give_turn(struct channel *ch)
{
	pthread_mutex_lock(&ch->lock);
	ch->busy = false;
	pthread_cond_signal(&ch->idle);
	pthread_mutex_unlock(&ch->lock);
}

int channel_send(
    struct channel *ch, const struct msg_out *m, const int *fds, size_t nfds, int64_t deadline)
{
	int error;

	check(ch);
	if (m->buf.overflow)
		return fail(ch, EMSGSIZE);
	error = take_turn(ch, deadline);
	if (error)
		return fail(ch, error);
	if (atomic_load(&ch->dead))
		error = EPIPE;
	else if (send_record(ch, strbuf_slice(&m->buf), fds, nfds, deadline) == -1)
		error = errno;
	/* Before anybody else may send: half a record may be out. */
	if (error)
		fail(ch, error);
	give_turn(ch);
	errno = error;
	return error ? -1 : 0;
}

void msg_in_release(struct msg_in *in)
{
	close_fds(in->fds, in->fd_count);
	in->fd_count = 0;
	arena_release(&in->arena);
}

static enum channel_result closed(struct channel *ch, int error)
{
	fail(ch, error);
	return CHANNEL_CLOSED;
}

/*
 * Length of the record at the front of the input, 0 when not known yet.  False for a length that
 * no record has.
 */
static bool record_length(const struct channel *ch, size_t *len)
{
	struct cursor c = cursor_of(strbuf_slice(&ch->in));
	size_t rest = cursor_be32(&c);

	*len = c.failed ? 0 : rest + 4;
	return c.failed || (rest >= 1 && rest <= MSG_MAX - 4);
}

static size_t step_for(const struct channel *ch, size_t record)
{
	size_t missing = record > ch->in.len ? record - ch->in.len : 0;

	if (missing < READ_STEP)
		missing = READ_STEP;
	if (missing > READ_STEP_MAX)
		missing = READ_STEP_MAX;
	/* Never empty: a record longer than the maximum has been refused before. */
	return missing < MSG_MAX - ch->in.len ? missing : MSG_MAX - ch->in.len;
}

/* One recvmsg(2): 1 with something read, 0 at the end of input, -1 with errno. */
static int fill(struct channel *ch, size_t record, bool may_wait)
{
	int fds[SOCKET_MAX_FDS];
	size_t nfds = SOCKET_MAX_FDS, step = step_for(ch, record);
	ssize_t n;

	ASSERT(strbuf_reserve(&ch->in, step));
	n = socket_recv_fds(ch->fd, ch->in.ptr + ch->in.len, step, fds, &nfds, may_wait);
	if (n <= 0)
		return (int)n;
	ch->in.len += (size_t)n;
	ch->in.ptr[ch->in.len] = '\0';
	if (nfds > PENDING_FDS - ch->fd_count) {
		close_fds(fds, nfds);
		errno = EPROTO;
		return -1;
	}
	memcpy(ch->fds + ch->fd_count, fds, nfds * sizeof(fds[0]));
	ch->fd_count += nfds;
	return 1;
}

static bool take_fds(struct channel *ch, struct msg_in *in, size_t count)
{
	if (count > SOCKET_MAX_FDS || count > ch->fd_count)
		return false;
	memcpy(in->fds, ch->fds, count * sizeof(in->fds[0]));
	in->fd_count = count;
	ch->fd_count -= count;
	memmove(ch->fds, ch->fds + count, ch->fd_count * sizeof(ch->fds[0]));
	return true;
}

/* Moves the complete record of LEN bytes from the input to *IN. */
static bool take_record(struct channel *ch, struct msg_in *in, size_t len)
{
	struct slice body = slice_first(strbuf_slice(&ch->in), len);
	size_t nfds = (unsigned char)body.ptr[4];

	*in = (struct msg_in){ .arena = ARENA_INIT };
	body = slice_from(body, MSG_FRONT);
	body = slice_mem(arena_slicedup(&in->arena, body), body.len);
	if (!take_fds(ch, in, nfds) || !msg_parse(&in->msg, body, &in->arena)) {
		msg_in_release(in);
		return false;
	}
	strbuf_consume(&ch->in, len);
	if (ch->in.len)
		return true;
	strbuf_release(&ch->in);
	if (ch->fd_count == 0)
		return true;
	/* Descriptors that no record announced would go to the next one that does. */
	msg_in_release(in);
	return false;
}

static bool accept_hello(struct channel *ch, struct msg_in *in)
{
	struct slice service;
	uint64_t version;
	bool ok = msg_is(&in->msg, "HELLO") && msg_get_u64(&in->msg, "version", &version) &&
		  version == MSG_VERSION;

	if (ok && msg_get(&in->msg, "service", &service))
		snprintf(ch->peer, sizeof(ch->peer), "%.*s", SLICE_ARG(service));
	msg_in_release(in);
	ch->greeted = ok;
	return ok;
}

/* What the input holds already: a record, nothing, or something that is none. */
static enum channel_result next_record(struct channel *ch, struct msg_in *in, size_t *len)
{
	for (;;) {
		if (!record_length(ch, len))
			return closed(ch, EPROTO);
		if (*len == 0 || ch->in.len < *len)
			return CHANNEL_NOTHING;
		if (!take_record(ch, in, *len))
			return closed(ch, EPROTO);
		if (ch->greeted)
			return CHANNEL_RECORD;
		if (!accept_hello(ch, in))
			return closed(ch, EPROTO);
	}
}

/* True when a read of the socket waits, and not beyond DEADLINE. */
static bool may_wait(struct channel *ch, int64_t deadline)
{
	int left = deadline == 0 ? 0 : deadline_left(deadline), limit = 1;

	if (left == 0)
		return false;
	while (limit <= left / 2 && limit < RECV_LIMIT_MAX_MS)
		limit *= 2;
	if (left < 0)
		limit = 0;
	if (limit == ch->limit)
		return true;
	if (socket_receive_limit(ch->fd, limit) == -1)
		return false;
	ch->limit = limit;
	return true;
}

/*
 * Who does not wait is told by epoll that there is something, and would be told again: the call
 * that finds nothing more is left out.
 */
static bool is_worth_a_call(struct channel *ch, int64_t deadline, size_t len)
{
	bool emptied = ch->emptied && deadline == 0 && ch->in.len == 0 && len == 0;

	ch->emptied = false;
	return !emptied;
}

enum channel_result channel_recv(struct channel *ch, struct msg_in *in, int64_t deadline)
{
	check(ch);
	for (;;) {
		size_t len;
		enum channel_result result = next_record(ch, in, &len);
		int got, ready;

		if (result != CHANNEL_NOTHING)
			return result;
		if (!is_worth_a_call(ch, deadline, len))
			return CHANNEL_NOTHING;
		got = fill(ch, len, may_wait(ch, deadline));
		if (got == 1) {
			ch->emptied = deadline == 0;
			continue;
		}
		if (got == 0)
			return closed(ch, ch->in.len ? EPROTO : 0);
		if (errno != EAGAIN)
			return closed(ch, errno);
		ready = deadline ? socket_wait(ch->fd, POLLIN, deadline) : 0;
		if (ready == -1)
			return closed(ch, errno);
		if (ready == 0)
			return CHANNEL_NOTHING;
	}
}
