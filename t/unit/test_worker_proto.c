// SPDX-License-Identifier: BSD-2-Clause
/* What authd and its workers say to each other arrives as it was sent, or not at all. */
#include <stdio.h>

#include "authd/worker_proto.h"
#include "unit.h"

/* M as the other side gets it. */
static void deliver(const struct msg_out *m, struct msg *in, struct arena *arena)
{
	struct slice body = slice_from(strbuf_slice(&m->buf), MSG_FRONT);

	assert_false(m->buf.overflow);
	assert_true(msg_parse(in, body, arena));
}

static void make_subject(struct subject *s, struct arena *arena)
{
	*s = (struct subject){ .arena = arena,
		.user = "u=1",
		.login_user = "U",
		.service = "pop3",
		.session = "",
		.mechanism = "PLAIN",
		.local_ip = "192.0.2.1",
		.remote_ip = "2001:db8::1",
		.local_port = "110",
		.remote_port = "",
		.local_name = "",
		.real_local_ip = "a",
		.real_remote_ip = "b",
		.real_local_port = "c",
		.real_remote_port = "d",
		.cert_username = "",
		.client_id = "",
		.master_user = "m",
		.secured = true,
		.debug = true };
	pairs_set(&s->extra, arena, "a", "1=2");
	pairs_set(&s->extra, arena, "bare", NULL);
	pairs_set(&s->userdb, arena, "uid", "");
	pairs_set(&s->answer, arena, "home", "/h\t");
}

static void want_pairs(const struct pairs *got, const struct pairs *want)
{
	const struct pair *g = got->first;

	for (const struct pair *w = want->first; w; w = w->next, g = g->next) {
		assert_non_null(g);
		assert_string_equal(g->name, w->name);
		assert_string_equal(g->value ? g->value : "(none)", w->value ? w->value : "(none)");
	}
	assert_null(g);
}

static void test_request(void **state)
{
	struct worker_request sent = { .id = UINT64_MAX,
		.op = WORKER_VERIFY,
		.place = 999,
		.driver = "pam",
		.args = "",
		.password = SLICE_LIT("a\0b") },
			      got;
	struct arena arena = ARENA_INIT;
	struct msg_out m = { { 0 } };
	struct msg in;

	(void)state;
	make_subject(&sent.subject, &arena);
	worker_request_write(&m, &sent);
	deliver(&m, &in, &arena);
	assert_true(worker_request_read(&in, &arena, &got));
	assert_true(got.id == sent.id && got.op == sent.op && got.place == 999 && !got.is_userdb);
	assert_true(slice_eq(got.password, sent.password));
	assert_true(slice_eq(got.subject.password, sent.password));
	assert_string_equal(got.driver, "pam");
	assert_string_equal(got.args, "");
	assert_string_equal(got.subject.user, "u=1");
	assert_string_equal(got.subject.remote_ip, "2001:db8::1");
	assert_string_equal(got.subject.session, "");
	assert_string_equal(got.subject.master_user, "m");
	assert_null(got.subject.requested_login_user);
	assert_true(got.subject.secured && got.subject.debug && !got.subject.no_penalty);
	want_pairs(&got.subject.extra, &sent.subject.extra);
	want_pairs(&got.subject.userdb, &sent.subject.userdb);
	want_pairs(&got.subject.answer, &sent.subject.answer);
	msg_release(&m);
	arena_release(&arena);
}

/* Only what is there is a password: that of a lookup is none, not an empty one. */
static void test_lookup(void **state)
{
	struct worker_request sent = { .op = WORKER_FIND_USER,
		.is_userdb = true,
		.driver = "passwd",
		.args = "x",
		.logged_in = true },
			      got;
	struct arena arena = ARENA_INIT;
	struct msg_out m = { { 0 } };
	struct msg in;

	(void)state;
	make_subject(&sent.subject, &arena);
	worker_request_write(&m, &sent);
	deliver(&m, &in, &arena);
	assert_true(worker_request_read(&in, &arena, &got));
	assert_true(got.logged_in && got.is_userdb);
	assert_null(got.password.ptr);
	assert_null(got.subject.password.ptr);
	sent.op = WORKER_EACH;
	worker_request_write(&m, &sent);
	deliver(&m, &in, &arena);
	assert_true(worker_request_read(&in, &arena, &got));
	assert_null(got.subject.user);
	msg_release(&m);
	arena_release(&arena);
}

static void test_answer(void **state)
{
	struct worker_answer sent = { .id = 3,
		.result = DB_FAILED,
		.last = true,
		.user = "u",
		.password = "" },
			     got;
	struct arena arena = ARENA_INIT;
	struct msg_out m = { { 0 } };
	struct msg in;

	(void)state;
	pairs_set(&sent.fields, &arena, "reason", "a\nb");
	pairs_set(&sent.answer, &arena, "uid", "1");
	worker_answer_write(&m, &sent);
	deliver(&m, &in, &arena);
	assert_true(worker_answer_read(&in, &arena, &got));
	assert_true(got.id == 3 && got.result == DB_FAILED && got.last);
	assert_string_equal(got.user, "u");
	assert_string_equal(got.password, "");
	assert_null(got.scheme);
	want_pairs(&got.fields, &sent.fields);
	want_pairs(&got.answer, &sent.answer);
	msg_release(&m);
	arena_release(&arena);
}

static void want_bad_answer(struct msg_out *m)
{
	struct arena arena = ARENA_INIT;
	struct worker_answer got;
	struct msg in;

	deliver(m, &in, &arena);
	assert_false(worker_answer_read(&in, &arena, &got));
	arena_release(&arena);
}

static void begin_answer(struct msg_out *m, const char *result, const char *last)
{
	msg_begin(m, WORKER_ANSWER);
	msg_add_str(m, "id", "1");
	msg_add_str(m, "result", result);
	msg_add_str(m, "last", last);
}

/* A worker runs modules that nobody here has read. */
static void test_bad_answers(void **state)
{
	static const char big[WORKER_RECORD_MAX] = "";
	struct msg_out m = { { 0 } };
	char name[16];

	(void)state;
	begin_answer(&m, "6", "0");
	want_bad_answer(&m);
	begin_answer(&m, "", "0");
	want_bad_answer(&m);
	begin_answer(&m, "0", "2");
	want_bad_answer(&m);
	begin_answer(&m, "0", NULL);
	want_bad_answer(&m);
	begin_answer(&m, "0", "0");
	msg_add(&m, "user", SLICE_LIT("a\0b"));
	want_bad_answer(&m);
	begin_answer(&m, "0", "0");
	msg_add_str(&m, "fields", "=x");
	want_bad_answer(&m);
	begin_answer(&m, "0", "0");
	msg_add(&m, "answer", slice_mem(big, sizeof(big)));
	want_bad_answer(&m);
	begin_answer(&m, "0", "0");
	for (int i = 0; i <= WORKER_PAIRS_MAX; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		msg_add_str(&m, "fields", name);
	}
	want_bad_answer(&m);
	msg_begin(&m, WORKER_NAMES);
	want_bad_answer(&m);
	msg_release(&m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_request),
		cmocka_unit_test(test_lookup), cmocka_unit_test(test_answer),
		cmocka_unit_test(test_bad_answers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
