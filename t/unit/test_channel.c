// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "scratch.h"

#define SOON deadline_in(60000)

struct two {
	struct channel *a, *b;
};

static struct two make_two(void)
{
	struct two two;
	int pair[2];

	assert_int_equal(socket_pair(pair), 0);
	two.a = channel_new(pair[0], "smtpd");
	two.b = channel_new(pair[1], "qmgr");
	return two;
}

static void free_two(struct two *two)
{
	channel_free(two->a);
	channel_free(two->b);
}

static int send_value(struct channel *ch, struct slice value, const int *fds, size_t nfds)
{
	struct msg_out m = { 0 };
	int result, saved;

	msg_begin(&m, "TEST");
	msg_add(&m, "value", value);
	result = channel_send(ch, &m, fds, nfds, SOON);
	saved = errno;
	msg_release(&m);
	errno = saved;
	return result;
}

static void want_value(const char *name, struct channel *ch, struct slice want)
{
	struct slice value;
	struct msg_in in;

	want_int(name, channel_recv(ch, &in, SOON), CHANNEL_RECORD);
	assert_true(msg_get(&in.msg, "value", &value));
	want_slice(name, value, want);
	msg_in_release(&in);
}

static void test_records(void **state)
{
	struct two two = make_two();
	struct msg_in in;

	(void)state;
	want_str("before", channel_peer(two.a), "unknown");
	want_int("only HELLO", channel_recv(two.a, &in, 0), CHANNEL_NOTHING);
	want_str("after", channel_peer(two.a), "qmgr");
	want_int("send", send_value(two.a, SLICE_LIT("one"), NULL, 0), 0);
	want_int("send", send_value(two.a, SLICE_LIT("two"), NULL, 0), 0);
	want_value("first", two.b, SLICE_LIT("one"));
	want_value("second", two.b, SLICE_LIT("two"));
	want_str("peer", channel_peer(two.b), "smtpd");
	want_int("no more", channel_recv(two.b, &in, deadline_in(20)), CHANNEL_NOTHING);
	channel_free(two.a);
	errno = 1;
	want_int("end", channel_recv(two.b, &in, SOON), CHANNEL_CLOSED);
	want_int("end", errno, 0);
	channel_free(two.b);
}

/* An end after a record: the record comes first. */
static void test_last_words(void **state)
{
	struct two two = make_two();
	struct msg_in in;

	(void)state;
	want_int("send", send_value(two.a, SLICE_LIT("bye"), NULL, 0), 0);
	channel_free(two.a);
	/* Sending fails, which must not take away what came before. */
	want_int("send", send_value(two.b, SLICE_LIT("x"), NULL, 0), -1);
	want_int("send", errno, EPIPE);
	want_value("last", two.b, SLICE_LIT("bye"));
	want_int("end", channel_recv(two.b, &in, SOON), CHANNEL_CLOSED);
	want_int("dead", send_value(two.b, SLICE_LIT("x"), NULL, 0), -1);
	channel_free(two.b);
}

static int open_number(int i)
{
	char name[2] = { (char)('a' + i), '\0' };
	int fd = openat(scratch_fd(), name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd != -1);
	return fd;
}

static void want_same_file(const char *name, int a, int b)
{
	struct stat x, y;

	assert_int_equal(fstat(a, &x) | fstat(b, &y), 0);
	want_int(name, x.st_ino, y.st_ino);
}

