// SPDX-License-Identifier: BSD-2-Clause
/*
 * A transfer is tried first and waited for with poll(2) afterwards, so a peer that keeps up costs
 * no poll.  A read that may wait is tried for a moment (SO_RCVTIMEO on a blocking socket): most
 * peers answer within it, which makes one system call of three.  Whatever must not wait says
 * MSG_DONTWAIT.
 *
 * The input buffer holds bytes [start, end).  A slice that was returned points below start, and
 * stays there until the next read moves the rest or fills the buffer again.
 */
#include "net/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "net/transport.h"
#include "sys/socket.h"

#define STREAM_MAGIC 0x73747265
#define OUT_GATHER   (16384 - 1) /* with its NUL a power of two */
#define IN_FIRST     4096
#define IN_STEP_MAX  32768
#define IN_MAX	     65536 /* the longest line */
#define MOMENT_MS    4

struct stream {
	unsigned magic;
	int fd;
	enum stream_error error;
	int errnum;
	bool cut_off; /* part of what was to be sent may be out: nothing may follow */
	bool waits;   /* the socket is blocking, and its reads give up after a moment */
	int64_t deadline;
	struct {
		unsigned bytes_per_s;
		int64_t grace_ms, waited_ms;
		uint64_t before; /* wire bytes when it was set */
	} rate;
	char *in;
	size_t start, end, alloc;
	size_t step; /* size of an empty buffer; grows while a peer fills it */
	struct strbuf out;
	uint64_t bytes_in, bytes_out;
	const struct transport *transport; /* of TLS */
	struct tls_connection *tls;
};

static void check(const struct stream *s)
{
	ASSERT(s && s->magic == STREAM_MAGIC);
}

static struct stream *stream_of(int fd)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->magic = STREAM_MAGIC;
	s->fd = fd;
	s->deadline = DEADLINE_NEVER;
	s->step = IN_FIRST;
	/* Whatever gathers is bounded by OUT_GATHER and the one thing written last. */
	strbuf_init(&s->out, STRBUF_NO_LIMIT);
	return s;
}

struct stream *stream_new(int fd)
{
	struct stream *s = stream_of(fd);

	/* Fails on a socket that is not TCP's, where nothing is delayed either. */
	socket_nodelay(fd);
	s->waits = socket_receive_limit(fd, MOMENT_MS) == 0 && socket_nonblocking(fd, false) == 0;
	return s;
}

void stream_prepare_listener(int fd)
{
	socket_nodelay(fd);
	socket_receive_limit(fd, MOMENT_MS);
}

struct stream *stream_accepted(int fd)
{
	struct stream *s = stream_of(fd);

	/* The listener's limit is not that of a connection which came before it was prepared. */
	s->waits = socket_receive_limit(fd, MOMENT_MS) == 0;
	if (!s->waits)
		(void)socket_nonblocking(fd, true);
	return s;
}

static void free_input(struct stream *s)
{
	free(s->in);
	s->in = NULL;
	s->start = s->end = s->alloc = 0;
	s->step = IN_FIRST;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	check(s);
	if (s->tls)
		s->transport->free(s->tls);
	free_input(s);
	strbuf_release(&s->out);
	close(s->fd);
	s->magic = 0;
	free(s);
}

int stream_fd(const struct stream *s)
{
	check(s);
	return s->fd;
}

enum stream_error stream_error(const struct stream *s)
{
	check(s);
	return s->error;
}

int stream_errno(const struct stream *s)
{
	check(s);
	return s->errnum;
}

const char *stream_error_text(const struct stream *s)
{
	const char *text;

	check(s);
	switch (s->error) {
	case STREAM_OK:
		return "no error";
	case STREAM_EOF:
		return "connection closed";
	case STREAM_TIMEOUT:
		return "timeout";
	case STREAM_IO:
		text = strerrordesc_np(s->errnum);
		return text ? text : "unknown error";
	case STREAM_TLS:
		return s->tls ? s->transport->text(s->tls) : "data before the TLS handshake";
	}
	return "unknown error";
}

