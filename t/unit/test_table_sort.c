// SPDX-License-Identifier: BSD-2-Clause
#include "base/check.h"
#include "config.h"
#include "table/table_sort.h"

#define COUNT 5000

static void test_sort(void **state)
{
	/* What is left of each random number: few digits, all of them, or ties. */
	static const uint64_t masks[] = { 0, 1, 0xff, 0x7ff, 0x800, UINT64_MAX, 0xff00000000000000,
		0x00ff000000ff0000, 0x7fffffffffffffff };
	static struct table_sort items[COUNT];

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(masks); m++) {
		uint64_t number = 20261120;

		for (size_t i = 0; i < COUNT; i++) {
			number = number * 6364136223846793005u + 1442695040888963407u;
			items[i] = (struct table_sort){ (number ^ number >> 29) & masks[m], i };
		}
		table_sort(items, COUNT);
		for (size_t i = 1; i < COUNT; i++) {
			assert_true(items[i - 1].number <= items[i].number);
			if (items[i - 1].number == items[i].number)
				assert_true(items[i - 1].which < items[i].which);
		}
	}
	table_sort(items, 0);
	table_sort(items, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort),
	};

	return cmocka_run_group_tests_name("table_sort", tests, NULL, NULL);
}
