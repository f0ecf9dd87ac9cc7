// SPDX-License-Identifier: BSD-2-Clause
/* From connect to MAIL, with servers that say what a script says, whole and byte by byte. */
#include "smtp/smtp_session.h"

#include "base/clock.h"
#include "smtp_server.h"

static struct postfix_params *params;

#define NAME "mx.example[192.0.2.1]"

/* ---- what is said until MAIL ---- */

#define EHLO_ALL                                                                                   \
	"250-srv.test hello\n250-PIPELINING\n250-8BITMIME\n250-SIZE 1000\n250-DSN\n"               \
	"250-SMTPUTF8\n250-CHUNKING\n250-STARTTLS\n250-AUTH PLAIN LOGIN\n250-REQUIRETLS\n"         \
	"250-ENHANCEDSTATUSCODES\n250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"
#define ALL                                                                                        \
	(SMTP_FEATURE_ESMTP | SMTP_FEATURE_PIPELINING | SMTP_FEATURE_8BITMIME |                    \
	    SMTP_FEATURE_SIZE | SMTP_FEATURE_DSN | SMTP_FEATURE_SMTPUTF8 | SMTP_FEATURE_CHUNKING | \
	    SMTP_FEATURE_STARTTLS | SMTP_FEATURE_AUTH | SMTP_FEATURE_REQUIRETLS |                  \
	    SMTP_FEATURE_XFORWARD)
#define EHLO  "EHLO mail.example.com"
#define HELO  "HELO mail.example.com"
#define LOST  "lost connection with " NAME " while "
#define TALK  "host " NAME " refused to talk to me: "
#define GREET "receiving the initial server greeting"

struct opening {
	const char *name;
	struct server_script script;
	const char *dsn, *text; /* NULL: it opens */
	const char *heard;	/* NULL: not looked at */
	unsigned features;
	const char *log; /* NULL: nothing */
	/* What is not as usual. */
	void (*set)(void);
	const char *address;
	unsigned port;
};

static void set_skip_no(void)
{
	params->smtp_skip_5xx_greeting = false;
}

static void set_never(void)
{
	params->smtp_never_send_ehlo = true;
}

static void set_not_always(void)
{
	params->smtp_always_send_ehlo = false;
}

static void set_lmtp(void)
{
	smtp_is_lmtp = true;
}

static void set_discard(void)
{
	params->smtp_discard_ehlo_keywords = "dsn, PIPELINING size,auth xforward nonsense";
}

static void set_note(void)
{
	params->smtp_tls_note_starttls_offer = true;
}

static void set_refused(void)
{
	server_stubs.refuses = true;
}

static void set_no_policy(void)
{
	server_stubs.policy_fails = true;
}

static void set_no_login(void)
{
	server_stubs.login_fails = true;
}

static void set_old(void)
{
	client_request.arrival_us = clock_wall_us() - INT64_C(1000) * 1000000;
}

