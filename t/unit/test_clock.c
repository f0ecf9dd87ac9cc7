// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"

static void test_clocks(void **state)
{
	struct timespec nap = { 0, 20 * 1000 * 1000 };
	int64_t before = clock_ms(), wall = clock_wall_us(), passed;

	(void)state;
	nanosleep(&nap, NULL);
	passed = clock_ms() - before;
	assert_true(passed >= 19 && passed < 60000);
	want_int("seconds", llabs(wall / 1000000 - time(NULL)) < 3600, true);
}

static void test_deadlines(void **state)
{
	static const struct {
		const char *name;
		int64_t timeout;
		int least, most;
	} cases[] = {
		{ "never", -1, -1, -1 },
		{ "very long ago is never, too", INT64_MIN, -1, -1 },
		{ "so long that it wraps", INT64_MAX - 1, -1, -1 },
		{ "now", 0, 0, 0 },
		{ "a minute", 60000, 1, 60000 },
		{ "more than poll(2) takes", INT64_MAX / 2, INT32_MAX, INT32_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int left = deadline_left(deadline_in(cases[i].timeout));

		if (left < cases[i].least || left > cases[i].most)
			fail_msg("%s: %d left", cases[i].name, left);
	}
	want_int("past", deadline_left(clock_ms() - 1), 0);
	want_int("long past", deadline_left(INT64_MIN), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_deadlines),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