void stream_set_deadline(struct stream *s, int64_t deadline)
{
	check(s);
	s->deadline = deadline;
}

/*
 * Bytes on the wire: a TLS record of 16 KiB counts as it trickles in, not when it is complete.
 */
static uint64_t wire_bytes(const struct stream *s)
{
	return s->tls ? s->transport->wire_bytes(s->tls) : s->bytes_in + s->bytes_out;
}

void stream_set_min_rate(struct stream *s, unsigned bytes_per_s, int64_t grace_ms)
{
	check(s);
	s->rate.bytes_per_s = bytes_per_s;
	s->rate.grace_ms = grace_ms;
	s->rate.waited_ms = 0;
	s->rate.before = wire_bytes(s);
}

static bool fail(struct stream *s, enum stream_error error, int errnum)
{
	s->error = error;
	s->errnum = errnum;
	return false;
}

bool stream_after_timeout(struct stream *s, int64_t deadline)
{
	check(s);
	if (s->error != STREAM_TIMEOUT || s->cut_off)
		return false;
	s->error = STREAM_OK;
	s->errnum = 0;
	s->deadline = deadline;
	s->rate.bytes_per_s = 0;
	return true;
}

/* How long the peer may still let us wait at its present average. */
static int64_t patience_ms(const struct stream *s)
{
	uint64_t moved = wire_bytes(s) - s->rate.before;
	int64_t earned;

	/* A week at the least rate: no overflow, and the deadline comes before. */
	if (moved / s->rate.bytes_per_s > 7 * 86400)
		moved = (uint64_t)s->rate.bytes_per_s * 7 * 86400;
	earned = (int64_t)(moved * 1000 / s->rate.bytes_per_s);
	if (earned < s->rate.grace_ms)
		earned = s->rate.grace_ms;
	return earned - s->rate.waited_ms;
}

static bool wait_for(struct stream *s, short events)
{
	int64_t until = s->deadline, began = 0, patience;
	int ready;

	if (s->rate.bytes_per_s) {
		began = clock_ms();
		patience = patience_ms(s);
		if (patience < 0)
			patience = 0;
		if (patience < until - began)
			until = began + patience;
	}
	ready = socket_wait(s->fd, events, until);
	if (s->rate.bytes_per_s)
		s->rate.waited_ms += clock_ms() - began;
	if (ready == -1)
		return fail(s, STREAM_IO, errno);
	return ready == 1 || fail(s, STREAM_TIMEOUT, ETIMEDOUT);
}

bool stream_settle(struct stream *s, enum transport_result result)
{
	switch (result) {
	case TRANSPORT_DONE:
		return true;
	case TRANSPORT_WANT_READ:
		return wait_for(s, POLLIN);
	case TRANSPORT_WANT_WRITE:
		return wait_for(s, POLLOUT);
	case TRANSPORT_EOF:
		return fail(s, STREAM_EOF, 0);
	case TRANSPORT_ERRNO:
		return fail(s, STREAM_IO, errno);
	case TRANSPORT_TLS:
		return fail(s, STREAM_TLS, 0);
	}
	return fail(s, STREAM_IO, EINVAL);
}

/*
 * The connection is the stream's from here on, whatever becomes of the handshake: once TLS was
 * begun nothing is read or written in clear.
 */
bool stream_begin_tls(struct stream *s, const struct transport *transport, struct tls_connection *c)
{
	check(s);
	ASSERT(!s->tls && s->out.len == 0);
	if (s->error == STREAM_OK && s->start < s->end)
		fail(s, STREAM_TLS, 0);
	if (s->error != STREAM_OK) {
		transport->free(c);
		return false;
	}
	/* The counter of bytes on the wire is another one from now on. */
	s->rate.before -= wire_bytes(s);
	s->transport = transport;
	s->tls = c;
	s->rate.before += wire_bytes(s);
	return true;
}

