// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "net/stream.h"
#include "sys/file.h"
#include "sys/socket.h"

/* A stream and the descriptor of its peer. */
static struct stream *new_stream(int *peer)
{
	struct stream *s;
	int pair[2];

	assert_int_equal(socket_pair(pair), 0);
	s = stream_new(pair[0]);
	stream_set_deadline(s, deadline_in(60000));
	*peer = pair[1];
	return s;
}

static void say(int peer, struct slice text)
{
	assert_int_equal(file_write_all(peer, text), 0);
}

/* All that the stream sent until now. */
static void want_heard(const char *name, int peer, const char *want)
{
	char text[1000];
	ssize_t n = recv(peer, text, sizeof(text), MSG_DONTWAIT);

	want_slice(name, slice_mem(text, n > 0 ? (size_t)n : 0), slice_of(want));
}

static void want_line(const char *name, struct stream *s, size_t max, const char *want)
{
	enum stream_read kind =
	    want[strlen(want) - 1] == '\n' ? STREAM_READ_LINE : STREAM_READ_PARTIAL;
	struct slice line;

	want_int(name, stream_read_line(s, max, &line), kind);
	want_slice(name, line, slice_of(want));
}

static void test_lines(void **state)
{
	static const struct {
		const char *name, *input;
		size_t max;
		const char *want[6];
	} cases[] = {
		{ "several at once", "a\r\nbc\n\n", 100, { "a\r\n", "bc\n", "\n" } },
		{ "exactly max", "abc\n", 4, { "abc\n" } },
		{ "one more than max", "abcd\n", 4, { "abcd", "\n" } },
		{ "longer", "abcdefghij\nk\n", 4, { "abcd", "efgh", "ij\n", "k\n" } },
		{ "bare CR", "a\rb\r\r\n", 100, { "a\rb\r\r\n" } },
	};
	struct slice line;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* In one piece, and byte by byte. */
		for (int piecemeal = 0; piecemeal < 2; piecemeal++) {
			const char *in = cases[i].input;
			int peer;
			struct stream *s = new_stream(&peer);

			if (!piecemeal)
				say(peer, slice_of(in));
			else
				for (; *in; in++) {
					say(peer, slice_mem(in, 1));
					stream_poll_input(s);
				}
			for (size_t j = 0; cases[i].want[j]; j++)
				want_line(cases[i].name, s, cases[i].max, cases[i].want[j]);
			want_int(cases[i].name, stream_bytes_in(s), strlen(cases[i].input));
			close(peer);
			want_int("end", stream_read_line(s, 10, &line), STREAM_READ_FAILED);
			want_int("end", stream_error(s), STREAM_EOF);
			stream_free(s);
		}
	}
}

static void test_nul(void **state)
{
	struct slice line;
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	say(peer, SLICE_LIT("a\0b\n"));
	want_int("line", stream_read_line(s, 100, &line), STREAM_READ_LINE);
	want_slice("NUL", line, SLICE_LIT("a\0b\n"));
	close(peer);
	stream_free(s);
}

#define LONG 65536

static void *write_long(void *arg)
{
	char *text = xmalloc(LONG);

	memset(text, 'x', LONG);
	ASSERT(file_write_all(*(int *)arg, slice_mem(text, LONG)) == 0);
	ASSERT(file_write_all(*(int *)arg, SLICE_LIT("tail\n")) == 0);
	free(text);
	return NULL;
}

static void test_long_line(void **state)
{
	pthread_t thread;
	struct slice line;
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	pthread_create(&thread, NULL, write_long, &peer);
	want_int("64 KiB", stream_read_line(s, LONG, &line), STREAM_READ_PARTIAL);
	want_int("64 KiB", line.len, LONG);
	want_line("and the rest", s, LONG, "tail\n");
	pthread_join(thread, NULL);
	close(peer);
	stream_free(s);
}

static void test_end_within_line(void **state)
{
	struct slice line;
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	say(peer, SLICE_LIT("one\ntw"));
	close(peer);
	want_line("whole", s, 100, "one\n");
	want_int("cut", stream_read_line(s, 100, &line), STREAM_READ_FAILED);
	want_int("nothing is given", line.len, 0);
	want_int("end", stream_error(s), STREAM_EOF);
	want_int("sticks", stream_read_line(s, 2, &line), STREAM_READ_FAILED);
	want_int("sticks", stream_read_some(s, 2, &line), false);
	stream_puts(s, "x");
	want_int("sticks", stream_flush(s), false);
	want_str("text", stream_error_text(s), "connection closed");
	stream_free(s);
}

