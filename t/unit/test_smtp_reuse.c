// SPDX-License-Identifier: BSD-2-Clause
/* Connections between deliveries: who may have them, and when they end. */
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "smtp/smtp_session.h"
#include "smtp_server.h"

static struct postfix_params *params;

#define EHLO	 "EHLO mail.example.com"
#define WAIT_MS	 30000
#define DEFAULTS "192.0.2.1", 2525

static void begin(const struct server_script *script)
{
	client_reset();
	params->smtp_connection_cache_on_demand = true;
	params->smtp_connection_cache_time_limit = 60;
	params->connection_cache_ttl_limit = 60;
	params->smtp_connection_reuse_time_limit = 300;
	params->smtp_connection_reuse_count_limit = 0;
	params->smtp_rset_timeout = 20;
	client_request.more = true;
	server_play(script, false);
}

static struct smtp_session *take(void)
{
	struct smtp_target target = client_target(DEFAULTS);

	return smtp_reuse_take(&client_delivery, &target);
}

static struct smtp_session *open_one(void)
{
	struct smtp_target target = client_target(DEFAULTS);
	struct smtp_failure failure;
	struct smtp_session *session = smtp_session_open(&client_delivery, &target, &failure);

	assert_non_null(session);
	session->used = 1;
	return session;
}

/* One lies idle. */
static void leave_one(void)
{
	smtp_reuse_give(&client_delivery, open_one());
}

/* Closes what lies idle, and lets others be kept again. */
static void end(void)
{
	struct smtp_session *session;

	while ((session = take()))
		smtp_session_close(session);
}

static const struct server_script plain;

static void test_again(void **state)
{
	struct smtp_session *session;

	(void)state;
	begin(&plain);
	assert_null(take());
	leave_one();
	session = take();
	assert_non_null(session);
	want_str("no word of TLS", session->tls_summary, "");
	want_int("used is the transaction's", session->used, 1);
	assert_null(take());
	smtp_reuse_give(&client_delivery, session);
	session = take();
	assert_non_null(session);
	smtp_session_close(session);
	want_str("heard", server_heard(), EHLO "|RSET|RSET|QUIT");
	want_int("connections", server_connections(), 1);
}

static void test_order(void **state)
{
	struct smtp_session *a, *b;

	(void)state;
	begin(&plain);
	a = open_one();
	b = open_one();
	smtp_reuse_give(&client_delivery, a);
	smtp_reuse_give(&client_delivery, b);
	assert_ptr_equal(take(), b);
	assert_ptr_equal(take(), a);
	smtp_session_close(a);
	smtp_session_close(b);
}

/* ---- who may not have it ---- */

static struct smtp_target asked;

static void other_address(void)
{
	asked = client_target("192.0.2.2", 2525);
}

static void other_port(void)
{
	asked = client_target("192.0.2.1", 25);
}

static void other_name(void)
{
	asked.host = "mx2.example";
}

static void other_path(void)
{
	asked.path = "private/lmtp";
}

static void other_policy(void)
{
	server_stubs.policy.key = "secure";
	server_stubs.policy.level = SMTP_TLS_SECURE;
}

static void other_login(void)
{
	server_stubs.login_key = "user";
}

static void no_policy(void)
{
	server_stubs.policy_fails = true;
}

static void same(void)
{
}

static void other_destination(void)
{
	asked.destination = asked.nexthop = "example.org";
}

static const struct {
	const char *name;
	void (*change)(void);
	bool found;
} strangers[] = {
	{ "the same", same, true },
	/* What TLS wants of it is in the policy's key. */
	{ "another destination with the same policy", other_destination, true },
	{ "another address", other_address, false },
	{ "another port", other_port, false },
	{ "another host at the address", other_name, false },
	{ "a socket", other_path, false },
	{ "another policy", other_policy, false },
	{ "a login", other_login, false },
	{ "the policy fails", no_policy, false },
};

static void test_strangers(void **state)
{
	struct smtp_session *session;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
		begin(&plain);
		asked = client_target(DEFAULTS);
		leave_one();
		strangers[i].change();
		session = smtp_reuse_take(&client_delivery, &asked);
		want_int(strangers[i].name, session != NULL, strangers[i].found);
		if (session)
			smtp_session_close(session);
		client_reset();
		end();
	}
}

/* The other way round: who logged in is no other's. */
static void test_login(void **state)
{
	struct smtp_session *session;

	(void)state;
	begin(&plain);
	server_stubs.login_key = "anna";
	leave_one();
	server_stubs.login_key = "";
	assert_null(take());
	server_stubs.login_key = "bob";
	assert_null(take());
	server_stubs.login_key = "anna";
	session = take();
	assert_non_null(session);
	assert_true(session->logged_in);
	smtp_session_close(session);
}

/* ---- what is not kept ---- */

static struct smtp_session *given;

static void is_broken(void)
{
	given->broken = true;
}

static void is_ending(void)
{
	given->ending = true;
}

static void has_no_more(void)
{
	client_request.more = false;
}

static void not_on_demand(void)
{
	params->smtp_connection_cache_on_demand = false;
}

static void in_list(void)
{
	not_on_demand();
	given->target.nexthop = "kept.example";
}

static void is_old(void)
{
	given->opened_ms -= params->smtp_connection_reuse_time_limit * 1000 + 1000;
}

static void is_used_up(void)
{
	params->smtp_connection_reuse_count_limit = 2;
	given->used = 3;
}

