// SPDX-License-Identifier: BSD-2-Clause
#include "authd/sasl_server.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "authd/sasl_peek.h"
#include "authd/sasl_secrets.h"
#include "base/check.h"
#include "base/codec.h"
#include "unit.h"

/* --- exchanges --- */

struct verdict {
	const char *user, *authzid, *password;
	bool answer;
	unsigned named, asked;
	enum db_result found;
	struct credentials credentials;
};

static bool take_name(void *arg, struct slice user, struct slice authzid)
{
	struct verdict *v = arg;

	v->named++;
	want_slice("user", user, slice_of(v->user));
	want_slice("authzid", authzid, slice_of(v->authzid ? v->authzid : ""));
	return !slice_eq_str(user, "nobody");
}

static bool decide(void *arg, struct slice password)
{
	struct verdict *v = arg;

	v->asked++;
	want_slice("password", password, slice_of(v->password));
	return v->answer;
}

static enum db_result tell(void *arg, struct credentials *credentials)
{
	struct verdict *v = arg;

	v->asked++;
	credentials->password = v->credentials.password;
	credentials->scheme = v->credentials.scheme;
	return v->found;
}

static bool let_in(void *arg, struct slice trace)
{
	struct verdict *v = arg;

	v->asked++;
	want_slice("trace", trace, slice_of(v->password));
	return v->answer;
}

static bool is_ours(void *arg, struct slice challenge)
{
	(void)arg;
	return slice_eq_str(challenge, "<1.2.3@x>");
}

static const struct sasl_asker asker = { take_name, decide, tell, is_ours, let_in };
static const struct sasl_client no_cert = { "smtp", "" }, with_cert = { "smtp", "alice" };

static struct sasl_exchange *begin(const char *mechanism, struct verdict *verdict)
{
	return sasl_exchange_new(
	    sasl_mechanism_find(slice_of(mechanism)), &asker, verdict, &no_cert);
}

static enum sasl_result run(const char *mechanism, struct slice response, struct verdict *verdict)
{
	struct sasl_exchange *x = begin(mechanism, verdict);
	struct strbuf out = STRBUF_INIT(1000);
	enum sasl_result result = sasl_exchange_start(x, response, &out);

	sasl_exchange_free(x);
	strbuf_release(&out);
	return result;
}

static void test_plain(void **state)
{
	struct verdict yes = { "a", "", "b", true, 0, 0, DB_OK, { NULL, NULL, NULL } }, no = yes,
		       other = yes, nobody = yes;

	(void)state;
	no.answer = false;
	other.authzid = "x";
	nobody.user = "nobody";
	want_int("no response yet", run("PLAIN", SLICE_NULL, &yes), SASL_RESULT_CONTINUE);
	want_int("no NUL", run("PLAIN", SLICE_LIT("ab"), &yes), SASL_RESULT_FAILED);
	want_int("one NUL", run("PLAIN", SLICE_LIT("\0ab"), &yes), SASL_RESULT_FAILED);
	want_int("three NULs", run("PLAIN", SLICE_LIT("\0a\0b\0"), &yes), SASL_RESULT_FAILED);
	want_int("empty", run("PLAIN", SLICE_LIT(""), &yes), SASL_RESULT_FAILED);
	want_int("nobody was asked", yes.asked, 0);
	want_int("right", run("plain", SLICE_LIT("\0a\0b"), &yes), SASL_RESULT_DONE);
	want_int("named once", yes.named, 1);
	want_int("asked once", yes.asked, 1);
	want_int("refused", run("PLAIN", SLICE_LIT("\0a\0b"), &no), SASL_RESULT_FAILED);
	want_int("refused, asked once", no.asked, 1);
	want_int("for another", run("PLAIN", SLICE_LIT("x\0a\0b"), &other), SASL_RESULT_DONE);
	want_int("bad name", run("PLAIN", SLICE_LIT("\0nobody\0b"), &nobody), SASL_RESULT_FAILED);
	want_int("bad name, not asked", nobody.asked, 0);
}

/* The library would take the blanks off, behind the back of auth_username_chars. */
static void test_blanks(void **state)
{
	struct verdict v = { " a ", "", "b", true, 0, 0, DB_OK, { NULL, NULL, NULL } };

	(void)state;
	run("PLAIN", SLICE_LIT("\0 a \0b"), &v);
	want_int("named as it came", v.named, 1);
}

static void test_anonymous(void **state)
{
	struct verdict v = { "", "", "me@x", true, 0, 0, DB_OK, { NULL, NULL, NULL } };

	(void)state;
	want_int("first", run("ANONYMOUS", SLICE_NULL, &v), SASL_RESULT_CONTINUE);
	want_int("in", run("ANONYMOUS", SLICE_LIT("me@x"), &v), SASL_RESULT_DONE);
	want_int("no name", v.named, 0);
	v.password = "";
	want_int("no trace", run("ANONYMOUS", SLICE_LIT(""), &v), SASL_RESULT_DONE);
	v.answer = false;
	want_int("not let in", run("ANONYMOUS", SLICE_LIT(""), &v), SASL_RESULT_FAILED);
}

