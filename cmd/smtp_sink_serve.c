// SPDX-License-Identifier: BSD-2-Clause
/*
 * Bytes are read into one buffer for all sessions and used up there; a session keeps only what is
 * no whole command yet.  What several commands are answered with leaves in one write.  While a
 * session waits for its timer nothing is read from it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/smtp_sink.h"
#include "log/log.h"
#include "net/addr.h"
#include "sys/socket.h"

#define LINE_MAX_LENGTH 4096
#define EVENTS		256
#define ACCEPT_AT_ONCE	64
#define SHOW_EVERY_MS	100

static struct {
	int epoll;
	const int *listeners;
	size_t listener_count;
	bool rests; /* as many sessions as there may be */
	long sessions;
	struct list by_age;
	struct heap timers;
	/* -c, -n, -M */
	unsigned long ended, quits, messages;
	bool changed;
	int64_t shown_ms;
	char buffer[128 * 1024];
} server;

static const char end_of_data[] = "\r\n.\r\n";
#define END_LENGTH (sizeof(end_of_data) - 1)

/* ---- counters ---- */

static void show_counters(bool now)
{
	if (!server.changed || (!now && clock_ms() < server.shown_ms + SHOW_EVERY_MS))
		return;
	printf("sess=%lu quit=%lu mesg=%lu\r", server.ended, server.quits, server.messages);
	fflush(stdout);
	server.changed = false;
	server.shown_ms = clock_ms();
}

void sink_count(unsigned sessions, unsigned quits, unsigned messages)
{
	server.ended += sessions;
	server.quits += quits;
	server.messages += messages;
	server.changed = sink.counts;
}

static bool is_enough(void)
{
	return (sink.quit_sessions && server.ended >= (unsigned long)sink.quit_sessions) ||
	       (sink.quit_messages && server.messages >= (unsigned long)sink.quit_messages);
}

/* ---- sessions ---- */

static void watch_listeners(bool on)
{
	struct epoll_event event = { .events = EPOLLIN };

	server.rests = !on;
	for (size_t i = 0; i < server.listener_count; i++) {
		event.data.ptr = (void *)&server.listeners[i];
		if (epoll_ctl(server.epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, server.listeners[i],
			&event) == -1)
			fatal("epoll_ctl: %m");
	}
}

static void watch(struct sink_session *s, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = s };

	if (events == s->events)
		return;
	if (epoll_ctl(server.epoll, EPOLL_CTL_MOD, s->fd, &event) == -1)
		fatal("epoll_ctl: %m");
	s->events = events;
}

static void close_session(struct sink_session *s)
{
	if (sink.verbose)
		log_info("disconnect");
	sink_dump_end(s, false);
	close(s->fd);
	list_del(&s->by_age);
	heap_remove(&server.timers, &s->timer);
	strbuf_release(&s->in);
	strbuf_release(&s->out);
	free(s->helo);
	free(s->waiting_args);
	free(s);
	server.sessions--;
	sink_count(1, 0, 0);
	if (server.rests && !is_enough())
		watch_listeners(true);
}

static void touch(struct sink_session *s)
{
	s->active_ms = clock_ms();
	list_del(&s->by_age);
	list_add_tail(&server.by_age, &s->by_age);
}

void sink_wait(struct sink_session *s, int seconds)
{
	s->state = SINK_WAITING;
	heap_set(&server.timers, &s->timer, clock_ms() + (int64_t)seconds * 1000);
}

/* False: the session is gone. */
static bool flush(struct sink_session *s)
{
	ssize_t sent = 0;

	if (s->out.len)
		sent = send(s->fd, s->out.ptr, s->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent == -1 && errno != EAGAIN && errno != EINTR) {
		close_session(s);
		return false;
	}
	if (sent > 0)
		strbuf_consume(&s->out, (size_t)sent);
	if (!s->out.len && s->state == SINK_ENDING) {
		close_session(s);
		return false;
	}
	if (s->out.len)
		watch(s, EPOLLOUT);
	else
		watch(s, s->state == SINK_WAITING ? 0 : EPOLLIN);
	return true;
}

/* ---- bytes ---- */

/* One byte further in "\r\n.\r\n"; what fails there can only be the begin of another one. */
static unsigned match(unsigned matched, char c)
{
	if (c == end_of_data[matched])
		return matched + 1;
	return c == '\r' ? 1 : 0;
}

/* The bytes of INPUT that belong to the message; *ENDED when the last are its end. */
static size_t find_end(struct sink_session *s, struct slice input, bool *ended)
{
	size_t at = 0;
	const char *found;

	*ended = false;
	while (at < input.len && s->matched) {
		s->matched = match(s->matched, input.ptr[at++]);
		*ended = s->matched == END_LENGTH;
		if (*ended)
			return at;
	}
	if (at == input.len)
		return at;
	found = memmem(input.ptr + at, input.len - at, end_of_data, END_LENGTH);
	if (found) {
		*ended = true;
		return (size_t)(found - input.ptr) + END_LENGTH;
	}
	at = input.len - at > END_LENGTH ? input.len - END_LENGTH : at;
	while (at < input.len)
		s->matched = match(s->matched, input.ptr[at++]);
	return at;
}

static size_t take_data(struct sink_session *s, struct slice input)
{
	bool ended;
	size_t used = find_end(s, input, &ended);

	if (s->dump)
		sink_dump_bytes(s, slice_first(input, used));
	if (ended)
		sink_dot(s);
	return used;
}

/* 0: no whole line. */
static size_t take_line(struct sink_session *s, struct slice input)
{
	ptrdiff_t end = slice_find(input, '\n');

	if (end < 0 && input.len <= LINE_MAX_LENGTH)
		return 0;
	if (end < 0 || end > LINE_MAX_LENGTH) {
		log_warning("command line too long");
		s->state = SINK_ENDING;
		return input.len;
	}
	sink_command(s, slice_first(input, (size_t)end + 1));
	return (size_t)end + 1;
}

