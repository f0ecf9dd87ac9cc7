// SPDX-License-Identifier: BSD-2-Clause
/* Both clients against servers that say what a script tells them. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth_client.h"
#include "auth/master_client.h"
#include "base/clock.h"
#include "net/stream.h"
#include "sys/socket.h"
#include "unit.h"

#define HELLO                                                                                      \
	"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tAPOP\tprivate\nSPID\t1\nCUID\t1\n"           \
	"COOKIE\td1fbc09ea5724a49d56346c34dac9245\nDONE\n"

/*
 * A step with "<" waits for a line that begins with what follows, any other is sent as it is; "^"
 * reads the client's VERSION and CPID, "|" closes and takes the next connection.
 */
struct fake {
	const char *const *steps;
	int fd;
	char path[64];
	pthread_t thread;
	char wrong[300];
};

static struct stream *next_connection(struct fake *fake)
{
	int fd;

	if (socket_wait(fake->fd, POLLIN, deadline_in(60000)) != 1)
		return NULL;
	fd = socket_accept(fake->fd, NULL, NULL, true);
	return fd < 0 ? NULL : stream_new(fd);
}

static bool expect_line(struct fake *fake, struct stream *s, const char *want)
{
	struct slice line;

	while (stream_read_line(s, 16384, &line) == STREAM_READ_LINE) {
		if (slice_starts(line, "VERSION") || slice_starts(line, "CPID"))
			continue;
		if (slice_starts(line, want))
			return true;
		snprintf(
		    fake->wrong, sizeof(fake->wrong), "want %s, got %.*s", want, SLICE_ARG(line));
		return false;
	}
	snprintf(fake->wrong, sizeof(fake->wrong), "want %s, got the end", want);
	return false;
}

static void *run_fake(void *arg)
{
	struct fake *fake = arg;
	struct stream *s = next_connection(fake);
	struct slice line;
	bool good = true;

	for (const char *const *step = fake->steps; good && s && *step; step++) {
		stream_set_deadline(s, deadline_in(60000));
		if (**step == '|') {
			stream_free(s);
			s = next_connection(fake);
		} else if (**step == '^') {
			good = stream_read_line(s, 100, &line) == STREAM_READ_LINE &&
			       stream_read_line(s, 100, &line) == STREAM_READ_LINE;
		} else if (**step == '<') {
			good = expect_line(fake, s, *step + 1);
		} else {
			stream_puts(s, *step);
			stream_flush(s);
		}
	}
	if (!s)
		snprintf(fake->wrong, sizeof(fake->wrong), "nobody connected");
	stream_free(s);
	return NULL;
}

static void fake_start(struct fake *fake, const char *const *steps)
{
	memset(fake, 0, sizeof(*fake));
	fake->steps = steps;
	snprintf(fake->path, sizeof(fake->path), "/tmp/postcote-auth-%d", (int)getpid());
	fake->fd = socket_unix_listen(fake->path, 0600, (uid_t)-1, (gid_t)-1, 5);
	assert_true(fake->fd >= 0);
	assert_int_equal(pthread_create(&fake->thread, NULL, run_fake, fake), 0);
}

static void fake_stop(struct fake *fake)
{
	pthread_join(fake->thread, NULL);
	close(fake->fd);
	unlink(fake->path);
	want_str("the server's view", fake->wrong, "");
}

static struct auth_params plain(const char *initial)
{
	struct auth_params params = { .mechanism = "PLAIN",
		.service = "smtp",
		.local_ip = "192.0.2.1",
		.remote_ip = "192.0.2.2",
		.secured = true,
		.nologin = true };

	params.initial = initial ? slice_of(initial) : SLICE_NULL;
	return params;
}

static void test_ok(void **state)
{
	static const char *const steps[] = { HELLO,
		"<AUTH\t1\tPLAIN\tservice=smtp\tlip=192.0.2.1\trip=192.0.2.2\tsecured\tnologin\tresp="
		"AHUA\n",
		"OK\t9\tuser=other\nOK\t1\tuser=u1\t\n", "<AUTH\t2\tPLAIN", "OK\t2\tuser=u2\tk=v\n",
		NULL };
	struct auth_params params = plain("AHUA");
	struct auth_mechanism list[AUTH_MECHANISMS_MAX];
	struct auth_client *client;
	struct auth_request *request;
	enum auth_status status;
	struct slice value;
	struct reason why;
	struct fake fake;
	size_t count;

	(void)state;
	fake_start(&fake, steps);
	client = auth_client_new(fake.path);
	want_int("mechanisms",
	    auth_client_mechanisms(client, deadline_in(60000), list, &count, &why), true);
	want_int("private ones are left out", count, 1);
	want_str("name", list[0].name, "PLAIN");
	want_int("flags", list[0].flags, AUTH_MECH_PLAINTEXT);
	request = auth_request_start(client, &params, deadline_in(60000), &status);
	want_int("status", status, AUTH_OK);
	want_str("user", auth_request_user(request), "u1");
	want_str("cookie", auth_request_cookie(request), "d1fbc09ea5724a49d56346c34dac9245");
	auth_request_free(request);
	request = auth_request_start(client, &params, deadline_in(60000), &status);
	want_int("on the same connection", status, AUTH_OK);
	want_int("field", auth_request_field(request, "k", &value), true);
	want_slice("its value", value, SLICE_LIT("v"));
	auth_request_free(request);
	fake_stop(&fake);
	auth_client_free(client);
}