static const struct opening openings[] = {
	{ .name = "plain", .heard = EHLO "|QUIT", .features = SMTP_FEATURE_ESMTP },
	{ .name = "all keywords", .script = { NULL, { { "EHLO", EHLO_ALL } } }, .features = ALL },
	{ .name = "small letters, tabs, trailing blanks",
	    .script = { NULL, { { "EHLO", "250-srv\n250-size\t \n250-pipelining \n250 dsn" } } },
	    .features = SMTP_FEATURE_ESMTP | SMTP_FEATURE_PIPELINING | SMTP_FEATURE_SIZE |
			SMTP_FEATURE_DSN },
	{ .name = "a bad size",
	    .script = { NULL, { { "EHLO", "250-srv\n250 SIZE foo" } } },
	    .features = SMTP_FEATURE_ESMTP | SMTP_FEATURE_SIZE,
	    .log = "warning: bad EHLO SIZE limit \"foo\" from " NAME ":2525\n" },
	{ .name = "SMTPUTF8 without 8BITMIME",
	    .script = { NULL, { { "EHLO", "250-srv\n250 SMTPUTF8" } } },
	    .features = SMTP_FEATURE_ESMTP | SMTP_FEATURE_SMTPUTF8,
	    .log = "host " NAME " offers SMTPUTF8 support, but not 8BITMIME\n" },
	{ .name = "a greeting of several lines",
	    .script = { "220-srv\n220-no spam\n220 go", { { 0 } } },
	    .features = SMTP_FEATURE_ESMTP },
	{ .name = "a first line in the wrong place",
	    .script = { "220-a\n220 b", { { 0 } } },
	    .features = SMTP_FEATURE_ESMTP },
	/* refusals */
	{ .name = "no connection",
	    .set = set_refused,
	    .dsn = "4.4.1",
	    .text = "connect to mx.example: Connection refused",
	    .heard = "",
	    .log = "connect to mx.example: Connection refused\n" },
	{ .name = "no policy",
	    .set = set_no_policy,
	    .dsn = "4.7.5",
	    .text = "no policy",
	    .heard = "" },
	{ .name = "no login",
	    .set = set_no_login,
	    .dsn = "4.7.8",
	    .text = "no login",
	    .heard = EHLO "|QUIT" },
	{ .name = "421",
	    .script = { "421 4.3.2 go away", { { 0 } } },
	    .dsn = "4.3.2",
	    .text = TALK "421 4.3.2 go away",
	    .heard = "QUIT" },
	{ .name = "450 in two lines",
	    .script = { "450-foo\n450 busy", { { 0 } } },
	    .dsn = "4.0.0",
	    .text = TALK "450-foo 450 busy",
	    .heard = "QUIT" },
	{ .name = "554 is not final",
	    .script = { "554 5.7.1 no", { { 0 } } },
	    .dsn = "4.7.1",
	    .text = TALK "554 5.7.1 no",
	    .heard = "QUIT" },
	{ .name = "554 is final",
	    .script = { "554 5.7.1 no", { { 0 } } },
	    .dsn = "5.7.1",
	    .text = TALK "554 5.7.1 no",
	    .heard = "QUIT",
	    .set = set_skip_no },
	{ .name = "354 is no greeting",
	    .script = { "354 5.7.1 no", { { 0 } } },
	    .dsn = "5.5.0",
	    .text = TALK "354 5.7.1 no",
	    .heard = "QUIT" },
	{ .name = "closed at once",
	    .script = { SERVER_HANG_UP, { { 0 } } },
	    .dsn = "4.4.2",
	    .text = LOST GREET,
	    .heard = "" },
	{ .name = "closed at EHLO",
	    .script = { NULL, { { "EHLO", SERVER_HANG_UP } } },
	    .dsn = "4.4.2",
	    .text = LOST "performing the EHLO handshake",
	    .heard = EHLO },
	{ .name = "closed in EHLO's reply",
	    .script = { NULL, { { "EHLO", "250-srv\n250-SI\\" }, { "QUIT", SERVER_HANG_UP } } },
	    .dsn = "4.4.2",
	    .text = "conversation with " NAME " timed out while performing the EHLO handshake" },
	/* EHLO and HELO */
	{ .name = "HELO when EHLO is refused",
	    .script = { NULL, { { "EHLO", "500 what" } } },
	    .heard = EHLO "|" HELO "|QUIT" },
	{ .name = "HELO when EHLO is refused for now",
	    .script = { NULL, { { "EHLO", "450 what" } } },
	    .heard = EHLO "|" HELO "|QUIT" },
	{ .name = "no HELO after 421",
	    .script = { NULL, { { "EHLO", "421 what" } } },
	    .dsn = "4.0.0",
	    .text = TALK "421 what",
	    .heard = EHLO "|QUIT" },
	{ .name = "HELO is refused, too",
	    .script = { NULL, { { "EHLO", "500 5.3.3 a" }, { "HELO", "500 5.3.4 b" } } },
	    .dsn = "5.3.4",
	    .text = TALK "500 5.3.4 b",
	    .heard = EHLO "|" HELO "|QUIT" },
	{ .name = "what HELO offers is nothing",
	    .script = { NULL,
		{ { "EHLO", "500 a" }, { "HELO", "250-srv\n250-SIZE 1\n250 DSN" } } } },
	{ .name = "never EHLO", .set = set_never, .heard = HELO "|QUIT" },
	{ .name = "EHLO because of the greeting",
	    .set = set_not_always,
	    .heard = EHLO "|QUIT",
	    .features = SMTP_FEATURE_ESMTP },
	{ .name = "HELO because of the greeting",
	    .script = { "220 srv", { { 0 } } },
	    .set = set_not_always,
	    .heard = HELO "|QUIT" },
	{ .name = "LHLO",
	    .set = set_lmtp,
	    .heard = "LHLO mail.example.com|QUIT",
	    .script = { NULL, { { "LHLO", "250-srv\n250 PIPELINING" } } },
	    .features = SMTP_FEATURE_ESMTP | SMTP_FEATURE_PIPELINING },
	{ .name = "LHLO is refused",
	    .set = set_lmtp,
	    .heard = "LHLO mail.example.com|QUIT",
	    .script = { NULL, { { "LHLO", "500 what" } } },
	    .dsn = "5.0.0",
	    .text = TALK "500 what" },
	/* our own name */
	{ .name = "a loop is seen in EHLO's reply",
	    .script = { NULL, { { "EHLO", "250-Mail.Example.COM\n250 DSN" } } },
	    .port = 25,
	    .dsn = "5.4.6",
	    .text = "mail for example.net loops back to myself",
	    .heard = EHLO "|QUIT",
	    .log = "warning: host " NAME
		   ":25 replied to HELO/EHLO with my own hostname mail.example.com\n" },
	{ .name = "a loop is only suspected in the greeting",
	    .script = { "220 mail.example.com ESMTP", { { 0 } } },
	    .port = 25,
	    .log = "warning: host " NAME ":25 greeted me with my own hostname mail.example.com\n",
	    .features = SMTP_FEATURE_ESMTP },
	{ .name = "no loop at another port",
	    .script = { NULL, { { "EHLO", "250 mail.example.com" } } },
	    .features = SMTP_FEATURE_ESMTP },
	/* keywords that are hidden */
	{ .name = "discarded",
	    .script = { NULL, { { "EHLO", EHLO_ALL } } },
	    .set = set_discard,
	    .features = ALL & ~(SMTP_FEATURE_DSN | SMTP_FEATURE_PIPELINING | SMTP_FEATURE_SIZE |
				  SMTP_FEATURE_AUTH | SMTP_FEATURE_XFORWARD),
	    .log = "discarding EHLO keywords: AUTH, PIPELINING, SIZE, XFORWARD, DSN\n" },
	{ .name = "discarded in silence, by address",
	    .script = { NULL, { { "EHLO", EHLO_ALL } } },
	    .set = set_discard,
	    .address = "192.0.2.7",
	    .features = ALL & ~(unsigned)SMTP_FEATURE_CHUNKING },
	{ .name = "the map fails",
	    .script = { NULL, { { "EHLO", EHLO_ALL } } },
	    .address = "192.0.2.8",
	    .dsn = "4.3.0",
	    .text = "local data error while talking to mx.example[192.0.2.8]",
	    .heard = EHLO "|QUIT",
	    .log = "warning: pipemap:{ inline:{192.0.2.8=x}, fail:x } lookup error for "
		   "\"192.0.2.8\"\n"
		   "warning: 4ABCDEF12: smtp_discard_ehlo_keyword_address_maps map lookup error "
		   "for 192.0.2.8\n" },
	{ .name = "STARTTLS is noted",
	    .script = { NULL, { { "EHLO", EHLO_ALL } } },
	    .set = set_note,
	    .features = ALL,
	    .log = "Host offered STARTTLS: [mx.example]\n" },
	/* PIX */
	{ .name = "a masked greeting",
	    .script = { "220 **0***0**2***20", { { 0 } } },
	    .heard = HELO "|QUIT",
	    .log = "4ABCDEF12: enabling PIX workarounds: disable_esmtp for " NAME ":2525\n" },
	{ .name = "a masked greeting and old mail",
	    .script = { "220 *********", { { 0 } } },
	    .heard = HELO "|QUIT",
	    .set = set_old,
	    .features = SMTP_FEATURE_PIX_DOTCRLF,
	    .log = "4ABCDEF12: enabling PIX workarounds: disable_esmtp, delay_dotcrlf for " NAME
		   ":2525\n" },
	{ .name = "the map of PIX",
	    .script = { "220 *********", { { 0 } } },
	    .heard = EHLO "|QUIT",
	    .set = set_old,
	    .address = "192.0.2.7",
	    .features = SMTP_FEATURE_PIX_DOTCRLF | SMTP_FEATURE_ESMTP,
	    .log = "4ABCDEF12: enabling PIX workarounds: delay_dotcrlf for "
		   "mx.example[192.0.2.7]:2525\n" },
	{ .name = "no mask",
	    .script = { "220 ", { { 0 } } },
	    .heard = EHLO "|QUIT",
	    .features = SMTP_FEATURE_ESMTP },
};