/* As much of INPUT as can be used now. */
static size_t take(struct sink_session *s, struct slice input)
{
	size_t used = 0, more = 1;

	while (used < input.len && more && !is_enough()) {
		if (s->state == SINK_IN_DATA)
			more = take_data(s, slice_from(input, used));
		else if (s->state == SINK_READING)
			more = take_line(s, slice_from(input, used));
		else
			break;
		used += more;
	}
	return used;
}

static void take_kept(struct sink_session *s)
{
	size_t used = take(s, strbuf_slice(&s->in));

	if (used == s->in.len)
		strbuf_release(&s->in);
	else
		strbuf_consume(&s->in, used);
}

static void take_new(struct sink_session *s, struct slice input)
{
	if (!s->in.len)
		input = slice_from(input, take(s, input));
	if (!input.len)
		return;
	strbuf_addslice(&s->in, input);
	take_kept(s);
}

static void readable(struct sink_session *s)
{
	ssize_t got = recv(s->fd, server.buffer, sizeof(server.buffer), MSG_DONTWAIT);

	if (got > 0) {
		touch(s);
		take_new(s, slice_mem(server.buffer, (size_t)got));
		flush(s);
	} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		close_session(s);
	}
}

/* ---- events ---- */

static void name_client(struct sink_session *s, const struct sockaddr_storage *ss, socklen_t len)
{
	struct net_addr addr;
	char text[NET_ADDR_TEXT];

	if (ss->ss_family == AF_UNIX) {
		strcpy(s->client, "local");
		return;
	}
	addr = net_addr_of((const struct sockaddr *)ss, len);
	net_addr_text(&addr, text);
	snprintf(s->client, sizeof(s->client), "%s%s", strchr(text, ':') ? "ipv6:" : "", text);
}

static void open_session(int fd, const struct sockaddr_storage *peer, socklen_t len)
{
	struct sink_session *s = xcalloc(1, sizeof(*s));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };

	s->fd = fd;
	s->events = EPOLLIN;
	s->protocol = "SMTP";
	strbuf_init(&s->in, STRBUF_NO_LIMIT);
	strbuf_init(&s->out, STRBUF_NO_LIMIT);
	list_init(&s->by_age);
	name_client(s, peer, len);
	if (sink.verbose)
		log_info("connect (%s)", s->client);
	socket_nodelay(fd);
	if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event) == -1)
		fatal("epoll_ctl: %m");
	server.sessions++;
	touch(s);
	sink_greet(s);
	flush(s);
}

static void accept_some(int listener)
{
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		struct sockaddr_storage peer = { .ss_family = AF_UNIX };
		socklen_t len = sizeof(peer);
		int fd;

		if (server.sessions >= sink.max_sessions) {
			if (!server.rests)
				watch_listeners(false);
			return;
		}
		fd = socket_accept(listener, &peer, &len, true);
		if (fd == -1)
			return;
		open_session(fd, &peer, len);
	}
}

static bool is_listener(const void *ptr)
{
	return (const int *)ptr >= server.listeners &&
	       (const int *)ptr < server.listeners + server.listener_count;
}

static void handle(const struct epoll_event *event)
{
	struct sink_session *s = event->data.ptr;

	if (is_listener(event->data.ptr)) {
		accept_some(*(const int *)event->data.ptr);
	} else if (event->events & EPOLLOUT) {
		touch(s);
		flush(s);
	} else if (event->events & EPOLLIN) {
		readable(s);
	} else {
		close_session(s);
	}
}

static void run_timers(void)
{
	struct heap_node *first;

	while ((first = heap_min(&server.timers)) != NULL && first->key <= clock_ms()) {
		struct sink_session *s = list_entry(first, struct sink_session, timer);

		heap_remove(&server.timers, first);
		touch(s);
		sink_timer(s);
		take_kept(s);
		flush(s);
	}
}

/* Who waits for a timer of ours is not late. */
static void end_quiet(void)
{
	int64_t before = clock_ms() - (int64_t)sink.timeout_s * 1000;

	while (!list_is_empty(&server.by_age)) {
		struct sink_session *s =
		    list_entry(server.by_age.next, struct sink_session, by_age);

		if (s->active_ms > before)
			return;
		if (s->state == SINK_WAITING)
			touch(s);
		else
			close_session(s);
	}
}

static int next_event_ms(void)
{
	int64_t until = DEADLINE_NEVER;
	const struct heap_node *timer = heap_min(&server.timers);

	if (!list_is_empty(&server.by_age))
		until = list_entry(server.by_age.next, struct sink_session, by_age)->active_ms +
			(int64_t)sink.timeout_s * 1000;
	if (timer && timer->key < until)
		until = timer->key;
	if (server.changed && server.shown_ms + SHOW_EVERY_MS < until)
		until = server.shown_ms + SHOW_EVERY_MS;
	return deadline_left(until);
}

void sink_serve(const int *listeners, size_t count)
{
	struct epoll_event events[EVENTS];

	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server.epoll == -1)
		fatal("epoll_create1: %m");
	server.listeners = listeners;
	server.listener_count = count;
	list_init(&server.by_age);
	watch_listeners(true);
	while (!is_enough()) {
		int ready = epoll_wait(server.epoll, events, EVENTS, next_event_ms());

		for (int i = 0; i < ready && !is_enough(); i++)
			handle(&events[i]);
		run_timers();
		end_quiet();
		show_counters(false);
	}
	show_counters(true);
	if (sink.counts)
		putchar('\n');
}