static enum transport_result result_of(ssize_t n, enum transport_result wanted)
{
	if (n >= 0)
		return TRANSPORT_DONE;
	return errno == EAGAIN || errno == EWOULDBLOCK ? wanted : TRANSPORT_ERRNO;
}

static enum transport_result plain_read(
    struct stream *s, void *data, size_t size, bool may_wait, size_t *done)
{
	ssize_t n;

	do
		n = recv(s->fd, data, size, may_wait ? 0 : MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == 0)
		return TRANSPORT_EOF;
	*done = n > 0 ? (size_t)n : 0;
	return result_of(n, TRANSPORT_WANT_READ);
}

static enum transport_result plain_write(
    struct stream *s, const void *data, size_t len, size_t *done)
{
	ssize_t n;

	do
		n = send(s->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	*done = n > 0 ? (size_t)n : 0;
	return result_of(n, TRANSPORT_WANT_WRITE);
}

static bool send_all(struct stream *s, struct slice data)
{
	while (data.len) {
		size_t done = 0;
		enum transport_result result =
		    s->tls ? s->transport->write(s->tls, data.ptr, data.len, &done)
			   : plain_write(s, data.ptr, data.len, &done);

		if (!stream_settle(s, result)) {
			s->cut_off = true;
			return false;
		}
		s->bytes_out += done;
		data = slice_from(data, done);
	}
	return true;
}

bool stream_flush(struct stream *s)
{
	bool sent;

	check(s);
	if (s->error != STREAM_OK)
		return false;
	if (!s->out.len)
		return true;
	sent = send_all(s, strbuf_slice(&s->out));
	strbuf_reset(&s->out);
	return sent;
}

void stream_write(struct stream *s, struct slice data)
{
	check(s);
	while (data.len && s->error == STREAM_OK) {
		size_t room = OUT_GATHER - s->out.len;

		/* Nothing gathered and enough for a transfer: no need to copy it. */
		if (s->out.len == 0 && data.len >= OUT_GATHER) {
			send_all(s, data);
			return;
		}
		strbuf_addslice(&s->out, slice_first(data, room));
		data = slice_from(data, room);
		if (s->out.len >= OUT_GATHER)
			stream_flush(s);
	}
}

void stream_puts(struct stream *s, const char *text)
{
	stream_write(s, slice_of(text));
}

void stream_printf(struct stream *s, const char *format, ...)
{
	va_list args;

	check(s);
	if (s->error != STREAM_OK)
		return;
	va_start(args, format);
	strbuf_vaddf(&s->out, format, args);
	va_end(args);
	if (s->out.len >= OUT_GATHER)
		stream_flush(s);
}

bool stream_finish(struct stream *s)
{
	enum transport_result result;

	check(s);
	if (s->tls)
		s->transport->hold(s->tls);
	if (!stream_flush(s))
		return false;
	while (s->tls && (result = s->transport->close(s->tls)) != TRANSPORT_DONE)
		if (!stream_settle(s, result))
			return false;
	fail(s, STREAM_EOF, 0);
	return true;
}

/* At least a byte of room behind the input.  An empty buffer may be exchanged for a larger one. */
static void make_room(struct stream *s)
{
	if (s->start == s->end) {
		s->start = s->end = 0;
		if (s->alloc < s->step) {
			free(s->in);
			s->in = xmalloc(s->step);
			s->alloc = s->step;
		}
	} else if (s->start) {
		memmove(s->in, s->in + s->start, s->end - s->start);
		s->end -= s->start;
		s->start = 0;
	}
	if (s->end < s->alloc)
		return;
	s->alloc *= 2;
	ASSERT(s->alloc <= IN_MAX);
	s->in = xrealloc(s->in, s->alloc);
}

static enum transport_result transport_read(struct stream *s, bool may_wait, size_t *done)
{
	char *to = s->in + s->end;
	size_t room = s->alloc - s->end;