/* NULL with FAILURE; the session is closed before the server is asked what it heard. */
static struct smtp_session *open_for(const struct opening *c, struct smtp_failure *failure)
{
	struct smtp_target target =
	    client_target(c->address ? c->address : "192.0.2.1", c->port ? c->port : 2525);

	client_reset();
	if (c->set)
		c->set();
	if (c->text && strncmp(c->text, "conversation", 12) == 0)
		params->smtp_helo_timeout = 1;
	(void)server_log();
	return smtp_session_open(&client_delivery, &target, failure);
}

static void check_opening(const struct opening *c)
{
	struct smtp_failure failure;
	struct smtp_session *session = open_for(c, &failure);

	want_str(c->name, session ? "" : failure.why.text, c->text ? c->text : "");
	if (session) {
		want_int(c->name, session->features, c->features);
		want_int(c->name, session->used, 0);
		want_str(c->name, session->tls_summary, "none");
		smtp_session_close(session);
	} else {
		want_str(c->name, failure.why.dsn, c->dsn);
		want_int(c->name, failure.host || failure.stop, true);
		want_int(c->name, failure.logged, server_connections() == 0 && failure.host);
		want_str(c->name, failure.tls, server_stubs.policy_fails ? "" : "none?");
		want_int(c->name, failure.relay[0] != '\0', server_connections() > 0);
	}
	if (c->heard)
		want_str(c->name, server_heard(), c->heard);
	want_str(c->name, server_log(), c->log ? c->log : "");
}