/* All that a request may tell, in the order in which it is told. */
static void test_params(void **state)
{
	static const char *const steps[] = { HELLO,
		"<AUTH\t1\tSCRAM-SHA-1\tservice=pop3\tsession=s\tlport=110\trport=1\tlocal_name=n"
		"\treal_lip=192.0.2.3\treal_rip=192.0.2.4\treal_lport=995\treal_rport=2"
		"\tclient_id=\001tx\tforward_fields=a=b\001tc=d\tcert_username=u"
		"\tvalid-client-cert\tno-penalty\tdebug\tfinal-resp-ok\tresp=\n",
		"OK\t1\tuser=u\tresp=dj14\n", NULL };
	struct auth_params params = { .mechanism = "SCRAM-SHA-1",
		.service = "pop3",
		.session = "s",
		.local_name = "n",
		.local_port = 110,
		.remote_port = 1,
		.real_local_ip = "192.0.2.3",
		.real_remote_ip = "192.0.2.4",
		.real_local_port = 995,
		.real_remote_port = 2,
		.client_id = "\tx",
		.forward_fields = "a=b\tc=d",
		.cert_username = "u",
		.valid_client_cert = true,
		.no_penalty = true,
		.debug = true,
		.final_resp_ok = true,
		.initial = SLICE_LIT("") };
	struct auth_client *client;
	struct auth_request *request;
	enum auth_status status;
	struct slice value;
	struct fake fake;

	(void)state;
	fake_start(&fake, steps);
	client = auth_client_new(fake.path);
	request = auth_request_start(client, &params, deadline_in(60000), &status);
	want_int("status", status, AUTH_OK);
	want_int("last word", auth_request_field(request, "resp", &value), true);
	want_slice("last word", value, SLICE_LIT("dj14"));
	auth_request_free(request);
	fake_stop(&fake);
	auth_client_free(client);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *where;
		bool good;
	} cases[] = {
		{ "/a/path", true },
		{ "a/path", true },
		{ "inet:127.0.0.1:12345", true },
		{ "inet:[::1]:12345", true },
		{ "inet:auth.example.org:12345", true },
		{ "inet:12345", false },
		{ "inet::12345", false },
		{ "inet:[]:12345", false },
		{ "inet:127.0.0.1:", false },
		{ "inet:127.0.0.1:0", false },
		{ "inet:127.0.0.1:65536", false },
		{ "inet:127.0.0.1:smtp", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct auth_client *client = auth_client_new(cases[i].where);

		want_int(cases[i].where, client != NULL, cases[i].good);
		auth_client_free(client);
	}
}

static void test_continue(void **state)
{
	static const char *const steps[] = { "VERSION\t1\t4\n", HELLO, "<AUTH\t1\tPLAIN",
		"CONT\t1\t\n", "<CONT\t1\tdTE=\n", "CONT\t1\tVXNl\n", "<CONT\t1\t\n",
		"FAIL\t1\tuser=u1\treason=No.\n", NULL };
	struct auth_params params = plain(NULL);
	struct auth_request *request;
	struct auth_client *client;
	enum auth_status status;
	struct fake fake;

	(void)state;
	fake_start(&fake, steps);
	client = auth_client_new(fake.path);
	request = auth_request_start(client, &params, deadline_in(60000), &status);
	want_int("first", status, AUTH_CONTINUE);
	want_slice("empty challenge", auth_request_challenge(request), SLICE_NULL);
	status = auth_request_continue(request, SLICE_LIT("dTE="), deadline_in(60000));
	want_int("second", status, AUTH_CONTINUE);
	want_slice("challenge", auth_request_challenge(request), SLICE_LIT("VXNl"));
	status = auth_request_continue(request, SLICE_LIT(""), deadline_in(60000));
	want_int("third", status, AUTH_FAILED);
	want_str("user", auth_request_user(request), "u1");
	want_str("reason", auth_request_reason(request), "No.");
	want_str("code", auth_request_code(request), "");
	auth_request_free(request);
	auth_client_free(client);
	fake_stop(&fake);
}

