// SPDX-License-Identifier: BSD-2-Clause
/*
 * The parker with real sockets.  The loop runs in a thread of its own; sessions write down what
 * they are called with.
 */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/pool.h"
#include "server/session.h"
#include "sys/socket.h"

static struct loop *loop;
static pthread_t loop_thread;
static atomic_int closed_calls, opened, closed, expired, woken, drained, waiting;

static void on_closed(void)
{
	atomic_fetch_add(&closed_calls, 1);
}

static void *run_loop(void *arg)
{
	(void)arg;
	loop_run(loop);
	return NULL;
}

static int group_setup(void **state)
{
	(void)state;
	loop = loop_new();
	sessions_init(loop, on_closed);
	sessions_tell_closed(true);
	pthread_create(&loop_thread, NULL, run_loop, NULL);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	loop_stop(loop);
	pthread_join(loop_thread, NULL);
	pool_drain(deadline_in(60000));
	loop_free(loop);
	return 0;
}

/* Polls, since other threads do it; the time is only there for the test to end. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		int64_t give_up_ = deadline_in(60000);                                             \
		while (!(condition)) {                                                             \
			if (clock_ms() > give_up_)                                                 \
				fail_msg("never: %s", #condition);                                 \
			usleep(500);                                                               \
		}                                                                                  \
	} while (0)

struct client {
	struct session *session;
	struct stream *stream; /* the session's */
	int fd;
};

static struct client client_new(const struct session_class *class)
{
	struct client c;
	int pair[2];

	want_int("socketpair", socket_pair(pair), 0);
	c.fd = pair[0];
	c.stream = stream_new(pair[1]);
	c.session = session_new(class, c.stream);
	return c;
}

