// SPDX-License-Identifier: BSD-2-Clause
/* Records there and back, the log line's numbers, and an agent that serves a connection. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "deliver/delivery.h"
#include "deliver/notice.h"

static void test_delays(void **state)
{
	static const struct {
		int64_t us;
		int resolution;
		const char *want;
	} cases[] = {
		{ 0, 2, "0" },
		{ -5, 2, "0" },
		{ 4999, 2, "0" },
		{ 5000, 2, "0.01" },
		{ 12345, 2, "0.01" },
		{ 100000, 2, "0.1" },
		{ 994999, 2, "0.99" },
		{ 996000, 2, "1" },
		{ 1234567, 2, "1.2" },
		{ 1960000, 2, "2" },
		{ 12345678, 2, "12" },
		{ 123456789, 2, "123" },
		{ 12345, 6, "0.012345" },
		{ 123456, 6, "0.12" },
		{ 432123456789, 2, "432123" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[32];

		delivery_format_delay(cases[i].us, cases[i].resolution, text);
		want_str(cases[i].want, text, cases[i].want);
	}
}

static struct delivery_recipient recipients[] = {
	{ .address = "ok@x",
	    .original = "alias@x",
	    .orcpt = "rfc822;o@x",
	    .notify = 4,
	    .offset = 100 },
	{ .address = "bad@x", .original = "", .orcpt = "", .offset = 200 },
	{ .address = "silent@x", .original = "", .orcpt = "", .offset = 300 },
};
static const char *attributes[] = { "log_client_name", "localhost", "sasl_username", "", NULL };
static const struct delivery_request sample = { .number = 7,
	.id = "ABCDEF0123",
	.queue = "active",
	.sender = "",
	.nexthop = "x",
	.envelope_id = "env",
	.ret = 2,
	.size = 123,
	.data_offset = 456,
	.arrival_us = 1000000,
	.ready_us = 2000000,
	.encoding = "7bit",
	.rewrite_context = "local",
	.attributes = attributes,
	.recipients = recipients,
	.recipient_count = 3 };

static struct msg parsed(struct msg_out *out, struct arena *arena)
{
	struct msg m;

	assert_true(msg_parse(&m, slice_from(strbuf_slice(&out->buf), MSG_FRONT), arena));
	return m;
}

static void test_request(void **state)
{
	struct arena arena = ARENA_INIT;
	struct msg_out out = { 0 };
	struct delivery_request got;
	struct msg m;

	(void)state;
	delivery_request_write(&out, &sample);
	m = parsed(&out, &arena);
	assert_true(delivery_request_parse(&m, &arena, &got));
	want_int("number", got.number, 7);
	want_str("id", got.id, "ABCDEF0123");
	want_str("sender", got.sender, "");
	want_str("nexthop", got.nexthop, "x");
	want_int("offset", got.data_offset, 456);
	want_int("ready", got.ready_us, 2000000);
	want_str("name", got.attributes[0], "log_client_name");
	want_str("value", got.attributes[3], "");
	assert_null(got.attributes[4]);
	want_int("count", got.recipient_count, 3);
	want_str("original", got.recipients[0].original, "alias@x");
	want_int("notify", got.recipients[0].notify, 4);
	want_str("original", got.recipients[1].original, "");
	want_int("offset", got.recipients[2].offset, 300);
	msg_release(&out);
	arena_release(&arena);
}

static void test_stored(void **state)
{
	struct arena arena = ARENA_INIT;
	struct msg_out out = { 0 };
	struct delivery_report got;
	struct msg m;

	(void)state;
	delivery_report_begin(&out, 9);
	delivery_report_stored(&out);
	m = parsed(&out, &arena);
	assert_true(delivery_report_parse(&m, &arena, &got));
	want_int("number", got.number, 9);
	want_int("stored", got.stored, true);
	want_int("end", got.end, false);
	want_int("results", got.item_count, 0);
	msg_release(&out);
	arena_release(&arena);
}

static void test_notice(void **state)
{
	struct notice_recipient to = { .action = "failed",
		.address = "a@x",
		.original = "",
		.orcpt = "rfc822;b@x",
		.notify = 4,
		.why = { "5.1.1", "no such user" },
		.remote_mta = "mx.x",
		.diagnostic = "550 no" };
	struct notice_request q = { .number = 3,
		.kind = NOTICE_FAILED,
		.id = "ABCDEF0123",
		.sender = "s@x",
		.envelope_id = "",
		.encoding = "8bit",
		.arrival_us = 5,
		.expired = true,
		.recipients = &to,
		.recipient_count = 1 },
			      got;
	struct notice_answer answer = { .number = 3, .ok = true, .notice_id = "123456ABCDEF" },
			     back;
	struct arena arena = ARENA_INIT;
	struct msg_out out = { 0 };
	struct msg m;

	(void)state;
	notice_request_write(&out, &q);
	m = parsed(&out, &arena);
	assert_true(notice_request_parse(&m, &arena, &got));
	want_str("sender", got.sender, "s@x");
	want_int("expired", got.expired, true);
	want_str("reason", got.recipients[0].why.text, "no such user");
	want_str("dsn", got.recipients[0].why.dsn, "5.1.1");
	want_str("diagnostic", got.recipients[0].diagnostic, "550 no");
	want_str("action", got.recipients[0].action, "failed");
	/* From nobody: the postmaster hears of a failure, and of nothing else. */
	q.sender = "";
	notice_request_write(&out, &q);
	m = parsed(&out, &arena);
	assert_true(notice_request_parse(&m, &arena, &got));
	q.kind = NOTICE_DELAYED;
	notice_request_write(&out, &q);
	m = parsed(&out, &arena);
	assert_false(notice_request_parse(&m, &arena, &got));

	notice_answer_write(&out, &answer);
	m = parsed(&out, &arena);
	assert_true(notice_answer_parse(&m, &back));
	want_str("notice", back.notice_id, "123456ABCDEF");
	/* A refusal must have a reason that is worth another try. */
	answer.ok = false;
	notice_answer_write(&out, &answer);
	m = parsed(&out, &arena);
	assert_false(notice_answer_parse(&m, &back));
	msg_release(&out);
	arena_release(&arena);
}