static void test_reading_flushes(void **state)
{
	struct slice some;
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	stream_puts(s, "220 ");
	stream_printf(s, "%s %d\r\n", "ready", 1);
	want_heard("not yet", peer, "");
	say(peer, SLICE_LIT("QUIT\r\nmore"));
	want_line("line", s, 100, "QUIT\r\n");
	want_heard("before reading", peer, "220 ready 1\r\n");
	stream_puts(s, "221\r\n");
	want_int("some", stream_read_some(s, 2, &some), true);
	want_slice("some", some, SLICE_LIT("mo"));
	want_heard("even without waiting", peer, "221\r\n");
	want_int("out", stream_bytes_out(s), 18);
	close(peer);
	stream_free(s);
}

/* Replies to a pipeline leave in one piece. */
static void test_pipeline(void **state)
{
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	say(peer, SLICE_LIT("a\nb\nc\n"));
	want_line("a", s, 100, "a\n");
	stream_puts(s, "A\n");
	assert_true(stream_has_input(s));
	want_slice("peek", stream_peek(s), SLICE_LIT("b\nc\n"));
	stream_discard_input(s);
	assert_false(stream_has_input(s));
	want_int("peek", stream_peek(s).len, 0);
	want_heard("peeking sends nothing", peer, "");
	assert_false(stream_poll_input(s));
	want_heard("polling sends nothing", peer, "");
	say(peer, SLICE_LIT("d\n"));
	assert_true(stream_poll_input(s));
	want_line("d", s, 100, "d\n");
	stream_shrink(s);
	say(peer, SLICE_LIT("e\n"));
	want_line("after shrinking", s, 100, "e\n");
	want_heard("reading sends", peer, "A\n");
	close(peer);
	assert_true(stream_poll_input(s));
	want_int("an end counts", stream_error(s), STREAM_EOF);
	stream_free(s);
}

struct sink {
	int fd;
	struct strbuf got;
};

static void *swallow(void *arg)
{
	struct sink *sink = arg;
	char text[5000];
	ssize_t n;

	while ((n = read(sink->fd, text, sizeof(text))) > 0)
		strbuf_add(&sink->got, text, (size_t)n);
	return NULL;
}

static void test_much_output(void **state)
{
	struct sink sink = { .got = STRBUF_INIT(STRBUF_NO_LIMIT) };
	struct strbuf want = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct stream *s = new_stream(&sink.fd);
	char *big = xmalloc(300000);
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 300000; i++)
		big[i] = (char)('a' + i % 23);
	pthread_create(&thread, NULL, swallow, &sink);
	for (size_t i = 0; i < 300; i++) {
		struct slice piece = slice_mem(big, i * i);

		stream_write(s, piece);
		strbuf_addslice(&want, piece);
	}
	stream_printf(s, "%.*s", 40000, big);
	strbuf_add(&want, big, 40000);
	stream_write(s, slice_mem(big, 300000));
	strbuf_add(&want, big, 300000);
	want_int("sent", stream_flush(s), true);
	want_int("counted", stream_bytes_out(s), want.len);
	stream_free(s);
	pthread_join(thread, NULL);
	want_int("length", sink.got.len, want.len);
	assert_true(slice_eq(strbuf_slice(&sink.got), strbuf_slice(&want)));
	close(sink.fd);
	strbuf_release(&sink.got);
	strbuf_release(&want);
	free(big);
}

static void test_deadline(void **state)
{
	int64_t before = clock_ms();
	struct slice line;
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	say(peer, SLICE_LIT("half a li"));
	stream_set_deadline(s, deadline_in(60));
	want_int("late", stream_read_line(s, 100, &line), STREAM_READ_FAILED);
	assert_in_range(clock_ms() - before, 55, 60000);
	want_int("late", stream_error(s), STREAM_TIMEOUT);
	want_str("late", stream_error_text(s), "timeout");
	stream_puts(s, "no-op");
	want_int("sticks", stream_flush(s), false);
	assert_true(stream_after_timeout(s, deadline_in(60000)));
	stream_puts(s, "421 timeout\r\n");
	assert_true(stream_flush(s));
	want_heard("last words", peer, "421 timeout\r\n");
	close(peer);
	assert_false(stream_after_timeout(s, deadline_in(60000)));
	stream_free(s);
}

/* A reader that does not read. */
static void test_write_deadline(void **state)
{
	char *big = xcalloc(1, 4000000);
	int64_t before = clock_ms();
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	stream_set_deadline(s, deadline_in(60));
	stream_write(s, slice_mem(big, 4000000));
	want_int("late", stream_error(s), STREAM_TIMEOUT);
	assert_in_range(clock_ms() - before, 55, 60000);
	/* Part of it is out: a reply after that would be garbage. */
	assert_false(stream_after_timeout(s, deadline_in(60000)));
	free(big);
	close(peer);
	stream_free(s);
}

static atomic_bool stop;

static void *trickle(void *arg)
{
	while (!atomic_load(&stop)) {
		if (send(*(int *)arg, "x", 1, MSG_NOSIGNAL) != 1)
			break;
		usleep(100000);
	}
	return NULL;
}

