// SPDX-License-Identifier: BSD-2-Clause
/* What the cache of databases' answers keeps, and for whom. */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "authd/auth_cache.h"
#include "unit.h"

static const struct database by_name = { .position = 1, .cache_key = "%u" };
static const struct database by_address = { .position = 1, .cache_key = "%u%r" };
static const struct database by_domain = { .position = 1, .cache_key = "%d" };
static const struct database other_block = { .position = 2, .cache_key = "%u" };
static const struct database userdb = { .position = 1, .cache_key = "%u", .is_userdb = true };
static const struct database uncached = { .position = 1 };

static void make_subject(
    struct subject *subject, struct arena *arena, const char *user, const char *ip)
{
	struct auth_fields fields;
	const char *line = arena_printf(arena, "service=x\trip=%s", ip);

	assert_true(auth_fields_split(&fields, slice_of(line), arena));
	assert_true(subject_from_fields(subject, arena, &fields, 0));
	subject->user = arena_strdup(arena, user);
}

static void put(const struct database *db, const char *user, const char *ip, enum db_result result,
    const char *password)
{
	struct arena arena = ARENA_INIT;
	struct db_entry entry = { .password = password, .scheme = "PLAIN", .expand = true };
	struct subject subject;

	make_subject(&subject, &arena, user, ip);
	pairs_set(&entry.fields, &arena, "mark", user);
	pairs_set(&entry.fields, &arena, "bare", NULL);
	auth_cache_put(&subject, auth_cache_key(db, &subject), result, &entry);
	arena_release(&arena);
}

enum kept { KEPT_NOTHING, KEPT_WANTED, KEPT_OTHER };

/* WANT: the password that is kept; "" for an unknown user. */
static enum kept look(const struct database *db, const char *user, const char *ip, const char *want)
{
	struct arena arena = ARENA_INIT;
	struct cached_answer answer;
	struct subject subject;
	bool good;

	make_subject(&subject, &arena, user, ip);
	auth_cache_get(&subject, auth_cache_key(db, &subject), &answer);
	if (answer.state != CACHED_FRESH)
		good = false;
	else if (answer.result != DB_OK)
		good = !*want;
	else
		good = answer.entry.password && !strcmp(want, answer.entry.password) &&
		       !strcmp(pairs_find(&answer.entry.fields, "mark")->value, user) &&
		       !pairs_find(&answer.entry.fields, "bare")->value && answer.entry.expand &&
		       !strcmp(answer.entry.scheme, "PLAIN");
	arena_release(&arena);
	if (answer.state != CACHED_FRESH)
		return KEPT_NOTHING;
	return good ? KEPT_WANTED : KEPT_OTHER;
}

/* WANT NULL: nothing. */
static bool holds(const struct database *db, const char *user, const char *ip, const char *want)
{
	return look(db, user, ip, want ? want : "") == (want ? KEPT_WANTED : KEPT_NOTHING);
}

static void test_keys(void **state)
{
	(void)state;
	auth_cache_setup(100000, 3600, 3600);
	put(&by_name, "alice@a", "", DB_OK, "one");
	want_int("there", holds(&by_name, "alice@a", "", "one"), true);
	want_int("another user", holds(&by_name, "bob@a", "", NULL), true);
	want_int("another block", holds(&other_block, "alice@a", "", NULL), true);
	want_int("a userdb", holds(&userdb, "alice@a", "", NULL), true);
	want_int("without a key", holds(&uncached, "alice@a", "", NULL), true);
	/* CVE-2025-30189: a key in which the user does not stand */
	put(&by_domain, "alice@a", "", DB_OK, "two");
	want_int("same domain", holds(&by_domain, "bob@a", "", NULL), true);
	/* values do not run together */
	put(&by_address, "a1", "0.0.0.0", DB_OK, "three");
	want_int("name and address", holds(&by_address, "a", "10.0.0.0", NULL), true);
	want_int("itself", holds(&by_address, "a1", "0.0.0.0", "three"), true);
}