/* ---- an agent ---- */

static void *call(void *arg)
{
	void **pair = arg;

	((void (*)(void *))(uintptr_t)pair[0])(pair[1]);
	free(pair);
	return NULL;
}

static void run_in_thread(void (*fn)(void *), void *arg)
{
	void **pair = xcalloc(2, sizeof(*pair));
	pthread_t thread;

	pair[0] = (void *)(uintptr_t)fn;
	pair[1] = arg;
	assert_int_equal(pthread_create(&thread, NULL, call, pair), 0);
	pthread_detach(thread);
}

static void deliver(struct delivery *d)
{
	struct delivery_outcome o = { .status = DELIVERY_SENT, .why = { "2.0.0", "fine" } };

	o.reports_passed = true;
	delivery_result(d, 0, &o);
	delivery_result(d, 0, &o);   /* once is enough */
	o.status = DELIVERY_BOUNCED; /* and the code is made to fit */
	o.reports_passed = false;
	delivery_result(d, 1, &o);
}

static struct agent_class agent = {
	.name = "test", .log_name = "test", .deliver = deliver, .run = run_in_thread
};

static void *serve(void *arg)
{
	delivery_serve((int)(intptr_t)arg, &agent);
	return NULL;
}

struct seen {
	enum delivery_status status[3];
	char dsn[3][12];
	size_t count;
};

static void ask_agent(struct seen *seen)
{
	int pair[2], fd = memfd_create("queue file", MFD_CLOEXEC);
	struct arena arena = ARENA_INIT;
	struct delivery_report report;
	struct msg_out out = { 0 };
	struct channel *channel;
	pthread_t thread;

	*seen = (struct seen){ .count = 0 };
	assert_int_equal(socket_pair(pair), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, (void *)(intptr_t)pair[1]), 0);
	channel = channel_new(pair[0], "qmgr");
	delivery_request_write(&out, &sample);
	assert_int_equal(channel_send(channel, &out, &fd, 1, deadline_in(60000)), 0);
	do {
		struct msg_in in;

		assert_int_equal(channel_recv(channel, &in, deadline_in(60000)), CHANNEL_RECORD);
		assert_true(delivery_report_parse(&in.msg, &arena, &report));
		for (size_t i = 0; i < report.item_count; i++, seen->count++) {
			const struct delivery_report_item *item = &report.items[i];

			seen->status[item->index] = item->outcome.status;
			strcpy(seen->dsn[item->index], item->outcome.why.dsn);
			want_int("passed", item->outcome.reports_passed, item->index == 0);
		}
		msg_in_release(&in);
	} while (!report.end);
	want_int("number", report.number, 7);
	channel_free(channel);
	pthread_join(thread, NULL);
	msg_release(&out);
	arena_release(&arena);
	close(fd);
}

static void test_agent(void **state)
{
	struct seen seen;

	(void)state;
	ask_agent(&seen);
	want_int("results", seen.count, 3);
	want_int("sent", seen.status[0], DELIVERY_SENT);
	want_int("bounced", seen.status[1], DELIVERY_BOUNCED);
	want_str("bounced", seen.dsn[1], "5.0.0");
	want_int("silent", seen.status[2], DELIVERY_DEFERRED);
	want_str("silent", seen.dsn[2], "4.3.0");
}

static void test_soft_bounce(void **state)
{
	struct seen seen;

	(void)state;
	agent.soft_bounce = true;
	ask_agent(&seen);
	agent.soft_bounce = false;
	want_int("sent", seen.status[0], DELIVERY_SENT);
	want_int("softened", seen.status[1], DELIVERY_DEFERRED);
	want_str("softened", seen.dsn[1], "4.0.0");
}

/* What is no queue file ends the connection before anybody reads from it. */
static void test_agent_wants_a_file(void **state)
{
	int pair[2], fds[] = { open("/dev/zero", O_RDONLY | O_CLOEXEC),
		open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		open("/proc/self/exe", O_PATH | O_CLOEXEC) };
	struct msg_out out = { 0 };
	struct channel *channel;
	pthread_t thread;
	struct msg_in in;

	(void)state;
	delivery_request_write(&out, &sample);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		assert_int_equal(socket_pair(pair), 0);
		assert_int_equal(
		    pthread_create(&thread, NULL, serve, (void *)(intptr_t)pair[1]), 0);
		channel = channel_new(pair[0], "qmgr");
		assert_int_equal(channel_send(channel, &out, &fds[i], 1, deadline_in(60000)), 0);
		want_int("closed", channel_recv(channel, &in, deadline_in(60000)), CHANNEL_CLOSED);
		channel_free(channel);
		pthread_join(thread, NULL);
		close(fds[i]);
	}
	msg_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_notice),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_soft_bounce),
		cmocka_unit_test(test_agent_wants_a_file),
	};

	return cmocka_run_group_tests_name("delivery", tests, NULL, NULL);
}
