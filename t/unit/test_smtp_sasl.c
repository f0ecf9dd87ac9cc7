// SPDX-License-Identifier: BSD-2-Clause
/* Logins with a server that says what a script says. */
#include "smtp/smtp_sasl_internal.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "config.h"
#include "unit.h"

bool smtp_is_lmtp;
const struct postfix_params *smtp_params;

#define REPLIES_MAX 32
#define LONG_PASSWORD                                                                              \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567" \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567" \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567" \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567" \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"

static const char accounts[] = "mx.example user:pass\n"
			       "[gw.example]:587 next:hop\n"
			       "tim.example tim:tanstaaftanstaaf\n"
			       "colon.example user:a:b\n"
			       "bare.example user\n"
			       "long.example user:" LONG_PASSWORD "\n"
			       "anna@example.com anna:hers\n"
			       "@example.net domain:its\n"
			       "mail.example.com lmtp:unix\n";

static struct config config;
static struct postfix_params *params;

/* --- the server --- */

struct server {
	int fd;
	const char *const *replies;
	struct strbuf heard; /* lines with '|' between them */
};

/* "..." at the end of the replies: the one before it for ever. */
static void *serve(void *arg)
{
	struct server *s = arg;
	struct stream *stream = stream_new(s->fd);
	struct slice line;
	size_t at = 0;

	stream_set_deadline(stream, deadline_in(30000));
	while (stream_read_line(stream, 65536, &line) == STREAM_READ_LINE) {
		if (s->heard.len)
			strbuf_addch(&s->heard, '|');
		strbuf_addslice(&s->heard, slice_trim(line, "\r\n"));
		if (!s->replies[at])
			break;
		stream_printf(stream, "%s\r\n", s->replies[at]);
		if (s->replies[at + 1] && strcmp(s->replies[at + 1], "...") != 0)
			at++;
		else if (!s->replies[at + 1])
			at++;
		stream_flush(stream);
	}
	stream_free(stream);
	return NULL;
}

enum { TLS = 1, VERIFIED = 2, NO_AUTH = 4, UNIX = 8 };

struct login_case {
	const char *name, *host, *destination, *sender, *mechanisms;
	unsigned how;
	const char *replies[REPLIES_MAX];
	const char *heard;	/* what the server was told */
	const char *dsn, *text; /* NULL: success */
	bool broken;
};

struct outcome {
	bool ok, logged_in, broken, ending;
	unsigned features;
	struct smtp_failure failure;
	char key[100];
};

static void make_session(struct smtp_session *session, const struct login_case *c, int fd)
{
	*session = (struct smtp_session){
		.target = { .destination = c->destination ? c->destination : "elsewhere.example",
		    .nexthop = "elsewhere.example",
		    .host = c->how & UNIX ? "/run/lmtp" : c->host,
		    .path = c->how & UNIX ? "/run/lmtp" : NULL,
		    .canonical = "" },
		.stream = stream_new(fd),
		.name = "mx.example[192.0.2.1]",
		.relay = "mx.example[192.0.2.1]:25",
		.features = SMTP_FEATURE_ESMTP | (c->how & NO_AUTH ? 0 : SMTP_FEATURE_AUTH),
		.mechanisms = c->mechanisms,
		.has_tls = c->how & (TLS | VERIFIED),
		.is_verified = c->how & VERIFIED,
		.login_key = "",
	};
}

static struct outcome log_in(const struct login_case *c, struct strbuf *heard)
{
	struct server server = { .replies = c->replies, .heard = STRBUF_INIT(1 << 20) };
	struct smtp_session session;
	struct outcome o = { .ok = false };
	pthread_t thread;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	server.fd = fds[1];
	make_session(&session, c, fds[0]);
	assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
	o.ok = smtp_sasl_login(&session, c->sender ? c->sender : "", &o.failure);
	o.logged_in = session.logged_in;
	o.broken = session.broken;
	o.ending = session.ending;
	o.features = session.features;
	snprintf(o.key, sizeof(o.key), "%s", session.login_key);
	stream_free(session.stream);
	assert_int_equal(pthread_join(thread, NULL), 0);
	*heard = server.heard;
	arena_release(&session.arena);
	return o;
}