static void test_openings(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(openings); i++)
		for (int piecemeal = 0; piecemeal < 2; piecemeal++) {
			server_play(&openings[i].script, piecemeal);
			check_opening(&openings[i]);
		}
}

static void test_offers(void **state)
{
	struct smtp_failure failure;
	struct smtp_session *session;

	(void)state;
	server_play(&openings[1].script, false);
	session = open_for(&openings[1], &failure);
	assert_non_null(session);
	want_str("mechanisms", session->mechanisms, "PLAIN LOGIN");
	want_int("size", session->size_limit, 1000);
	want_int("xforward", session->xforward, 127);
	want_str("name", session->name, NAME);
	want_str("relay", session->relay, NAME ":2525");
	want_str("id", session->id, "4ABCDEF12");
	smtp_session_close(session);
}

static void test_unix(void **state)
{
	struct smtp_target target = client_target("192.0.2.1", 0);
	static const struct server_script script;
	struct smtp_failure failure;
	struct smtp_session *session;

	(void)state;
	client_reset();
	target.path = target.host = "private/lmtp";
	target.addr.len = 0;
	target.port = 0;
	server_play(&script, false);
	session = smtp_session_open(&client_delivery, &target, &failure);
	assert_non_null(session);
	want_str("name", session->name, "mail.example.com[private/lmtp]");
	want_str("relay", session->relay, "mail.example.com[private/lmtp]");
	smtp_session_close(session);
}

