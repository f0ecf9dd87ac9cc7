// SPDX-License-Identifier: BSD-2-Clause
/* The chains of authd: what blocks in a row make of a login. */
#include <stdlib.h>
#include <unistd.h>

#include "authd/database.h"
#include "authd/logins.h"
#include "conf/dovecot_tree.h"
#include "unit.h"

static char users_path[] = "/tmp/postcote-users-XXXXXX";
static struct dovecot_source *source;
static struct dovecot_settings *settings;

/* In CONFIG "&" is the path of a file with the user u, password p. */
static void load(const char *config)
{
	struct strbuf text = STRBUF_INIT(10000);
	struct conf_errors errors = CONF_ERRORS_INIT;

	for (; *config; config++) {
		if (*config == '&')
			strbuf_addstr(&text, users_path);
		else
			strbuf_addch(&text, *config);
	}
	dovecot_settings_free(settings);
	dovecot_source_free(source);
	source = dovecot_source_parse(strbuf_slice(&text), &errors);
	dovecot_conf_check(source, &errors);
	if (errors.error_count)
		fail_msg("%s: %s", text.ptr, errors.list[0].text);
	settings = dovecot_settings_new(source, NULL, NULL);
	database_load(source, settings);
	conf_errors_release(&errors);
	strbuf_release(&text);
}

static void make_subject(struct subject *subject, struct arena *arena, const char *params)
{
	struct auth_fields fields;
	const char *line = arena_printf(arena, "service=pop3\t%s", params);

	assert_true(auth_fields_split(&fields, slice_of(line), arena));
	assert_true(subject_from_fields(subject, arena, &fields, 0));
	subject->mechanism = "PLAIN";
}

#define FILE_DB(more)	 "passdb {\ndriver = passwd-file\nargs = scheme=PLAIN &\n" more "}\n"
#define STATIC_DB(more)	 "passdb {\ndriver = static\nargs = password=s\n" more "}\n"
#define ANYBODY_DB(more) "passdb {\ndriver = static\nargs = nopassword=y\n" more "}\n"
#define ABSENT_DB(more)	 "passdb {\ndriver = ldap\n" more "}\n"
#define MISSING_DB(more) "passdb {\ndriver = passwd-file\nargs = /nowhere/users\n" more "}\n"