static void send_text(const struct client *c, const char *text)
{
	want_int(text, write(c->fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* All that comes until a LF, or the end ("" and so on). */
static const char *receive_line(const struct client *c, char out[64])
{
	size_t n = 0;

	while (n < 63) {
		struct pollfd pfd = { .fd = c->fd, .events = POLLIN };

		want_int("answer", poll(&pfd, 1, 60000), 1);
		if (read(c->fd, &out[n], 1) <= 0 || out[n] == '\n')
			break;
		n++;
	}
	out[n] = '\0';
	return out;
}

/* Greets, then answers each line with itself; "quit" ends, "wait" waits for an event. */
struct echo {
	struct session session;
	int64_t patience_ms;
};

static enum session_next echo_lines(struct session *s)
{
	struct slice line;

	while (stream_has_input(s->stream)) {
		if (stream_read_line(s->stream, 100, &line) == STREAM_READ_FAILED)
			return SESSION_CLOSE;
		if (slice_starts(line, "quit"))
			return SESSION_CLOSE;
		if (slice_starts(line, "wait")) {
			atomic_fetch_add(&waiting, 1);
			return SESSION_EVENT;
		}
		stream_write(s->stream, line);
	}
	return SESSION_INPUT;
}

static enum session_next echo_serve(struct session *s, enum session_wake why)
{
	const struct echo *echo = (const struct echo *)s;

	s->deadline = deadline_in(echo->patience_ms ? echo->patience_ms : 60000);
	stream_set_deadline(s->stream, s->deadline);
	switch (why) {
	case SESSION_OPENED:
		atomic_fetch_add(&opened, 1);
		stream_puts(s->stream, "hello\n");
		return SESSION_INPUT;
	case SESSION_HAS_INPUT:
		if (!stream_has_input(s->stream))
			return SESSION_CLOSE;
		return echo_lines(s);
	case SESSION_WOKEN:
		atomic_fetch_add(&woken, 1);
		stream_puts(s->stream, "woken\n");
		return echo_lines(s);
	case SESSION_EXPIRED:
		atomic_fetch_add(&expired, 1);
		stream_puts(s->stream, "expired\n");
		stream_flush(s->stream);
		return SESSION_CLOSE;
	case SESSION_DRAINING:
		atomic_fetch_add(&drained, 1);
		stream_puts(s->stream, "draining\n");
		stream_flush(s->stream);
		return SESSION_CLOSE;
	}
	return SESSION_CLOSE;
}

static void echo_close(struct session *s)
{
	(void)s;
	atomic_fetch_add(&closed, 1);
}

static const struct session_class echo_class = {
	.name = "echo", .size = sizeof(struct echo), .serve = echo_serve, .close = echo_close
};

static int reset(void **state)
{
	(void)state;
	atomic_store(&opened, 0);
	atomic_store(&closed, 0);
	atomic_store(&expired, 0);
	atomic_store(&woken, 0);
	atomic_store(&drained, 0);
	atomic_store(&waiting, 0);
	atomic_store(&closed_calls, 0);
	return 0;
}

static struct client echo_client(int64_t patience_ms)
{
	struct client c = client_new(&echo_class);
	char line[64];

	((struct echo *)c.session)->patience_ms = patience_ms;
	session_start(c.session);
	want_str("greeting", receive_line(&c, line), "hello");
	return c;
}

static void parks_and_wakes_by_input(void **state)
{
	struct client c = echo_client(0);
	char line[64];

	(void)state;
	for (int i = 0; i < 200; i++) {
		send_text(&c, "one\n");
		want_str("echo", receive_line(&c, line), "one");
		if (i % 50 == 0)
			usleep(20000); /* parked, not only lingering */
	}
	send_text(&c, "two\nthree\n");
	want_str("pipelined", receive_line(&c, line), "two");
	want_str("pipelined", receive_line(&c, line), "three");
	send_text(&c, "quit\n");
	want_str("end", receive_line(&c, line), "");
	wait_until(atomic_load(&closed) == 1 && sessions_count() == 0);
	wait_until(atomic_load(&closed_calls) > 0);
	close(c.fd);
}

static void client_that_vanishes_is_closed(void **state)
{
	struct client c = echo_client(0);

	(void)state;
	usleep(20000);
	close(c.fd);
	wait_until(atomic_load(&closed) == 1);
}

static void deadline_expires(void **state)
{
	struct client c = echo_client(30);
	struct client later = echo_client(50);
	char line[64];

	(void)state;
	want_str("expired", receive_line(&c, line), "expired");
	want_str("expired", receive_line(&later, line), "expired");
	wait_until(atomic_load(&closed) == 2);
	close(c.fd);
	close(later.fd);
}

static void event_leaves_input_unread(void **state)
{
	struct client c = echo_client(0);
	char line[64];

	(void)state;
	send_text(&c, "wait\nnext\n");
	/* A wake-up before it has read that would be another test's. */
	wait_until(atomic_load(&waiting) == 1);
	usleep(20000);
	want_int("not woken by input", atomic_load(&woken), 0);
	session_wake(c.session);
	want_str("event", receive_line(&c, line), "woken");
	want_str("then the input", receive_line(&c, line), "next");
	send_text(&c, "quit\n");
	wait_until(atomic_load(&closed) == 1);
	close(c.fd);
}

/* Wakes come in whatever state it is; each is followed by at least one SESSION_WOKEN. */
static void no_event_is_lost(void **state)
{
	struct client c = echo_client(0);
	char line[64];

	(void)state;
	for (int i = 0; i < 300; i++) {
		int before = atomic_load(&woken);

		if (i % 2)
			send_text(&c, "x\n");
		session_wake(c.session);
		wait_until(atomic_load(&woken) > before);
		while (strcmp(receive_line(&c, line), "woken") != 0)
			;
		if (i % 2 && atomic_load(&woken) > before + 1)
			fail_msg("woken twice");
	}
	send_text(&c, "quit\n");
	wait_until(atomic_load(&closed) == 1);
	close(c.fd);
}

/* A race of everything: input, wakes and deadlines for many sessions at once. */
#define STORM_SESSIONS 40
static atomic_int storm_calls, storm_inside[STORM_SESSIONS];

struct storm {
	struct session session;
	int index, left;
};

static enum session_next storm_serve(struct session *s, enum session_wake why)
{
	struct storm *storm = (struct storm *)s;
	struct slice some;

	(void)why;
	if (atomic_fetch_add(&storm_inside[storm->index], 1) != 0)
		fail_msg("two threads have one session");
	atomic_fetch_add(&storm_calls, 1);
	while (stream_has_input(s->stream) && stream_read_some(s->stream, 100, &some))
		;
	s->deadline = clock_ms() + storm->left % 3;
	atomic_fetch_sub(&storm_inside[storm->index], 1);
	if (storm->left > 0)
		storm->left--;
	return storm->left == 0 ? SESSION_EVENT : storm->left % 2 ? SESSION_INPUT : SESSION_EVENT;
}

static const struct session_class storm_class = {
	.name = "storm", .size = sizeof(struct storm), .serve = storm_serve
};

static enum session_next calm_serve(struct session *s, enum session_wake why);
static const struct session_class calm_class = {
	.name = "calm", .size = sizeof(struct storm), .serve = calm_serve, .close = echo_close
};

/* The storm; it is over when the client closes, which is after its last wake. */
static enum session_next calm_serve(struct session *s, enum session_wake why)
{
	struct storm *storm = (struct storm *)s;
	enum session_next next = storm_class.serve(s, why);

	if (stream_error(s->stream) != STREAM_OK)
		return SESSION_CLOSE;
	if (storm->left > 0)
		return next;
	s->deadline = deadline_in(60000);
	return SESSION_INPUT;
}

static void storm_is_weathered(void **state)
{
	struct client c[STORM_SESSIONS];

	(void)state;
	for (int i = 0; i < STORM_SESSIONS; i++) {
		c[i] = client_new(&calm_class);
		((struct storm *)c[i].session)->index = i;
		((struct storm *)c[i].session)->left = 60;
		session_start(c[i].session);
	}
	for (int round = 0; round < 40; round++)
		for (int i = 0; i < STORM_SESSIONS; i++) {
			if ((round + i) % 2)
				want_int("write", write(c[i].fd, "x", 1), 1);
			else
				session_wake(c[i].session);
		}
	/* Deadlines alone bring every session to its end. */
	wait_until(atomic_load(&storm_calls) >= STORM_SESSIONS * 60);
	for (int i = 0; i < STORM_SESSIONS; i++)
		close(c[i].fd);
	wait_until(atomic_load(&closed) == STORM_SESSIONS);
}

/* Slots are used again at once: late events of the old use must not reach the new one. */
static void slots_are_reused(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		struct client c = echo_client(0);

		send_text(&c, "quit\n");
		if (i % 3 == 0)
			close(c.fd);
		wait_until(atomic_load(&closed) == i + 1);
		if (i % 3 != 0)
			close(c.fd);
	}
}

static void stream_can_be_taken(void **state)
{
	struct client c = client_new(&echo_class);
	struct stream *stream = session_take_stream(c.session);

	(void)state;
	assert_ptr_equal(stream, c.stream);
	assert_null(c.session->stream);
	c.session->stream = stream;
	session_start(c.session);
	close(c.fd);
	wait_until(atomic_load(&closed) == 1);
}

static void drain_posted(void *arg)
{
	(void)arg;
	sessions_drain();
}

/* The last one: there is no way back from draining. */
static void draining_reaches_everyone(void **state)
{
	struct client c[20], late;
	char line[64];

	(void)state;
	for (int i = 0; i < 20; i++)
		c[i] = echo_client(0);
	send_text(&c[0], "wait\n");
	wait_until(!session_draining(c[0].session));
	usleep(20000);
	loop_post(loop, drain_posted, NULL);
	for (int i = 1; i < 20; i++)
		want_str("told", receive_line(&c[i], line), "draining");
	/* One that waits for an event hears of it when it waits for input again. */
	assert_true(session_draining(c[0].session));
	session_wake(c[0].session);
	want_str("first the event", receive_line(&c[0], line), "woken");
	want_str("told", receive_line(&c[0], line), "draining");
	late = echo_client(0);
	want_str("a newcomer", receive_line(&late, line), "draining");
	wait_until(atomic_load(&closed) == 21 && sessions_count() == 0);
	want_int("each once", atomic_load(&drained), 21);
	for (int i = 0; i < 20; i++)
		close(c[i].fd);
	close(late.fd);
}

int main(void)
{
#define SESSION_TEST(f) cmocka_unit_test_setup(f, reset)
	const struct CMUnitTest tests[] = {
		SESSION_TEST(parks_and_wakes_by_input),
		SESSION_TEST(client_that_vanishes_is_closed),
		SESSION_TEST(deadline_expires),
		SESSION_TEST(event_leaves_input_unread),
		SESSION_TEST(no_event_is_lost),
		SESSION_TEST(storm_is_weathered),
		SESSION_TEST(slots_are_reused),
		SESSION_TEST(stream_can_be_taken),
		SESSION_TEST(draining_reaches_everyone),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