	return s->tls ? s->transport->read(s->tls, to, room, may_wait, done)
		      : plain_read(s, to, room, may_wait, done);
}

/*
 * One attempt, of a moment when it may wait; what it brings is behind the input that is there
 * already.
 */
static enum transport_result fill_once(struct stream *s, bool may_wait)
{
	bool timed = may_wait && s->rate.bytes_per_s;
	int64_t began = timed ? clock_ms() : 0;
	enum transport_result result;
	size_t done = 0;

	make_room(s);
	result = transport_read(s, may_wait, &done);
	if (timed)
		s->rate.waited_ms += clock_ms() - began;
	s->end += done;
	s->bytes_in += done;
	if (s->end == s->alloc && s->step < IN_STEP_MAX)
		s->step *= 2;
	return result;
}

static bool fill(struct stream *s)
{
	size_t before = s->end - s->start;

	while (s->end - s->start == before)
		if (!stream_settle(s, fill_once(s, s->waits)))
			return false;
	return true;
}

static struct slice take(struct stream *s, size_t len)
{
	struct slice taken = slice_mem(s->in + s->start, len);

	s->start += len;
	return taken;
}

enum stream_read stream_read_line(struct stream *s, size_t max, struct slice *out)
{
	size_t seen = 0;

	check(s);
	ASSERT(max > 0 && max <= IN_MAX);
	*out = SLICE_NULL;
	if (!stream_flush(s))
		return STREAM_READ_FAILED;
	for (;;) {
		size_t have = s->end - s->start, look = have < max ? have : max;
		const char *from = s->in + s->start;
		const char *lf = look > seen ? memchr(from + seen, '\n', look - seen) : NULL;

		if (lf) {
			*out = take(s, (size_t)(lf - from) + 1);
			return STREAM_READ_LINE;
		}
		if (have >= max) {
			*out = take(s, max);
			return STREAM_READ_PARTIAL;
		}
		seen = have;
		if (!fill(s))
			return STREAM_READ_FAILED;
	}
}

bool stream_read_some(struct stream *s, size_t max, struct slice *out)
{
	check(s);
	ASSERT(max > 0);
	*out = SLICE_NULL;
	if (!stream_flush(s) || (s->start == s->end && !fill(s)))
		return false;
	*out = take(s, s->end - s->start < max ? s->end - s->start : max);
	return true;
}

bool stream_has_input(const struct stream *s)
{
	check(s);
	return s->start < s->end || (s->tls && s->transport->pending(s->tls));
}

struct slice stream_peek(const struct stream *s)
{
	check(s);
	return s->start < s->end ? slice_mem(s->in + s->start, s->end - s->start) : SLICE_NULL;
}

static bool look_for_input(struct stream *s, bool may_wait)
{
	enum transport_result result;

	check(s);
	if (s->error != STREAM_OK || s->start < s->end)
		return true;
	result = fill_once(s, may_wait);
	if (result == TRANSPORT_WANT_READ || result == TRANSPORT_WANT_WRITE)
		return false;
	stream_settle(s, result);
	return true;
}

bool stream_poll_input(struct stream *s)
{
	return look_for_input(s, false);
}

bool stream_linger(struct stream *s)
{
	return look_for_input(s, s->waits);
}

void stream_discard_input(struct stream *s)
{
	check(s);
	s->start = s->end = 0;
}

void stream_shrink(struct stream *s)
{
	check(s);
	ASSERT(s->out.len == 0);
	strbuf_release(&s->out);
	if (s->start == s->end)
		free_input(s);
}

uint64_t stream_bytes_in(const struct stream *s)
{
	check(s);
	return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
	check(s);
	return s->bytes_out;
}

struct tls_connection *stream_tls(const struct stream *s)
{
	check(s);
	return s->tls;
}
