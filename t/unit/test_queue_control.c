// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "queue/queue_control.h"
#include "scratch.h"
#include "sys/socket.h"

static struct msg_in pass(struct channel *to, struct channel *from, const struct msg_out *out)
{
	struct msg_in in;

	assert_int_equal(channel_send(to, out, NULL, 0, deadline_in(10000)), 0);
	assert_int_equal(channel_recv(from, &in, deadline_in(10000)), CHANNEL_RECORD);
	return in;
}

static void open_pair(struct channel *pair[2])
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	for (size_t i = 0; i < 2; i++)
		pair[i] = channel_new(fds[i], "test");
}

static void test_requests(void **state)
{
	struct channel *pair[2];

	(void)state;
	open_pair(pair);
	for (int op = 0; op < QUEUE_CONTROL_OPS; op++) {
		for (int all = 0; all <= 1; all++) {
			struct queue_control request = { .op = (enum queue_control_op)op }, got;
			struct msg_out out = { 0 };
			struct msg_in in;

			if (op == QUEUE_CONTROL_FLUSH_SITE)
				strcpy(request.site, "[192.0.2.1]");
			else if (!all)
				strcpy(request.id, "ABCDEF123456");
			request.queues[SPOOL_HOLD] = request.queues[SPOOL_CORRUPT] =
			    op != QUEUE_CONTROL_FLUSH_SITE;
			queue_control_write(&out, &request);
			in = pass(pair[0], pair[1], &out);
			assert_true(queue_control_parse(&in.msg, &got));
			assert_memory_equal(&got, &request, sizeof(got));
			msg_in_release(&in);
			msg_release(&out);
		}
	}
	channel_free(pair[0]);
	channel_free(pair[1]);
}

static void test_malformed(void **state)
{
	static const struct {
		const char *op, *name, *value;
	} rows[] = {
		{ "explode", "id", "ABCDEF123456" },
		{ "delete", "id", "../../etc" },
		{ "delete", "id", "" },
		{ "delete", "all", "2" },
		{ "delete", "nothing", "" },
		{ "hold", "queue", "nowhere" },
		{ "flush-site", "site", "" },
		{ "flush-site", "site", "a b" },
		{ "flush-site", "site", "a\nb" },
		{ "flush-site", "id", "ABCDEF123456" },
	};
	struct channel *pair[2];
	char longest[QUEUE_SITE_SIZE + 1];

	(void)state;
	open_pair(pair);
	memset(longest, 'a', QUEUE_SITE_SIZE);
	longest[QUEUE_SITE_SIZE] = '\0';
	for (size_t i = 0; i <= ARRAY_LEN(rows); i++) {
		bool last = i == ARRAY_LEN(rows);
		struct queue_control got;
		struct msg_out out = { 0 };
		struct msg_in in;

		msg_begin(&out, "CONTROL");
		msg_add_str(&out, "op", last ? "flush-site" : rows[i].op);
		msg_add_str(&out, last ? "site" : rows[i].name, last ? longest : rows[i].value);
		in = pass(pair[0], pair[1], &out);
		if (queue_control_parse(&in.msg, &got))
			fail_msg("row %zu is taken", i);
		msg_in_release(&in);
		msg_release(&out);
	}
	channel_free(pair[0]);
	channel_free(pair[1]);
}

struct server {
	int fd;
	char site[QUEUE_SITE_SIZE];
};

static void *serve(void *arg)
{
	struct server *s = arg;
	struct queue_control request;
	struct msg_out out = { 0 };
	struct channel *channel;
	struct msg_in in;
	int fd = -1;

	/* The listener does not block. */
	if (socket_wait(s->fd, POLLIN, deadline_in(10000)) == 1)
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd == -1)
		return NULL;
	channel = channel_new(fd, "qmgr");
	if (channel_recv(channel, &in, deadline_in(10000)) == CHANNEL_RECORD &&
	    queue_control_parse(&in.msg, &request)) {
		memcpy(s->site, request.site, sizeof(s->site));
		msg_begin(&out, "CONTROLLED");
		msg_add_u64(&out, "end", 1);
		channel_send(channel, &out, NULL, 0, deadline_in(10000));
		msg_in_release(&in);
	}
	msg_release(&out);
	channel_free(channel);
	return NULL;
}

static void test_flush_site(void **state)
{
	char *path = xstrdup(scratch_path("qmgr"));
	struct server server = { .fd = socket_unix_listen(path, 0600, (uid_t)-1, (gid_t)-1, 5) };
	pthread_t thread;

	(void)state;
	assert_true(server.fd != -1);
	pthread_create(&thread, NULL, serve, &server);
	assert_true(queue_control_flush_site(path, "example.test", deadline_in(10000)));
	pthread_join(thread, NULL);
	want_str("site", server.site, "example.test");
	close(server.fd);
	assert_false(queue_control_flush_site(path, "example.test", deadline_in(10000)));
	free(path);
}

static void test_trigger(void **state)
{
	char *path = xstrdup(scratch_path("pickup")), *fifo = xstrdup(scratch_path("fifo"));
	int listener = socket_unix_listen(path, 0600, (uid_t)-1, (gid_t)-1, 5), fd;
	char bytes[8];

	(void)state;
	want_int("nobody", queue_trigger(fifo, SLICE_LIT("W"), deadline_in(1000)), -1);
	want_int("socket", queue_trigger(path, SLICE_LIT("FA"), deadline_in(1000)), 0);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	want_int("bytes", read(fd, bytes, sizeof(bytes)), 2);
	assert_memory_equal(bytes, "FA", 2);
	close(fd);
	close(listener);
	want_int("closed", queue_trigger(path, SLICE_LIT("W"), deadline_in(1000)), -1);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	want_int("no reader", queue_trigger(fifo, SLICE_LIT("W"), deadline_in(1000)), -1);
	fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	want_int("fifo", queue_trigger(fifo, SLICE_LIT("W"), deadline_in(1000)), 0);
	want_int("bytes", read(fd, bytes, sizeof(bytes)), 1);
	close(fd);
	free(path);
	free(fifo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_flush_site),
		cmocka_unit_test(test_trigger),
	};

	return cmocka_run_group_tests_name("queue_control", tests, NULL, NULL);
}