/* Users must not share a key because OpenSSL makes no digest. */
static void test_no_digest(void **state)
{
	(void)state;
	auth_cache_setup(100000, 3600, 3600);
	assert_int_equal(EVP_set_default_properties(NULL, "provider=absent"), 1);
	put(&by_name, "alice", "", DB_OK, "one");
	want_int("another user", holds(&by_name, "bob", "", NULL), true);
	want_int("nothing is kept", holds(&by_name, "alice", "", NULL), true);
	assert_int_equal(EVP_set_default_properties(NULL, ""), 1);
	put(&by_name, "alice", "", DB_OK, "one");
	want_int("kept again", holds(&by_name, "alice", "", "one"), true);
}

static void test_results(void **state)
{
	(void)state;
	auth_cache_setup(100000, 3600, 3600);
	put(&by_name, "u", "", DB_UNKNOWN, NULL);
	want_int("unknown", holds(&by_name, "u", "", ""), true);
	put(&by_name, "u", "", DB_OK, "p");
	want_int("replaced", holds(&by_name, "u", "", "p"), true);
	put(&by_name, "f", "", DB_FAILED, NULL);
	want_int("failures are not kept", holds(&by_name, "f", "", NULL), true);
	auth_cache_setup(100000, 3600, 0);
	put(&by_name, "u", "", DB_UNKNOWN, NULL);
	want_int("negative ttl 0", holds(&by_name, "u", "", NULL), true);
	auth_cache_setup(100000, 0, 3600);
	put(&by_name, "u", "", DB_OK, "p");
	want_int("ttl 0", holds(&by_name, "u", "", NULL), true);
	auth_cache_setup(0, 3600, 3600);
	put(&by_name, "u", "", DB_OK, "p");
	want_int("no cache", holds(&by_name, "u", "", NULL), true);
}

static void test_flush(void **state)
{
	(void)state;
	auth_cache_setup(100000, 3600, 3600);
	put(&by_name, "a", "", DB_OK, "p");
	put(&userdb, "a", "", DB_OK, "p");
	put(&by_name, "b", "", DB_OK, "p");
	want_int("nobody", (int)auth_cache_flush("c"), 0);
	want_int("one user", (int)auth_cache_flush("a"), 2);
	want_int("gone", holds(&by_name, "a", "", NULL), true);
	want_int("the other stays", holds(&by_name, "b", "", "p"), true);
	want_int("all", (int)auth_cache_flush(NULL), 1);
	want_int("none is left", (int)auth_cache_flush(NULL), 0);
}

static void test_bounds(void **state)
{
	char user[32], large[5000];

	(void)state;
	auth_cache_setup(4000, 3600, 3600);
	for (int i = 0; i < 1000; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		put(&by_name, user, "", DB_OK, "p");
		want_int("the newest", holds(&by_name, user, "", "p"), true);
		put(&by_name, "kept", "", DB_OK, "p");
	}
	want_int("the oldest", holds(&by_name, "u0", "", NULL), true);
	want_int("few are left", auth_cache_flush(NULL) < 20, true);
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	put(&by_name, "large", "", DB_OK, large);
	want_int("larger than the cache", holds(&by_name, "large", "", NULL), true);
}

static void *use(void *arg)
{
	char user[32];

	for (int i = 0; i < 500; i++) {
		snprintf(user, sizeof(user), "u%d", i % 40);
		put(&by_name, user, "", DB_OK, user);
		/* Others drop it in between, but never does it have another one's. */
		if (look(&by_name, user, "", user) == KEPT_OTHER)
			return arg;
		if (i % 100 == 0)
			auth_cache_flush(user);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	void *result;

	(void)state;
	auth_cache_setup(4000, 3600, 3600);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, threads), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		want_int("thread", result == NULL, true);
	}
	auth_cache_setup(0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no_digest),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