/* Records with 0 to 4 descriptors, all in the socket before the first is read. */
static void test_descriptors(void **state)
{
	static const size_t counts[] = { 1, 0, 4, 2, 0, 4, 3 };
	struct two two = make_two();
	int fds[SOCKET_MAX_FDS];
	struct msg_in in;

	(void)state;
	for (int i = 0; i < SOCKET_MAX_FDS; i++)
		fds[i] = open_number(i);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		want_int("send", send_value(two.a, SLICE_LIT("x"), fds, counts[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		want_int("receive", channel_recv(two.b, &in, SOON), CHANNEL_RECORD);
		want_int("count", in.fd_count, counts[i]);
		for (size_t j = 0; j < in.fd_count; j++)
			want_same_file("file", in.fds[j], fds[j]);
		msg_in_release(&in);
	}
	for (int i = 0; i < SOCKET_MAX_FDS; i++)
		close(fds[i]);
	free_two(&two);
}

static void test_taken_descriptor(void **state)
{
	struct two two = make_two();
	int fd = open_number(0), taken;
	struct msg_in in;

	(void)state;
	want_int("send", send_value(two.a, SLICE_LIT("x"), &fd, 1), 0);
	want_int("receive", channel_recv(two.b, &in, SOON), CHANNEL_RECORD);
	taken = in.fds[0];
	in.fds[0] = -1;
	msg_in_release(&in);
	want_same_file("still open", taken, fd);
	close(taken);
	close(fd);
	free_two(&two);
}

static char *big_value;
#define BIG (MSG_MAX - 100)

static void *send_big(void *arg)
{
	int fd = open_number(1);

	ASSERT(send_value(arg, slice_mem(big_value, BIG), &fd, 1) == 0);
	close(fd);
	return NULL;
}

/* Larger than the socket's buffer: sender and receiver wait for each other. */
static void test_big(void **state)
{
	struct two two = make_two();
	struct slice value;
	struct msg_in in;
	pthread_t threads[4];

	(void)state;
	big_value = xmalloc(BIG);
	for (int i = 0; i < BIG; i++)
		big_value[i] = (char)(i * 7 + i / 256);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_create(&threads[i], NULL, send_big, two.a);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		want_int("receive", channel_recv(two.b, &in, SOON), CHANNEL_RECORD);
		assert_true(msg_get(&in.msg, "value", &value));
		assert_true(slice_eq(value, slice_mem(big_value, BIG)));
		want_int("descriptor", in.fd_count, 1);
		msg_in_release(&in);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	free(big_value);
	free_two(&two);
}

static void test_too_big(void **state)
{
	struct two two = make_two();
	char *value = xcalloc(1, MSG_MAX);

	(void)state;
	want_int("send", send_value(two.a, slice_mem(value, MSG_MAX), NULL, 0), -1);
	want_int("send", errno, EMSGSIZE);
	free(value);
	free_two(&two);
}

/* Nobody reads: the deadline ends the wait, and half a record ends the channel. */
static void test_send_deadline(void **state)
{
	struct two two = make_two();
	char *value = xcalloc(1, BIG);
	struct msg_out m = { 0 };
	int64_t before = clock_ms();

	(void)state;
	msg_begin(&m, "TEST");
	msg_add(&m, "value", slice_mem(value, BIG));
	want_int("send", channel_send(two.a, &m, NULL, 0, deadline_in(50)), -1);
	want_int("send", errno, ETIMEDOUT);
	assert_in_range(clock_ms() - before, 45, 60000);
	want_int("dead", send_value(two.a, SLICE_LIT("x"), NULL, 0), -1);
	msg_release(&m);
	free(value);
	free_two(&two);
}

#define RAW(text) text, sizeof(text) - 1

static const char hello[] = "\0\0\0\x14\0\5HELLO\7version\0\0\0\001"
			    "1";
#define HELLO_LEN (sizeof(hello) - 1)

static void test_foreign_bytes(void **state)
{
	static const struct {
		const char *name;
		bool greet;
		const char *bytes;
		size_t len;
		int want_errno;
	} cases[] = {
		{ "end before anything", false, RAW(""), 0 },
		{ "end within HELLO", false, RAW("\0\0\0\x14\0\5HE"), EPROTO },
		{ "a trigger of Postfix", false, RAW("W\0\0\0"), EPROTO },
		{ "no HELLO", false, RAW("\0\0\0\3\0\1K"), EPROTO },
		{ "other version", false,
		    RAW("\0\0\0\x14\0\5HELLO\7version\0\0\0\001"
			"2"),
		    EPROTO },
		{ "no version", false, RAW("\0\0\0\7\0\5HELLO"), EPROTO },
		{ "end after HELLO", true, RAW(""), 0 },
		{ "end within a length", true, RAW("\0\0"), EPROTO },
		{ "length 0", true, RAW("\0\0\0\0"), EPROTO },
		{ "too long", true, RAW("\0\x10\0\0"), EPROTO },
		{ "malformed", true, RAW("\0\0\0\3\0\1k"), EPROTO },
		{ "descriptors that did not come", true, RAW("\0\0\0\3\1\1K"), EPROTO },
		{ "too many descriptors", true, RAW("\0\0\0\3\xff\1K"), EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct channel *ch;
		struct msg_in in;
		int pair[2];

		assert_int_equal(socket_pair(pair), 0);
		ch = channel_new(pair[0], "x");
		if (cases[i].greet)
			assert_int_equal(write(pair[1], hello, HELLO_LEN), HELLO_LEN);
		assert_int_equal(write(pair[1], cases[i].bytes, cases[i].len), cases[i].len);
		shutdown(pair[1], SHUT_WR);
		errno = 1;
		want_int(cases[i].name, channel_recv(ch, &in, SOON), CHANNEL_CLOSED);
		want_int(cases[i].name, errno, cases[i].want_errno);
		channel_free(ch);
		close(pair[1]);
	}
}

/* Descriptors that no record announces must not end up with a later one. */
static void test_smuggled_descriptor(void **state)
{
	static const char record[] = "\0\0\0\3\0\1K";
	int pair[2], fd = open_number(0);
	struct channel *ch;
	struct msg_in in;

	(void)state;
	assert_int_equal(socket_pair(pair), 0);
	ch = channel_new(pair[0], "x");
	assert_int_equal(write(pair[1], hello, HELLO_LEN), HELLO_LEN);
	assert_int_equal(socket_send_fds(pair[1], record, 7, &fd, 1), 7);
	want_int("refused", channel_recv(ch, &in, SOON), CHANNEL_CLOSED);
	want_int("refused", errno, EPROTO);
	channel_free(ch);
	close(pair[1]);
	close(fd);
}

/* One byte at a time, in any place. */
static void test_fragments(void **state)
{
	static const char record[] = "\0\0\0\013\0\1K\1n\0\0\0\2vw";
	struct channel *ch;
	struct msg_in in;
	int pair[2];

	(void)state;
	assert_int_equal(socket_pair(pair), 0);
	ch = channel_new(pair[0], "x");
	assert_int_equal(write(pair[1], hello, HELLO_LEN), HELLO_LEN);
	for (size_t i = 0; i < sizeof(record) - 1; i++) {
		want_int("not yet", channel_recv(ch, &in, 0), CHANNEL_NOTHING);
		assert_int_equal(write(pair[1], record + i, 1), 1);
	}
	want_int("complete", channel_recv(ch, &in, 0), CHANNEL_RECORD);
	want_int("attributes", in.msg.attr_count, 1);
	msg_in_release(&in);
	channel_free(ch);
	close(pair[1]);
}

static void test_connect(void **state)
{
	int fd = socket_unix_listen(scratch_path("s"), 0600, (uid_t)-1, (gid_t)-1, 5);
	struct channel *ch = channel_connect(scratch_path("s"), "client", SOON);

	(void)state;
	assert_non_null(ch);
	channel_free(ch);
	close(fd);
	assert_null(channel_connect(scratch_path("none"), "client", SOON));
	want_int("nothing there", errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_taken_descriptor),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_send_deadline),
		cmocka_unit_test(test_foreign_bytes),
		cmocka_unit_test(test_smuggled_descriptor),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