#define SCRAM_FIRST "AUTH SCRAM-SHA-1 "
#define FAILED	    "SASL authentication failed; "
#define CANNOT	    FAILED "cannot authenticate to server mx.example[192.0.2.1]: "

static const struct login_case cases[] = {
	{ "PLAIN", "mx.example", NULL, NULL, "PLAIN", 0, { "235 2.7.0 ok" },
	    "AUTH PLAIN AHVzZXIAcGFzcw==", NULL, NULL, false },
	{ "LOGIN", "mx.example", NULL, NULL, "LOGIN", 0,
	    { "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 ok" },
	    "AUTH LOGIN|dXNlcg==|cGFzcw==", NULL, NULL, false },
	/* RFC 2195 2 */
	{ "CRAM-MD5", "tim.example", NULL, NULL, "CRAM-MD5", 0,
	    { "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+", "235 ok" },
	    "AUTH CRAM-MD5|dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", NULL, NULL, false },
	{ "a strong one is preferred", "tim.example", NULL, NULL, "PLAIN CRAM-MD5 LOGIN", 0,
	    { "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+", "235 ok" },
	    "AUTH CRAM-MD5|dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", NULL, NULL, false },
	{ "the next hop as it stands", "other.example", "[gw.example]:587", NULL, "PLAIN", 0,
	    { "235 ok" }, "AUTH PLAIN AG5leHQAaG9w", NULL, NULL, false },
	{ "the host before the next hop", "mx.example", "[gw.example]:587", NULL, "PLAIN", 0,
	    { "235 ok" }, "AUTH PLAIN AHVzZXIAcGFzcw==", NULL, NULL, false },
	{ "the sender before the host", "mx.example", NULL, "anna@example.com", "PLAIN", 0,
	    { "235 ok" }, "AUTH PLAIN AGFubmEAaGVycw==", NULL, NULL, false },
	{ "the sender's domain", "mx.example", NULL, "joe@example.net", "PLAIN", 0, { "235 ok" },
	    "AUTH PLAIN AGRvbWFpbgBpdHM=", NULL, NULL, false },
	{ "a sender without a password", "mx.example", NULL, "bob@example.com", "PLAIN", 0,
	    { "235 ok" }, "AUTH PLAIN AHVzZXIAcGFzcw==", NULL, NULL, false },
	{ "a password with a colon", "colon.example", NULL, NULL, "PLAIN", 0, { "235 ok" },
	    "AUTH PLAIN AHVzZXIAYTpi", NULL, NULL, false },
	{ "a UNIX socket", NULL, NULL, NULL, "PLAIN", UNIX, { "235 ok" },
	    "AUTH PLAIN AGxtdHAAdW5peA==", NULL, NULL, false },
	{ "no AUTH offered", "mx.example", NULL, NULL, "", NO_AUTH, { NULL }, "", NULL, NULL,
	    false },
	{ "refused", "mx.example", NULL, NULL, "PLAIN", 0, { "535 5.7.8 Error: no" },
	    "AUTH PLAIN AHVzZXIAcGFzcw==", "4.7.8",
	    FAILED "server mx.example[192.0.2.1] said: 535 5.7.8 Error: no", false },
	{ "refused for now", "mx.example", NULL, NULL, "PLAIN", 0, { "454 4.7.0 later" },
	    "AUTH PLAIN AHVzZXIAcGFzcw==", "4.7.0",
	    FAILED "server mx.example[192.0.2.1] said: 454 4.7.0 later", false },
	{ "refused without a code", "mx.example", NULL, NULL, "PLAIN", 0, { "504 no" },
	    "AUTH PLAIN AHVzZXIAcGFzcw==", "4.0.0",
	    FAILED "server mx.example[192.0.2.1] said: 504 no", false },
	{ "refused in two lines", "mx.example", NULL, NULL, "PLAIN", 0,
	    { "535-5.7.8 a\r\n535 5.7.8 b" }, "AUTH PLAIN AHVzZXIAcGFzcw==", "4.7.8",
	    FAILED "server mx.example[192.0.2.1] said: 535-5.7.8 a 535 5.7.8 b", false },
	{ "nothing that is known", "mx.example", NULL, NULL, "NTLMX", 0, { NULL }, "", "4.7.0",
	    CANNOT "no mechanism available", false },
	{ "nothing that is wanted", "mx.example", NULL, NULL, "EXTERNAL", 0, { NULL }, "", "4.7.0",
	    "SASL authentication failed: server mx.example[192.0.2.1] offered no compatible "
	    "authentication mechanisms for this type of connection security",
	    false },
	{ "an empty list", "mx.example", NULL, NULL, "", 0, { NULL }, "", "4.7.0",
	    "SASL authentication failed: server mx.example[192.0.2.1] offered no compatible "
	    "authentication mechanisms for this type of connection security",
	    false },
	{ "no plain text in unverified TLS", "mx.example", NULL, NULL, "PLAIN LOGIN", TLS, { NULL },
	    "", "4.7.0", CANNOT "no mechanism available", false },
	{ "a challenge without base64", "mx.example", NULL, NULL, "LOGIN", 0,
	    { "334 <hello>", "501 ok" }, "AUTH LOGIN|*", "4.7.0", CANNOT "bad protocol / cancel",
	    false },
	{ "a challenge of two lines", "mx.example", NULL, NULL, "LOGIN", 0,
	    { "334-VXNlcm5hbWU6\r\n334 VXNlcm5hbWU6", "501 ok" }, "AUTH LOGIN|*", "4.7.0",
	    CANNOT "bad protocol / cancel", false },
	{ "challenges for ever", "mx.example", NULL, NULL, "PLAIN", 0, { "334 ", "..." },
	    "AUTH PLAIN AHVzZXIAcGFzcw==|*", "4.7.0", CANNOT "generic failure", false },
	{ "more challenges than LOGIN has", "mx.example", NULL, NULL, "LOGIN", 0,
	    { "334 VXNlcm5hbWU6", "..." }, "AUTH LOGIN|dXNlcg==|cGFzcw==|*", "4.7.0",
	    CANNOT "generic failure", false },
	{ "the server hangs up", "mx.example", NULL, NULL, "LOGIN", 0, { NULL }, "AUTH LOGIN",
	    "4.4.2",
	    "lost connection with mx.example[192.0.2.1] while performing the EHLO handshake",
	    true },
	{ "the server talks nonsense", "mx.example", NULL, NULL, "LOGIN", 0, { "hello\r\n999 hi" },
	    "AUTH LOGIN", "4.5.0",
	    "host mx.example[192.0.2.1] sent an improper reply while performing the EHLO "
	    "handshake: 999 hi",
	    true },
	{ "a long password waits for the server", "long.example", NULL, NULL, "PLAIN", 0,
	    { "334 ", "235 ok" }, NULL, NULL, NULL, false },
	{ "a long password, and the server talks first", "long.example", NULL, NULL, "PLAIN", 0,
	    { "334 eA==", "501 ok" }, "AUTH PLAIN|*", "4.7.0",
	    FAILED "non-empty initial PLAIN challenge from server mx.example[192.0.2.1]: eA==",
	    false },
	{ "mutual_auth does not believe a success", "mx.example", NULL, NULL, "SCRAM-SHA-1",
	    VERIFIED, { "235 2.7.0 ok" }, NULL, "4.7.0",
	    CANNOT "the server did not authenticate itself", false },
};