static void test_external(void **state)
{
	struct verdict v = { "alice", "", "", true, 0, 0, DB_OK, { NULL, NULL, NULL } };
	struct strbuf out = STRBUF_INIT(1000);
	struct sasl_exchange *x;

	(void)state;
	want_int("first", run("EXTERNAL", SLICE_NULL, &v), SASL_RESULT_CONTINUE);
	want_int("no certificate", run("EXTERNAL", SLICE_LIT(""), &v), SASL_RESULT_FAILED);
	want_int("named anyway", run("EXTERNAL", SLICE_LIT("alice"), &v), SASL_RESULT_FAILED);
	want_int("NO_CERT_USER", run("EXTERNAL", SLICE_LIT("?"), &v), SASL_RESULT_FAILED);
	want_int("nobody was asked", v.named + v.asked, 0);
	x = sasl_exchange_new(sasl_mechanism_find(SLICE_LIT("EXTERNAL")), &asker, &v, &with_cert);
	want_int("certificate", sasl_exchange_start(x, SLICE_LIT(""), &out), SASL_RESULT_DONE);
	sasl_exchange_free(x);
	v.authzid = "bob";
	x = sasl_exchange_new(sasl_mechanism_find(SLICE_LIT("EXTERNAL")), &asker, &v, &with_cert);
	want_int("for bob", sasl_exchange_start(x, SLICE_LIT("bob"), &out), SASL_RESULT_DONE);
	sasl_exchange_free(x);
	strbuf_release(&out);
}

/* RFC 1939 7 has the figures, for a challenge that is not ours. */
static void test_apop(void **state)
{
	static const unsigned char right[] = "<1.2.3@x>\0a\0"
					     "\x5c\xc6\x6e\x0e\x1a\x4f\x2f\x52"
					     "\x11\x11\x11\x11\x11\x11\x11\x11";
	struct verdict v = { "a", "", "", true, 0, 0, DB_OK, { "PLAIN", "b", "PLAIN" } };

	(void)state;
	want_int("wrong digest", run("APOP", slice_mem(right, 28), &v), SASL_RESULT_FAILED);
	want_int("asked", v.asked, 1);
	want_int("short", run("APOP", slice_mem(right, 27), &v), SASL_RESULT_FAILED);
	want_int("long", run("APOP", slice_mem(right, 29), &v), SASL_RESULT_FAILED);
	want_int("no NUL", run("APOP", slice_mem(right, 9), &v), SASL_RESULT_FAILED);
	want_int("nothing", run("APOP", SLICE_NULL, &v), SASL_RESULT_FAILED);
	want_int("asked no more", v.asked, 1);
}

/* A user who is not there is challenged as one who is, in the same words each time. */
static void test_unknown_user(void **state)
{
	static const struct slice hello = SLICE_LIT("n,,n=a,r=abc");
	struct verdict gone = { "a", "", "", true, 0, 0, DB_UNKNOWN, { NULL, NULL, NULL } };
	struct strbuf out[2] = { STRBUF_INIT(1000), STRBUF_INIT(1000) };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sasl_exchange *x = begin("SCRAM-SHA-256", &gone);

		want_int(
		    "challenged", sasl_exchange_start(x, hello, &out[i]), SASL_RESULT_CONTINUE);
		sasl_exchange_free(x);
	}
	want_str("same salt", strstr(out[0].ptr, ",s="), strstr(out[1].ptr, ",s="));
	gone.found = DB_FAILED;
	want_int("the database is down", run("SCRAM-SHA-256", hello, &gone), SASL_RESULT_FAILED);
	strbuf_release(&out[0]);
	strbuf_release(&out[1]);
}

static void *many_exchanges(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 200; i++) {
		struct verdict yes = { "a", "", "b", true, 0, 0, DB_OK, { NULL, NULL, NULL } };

		if (run("PLAIN", SLICE_LIT("\0a\0b"), &yes) != SASL_RESULT_DONE)
			return arg;
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[8];
	void *result;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_exchanges, threads), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		want_int("thread", result == NULL, true);
	}
}

/* --- responses --- */