/* ---- replies ---- */

struct answer {
	const char *name, *reply; /* to MAIL */
	unsigned code;		  /* 0: a failure */
	const char *dsn, *text;
	bool ending;
	const char *log;
};

#define WHILE "sending MAIL FROM"
#define NOISE(text)                                                                                \
	"warning: 4ABCDEF12: non-ESMTP response from " NAME ":2525: " text                         \
	"\nwarning: to prevent loss of mail, turn off command pipelining for 192.0.2.1 with the "  \
	"smtp_discard_ehlo_keyword_address_maps parameter\n"

static const struct answer answers[] = {
	{ .name = "ok",
	    .reply = "250 2.1.0 ok",
	    .code = 250,
	    .dsn = "2.1.0",
	    .text = "250 2.1.0 ok" },
	{ .name = "without text", .reply = "250", .code = 250, .dsn = "", .text = "250" },
	{ .name = "a blank for a text", .reply = "250 ", .code = 250, .dsn = "", .text = "250 " },
	{ .name = "several lines",
	    .reply = "550-5.1.1 a\n550 5.1.1 b",
	    .code = 550,
	    .dsn = "5.1.1",
	    .text = "550-5.1.1 a 550 5.1.1 b" },
	{ .name = "the last code counts",
	    .reply = "550-5.1.1 a\n250 2.1.5 b",
	    .code = 250,
	    .dsn = "2.1.5",
	    .text = "550-5.1.1 a 250 2.1.5 b" },
	{ .name = "the last enhanced code counts",
	    .reply = "550-5.1.1 a\n550 b",
	    .code = 550,
	    .dsn = "",
	    .text = "550-5.1.1 a 550 b" },
	{ .name = "an enhanced code alone",
	    .reply = "550 5.7.2",
	    .code = 550,
	    .dsn = "5.7.2",
	    .text = "550 5.7.2" },
	{ .name = "an enhanced code of another class",
	    .reply = "550 4.7.2 x",
	    .code = 550,
	    .dsn = "",
	    .text = "550 4.7.2 x" },
	{ .name = "no enhanced code",
	    .reply = "550 5.7.2x",
	    .code = 550,
	    .dsn = "",
	    .text = "550 5.7.2x" },
	{ .name = "a long enhanced code",
	    .reply = "550 5.7.1234567890123456",
	    .code = 550,
	    .dsn = "",
	    .text = "550 5.7.1234567890123456" },
	{ .name = "control characters",
	    .reply = "550 a\tb\x01\x7f\rc",
	    .code = 550,
	    .dsn = "",
	    .text = "550 a b???c" },
	{ .name = "421",
	    .reply = "421 4.3.2 bye",
	    .code = 421,
	    .dsn = "4.3.2",
	    .text = "421 4.3.2 bye",
	    .ending = true },
	{ .name = "501",
	    .reply = "501 5.5.4 syntax",
	    .code = 501,
	    .dsn = "5.5.4",
	    .text = "501 5.5.4 syntax",
	    .ending = true },
	{ .name = "555",
	    .reply = "555 5.5.4 syntax",
	    .code = 555,
	    .dsn = "5.5.4",
	    .text = "555 5.5.4 syntax",
	    .ending = true },
	{ .name = "noise",
	    .reply = "what is this\n250 ok",
	    .code = 250,
	    .dsn = "",
	    .text = "250 ok",
	    .log = NOISE("what is this") },
	{ .name = "an empty line",
	    .reply = "\n250 ok",
	    .code = 250,
	    .dsn = "",
	    .text = "250 ok",
	    .log = NOISE("") },
	{ .name = "two digits",
	    .reply = "25 ok\n250 ok",
	    .code = 250,
	    .dsn = "",
	    .text = "250 ok",
	    .log = NOISE("25 ok") },
	{ .name = "four digits",
	    .reply = "2500 ok\n250 ok",
	    .code = 250,
	    .dsn = "",
	    .text = "250 ok",
	    .log = NOISE("2500 ok") },
	{ .name = "a code and a letter",
	    .reply = "250ok\n250 ok",
	    .code = 250,
	    .dsn = "",
	    .text = "250 ok",
	    .log = NOISE("250ok") },
	{ .name = "999",
	    .reply = "999 ok",
	    .dsn = "4.5.0",
	    .text = "host " NAME " sent an improper reply while " WHILE ": 999 ok" },
	{ .name = "000",
	    .reply = "000-ok",
	    .dsn = "4.5.0",
	    .text = "host " NAME " sent an improper reply while " WHILE ": 000-ok" },
	{ .name = "150",
	    .reply = "150 ok",
	    .dsn = "4.5.0",
	    .text = "host " NAME " sent an improper reply while " WHILE ": 150 ok" },
	{ .name = "600",
	    .reply = "600 ok",
	    .dsn = "4.5.0",
	    .text = "host " NAME " sent an improper reply while " WHILE ": 600 ok" },
	{ .name = "hang up", .reply = SERVER_HANG_UP, .dsn = "4.4.2", .text = LOST WHILE },
	{ .name = "silence",
	    .reply = SERVER_SILENT,
	    .dsn = "4.4.2",
	    .text = "conversation with " NAME " timed out while " WHILE },
	{ .name = "a reply without an end",
	    .reply = "250-a\n250-b",
	    .dsn = "4.4.2",
	    .text = "conversation with " NAME " timed out while " WHILE },
	{ .name = "half a line",
	    .reply = "250 o\\",
	    .dsn = "4.4.2",
	    .text = "conversation with " NAME " timed out while " WHILE },
	{ .name = "lines for ever",
	    .reply = SERVER_ENDLESS,
	    .dsn = "4.5.0",
	    .text = "host " NAME " sent an endless reply while " WHILE },
	{ .name = "a line for ever",
	    .reply = SERVER_STREAM,
	    .dsn = "4.5.0",
	    .text = "host " NAME " sent an endless reply while " WHILE,
	    .log = "warning: " NAME ":2525: response longer than 2048: 250 "
		   "abcdefghijklmnopqrstuvwxyz...\n" },
	/* smtp_reply_filter */
	{ .name = "filtered",
	    .reply = "550 filter me",
	    .code = 450,
	    .dsn = "4.2.0",
	    .text = "450 4.2.0 made soft",
	    .log = NAME ":2525: replacing server reply \"550 filter me\" with "
			"\"450 4.2.0 made soft\"\n" },
	{ .name = "filtered, one line of several",
	    .reply = "550-a\n550 filter me",
	    .code = 450,
	    .dsn = "4.2.0",
	    .text = "550-a 450 4.2.0 made soft",
	    .log = NAME ":2525: replacing server reply \"550 filter me\" with "
			"\"450 4.2.0 made soft\"\n" },
};