static const struct answer_case {
	const char *name, *answer;
	enum auth_status want;
	const char *code;
} answers[] = {
	{ "refused", "FAIL\t1\tuser=u\n", AUTH_FAILED, "" },
	{ "refused, with code", "FAIL\t1\tcode=user_disabled\n", AUTH_FAILED, "user_disabled" },
	{ "refused, old word", "FAIL\t1\tuser=u\tauthz\n", AUTH_FAILED, "authz_fail" },
	{ "temporary", "FAIL\t1\tuser=u\tcode=temp_fail\n", AUTH_TEMPORARY, "temp_fail" },
	{ "temporary, old word", "FAIL\t1\tuser=u\ttemp\n", AUTH_TEMPORARY, "temp_fail" },
	{ "no user in OK", "OK\t1\n", AUTH_TEMPORARY, "" },
	{ "empty user", "OK\t1\tuser=\n", AUTH_TEMPORARY, "" },
	{ "NUL in the user", "OK\t1\tuser=a\0010b\n", AUTH_TEMPORARY, "" },
	{ "bad escape", "OK\t1\tuser=\001x\n", AUTH_TEMPORARY, "" },
	{ "cut off", "OK\t1\tuser=u", AUTH_TEMPORARY, "" },
	{ "nothing", "", AUTH_TEMPORARY, "" },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		const char *const steps[] = { HELLO, "<AUTH\t1\t", answers[i].answer, NULL };
		struct auth_params params = plain("AHUA");
		struct auth_client *client;
		struct auth_request *request;
		enum auth_status status;
		struct fake fake;

		fake_start(&fake, steps);
		client = auth_client_new(fake.path);
		request = auth_request_start(client, &params, deadline_in(60000), &status);
		want_int(answers[i].name, status, answers[i].want);
		want_str(answers[i].name, auth_request_code(request), answers[i].code);
		auth_request_free(request);
		auth_client_free(client);
		fake_stop(&fake);
	}
}

static void test_reconnects(void **state)
{
	static const char *const steps[] = { HELLO, "<AUTH\t1\t", "OK\t1\tuser=a\n", "<AUTH\t2\t",
		"|", HELLO, "<AUTH\t1\t", "OK\t1\tuser=b\n", NULL };
	struct auth_params params = plain("AHUA");
	struct auth_request *request;
	struct auth_client *client;
	enum auth_status status;
	struct fake fake;

	(void)state;
	fake_start(&fake, steps);
	client = auth_client_new(fake.path);
	auth_request_free(auth_request_start(client, &params, deadline_in(60000), &status));
	request = auth_request_start(client, &params, deadline_in(60000), &status);
	want_int("status", status, AUTH_OK);
	want_str("user", auth_request_user(request), "b");
	auth_request_free(request);
	auth_client_free(client);
	fake_stop(&fake);
}

/* A server that went away and came back may offer others. */
static void test_mechanisms_again(void **state)
{
	static const char *const steps[] = { HELLO, "^", "|",
		"VERSION\t1\t2\nMECH\tPLAIN\nMECH\tLOGIN\nDONE\n", "^", NULL };
	int64_t deadline = deadline_in(60000);
	struct auth_mechanism list[AUTH_MECHANISMS_MAX];
	struct auth_client *client;
	struct reason why;
	struct fake fake;
	size_t count = 0;

	(void)state;
	fake_start(&fake, steps);
	client = auth_client_new(fake.path);
	want_int("first", auth_client_mechanisms(client, deadline, list, &count, &why), true);
	want_int("one", count, 1);
	while (count == 1 && deadline_left(deadline) > 0) {
		want_int(
		    "again", auth_client_mechanisms(client, deadline, list, &count, &why), true);
		usleep(1000);
	}
	want_int("two", count, 2);
	auth_client_free(client);
	fake_stop(&fake);
}

/* One that is being replaced: it takes a connection and is gone. */
static void test_replaced(void **state)
{
	static const char *const steps[] = { "|", "VERSION\t1\t2\n", "|", HELLO, "^", NULL };
	struct auth_mechanism list[AUTH_MECHANISMS_MAX];
	struct auth_client *client;
	struct reason why;
	struct fake fake;
	size_t count = 0;

	(void)state;
	fake_start(&fake, steps);
	client = auth_client_new(fake.path);
	want_int("asked again",
	    auth_client_mechanisms(client, deadline_in(60000), list, &count, &why), true);
	want_int("one", count, 1);
	auth_client_free(client);
	fake_stop(&fake);
}