static const struct chain_case {
	const char *config, *user, *password;
	enum db_result want;
} chains[] = {
	{ FILE_DB(""), "u", "p", DB_OK },
	{ FILE_DB(""), "u", "x", DB_MISMATCH },
	{ FILE_DB(""), "x", "p", DB_UNKNOWN },
	{ MISSING_DB(""), "u", "p", DB_FAILED },
	{ ABSENT_DB(""), "u", "p", DB_FAILED },
	/* a second block */
	{ FILE_DB("") STATIC_DB(""), "u", "s", DB_OK },
	{ FILE_DB("") STATIC_DB(""), "u", "x", DB_MISMATCH },
	{ FILE_DB("result_failure = return\n") STATIC_DB(""), "u", "s", DB_MISMATCH },
	{ FILE_DB("result_failure = return-fail\n") STATIC_DB(""), "u", "s", DB_MISMATCH },
	{ FILE_DB("result_failure = return-ok\n") STATIC_DB(""), "u", "x", DB_OK },
	{ MISSING_DB("") STATIC_DB(""), "u", "s", DB_OK },
	{ MISSING_DB("") STATIC_DB(""), "u", "x", DB_FAILED },
	{ MISSING_DB("") FILE_DB(""), "nobody", "x", DB_FAILED },
	{ MISSING_DB("result_internalfail = return-fail\n") STATIC_DB(""), "u", "s", DB_FAILED },
	{ ABSENT_DB("") FILE_DB(""), "u", "p", DB_OK },
	/* the first has checked the password, the second is asked for the user */
	{ FILE_DB("result_success = continue\n") STATIC_DB(""), "u", "p", DB_OK },
	{ FILE_DB("result_success = continue\n") STATIC_DB(""), "u", "s", DB_OK },
	{ FILE_DB("result_success = continue\n") STATIC_DB(""), "u", "x", DB_MISMATCH },
	{ FILE_DB("result_success = continue\n"), "u", "p", DB_MISMATCH },
	{ FILE_DB("pass = yes\n") STATIC_DB(""), "u", "p", DB_OK },
	{ FILE_DB("result_success = continue-ok\n") STATIC_DB("result_failure = continue\n"), "u",
	    "p", DB_OK },
	{ FILE_DB("result_success = continue-ok\n") STATIC_DB("result_failure = return-fail\n"),
	    "u", "p", DB_OK },
	{ FILE_DB("result_success = return-fail\n") STATIC_DB(""), "u", "p", DB_MISMATCH },
	/* skip */
	{ FILE_DB("result_success = continue-ok\n")
		STATIC_DB("skip = authenticated\nresult_failure = return-fail\n"),
	    "u", "p", DB_OK },
	{ STATIC_DB("skip = unauthenticated\n"), "u", "s", DB_FAILED },
	/* deny */
	{ FILE_DB("deny = yes\n") ANYBODY_DB(""), "u", "any", DB_DISABLED },
	{ FILE_DB("deny = yes\n") ANYBODY_DB(""), "x", "any", DB_OK },
	{ MISSING_DB("deny = yes\n") ANYBODY_DB(""), "x", "any", DB_FAILED },
	{ ABSENT_DB("deny = yes\n") ANYBODY_DB(""), "x", "any", DB_FAILED },
	{ FILE_DB("deny = yes\n"), "x", "any", DB_UNKNOWN },
	/* filters */
	{ STATIC_DB("mechanisms = login\n"), "u", "s", DB_FAILED },
	{ STATIC_DB("mechanisms = login plain\n"), "u", "s", DB_OK },
	{ STATIC_DB("username_filter = *@x\n"), "u", "s", DB_FAILED },
	{ STATIC_DB("username_filter = *@x\n"), "u@x", "s", DB_OK },
	{ STATIC_DB("username_filter = * !u\n"), "u", "s", DB_FAILED },
	{ STATIC_DB("username_filter = !v\n"), "u", "s", DB_OK },
	{ STATIC_DB("username_filter = !v\n"), "v", "s", DB_FAILED },
	/* fields */
	{ STATIC_DB("override_fields = allow_nets=192.0.2.0/24\n"), "u", "s", DB_UNKNOWN },
	{ STATIC_DB("default_fields = allow_nets=10.0.0.0/8\n"), "u", "s", DB_OK },
	{ FILE_DB("override_fields = nopassword=y\n"), "u", "x", DB_MISMATCH },
	/* without a password nobody comes in */
	{ "passdb {\ndriver = static\n}\n", "u", "", DB_MISMATCH },
	{ "passdb {\ndriver = static\nargs = password=\n}\n", "u", "", DB_MISMATCH },
	/* masters are not users */
	{ FILE_DB("") STATIC_DB("master = yes\n"), "u", "s", DB_MISMATCH },
	/* the name in another file */
	{ "passdb {\ndriver = passwd-file\nargs = username_format=%n scheme=PLAIN &\n}\n", "u@d",
	    "p", DB_OK },
	{ "passdb {\ndriver = passwd-file\nargs = username_format=%{none} &\n}\n", "u", "p",
	    DB_FAILED },
};

static void test_chains(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
		const struct chain_case *c = &chains[i];
		struct arena arena = ARENA_INIT;
		struct subject subject;
		const char *error;

		load(c->config);
		make_subject(&subject, &arena, "rip=10.1.2.3");
		assert_true(subject_set_name(&subject, settings, slice_of(c->user), &error));
		want_int(c->config, passdb_verify(&subject, slice_of(c->password)), c->want);
		want_int("no field is left of a failure",
		    c->want != DB_OK && (subject.extra.first || subject.userdb.first), false);
		arena_release(&arena);
	}
}