static struct smtp_session *open_plain(const struct server_script *script, bool piecemeal)
{
	static const struct opening plain = { .name = "plain" };
	struct smtp_failure failure;
	struct smtp_session *session;

	server_play(script, piecemeal);
	session = open_for(&plain, &failure);
	assert_non_null(session);
	return session;
}

static bool waits(const struct answer *c)
{
	return c->text && strncmp(c->text, "conversation", 12) == 0;
}

static void check_answer(const struct answer *c, bool piecemeal)
{
	struct server_script script = { NULL,
		{ { "MAIL", c->reply }, { "EHLO", "250-srv\n250 PIPELINING" } } };
	struct smtp_session *session = open_plain(&script, piecemeal);
	struct smtp_failure failure;
	struct smtp_reply reply;
	bool heard;

	smtp_reply_init(&reply);
	smtp_say(session, "MAIL FROM:<%s>", "x");
	heard = smtp_hear(session, waits(c) ? 1 : 30, WHILE, &reply, &failure);
	want_str(c->name, heard ? reply.text.ptr : failure.why.text, c->text);
	want_str(c->name, heard ? reply.dsn : failure.why.dsn, c->dsn);
	want_int(c->name, heard ? reply.code : 0, c->code);
	want_int(c->name, session->broken, !heard);
	want_int(c->name, session->ending, c->ending);
	smtp_reply_release(&reply);
	smtp_session_close(session);
	(void)server_heard();
	if (!piecemeal)
		want_str(c->name, server_log(), c->log ? c->log : "");
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		check_answer(&answers[i], false);
		if (!waits(&answers[i]) && !strstr(answers[i].reply, "for ever"))
			check_answer(&answers[i], true);
	}
}