static void test_logins(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct login_case *c = &cases[i];
		struct strbuf heard;
		struct outcome o = log_in(c, &heard);

		want_str(c->name, o.ok ? "" : o.failure.why.text, c->text ? c->text : "");
		want_int(c->name, o.ok, !c->text);
		want_int(c->name, o.logged_in, !c->text && !(c->how & NO_AUTH));
		want_int(c->name, o.broken, c->broken);
		want_int(c->name, strlen(o.key), 64);
		if (c->heard)
			want_slice(c->name, strbuf_slice(&heard), slice_of(c->heard));
		if (!o.ok) {
			want_str(c->name, o.failure.why.dsn, c->dsn);
			assert_true(o.failure.host && !o.failure.stop);
			want_int(c->name, o.ending || o.broken, true);
		}
		strbuf_release(&heard);
	}
}

static void test_refusal_for_notices(void **state)
{
	const struct login_case c = {
		.host = "mx.example", .mechanisms = "PLAIN", .replies = { "535 5.7.8 Error: no" }
	};
	struct strbuf heard;
	struct outcome o;

	(void)state;
	o = log_in(&c, &heard);
	strbuf_release(&heard);
	want_str("host", o.failure.remote_mta, "mx.example");
	want_str("words", o.failure.diagnostic, "535 5.7.8 Error: no");
	params->smtp_sasl_auth_soft_bounce = false;
	o = log_in(&c, &heard);
	strbuf_release(&heard);
	params->smtp_sasl_auth_soft_bounce = true;
	want_str("a hard one", o.failure.why.dsn, "5.7.8");
}