static void test_bad_hello(void **state)
{
	static const char *const hellos[] = { "VERSION\t2\t0\n", "DONE\n", "COOKIE\ta b\nDONE\n",
		"", "VERSION\t1\t1\nCOOKIE\t\001x\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hellos); i++) {
		/* One that closes at once is asked again, twice. */
		const char *const steps[] = { hellos[i], *hellos[i] ? NULL : "|", "|", NULL };
		struct auth_mechanism list[AUTH_MECHANISMS_MAX];
		struct auth_client *client;
		struct reason why;
		struct fake fake;
		size_t count;

		fake_start(&fake, steps);
		client = auth_client_new(fake.path);
		want_int(hellos[i],
		    auth_client_mechanisms(client, deadline_in(60000), list, &count, &why), false);
		auth_client_free(client);
		fake_stop(&fake);
	}
}

static void test_no_server(void **state)
{
	struct auth_client *client = auth_client_new("/nowhere/at/all");
	struct auth_params params = plain("AHUA");
	struct auth_request *request;
	enum auth_status status;

	(void)state;
	request = auth_request_start(client, &params, deadline_in(60000), &status);
	want_int("status", status, AUTH_TEMPORARY);
	want_int("why", strstr(auth_request_reason(request), "/nowhere/at/all") != NULL, true);
	auth_request_free(request);
	/* Refused before anybody is asked, so it is not the missing server's fault. */
	params.initial = SLICE_LIT("x\tresp=\n");
	request = auth_request_start(client, &params, deadline_in(60000), &status);
	want_int("not base64", status, AUTH_FAILED);
	want_str("code", auth_request_code(request), "invalid_base64");
	auth_request_free(request);
	auth_client_free(client);
}

static const struct user_case {
	const char *name, *answer;
	enum auth_user_result want;
} users[] = {
	{ "found", "USER\t1\tu1\tuid=5000\tgid=5000\thome=/h\n", AUTH_USER_FOUND },
	{ "unknown", "NOTFOUND\t1\n", AUTH_USER_UNKNOWN },
	{ "failed", "FAIL\t1\treason=Broken\n", AUTH_USER_FAILED },
	{ "no name", "USER\t1\n", AUTH_USER_FAILED },
	{ "nonsense", "WHAT\t1\n", AUTH_USER_FAILED },
	{ "other version", "VERSION\t2\t0\n", AUTH_USER_FAILED },
	{ "the end", "", AUTH_USER_FAILED },
};

static void test_users(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		const char *const steps[] = { "VERSION\t1\t1\nSPID\t7\n",
			"<USER\t1\tu 1\tservice=pop3\n", users[i].answer, NULL };
		struct auth_user user;
		struct reason why;
		struct fake fake;

		fake_start(&fake, steps);
		want_int(users[i].name,
		    auth_master_user(fake.path, "u 1", "pop3", deadline_in(60000), &user, &why),
		    users[i].want);
		if (users[i].want == AUTH_USER_FOUND) {
			want_str("name", user.name, "u1");
			want_str("home", auth_user_field(&user, "home"), "/h");
			want_int("no field", auth_user_field(&user, "mail") == NULL, true);
		}
		auth_user_release(&user);
		fake_stop(&fake);
	}
}

static void test_request(void **state)
{
	static const char *const steps[] = { "VERSION\t1\t1\nSPID\t7\n",
		"<REQUEST\t1\t42\t7\tabc\001n\tsession_pid=", "USER\t1\tu\n", NULL };
	struct auth_user user;
	struct reason why;
	struct fake fake;

	(void)state;
	fake_start(&fake, steps);
	want_int("found",
	    auth_master_request(
		fake.path, 42, 7, SLICE_LIT("abc\n"), deadline_in(60000), &user, &why),
	    AUTH_USER_FOUND);
	auth_user_release(&user);
	fake_stop(&fake);
}

static void add_name(const char *name, void *arg)
{
	strbuf_addf(arg, "%s ", name);
}

static void test_list(void **state)
{
	static const char *const good[] = { "VERSION\t1\t1\nSPID\t7\n",
		"<LIST\t1\tuser=*\tservice=doveadm\n", "LIST\t1\tu1\nLIST\t1\tu2\nDONE\t1\t\n",
		NULL };
	static const char *const bad[] = { "VERSION\t1\t1\nSPID\t7\n", "<LIST\t1",
		"LIST\t1\tu1\nDONE\t1\tfail\n", NULL };
	struct strbuf names = STRBUF_INIT(100);
	struct reason why;
	struct fake fake;

	(void)state;
	fake_start(&fake, good);
	want_int("listed",
	    auth_master_list(fake.path, "*", deadline_in(60000), add_name, &names, &why), true);
	want_str("names", names.ptr, "u1 u2 ");
	fake_stop(&fake);
	fake_start(&fake, bad);
	want_int("not all",
	    auth_master_list(fake.path, "*", deadline_in(60000), add_name, &names, &why), false);
	want_int("why", *why.text != '\0', true);
	fake_stop(&fake);
	strbuf_release(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_reconnects),
		cmocka_unit_test(test_mechanisms_again),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_bad_hello),
		cmocka_unit_test(test_no_server),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