/* A long line is cut, what follows it is heard; many lines are read, not all are kept. */
static void test_long_answers(void **state)
{
	struct strbuf many = STRBUF_INIT(1 << 20);
	struct server_script script = { NULL, { { "MAIL", SERVER_LONG }, { "RCPT", NULL } } };
	struct smtp_session *session;
	struct smtp_failure failure;
	struct smtp_reply reply;

	(void)state;
	for (int i = 0; i < 900; i++)
		strbuf_addf(&many, "550-5.1.1 %0100d\n", i);
	strbuf_addstr(&many, "550 5.1.2 end");
	script.rules[1].reply = many.ptr;
	session = open_plain(&script, false);
	smtp_reply_init(&reply);
	smtp_say(session, "MAIL FROM:<>");
	smtp_say(session, "RCPT TO:<x>");
	assert_true(smtp_hear(session, 30, WHILE, &reply, &failure));
	want_int("a long line", reply.text.len, 2048);
	assert_true(smtp_hear(session, 30, WHILE, &reply, &failure));
	want_str("what follows", reply.dsn, "5.1.2");
	smtp_session_close(session);

	script.rules[0].reply = "250 ok";
	session = open_plain(&script, false);
	smtp_say(session, "MAIL FROM:<>");
	smtp_say(session, "RCPT TO:<x>");
	assert_true(smtp_hear(session, 30, WHILE, &reply, &failure));
	assert_true(smtp_hear(session, 30, WHILE, &reply, &failure));
	want_str("the last line's", reply.dsn, "5.1.2");
	assert_true(reply.text.len > 10000 && reply.text.len <= 32 * 1024);
	smtp_session_close(session);
	smtp_reply_release(&reply);
	strbuf_release(&many);
}

static void say_newline(void)
{
	struct smtp_session session = { .stream = NULL };

	smtp_say(&session, "MAIL FROM:<%s>", "a\r\nRCPT TO:<b>");
}

static void test_injection(void **state)
{
	(void)state;
	want_abort("no line end in a command", say_newline);
}

static int setup(void **state)
{
	(void)state;
	params = client_setup(
	    "smtp_discard_ehlo_keyword_address_maps = inline:{ {192.0.2.7 = silent-discard, "
	    "chunking} } pipemap:{ inline:{192.0.2.8=x}, fail:x }\n"
	    "smtp_pix_workaround_maps = inline:{ {192.0.2.7 = delay_dotcrlf} }\n"
	    "smtp_reply_filter = inline:{ {550 filter me = 450 4.2.0 made soft} }\n");
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openings),
		cmocka_unit_test(test_offers),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_answers),
		cmocka_unit_test(test_injection),
	};

	return cmocka_run_group_tests(tests, setup, client_teardown);
}