static void test_strangers(void **state)
{
	const struct login_case c = { .host = "unknown.example", .mechanisms = "PLAIN" };
	struct strbuf heard;
	struct outcome o;

	(void)state;
	o = log_in(&c, &heard);
	want_slice("nothing is said", strbuf_slice(&heard), SLICE_NULL);
	assert_true(o.ok && !o.logged_in);
	want_str("no key", o.key, "");
	want_int("AUTH does not count", o.features & SMTP_FEATURE_AUTH, 0);
	strbuf_release(&heard);
}

static void test_authzid(void **state)
{
	const struct login_case c = {
		.host = "mx.example", .mechanisms = "PLAIN", .replies = { "235 ok" }
	};
	struct strbuf heard;

	(void)state;
	params->send_cyrus_sasl_authzid = true;
	log_in(&c, &heard);
	params->send_cyrus_sasl_authzid = false;
	want_slice("authzid", strbuf_slice(&heard), slice_of("AUTH PLAIN dXNlcgB1c2VyAHBhc3M="));
	strbuf_release(&heard);
}

static void key_for(const char *host, const char *sender, struct arena *arena, const char **key)
{
	struct smtp_target target = { .host = host, .destination = "x.example" };
	struct smtp_failure failure;

	assert_true(smtp_sasl_key(&target, sender, arena, key, &failure));
}

static void test_keys(void **state)
{
	struct arena arena = ARENA_INIT;
	const char *a, *b, *c, *none;

	(void)state;
	key_for("mx.example", "", &arena, &a);
	key_for("mx.example", "bob@example.com", &arena, &b);
	key_for("mx.example", "anna@example.com", &arena, &c);
	key_for("other.example", "", &arena, &none);
	want_str("the same account", b, a);
	assert_string_not_equal(a, c);
	want_str("no account", none, "");
	assert_null(strstr(a, "pass"));
	arena_release(&arena);
}

/* --- what is fatal --- */

static struct config bad;

static void prepare_bad(void)
{
	smtp_params = bad.params;
	smtp_sasl_prepare(bad.params);
}

#define ENABLED                                                                                    \
	"smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = static:a:b\n"                      \
	"smtp_sasl_security_options = noanonymous\n"

