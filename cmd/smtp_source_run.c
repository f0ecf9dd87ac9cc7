// SPDX-License-Identifier: BSD-2-Clause
/*
 * A session writes when it has something to say and reads when it waits for a reply; what is said
 * leaves in one write with the message's text, of which all sessions share one copy.
 *
 * A connection is closed so that nothing of it is left in the kernel (SO_LINGER 0): thousands of
 * them in TIME_WAIT would use up the ports.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/list.h"
#include "cmd/smtp_source.h"
#include "log/log.h"
#include "sys/socket.h"

#define EVENTS	      256
#define LATE_MS	      (300 * 1000)
#define REPLY_MAX     (64 * 1024)
#define SHOW_EVERY_MS 100
#define LOOK_EVERY_MS 1000
#define TRY_AGAIN_MS  10

static struct {
	int epoll;
	const struct smtp_tool_address *addresses;
	size_t address_count;
	size_t address; /* the one that answers */
	struct source_session *sessions;
	long left; /* messages that nobody has taken */
	long sessions_left;
	unsigned long count;
	bool changed;
	int64_t shown_ms, looked_ms;
	struct heap timers;
	char buffer[64 * 1024];
} run;

/* ---- counting ---- */

static void show_counter(bool now)
{
	if (!run.changed || (!now && clock_ms() < run.shown_ms + SHOW_EVERY_MS))
		return;
	printf("%lu\r", run.count);
	fflush(stdout);
	run.changed = false;
	run.shown_ms = clock_ms();
}

void source_count(void)
{
	run.count++;
	run.changed = source.counts;
}

bool source_take_message(void)
{
	if (run.left == 0)
		return false;
	run.left--;
	return true;
}

bool source_pause(struct source_session *s)
{
	int64_t ms;

	if (source.fixed_s < 0 && source.random_s < 0)
		return false;
	ms = source.fixed_s >= 0 ? source.fixed_s * 1000
				 : random_below((uint32_t)source.random_s * 1000 + 1);
	s->late_ms = 0;
	heap_set(&run.timers, &s->timer, clock_ms() + ms);
	return true;
}

/* ---- connections ---- */

static void watch(struct source_session *s, uint32_t events, int operation)
{
	struct epoll_event event = { .events = events, .data.ptr = s };

	if (operation == EPOLL_CTL_MOD && events == s->events)
		return;
	if (epoll_ctl(run.epoll, operation, s->fd, &event) == -1)
		fatal("epoll_ctl: %m");
	s->events = events;
}

static void close_connection(struct source_session *s)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == -1)
		log_warning("setsockopt SO_LINGER: %m");
	close(s->fd);
	s->fd = -1;
	s->late_ms = 0;
	strbuf_reset(&s->in);
	strbuf_reset(&s->out);
	s->sends_body = false;
}

static void cannot_connect(struct source_session *s, int error)
{
	errno = error;
	if (s->fd != -1)
		close_connection(s);
	if (s->tries == 1 && run.address + 1 < run.address_count && run.count == 0) {
		run.address++;
	} else if (--s->tries <= 0) {
		errno = error;
		fatal("connect: %m");
	} else {
		errno = error;
		log_warning("connect: %m");
	}
	heap_set(&run.timers, &s->timer, clock_ms() + TRY_AGAIN_MS);
}

static void start_connect(struct source_session *s)
{
	const struct smtp_tool_address *to = &run.addresses[run.address];

	s->fd = socket(to->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd == -1)
		fatal("socket: %m");
	smtp_tool_window(s->fd, source.window);
	if (to->family != AF_UNIX)
		socket_nodelay(s->fd);
	s->step = STEP_CONNECT;
	s->connection++;
	s->late_ms = clock_ms() + LATE_MS;
	if (connect(s->fd, (const struct sockaddr *)&to->ss, to->len) == -1 &&
	    errno != EINPROGRESS) {
		cannot_connect(s, errno);
		return;
	}
	watch(s, EPOLLOUT, EPOLL_CTL_ADD);
}

static void begin(struct source_session *s)
{
	s->tries = source.connect_tries;
	start_connect(s);
}

void source_disconnect(struct source_session *s)
{
	close_connection(s);
	if (!source_take_message())
		run.sessions_left--;
	else if (!source_pause(s))
		begin(s);
}

/* With -A the next message has another chance. */
static void lost(struct source_session *s, const char *how)
{
	bool was_under_way = s->step != STEP_QUIT;

	if (!source.goes_on && was_under_way)
		fatal("%s while %s", how, source_while(s));
	if (was_under_way) {
		log_warning("%s while %s", how, source_while(s));
		source_count();
	}
	source_disconnect(s);
}

/* ---- bytes ---- */

