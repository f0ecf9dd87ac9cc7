// SPDX-License-Identifier: BSD-2-Clause
/* STARTTLS, XFORWARD, QUIT, and limits of time. */
#include <unistd.h>

#include "base/clock.h"
#include "smtp/smtp_session.h"
#include "smtp_server.h"
#include "sys/socket.h"

static struct postfix_params *params;

#define NAME "mx.example[192.0.2.1]"
#define EHLO "EHLO mail.example.com"
#define HELO "HELO mail.example.com"
#define LOST "lost connection with " NAME " while "

/* ---- STARTTLS ---- */

#define TLS_OFFER "250-srv\n250-STARTTLS\n250 SIZE 7"
#define TLS_TALK  EHLO "|STARTTLS|" EHLO "|QUIT"
#define NO_TLS	  "TLS is required, but was not offered by host " NAME
#define REFUSED	  "TLS is required, but host " NAME " refused to start TLS: "
#define FAILED	  "Cannot start TLS: handshake failure"

enum { FAILS = 1, PLAIN_DO = 2, OLD = 4, LOGIN = 8, WRAPPER = 16 };

static const struct {
	const char *name;
	enum smtp_tls_level level;
	unsigned how;
	struct server_script script;
	const char *dsn, *text; /* NULL: opens */
	const char *heard, *tls;
	bool has_tls;
	unsigned features, connections;
} tls_cases[] = {
	{ "may, not offered", SMTP_TLS_MAY, 0, { 0 }, NULL, NULL, EHLO "|QUIT", "may:none", false,
	    SMTP_FEATURE_ESMTP, 1 },
	{ "may", SMTP_TLS_MAY, 0,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" }, { "EHLO+", "250 srv" } } },
	    NULL, NULL, TLS_TALK, "may", true, SMTP_FEATURE_ESMTP, 1 },
	{ "what was offered before TLS is forgotten, what comes in it counts", SMTP_TLS_ENCRYPT, 0,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" },
			{ "EHLO+", "250-srv\n250 DSN" } } },
	    NULL, NULL, TLS_TALK, "encrypt", true, SMTP_FEATURE_ESMTP | SMTP_FEATURE_DSN, 1 },
	{ "none, offered", SMTP_TLS_NONE, 0, { NULL, { { "EHLO", TLS_OFFER } } }, NULL, NULL,
	    EHLO "|QUIT", "none", false,
	    SMTP_FEATURE_ESMTP | SMTP_FEATURE_STARTTLS | SMTP_FEATURE_SIZE, 1 },
	{ "may, refused", SMTP_TLS_MAY, 0,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "454 4.7.0 not now" } } }, NULL, NULL,
	    EHLO "|STARTTLS|QUIT", "may:none", false, SMTP_FEATURE_ESMTP | SMTP_FEATURE_SIZE, 1 },
	{ "encrypt, not offered", SMTP_TLS_ENCRYPT, 0, { 0 }, "4.7.4", NO_TLS, EHLO "|QUIT",
	    "!encrypt", false, 0, 1 },
	{ "secure, not offered, by HELO", SMTP_TLS_SECURE, 0,
	    { NULL, { { "EHLO", "500 what" }, { "HELO", TLS_OFFER } } }, "4.7.4", NO_TLS,
	    EHLO "|" HELO "|QUIT", "!secure", false, 0, 1 },
	{ "encrypt, refused", SMTP_TLS_ENCRYPT, 0,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "454 4.7.0 not now" } } }, "4.7.0",
	    REFUSED "454 4.7.0 not now", EHLO "|STARTTLS|QUIT", "!encrypt", false, 0, 1 },
	{ "encrypt, refused for good", SMTP_TLS_ENCRYPT, 0,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "554 5.7.0 never" } } }, "5.7.0",
	    REFUSED "554 5.7.0 never", EHLO "|STARTTLS|QUIT", "!encrypt", false, 0, 1 },
	{ "encrypt, fails", SMTP_TLS_ENCRYPT, FAILS | OLD,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" } } }, "4.7.5", FAILED,
	    EHLO "|STARTTLS", "encrypt?", false, 0, 1 },
	{ "injected reply", SMTP_TLS_ENCRYPT, 0,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go\n250 more" } } }, "4.7.5",
	    FAILED, EHLO "|STARTTLS", "encrypt?", false, 0, 1 },
	{ "injected reply at may", SMTP_TLS_MAY, PLAIN_DO | OLD,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go\n250-x\\" } } }, "4.7.5", FAILED,
	    EHLO "|STARTTLS", "may?", false, 0, 1 },
	{ "may, fails, new mail", SMTP_TLS_MAY, FAILS | PLAIN_DO,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" } } }, "4.7.5", FAILED,
	    EHLO "|STARTTLS", "may?", false, 0, 1 },
	{ "may, fails, old mail", SMTP_TLS_MAY, FAILS | PLAIN_DO | OLD,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" } } }, NULL, NULL, NULL, "none",
	    false, SMTP_FEATURE_ESMTP | SMTP_FEATURE_STARTTLS | SMTP_FEATURE_SIZE, 2 },
	{ "may, fails for a reason that stays", SMTP_TLS_MAY, FAILS | OLD,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" } } }, "4.7.5", FAILED,
	    EHLO "|STARTTLS", "may?", false, 0, 1 },
	{ "may, fails, old mail, a login to protect", SMTP_TLS_MAY, FAILS | PLAIN_DO | OLD | LOGIN,
	    { NULL, { { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" } } }, "4.7.5", FAILED,
	    EHLO "|STARTTLS", "may?", false, 0, 1 },
	{ "may, lost after TLS, old mail", SMTP_TLS_MAY, OLD,
	    { NULL,
		{ { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" }, { "EHLO+", SERVER_HANG_UP } } },
	    NULL, NULL, NULL, "none", false,
	    SMTP_FEATURE_ESMTP | SMTP_FEATURE_STARTTLS | SMTP_FEATURE_SIZE, 2 },
	{ "TLS first", SMTP_TLS_ENCRYPT, WRAPPER, { 0 }, NULL, NULL, EHLO "|QUIT", "encrypt", true,
	    SMTP_FEATURE_ESMTP, 1 },
	{ "TLS first, fails", SMTP_TLS_ENCRYPT, WRAPPER | FAILS | PLAIN_DO | OLD, { 0 }, "4.7.5",
	    FAILED, "", "encrypt?", false, 0, 1 },
};

static void set_tls(enum smtp_tls_level level, unsigned how)
{
	client_reset();
	server_stubs.policy.level = level;
	server_stubs.policy.wrapper = how & WRAPPER;
	server_stubs.tls_fails = how & FAILS;
	server_stubs.plain_would_do = how & PLAIN_DO;
	server_stubs.login_key = how & LOGIN ? "user" : "";
	if (how & OLD)
		client_request.arrival_us -= params->minimal_backoff_time * 1000000;
}

static void test_starttls(void **state)
{
	struct smtp_target target = client_target("192.0.2.1", 2525);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tls_cases); i++) {
		const char *name = tls_cases[i].name;
		struct smtp_failure failure;
		struct smtp_session *session;

		set_tls(tls_cases[i].level, tls_cases[i].how);
		server_play(&tls_cases[i].script, false);
		session = smtp_session_open(&client_delivery, &target, &failure);
		want_str(name, session ? "" : failure.why.text,
		    tls_cases[i].text ? tls_cases[i].text : "");
		want_str(name, session ? session->tls_summary : failure.tls, tls_cases[i].tls);
		want_int(name, server_connections(), tls_cases[i].connections);
		if (session) {
			want_int(name, session->has_tls, tls_cases[i].has_tls);
			want_int(name, session->features, tls_cases[i].features);
			want_int(name, session->ending, tls_cases[i].connections == 2);
			smtp_session_close(session);
		} else {
			want_str(name, failure.why.dsn, tls_cases[i].dsn);
		}
		if (tls_cases[i].heard)
			want_str(name, server_heard(), tls_cases[i].heard);
		(void)server_log();
	}
}

/* ---- XFORWARD ---- */

#define XF_ADDR "XFORWARD NAME=client.example ADDR=IPv6:2001:db8::7 PORT=1234"
#define XF_MORE "XFORWARD PROTO=ESMTP HELO=he+3Dlo IDENT=4ABCDEF12 SOURCE=LOCAL"

static const struct {
	const char *name, *offer, *reply;
	const char *heard, *text, *log;
} forwards[] = {
	{ "all", "250-srv\n250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE", "250 ok",
	    EHLO "|" XF_ADDR "|" XF_MORE "|QUIT", NULL, "" },
	{ "pipelined",
	    "250-srv\n250-PIPELINING\n250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
	    "250 ok", EHLO "|" XF_ADDR "|" XF_MORE "|QUIT", NULL, "" },
	{ "some", "250-srv\n250 XFORWARD helo nonsense name", "250 ok",
	    EHLO "|XFORWARD NAME=client.example|XFORWARD HELO=he+3Dlo|QUIT", NULL, "" },
	{ "none", "250-srv\n250 XFORWARD", "250 ok", EHLO "|QUIT", NULL, "" },
	{ "not offered", "250 srv", "250 ok", EHLO "|QUIT", NULL, "" },
	{ "refused", "250-srv\n250 XFORWARD NAME HELO", "501 no",
	    EHLO "|XFORWARD NAME=client.example|XFORWARD HELO=he+3Dlo|QUIT", NULL,
	    "warning: host " NAME ":2525 said: 501 no (in reply to XFORWARD name/address command)\n"
	    "warning: host " NAME
	    ":2525 said: 501 no (in reply to XFORWARD helo/protocol command)\n" },
	{ "lost", "250-srv\n250 XFORWARD NAME HELO", SERVER_HANG_UP,
	    EHLO "|XFORWARD NAME=client.example", LOST "sending XFORWARD name/address", "" },
};

static void test_xforward(void **state)
{
	struct smtp_target target = client_target("192.0.2.1", 2525);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forwards); i++) {
		const char *name = forwards[i].name;
		struct server_script script = { NULL,
			{ { "EHLO", forwards[i].offer }, { "XFORWARD", forwards[i].reply } } };
		struct smtp_failure failure;
		struct smtp_session *session;

		client_reset();
		params->smtp_send_xforward_command = true;
		server_play(&script, false);
		session = smtp_session_open(&client_delivery, &target, &failure);
		assert_non_null(session);
		want_int(
		    name, smtp_xforward(session, &client_delivery, &failure), !forwards[i].text);
		if (forwards[i].text)
			want_str(name, failure.why.text, forwards[i].text);
		smtp_session_close(session);
		want_str(name, server_heard(), forwards[i].heard);
		want_str(name, server_log(), forwards[i].log);
	}
	params->smtp_send_xforward_command = false;
}

/* ---- the end ---- */

static struct smtp_session *open_plain(const struct server_script *script)
{
	struct smtp_target target = client_target("192.0.2.1", 2525);
	struct smtp_failure failure;
	struct smtp_session *session;

	client_reset();
	server_play(script, false);
	session = smtp_session_open(&client_delivery, &target, &failure);
	assert_non_null(session);
	return session;
}

/* Between the handshake that failed and the way without TLS the policy became another. */
static void test_policy_changes(void **state)
{
	static const struct server_script script = { NULL,
		{ { "EHLO", TLS_OFFER }, { "STARTTLS", "220 go" } } };
	struct smtp_target target = client_target("192.0.2.1", 2525);
	struct smtp_failure failure;

	(void)state;
	set_tls(SMTP_TLS_MAY, FAILS | PLAIN_DO | OLD);
	server_stubs.level_next = SMTP_TLS_ENCRYPT;
	server_play(&script, false);
	assert_null(smtp_session_open(&client_delivery, &target, &failure));
	want_str("not without TLS", failure.why.text, FAILED);
	want_int("tried twice", server_connections(), 2);
}

static void test_quit(void **state)
{
	static const struct server_script script = { NULL, { { "QUIT", SERVER_SILENT } } };
	struct smtp_session *session;

	(void)state;
	/* Nobody waits for what is not to come. */
	session = open_plain(&script);
	smtp_session_close(session);
	want_str("QUIT", server_heard(), EHLO "|QUIT");
	session = open_plain(&script);
	session->broken = true;
	smtp_session_close(session);
	want_str("no QUIT", server_heard(), EHLO);
	params->smtp_skip_quit_response = false;
	params->smtp_quit_timeout = 1;
	session = open_plain(&script);
	smtp_session_close(session);
	want_str("QUIT and a wait", server_heard(), EHLO "|QUIT");
	params->smtp_skip_quit_response = true;
	params->smtp_quit_timeout = 300;
}

/* ---- time ---- */

/* Every line would be in time, the reply is not. */
static void test_slow_reply(void **state)
{
	static const struct server_script script = { NULL, { { "MAIL", SERVER_SLOW } } };
	struct smtp_session *session = open_plain(&script);
	struct smtp_failure failure;
	struct smtp_reply reply;

	(void)state;
	params->smtp_per_request_deadline = true;
	smtp_reply_init(&reply);
	smtp_say(session, "MAIL FROM:<>");
	assert_false(smtp_hear(session, 1, "sending MAIL FROM", &reply, &failure));
	want_str("why", failure.why.text,
	    "conversation with " NAME " timed out while sending MAIL FROM");
	smtp_reply_release(&reply);
	smtp_session_close(session);
	params->smtp_per_request_deadline = false;
}

static void test_transfer(void **state)
{
	static char piece[1 << 20];
	struct smtp_session session = { .transfer_ms = -1, .name = NAME };
	struct smtp_failure failure;
	int pair[2];

	(void)state;
	params->smtp_data_xfer_timeout = 1;
	for (int whole = 0; whole < 2; whole++) {
		params->smtp_per_request_deadline = whole;
		assert_int_equal(socket_pair(pair), 0);
		session.stream = stream_new(pair[0]);
		smtp_transfer(&session, slice_mem(piece, 10));
		want_int("it goes", stream_error(session.stream), STREAM_OK);
		want_int("what came in is full again", session.transfer_ms, whole ? 1000 : -1);
		/* Nobody reads. */
		smtp_transfer(&session, slice_mem(piece, sizeof(piece)));
		want_int("it does not", stream_error(session.stream), STREAM_TIMEOUT);
		smtp_session_lost(&session, "sending message body", &failure);
		want_str("why", failure.why.text,
		    "conversation with " NAME " timed out while sending message body");
		stream_free(session.stream);
		close(pair[1]);
	}
	/* A piece that is paid for by nothing. */
	params->smtp_min_data_rate = 1;
	assert_int_equal(socket_pair(pair), 0);
	session.stream = stream_new(pair[0]);
	session.transfer_ms = 0;
	smtp_transfer(&session, slice_mem(piece, 1));
	want_int("a byte a second", session.transfer_ms <= 1000, true);
	stream_free(session.stream);
	close(pair[1]);
	params->smtp_per_request_deadline = false;
	params->smtp_data_xfer_timeout = 180;
	params->smtp_min_data_rate = 500;
}

static int setup(void **state)
{
	(void)state;
	params = client_setup("");
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_policy_changes),
		cmocka_unit_test(test_xforward),
		cmocka_unit_test(test_quit),
		cmocka_unit_test(test_slow_reply),
		cmocka_unit_test(test_transfer),
	};

	return cmocka_run_group_tests(tests, setup, client_teardown);
}