static const struct {
	const char *main_cf, *text;
} fatal_cases[] = {
	{ "smtp_sasl_auth_enable = yes\n",
	    "specify a password table via the `smtp_sasl_password_maps' configuration parameter" },
	{ ENABLED "smtp_sasl_type = dovecot\n", "unsupported SASL client implementation: dovecot" },
	{ ENABLED "smtp_sasl_tls_security_options = noanonymous, noplain\n", "value \"noplain\"" },
	{ ENABLED "smtp_sasl_password_result_delimiter = ::\n",
	    "smtp_sasl_password_result_delimiter: \"::\"" },
	{ ENABLED "smtp_sasl_auth_cache_name = btree:/tmp/x\n",
	    "name \"btree:/tmp/x\" must start with \"proxy:\"" },
	{ ENABLED "smtp_sasl_auth_cache_name = proxy:btree:/tmp/x, proxy:btree:/tmp/y\n",
	    "contains multiple values" },
};

static void test_fatal(void **state)
{
	char text[2000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fatal_cases); i++) {
		config_open(&bad, fatal_cases[i].main_cf);
		want_int(fatal_cases[i].text, unit_run_apart(prepare_bad, text, sizeof(text)), 1);
		config_close(&bad);
		if (!strstr(text, fatal_cases[i].text))
			fail_msg("no \"%s\" in: %s", fatal_cases[i].text, text);
	}
}

/* --- logins that failed lately --- */

static void change_password(const char *user, const char *password)
{
	struct smtp_account account = { .user = xstrdup(user), .password = xstrdup(password) };
	char dsn[12];
	struct strbuf text = STRBUF_INIT(1000);

	want_int(
	    "another password", smtp_sasl_cache_find("mx.example", &account, dsn, &text), false);
	strbuf_release(&text);
	free(account.user);
	free(account.password);
}

/* Runs last: from now on there is a cache. */
static void test_cache(void **state)
{
	struct login_case c = { .host = "mx.example", .mechanisms = "PLAIN" };
	const char *said = "SASL [CACHED] authentication failed; server mx.example said: "
			   "535 5.7.8 Error: no";
	struct strbuf heard;
	struct outcome o;
	char *name = xasprintf("proxy:btree:%s/cache", config.dir);

	(void)state;
	params->smtp_sasl_auth_cache_name = name;
	smtp_sasl_cache_prepare(params);
	c.replies[0] = "454 4.7.0 later";
	o = log_in(&c, &heard);
	strbuf_release(&heard);
	c.replies[0] = "535 5.7.8 Error: no";
	for (int round = 0; round < 3; round++) {
		o = log_in(&c, &heard);
		want_int("is asked", heard.len > 0, round == 0);
		assert_false(o.ok);
		want_str("code", o.failure.why.dsn, "4.7.8");
		want_int("from the cache", strcmp(o.failure.why.text, said) == 0, round > 0);
		strbuf_release(&heard);
	}
	change_password("user", "other");
	o = log_in(&c, &heard);
	want_int("forgotten with the other password", heard.len > 0, true);
	strbuf_release(&heard);
	params->smtp_sasl_auth_cache_time = 0;
	o = log_in(&c, &heard);
	want_int("too old", heard.len > 0, true);
	strbuf_release(&heard);
	free(name);
}

static int set_up(void **state)
{
	char *text;

	(void)state;
	config_dir(&config);
	config_write(&config, "passwords", accounts);
	text = xasprintf("smtp_sasl_auth_enable = yes\n"
			 "smtp_sasl_password_maps = texthash:%s/passwords\n"
			 "smtp_sender_dependent_authentication = yes\n"
			 "smtp_sasl_mechanism_filter = !external, static:all\n"
			 "smtp_sasl_security_options = noanonymous\n"
			 "smtp_sasl_tls_security_options = noplaintext, noanonymous\n"
			 "smtp_sasl_tls_verified_security_options = noanonymous mutual_auth\n",
	    config.dir);
	config_open(&config, text);
	free(text);
	params = config.params;
	smtp_params = params;
	smtp_sasl_prepare(params);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	config_close(&config);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_refusal_for_notices),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_authzid),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_fatal),
		cmocka_unit_test(test_cache),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