static void test_peek(void **state)
{
	static const struct {
		const char *name;
		void (*peek)(struct slice response, struct strbuf *authzid);
		struct slice response;
		const char *want;
	} cases[] = {
		{ "plain", sasl_peek_plain, SLICE_LIT("x\0a\0b"), "x" },
		{ "plain, none", sasl_peek_plain, SLICE_LIT("\0a\0b"), "" },
		{ "plain, no NUL", sasl_peek_plain, SLICE_LIT("x"), "" },
		{ "external", sasl_peek_external, SLICE_LIT("x"), "x" },
		{ "scram", sasl_peek_scram, SLICE_LIT("n,a=x=2Cy=3Dz,n=a,r=b"), "x,y=z" },
		{ "scram, none", sasl_peek_scram, SLICE_LIT("n,,n=a,r=b"), "" },
		{ "scram, last message", sasl_peek_scram, SLICE_LIT("c=biws,r=a,p=b"), "" },
		{ "scram, cut", sasl_peek_scram, SLICE_LIT("n,a=x"), "" },
		{ "digest", sasl_peek_digest,
		    SLICE_LIT("username=\"a\",realm=\"b\",authzid=\"x\\\"y\""), "x\"y" },
		{ "digest, token", sasl_peek_digest, SLICE_LIT("a=b , authzid=x"), "x" },
		{ "digest, quoted away", sasl_peek_digest, SLICE_LIT("a=\",authzid=x\""), "" },
		{ "digest, open quote", sasl_peek_digest, SLICE_LIT("a=\"authzid=x"), "" },
		{ "digest, no value", sasl_peek_digest, SLICE_LIT("authzid"), "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf got = STRBUF_INIT(100);

		cases[i].peek(cases[i].response, &got);
		want_str(cases[i].name, got.ptr, cases[i].want);
		strbuf_release(&got);
	}
}

/* --- stored passwords --- */

#define CRAM_STORED "cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56"

static void test_secrets(void **state)
{
	static const struct {
		const char *name, *scheme, *stored, *property;
		const char *want; /* NULL: none; in hex for binary ones */
		bool binary;
	} cases[] = {
		{ "plain", "PLAIN", "secret", "userPassword", "secret", false },
		{ "clear", "cleartext", "secret", "userPassword", "secret", false },
		{ "a hash is no password", "SHA1", "secret", "userPassword", NULL, false },
		{ "cram", "CRAM-MD5", CRAM_STORED, "cmusaslsecretCRAM-MD5",
		    "f1f7e0a98a0cc0fbc3aabb81561b7395dea73bcdcae5d6aaa48b44234797372e", true },
		{ "cram, short", "CRAM-MD5", "cd3b", "cmusaslsecretCRAM-MD5", NULL, false },
		{ "cram, not hex", "CRAM-MD5", "zz", "cmusaslsecretCRAM-MD5", NULL, false },
		{ "cram for digest", "CRAM-MD5", CRAM_STORED, "cmusaslsecretDIGEST-MD5", NULL,
		    false },
		{ "digest", "DIGEST-MD5", "eb42e9fb30ded5b02876d980d11d165d",
		    "cmusaslsecretDIGEST-MD5", "eb42e9fb30ded5b02876d980d11d165d", true },
		{ "digest, long", "DIGEST-MD5", "eb42e9fb30ded5b02876d980d11d165d00",
		    "cmusaslsecretDIGEST-MD5", NULL, false },
		{ "scram", "scram-sha-1", "4096,c2FsdA==,a2V5,c3J2", "authPassword",
		    "SCRAM-SHA-1$4096:c2FsdA==$a2V5:c3J2", false },
		{ "scram, cut", "SCRAM-SHA-1", "4096,c2FsdA==,a2V5", "authPassword", NULL, false },
		{ "scram, more", "SCRAM-SHA-1", "1,a,b,c,d", "authPassword", NULL, false },
		{ "scram, empty", "SCRAM-SHA-1", "", "authPassword", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct credentials c = { NULL, cases[i].stored, cases[i].scheme };
		struct strbuf got = STRBUF_INIT(1000), hex = STRBUF_INIT(1000);
		bool found = sasl_secret(&c, cases[i].property, &got);

		hex_encode(&hex, strbuf_slice(&got));
		want_int(cases[i].name, found, cases[i].want != NULL);
		if (found)
			want_str(cases[i].name, cases[i].binary ? hex.ptr : got.ptr, cases[i].want);
		strbuf_release(&got);
		strbuf_release(&hex);
	}
}

/* Of the kind that the last known user had. */
static void test_fakes(void **state)
{
	struct credentials stored = { "SCRAM-SHA-1", "x", "SCRAM-SHA-1" },
			   plain = { "SCRAM-SHA-1", "x", "PLAIN" };
	struct strbuf got = STRBUF_INIT(1000);

	(void)state;
	sasl_secrets_saw(&plain);
	sasl_secret_fake("SCRAM-SHA-1", SLICE_LIT("a"), "authPassword", &got);
	want_int("no keys", got.len, 0);
	sasl_secret_fake("SCRAM-SHA-1", SLICE_LIT("a"), "userPassword", &got);
	want_int("a password", got.len > 20, true);
	strbuf_reset(&got);
	sasl_secrets_saw(&stored);
	sasl_secret_fake("SCRAM-SHA-1", SLICE_LIT("a"), "userPassword", &got);
	want_int("no password", got.len, 0);
	sasl_secret_fake("SCRAM-SHA-1", SLICE_LIT("a"), "authPassword", &got);
	want_int("keys", slice_starts(strbuf_slice(&got), "SCRAM-SHA-1$4096:"), true);
	strbuf_reset(&got);
	sasl_secret_fake("CRAM-MD5", SLICE_LIT("a"), "userPassword", &got);
	want_int("other mechanisms want passwords", got.len > 20, true);
	sasl_secrets_saw(&plain);
	strbuf_release(&got);
}

static int setup(void **state)
{
	(void)state;
	sasl_server_setup("plain login PLAIN cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop "
			  "anonymous external",
	    "a.test b.test");
	return sasl_mechanism_count() == 9 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_apop),
		cmocka_unit_test(test_unknown_user),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_fakes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