static const struct name_case {
	const char *config, *name, *want; /* NULL: nobody has it */
} names[] = {
	{ "", "Alice@Example.ORG", "alice@example.org" },
	{ "auth_username_format =\n", "Alice", "Alice" },
	{ "auth_username_format = %n\n", "alice@a", "alice" },
	{ "auth_username_format = %d\n", "alice", NULL },
	{ "auth_username_format = %{none}\n", "alice", NULL },
	{ "auth_default_realm = d\n", "alice", "alice@d" },
	{ "auth_default_realm = d\n", "alice@e", "alice@e" },
	{ "", "", NULL },
	{ "", "a b", NULL },
	{ "", "a/b", NULL },
	{ "", "a\tb", NULL },
	{ "", "\xc3\xa4", NULL },
	{ "auth_username_chars =\n", "\xc3\xa4 b", "\xc3\xa4 b" },
	{ "auth_username_chars = ab\n", "abc", NULL },
	{ "auth_username_translation = a-b-\n", "a.b", "-.-" },
	{ "", "..", NULL },
	{ "", ".", NULL },
	{ "", "..@a", NULL },
	{ "", "a@..", NULL },
	{ "", "a@.", NULL },
	{ "", "a@b@..", NULL },
	{ "", ".a@b", ".a@b" },
	{ "auth_username_chars =\nauth_username_translation = x.\n", "xx@a", NULL },
};

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct name_case *c = &names[i];
		struct arena arena = ARENA_INIT;
		struct subject subject;
		const char *error, *text = arena_printf(&arena, "%s%s", c->config, STATIC_DB(""));
		bool good;

		load(text);
		make_subject(&subject, &arena, "");
		good = subject_set_name(&subject, settings, slice_of(c->name), &error);
		want_int(c->name, good, c->want != NULL);
		if (good)
			want_str(c->name, subject.user, c->want);
		arena_release(&arena);
	}
}

static void test_name_limits(void **state)
{
	struct arena arena = ARENA_INIT;
	struct subject subject;
	const char *error;
	char name[600];

	(void)state;
	load(STATIC_DB(""));
	make_subject(&subject, &arena, "");
	memset(name, 'a', sizeof(name));
	want_int("long", subject_set_name(&subject, settings, slice_mem(name, 512), &error), true);
	want_int(
	    "longer", subject_set_name(&subject, settings, slice_mem(name, 513), &error), false);
	want_int("NUL", subject_set_name(&subject, settings, SLICE_LIT("a\0b"), &error), false);
	arena_release(&arena);
}

static struct login_client *client_new(uint32_t pid)
{
	struct login_client *client = xcalloc(1, sizeof(*client));

	list_init(&client->logins);
	memset(client->cookie, 'c', LOGIN_COOKIE_SIZE);
	assert_true(login_client_add(client, pid));
	return client;
}

static void test_logins(void **state)
{
	struct login_client *client = client_new(7), other = { .pid = 0 };
	struct arena arena = ARENA_INIT, taken = ARENA_INIT;
	struct slice cookie = slice_of(client->cookie);
	struct subject subject, *found;
	const char *error;

	(void)state;
	load(STATIC_DB(""));
	make_subject(&subject, &arena, "session=s");
	assert_true(subject_set_name(&subject, settings, SLICE_LIT("u"), &error));
	list_init(&other.logins);
	want_int("a number of one client", login_client_add(&other, 7), false);
	login_client_remove(&other);
	want_int("kept", login_keep(client, 3, &subject), true);
	arena_release(&arena);
	want_int("other client", login_take(8, 3, cookie, &taken) == NULL, true);
	want_int("other request", login_take(7, 4, cookie, &taken) == NULL, true);
	want_int("cookie cut", login_take(7, 3, slice_first(cookie, 31), &taken) == NULL, true);
	want_int("no cookie", login_take(7, 3, SLICE_NULL, &taken) == NULL, true);
	found = login_take(7, 3, cookie, &taken);
	want_str("the subject lives on", found->user, "u");
	want_str("session", found->session, "s");
	want_int("once", login_take(7, 3, cookie, &taken) == NULL, true);
	for (uint32_t id = 1; id <= 1000; id++)
		want_int("many", login_keep(client, id, found), true);
	want_int("too many", login_keep(client, 1001, found), false);
	login_client_remove(client);
	want_int("gone with the client", login_take(7, 1, cookie, &taken) == NULL, true);
	free(client);
	arena_release(&taken);
}

static int setup(void **state)
{
	int fd = mkstemp(users_path);

	(void)state;
	return fd < 0 || write(fd, "u:p\n", 4) != 4 || close(fd);
}

static int cleanup(void **state)
{
	(void)state;
	dovecot_settings_free(settings);
	dovecot_source_free(source);
	return unlink(users_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_name_limits),
		cmocka_unit_test(test_logins),
	};

	return cmocka_run_group_tests(tests, setup, cleanup);
}