/* What is to be sent; false: the connection is lost. */
static bool flush(struct source_session *s)
{
	while (s->out.len || s->sends_body) {
		struct iovec parts[2] = { { s->out.ptr, s->out.len },
			{ source.body.ptr + s->body_sent,
			    s->sends_body ? source.body.len - s->body_sent : 0 } };
		struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
		ssize_t sent = sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		size_t of_out;

		if (sent == -1 && (errno == EAGAIN || errno == EINTR)) {
			watch(s, EPOLLOUT | EPOLLIN, EPOLL_CTL_MOD);
			return true;
		}
		if (sent == -1) {
			lost(s, "lost connection");
			return false;
		}
		of_out = (size_t)sent < s->out.len ? (size_t)sent : s->out.len;
		strbuf_consume(&s->out, of_out);
		s->body_sent += (size_t)sent - of_out;
		if (s->body_sent == source.body.len)
			s->sends_body = false;
	}
	watch(s, EPOLLIN, EPOLL_CTL_MOD);
	return true;
}

/* The whole replies of s->in; false: the connection is another one now. */
static bool take_replies(struct source_session *s)
{
	unsigned long connection = s->connection;
	ptrdiff_t end;

	while (s->connection == connection && !heap_contains(&s->timer) &&
	       (end = slice_find(strbuf_slice(&s->in), '\n')) >= 0) {
		struct strbuf line = STRBUF_INIT(REPLY_MAX);
		struct slice text;
		uint64_t code;

		strbuf_addslice(&line, slice_first(strbuf_slice(&s->in), (size_t)end));
		strbuf_consume(&s->in, (size_t)end + 1);
		text = slice_trim(strbuf_slice(&line), "\r");
		if (source.verbose)
			log_info("<<< %.*s", SLICE_ARG(text));
		if (!slice_uint(slice_first(text, 3), 999, &code) || text.len < 3)
			fatal("bad reply: %.*s", SLICE_ARG(text));
		if (text.len < 4 || text.ptr[3] != '-')
			source_reply(s, (unsigned)code, text);
		strbuf_release(&line);
	}
	return s->connection == connection && s->fd != -1;
}

static void readable(struct source_session *s)
{
	ssize_t got = recv(s->fd, run.buffer, sizeof(run.buffer), MSG_DONTWAIT);

	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		lost(s, "lost connection");
		return;
	}
	s->late_ms = clock_ms() + LATE_MS;
	strbuf_add(&s->in, run.buffer, (size_t)got);
	if (s->in.overflow)
		fatal("endless reply while %s", source_while(s));
	if (take_replies(s))
		flush(s);
}

static void connected(struct source_session *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error) {
		cannot_connect(s, error);
		return;
	}
	s->step = STEP_GREETING;
	watch(s, EPOLLIN, EPOLL_CTL_MOD);
}

static void handle(struct source_session *s, uint32_t events)
{
	if (s->step == STEP_CONNECT)
		connected(s);
	else if (!(events & EPOLLOUT) || flush(s))
		if (s->fd != -1 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
			readable(s);
}

/* ---- time ---- */

static void run_timers(void)
{
	struct heap_node *first;

	while ((first = heap_min(&run.timers)) != NULL && first->key <= clock_ms()) {
		struct source_session *s = list_entry(first, struct source_session, timer);

		heap_remove(&run.timers, first);
		if (s->fd == -1 && s->tries > 0 && s->step == STEP_CONNECT) {
			start_connect(s);
		} else if (s->fd == -1) {
			begin(s);
		} else {
			s->late_ms = clock_ms() + LATE_MS;
			source_resume(s);
			flush(s);
		}
	}
}

static void end_late(void)
{
	int64_t now = clock_ms();

	if (now < run.looked_ms + LOOK_EVERY_MS)
		return;
	run.looked_ms = now;
	for (long i = 0; i < source.sessions; i++)
		if (run.sessions[i].late_ms && run.sessions[i].late_ms <= now)
			lost(&run.sessions[i], "timeout");
}

static int next_event_ms(void)
{
	int64_t until = clock_ms() + LOOK_EVERY_MS;
	const struct heap_node *timer = heap_min(&run.timers);

	if (timer && timer->key < until)
		until = timer->key;
	if (run.changed && run.shown_ms + SHOW_EVERY_MS < until)
		until = run.shown_ms + SHOW_EVERY_MS;
	return deadline_left(until);
}

static void start_sessions(void)
{
	run.sessions = xcalloc((size_t)source.sessions, sizeof(*run.sessions));
	for (long i = 0; i < source.sessions; i++) {
		struct source_session *s = &run.sessions[i];

		s->fd = -1;
		strbuf_init(&s->in, REPLY_MAX);
		strbuf_init(&s->out, STRBUF_NO_LIMIT);
		if (!source_take_message())
			continue;
		run.sessions_left++;
		begin(s);
	}
}

void source_run(const struct smtp_tool_address *addresses, size_t count)
{
	struct epoll_event events[EVENTS];

	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run.epoll == -1)
		fatal("epoll_create1: %m");
	run.addresses = addresses;
	run.address_count = count;
	run.left = source.messages;
	start_sessions();
	while (run.sessions_left > 0) {
		int ready = epoll_wait(run.epoll, events, EVENTS, next_event_ms());

		for (int i = 0; i < ready; i++)
			handle(events[i].data.ptr, events[i].events);
		run_timers();
		end_late();
		show_counter(false);
	}
	show_counter(true);
	if (source.counts)
		putchar('\n');
}
