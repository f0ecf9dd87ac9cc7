// SPDX-License-Identifier: BSD-2-Clause
#include "authd/penalty.h"

#include <stdio.h>

#include "base/check.h"
#include "unit.h"

#define NOW 1000000

static void test_levels(void **state)
{
	static const struct {
		unsigned level;
		int64_t wait;
	} cases[] = { { 0, 0 }, { 1, 4000 }, { 2, 8000 }, { 3, 15000 }, { 4, 15000 },
		{ 10, 15000 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		want_int("wait", penalty_wait_ms(cases[i].level), cases[i].wait);
	for (unsigned i = 0; i < 20; i++) {
		unsigned level = penalty_level("192.0.2.1", NOW);

		want_int("level", level, i < PENALTY_LEVEL_MAX ? i : PENALTY_LEVEL_MAX);
		penalty_add("192.0.2.1", level, 0, NOW);
	}
	want_int("a moment before", penalty_level("192.0.2.1", NOW + PENALTY_FRESH_MS - 1),
	    PENALTY_LEVEL_MAX);
	want_int("forgotten", penalty_level("192.0.2.1", NOW + PENALTY_FRESH_MS), 0);
	penalty_forgive("192.0.2.1");
	want_int("forgiven", penalty_level("192.0.2.1", NOW), 0);
	penalty_forgive("192.0.2.99");
	want_int("unknown", penalty_level("192.0.2.99", NOW), 0);
}

static void test_checksums(void **state)
{
	const char *address = "192.0.2.2";

	(void)state;
	penalty_add(address, 0, 7, NOW);
	penalty_add(address, 1, 7, NOW + 1);
	want_int("the same again", penalty_level(address, NOW + 1), 1);
	want_int("and no later", penalty_level(address, NOW + PENALTY_FRESH_MS), 0);
	penalty_add(address, 1, 8, NOW + 2);
	want_int("another one", penalty_level(address, NOW + 2), 2);
	penalty_add(address, 2, 7, NOW + 2);
	want_int("the first again", penalty_level(address, NOW + 2), 2);
	for (uint32_t i = 0; i < 9; i++)
		penalty_add(address, 0, 100 + i, NOW + 3);
	penalty_add(address, 1, 7, NOW + 3);
	want_int("among the last ten", penalty_level(address, NOW + 3), 1);
	penalty_add(address, 1, 8, NOW + 3);
	want_int("no more", penalty_level(address, NOW + 3), 2);
	penalty_add("192.0.2.3", 0, 0, NOW);
	penalty_add("192.0.2.3", 1, 0, NOW);
	want_int("without a password each counts", penalty_level("192.0.2.3", NOW), 2);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *failed, *asked;
		bool same;
	} cases[] = {
		{ "2001:db8:1:1::1", "2001:db8:1:2::2", true },
		{ "2001:db8:5:1::1", "2001:db8:6:1::1", false },
		{ "192.0.2.10", "192.0.2.11", false }, { "", "nonsense", true },
		{ "198.51.100.1", "", true }, /* of the case before */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		penalty_add(cases[i].failed, 0, 0, NOW);
		want_int(cases[i].asked, penalty_level(cases[i].asked, NOW), cases[i].same);
	}
}

static void test_bound(void **state)
{
	char address[32];

	(void)state;
	for (unsigned i = 0; i <= PENALTY_CLIENTS_MAX; i++) {
		snprintf(address, sizeof(address), "10.0.%u.%u", i / 256, i % 256);
		penalty_add(address, 0, 0, NOW);
	}
	want_int("the oldest", penalty_level("10.0.0.0", NOW), 0);
	want_int("the next one", penalty_level("10.0.0.1", NOW), 1);
	want_int("the newest", penalty_level(address, NOW), 1);
	penalty_add("10.0.0.1", 0, 0, NOW);
	penalty_add("192.0.2.4", 0, 0, NOW);
	want_int("who failed again", penalty_level("10.0.0.1", NOW), 1);
	want_int("who did not", penalty_level("10.0.0.2", NOW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