static void is_used_once_less(void)
{
	params->smtp_connection_reuse_count_limit = 2;
	given->used = 2;
}

static void has_tls(void)
{
	given->has_tls = true;
}

static const struct {
	const char *name;
	void (*change)(void);
	bool kept, quit;
} ends[] = {
	{ "as it is", same, true, true },
	{ "broken", is_broken, false, false },
	{ "ending", is_ending, false, true },
	{ "no more for it", has_no_more, false, true },
	{ "not on demand", not_on_demand, false, true },
	{ "in the list of destinations", in_list, true, true },
	{ "old", is_old, false, true },
	{ "used up", is_used_up, false, true },
	{ "one is left", is_used_once_less, true, true },
	{ "TLS", has_tls, false, true },
};

static void test_ends(void **state)
{
	struct smtp_session *session;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		begin(&plain);
		given = open_one();
		ends[i].change();
		smtp_reuse_give(&client_delivery, given);
		session = take();
		want_int(ends[i].name, session != NULL, ends[i].kept);
		if (session)
			smtp_session_close(session);
		want_str(ends[i].name, server_heard(),
		    ends[i].kept   ? EHLO "|RSET|QUIT"
		    : ends[i].quit ? EHLO "|QUIT"
				   : EHLO);
	}
}

static void test_tls_reuse(void **state)
{
	static const struct server_script script = { NULL,
		{ { "EHLO", "250-srv\n250 STARTTLS" }, { "STARTTLS", "220 go" } } };
	struct smtp_session *session;

	(void)state;
	for (int reuse = 0; reuse < 2; reuse++) {
		begin(&script);
		server_stubs.policy =
		    (struct smtp_tls_policy){ .level = SMTP_TLS_MAY, .reuse = reuse, .key = "may" };
		leave_one();
		session = take();
		want_int("connection_reuse", session != NULL, reuse);
		if (session)
			smtp_session_close(session);
	}
}

/* ---- servers that are gone ---- */

static const struct {
	const char *name, *reply;
	const char *heard;
} rset_replies[] = {
	{ "500", "500 what", EHLO "|RSET" },
	{ "421", "421 bye", EHLO "|RSET" },
	{ "354", "354 go", EHLO "|RSET" },
	{ "two replies", "250 ok\n250 ok", EHLO "|RSET" },
	{ "hang up", SERVER_HANG_UP, EHLO "|RSET" },
	{ "silence", SERVER_SILENT, EHLO "|RSET" },
};

static void test_rset(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rset_replies); i++) {
		struct server_script script = { NULL, { { "RSET", rset_replies[i].reply } } };

		begin(&script);
		params->smtp_rset_timeout = 1;
		leave_one();
		assert_null(take());
		want_str(rset_replies[i].name, server_heard(), rset_replies[i].heard);
	}
}

static bool wait_until_heard(const char *text)
{
	for (int64_t deadline = deadline_in(WAIT_MS); clock_ms() < deadline;) {
		if (server_has_heard(text))
			return true;
		usleep(5000);
	}
	return false;
}

/* The time limit is the keeper's. */
static void test_time_limit(void **state)
{
	(void)state;
	begin(&plain);
	leave_one();
	params->smtp_connection_cache_time_limit = 1;
	leave_one();
	/* The second one is over before the one for which the keeper sleeps. */
	assert_true(wait_until_heard("QUIT"));
	end();
	want_str("one of two", server_heard(), EHLO "|" EHLO "|QUIT|RSET|QUIT");
	/* The whole life counts, too. */
	begin(&plain);
	params->smtp_connection_reuse_time_limit = 1;
	leave_one();
	assert_true(wait_until_heard("QUIT"));
	assert_null(take());
}

/* A server that says 421 and closes is noticed without a delivery: its end is joined here. */
static void test_closed(void **state)
{
	static const struct server_script script = { NULL, { { "NOOP", "250 ok" } } };
	struct smtp_session *session;
	int server;

	(void)state;
	begin(&script);
	session = open_one();
	server = server_end();
	smtp_reuse_give(&client_delivery, session);
	assert_int_equal(write(server, "421 bye\r\n", 9), 9);
	want_str("it hung up, too", server_heard(), EHLO);
	assert_null(take());
}

#define MANY 40

static void *use(void *arg)
{
	(void)arg;
	for (int i = 0; i < MANY; i++) {
		struct smtp_session *session = take();

		if (!session)
			session = open_one();
		smtp_reuse_give(&client_delivery, session);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];

	(void)state;
	begin(&plain);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	want_int("connections", server_connections() <= ARRAY_LEN(threads), true);
	end();
}

/* The last one: nothing is kept afterwards. */
static void test_drain(void **state)
{
	(void)state;
	begin(&plain);
	leave_one();
	leave_one();
	smtp_reuse_drain();
	want_str("all said QUIT", server_heard(), EHLO "|" EHLO "|QUIT|QUIT");
	leave_one();
	assert_null(take());
	want_str(
	    "and so does who comes late", server_heard(), EHLO "|" EHLO "|QUIT|QUIT|" EHLO "|QUIT");
}

static int setup(void **state)
{
	(void)state;
	params = client_setup("smtp_connection_cache_destinations = kept.example\n");
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_tls_reuse),
		cmocka_unit_test(test_rset),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_drain),
	};

	return cmocka_run_group_tests(tests, setup, client_teardown);
}