static void test_min_rate(void **state)
{
	pthread_t thread;
	int64_t before;
	struct slice line;
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	atomic_store(&stop, false);
	pthread_create(&thread, NULL, trickle, &peer);
	before = clock_ms();
	stream_set_min_rate(s, 100, 300);
	want_int("slow", stream_read_line(s, 1000, &line), STREAM_READ_FAILED);
	want_int("slow", stream_error(s), STREAM_TIMEOUT);
	assert_in_range(clock_ms() - before, 290, 60000);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	close(peer);
	stream_free(s);
}

static void test_min_rate_spares(void **state)
{
	pthread_t thread;
	struct slice some;
	size_t got = 0;
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	/* As slow, but fast enough for this rate. */
	atomic_store(&stop, false);
	pthread_create(&thread, NULL, trickle, &peer);
	stream_set_min_rate(s, 1, 1000);
	for (; got < 13 && stream_read_some(s, 100, &some); got += some.len)
		;
	want_int("no error", stream_error(s), STREAM_OK);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	/* Time that we spend elsewhere is not the peer's. */
	while (stream_poll_input(s))
		stream_discard_input(s);
	stream_set_min_rate(s, 1000, 50);
	usleep(200000);
	say(peer, SLICE_LIT("x\n"));
	want_int("read", stream_read_line(s, 100, &some), STREAM_READ_LINE);
	close(peer);
	stream_free(s);
}

static void test_min_rate_of_reader(void **state)
{
	char *big = xcalloc(1, 4000000);
	int64_t before = clock_ms();
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	stream_set_min_rate(s, 100000000, 50);
	stream_write(s, slice_mem(big, 4000000));
	want_int("slow reader", stream_error(s), STREAM_TIMEOUT);
	assert_in_range(clock_ms() - before, 45, 60000);
	free(big);
	close(peer);
	stream_free(s);
}

static int reset_on_close(int fd)
{
	const struct linger hard = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	return close(fd);
}

static struct stream *new_tcp(int *peer)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket_inet_listen((struct sockaddr *)&in, sizeof(in), 1);
	struct stream *s;

	assert_true(fd != -1);
	getsockname(fd, (struct sockaddr *)&in, &len);
	*peer = socket_connect((struct sockaddr *)&in, sizeof(in), deadline_in(60000));
	assert_int_equal(socket_wait(fd, POLLIN, deadline_in(60000)), 1);
	s = stream_new(socket_accept(fd, NULL, NULL, true));
	stream_set_deadline(s, deadline_in(60000));
	close(fd);
	return s;
}

static void test_peer_vanishes(void **state)
{
	struct slice line;
	int peer;
	struct stream *s = new_tcp(&peer);

	(void)state;
	reset_on_close(peer);
	want_int("read", stream_read_line(s, 10, &line), STREAM_READ_FAILED);
	want_int("read", stream_error(s), STREAM_IO);
	want_int("read", stream_errno(s), ECONNRESET);
	want_str("read", stream_error_text(s), "Connection reset by peer");
	stream_free(s);

	s = new_tcp(&peer);
	reset_on_close(peer);
	stream_puts(s, "x");
	while (stream_flush(s))
		stream_puts(s, "x");
	/* And no SIGPIPE. */
	want_int("write", stream_error(s), STREAM_IO);
	stream_free(s);
}

static void test_finish(void **state)
{
	int peer;
	struct stream *s = new_stream(&peer);

	(void)state;
	stream_puts(s, "221 bye\r\n");
	stream_finish(s);
	want_heard("flushed", peer, "221 bye\r\n");
	want_int("over", stream_error(s), STREAM_EOF);
	stream_free(s);
	want_heard("closed", peer, "");
	want_int("closed", send(peer, "x", 1, MSG_NOSIGNAL), -1);
	close(peer);
	stream_free(NULL);
}

static void shrink_with_output(void)
{
	int peer;
	struct stream *s = new_stream(&peer);

	stream_puts(s, "x");
	stream_shrink(s);
}

static void test_bugs(void **state)
{
	(void)state;
	want_abort("shrink", shrink_with_output);
}

/* A connection that waited in the queue before its listener was prepared has no limit of its own.
 */
static void test_older_than_listener(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stream *s;
	struct slice line;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	stream_prepare_listener(listener);
	s = stream_accepted(accept(listener, NULL, NULL));
	alarm(60);
	stream_set_deadline(s, deadline_in(50));
	assert_int_equal(stream_read_line(s, 100, &line), STREAM_READ_FAILED);
	assert_int_equal(stream_error(s), STREAM_TIMEOUT);
	alarm(0);
	stream_free(s);
	close(client);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_end_within_line),
		cmocka_unit_test(test_reading_flushes),
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_much_output),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_older_than_listener),
		cmocka_unit_test(test_write_deadline),
		cmocka_unit_test(test_min_rate),
		cmocka_unit_test(test_min_rate_spares),
		cmocka_unit_test(test_min_rate_of_reader),
		cmocka_unit_test(test_peer_vanishes),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_bugs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
