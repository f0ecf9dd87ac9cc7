// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdio.h>

#include "base/map.h"
#include "queue/queue_id.h"

static void test_forms(void **state)
{
	static const struct {
		const char *name;
		bool long_form;
		int64_t lifetime_s, us;
		uint64_t number;
		const char *want;
		char hash;
	} cases[] = {
		/* 1795160574 is 0x6AFFF9FE; its last five digits. */
		{ "short", false, 0, INT64_C(1795160574129228), 1, "1F8CCFF9FE001", '1' },
		{ "short, small", false, 0, INT64_C(1795160574000005), 0xabc, "00005FF9FEABC",
		    '0' },
		{ "short, number wraps", false, 0, 0, 0x1001, "0000000000001", '0' },
		{ "short, long lifetime", false, 86400 * 30, INT64_C(1795160574129228), 1,
		    "1F8CCFFF9FE001", '1' },
		{ "long", true, 0, INT64_C(1795160574129228), 51, NULL, '1' },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct queue_id_rules rules = { cases[i].long_form, cases[i].lifetime_s };
		char id[QUEUE_ID_SIZE];

		queue_id_make(&rules, cases[i].us, cases[i].number, id);
		if (cases[i].want)
			want_str(cases[i].name, id, cases[i].want);
		want_int(cases[i].name, queue_id_hash(slice_of(id)), cases[i].hash);
		want_int(cases[i].name, queue_id_is_long(slice_of(id)), cases[i].long_form);
		assert_true(queue_id_is_valid(slice_of(id)));
	}
}

static void test_validity(void **state)
{
	static const struct {
		const char *id;
		bool valid, is_long;
	} cases[] = {
		{ "", false, false },
		{ "12345", false, false },
		{ "21B17D2A001", true, false },
		{ "4gqZ2x1pV4z3Nb6", true, true },
		{ "../../etc/passwd", false, false },
		{ "21B17D.2A001", false, false },
		{ "1795160574.P12", false, false },
		{ "0123456789012345678901234567890123456789", false, false },
		/* a vowel */
		{ "4gqA2x1pV4z3Nb6", true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		want_int(cases[i].id, queue_id_is_valid(slice_of(cases[i].id)), cases[i].valid);
		want_int(cases[i].id, queue_id_is_long(slice_of(cases[i].id)), cases[i].is_long);
	}
	assert_false(queue_id_is_valid(slice_mem("21B17\0D2A", 9)));
}

static void test_unique(void **state)
{
	struct queue_id_rules rules[] = { { false, 0 }, { true, 0 } };

	(void)state;
	for (size_t r = 0; r < 2; r++) {
		struct map seen = MAP_INIT;

		for (int i = 0; i < 20000; i++) {
			char id[QUEUE_ID_SIZE];

			/* The same number: time alone must do, within one process. */
			queue_id_new(&rules[r], 7, id);
			if (map_put_str(&seen, id, &seen))
				fail_msg("%s twice", id);
		}
		map_release(&seen, NULL);
	}
}

static void test_hash(void **state)
{
	static const struct {
		const char *id, *levels;
	} rows[] = {
		{ "9938EA72591", "9938EA" },
		/* Ids that a real Postfix made, and where it put them. */
		{ "4jWG5r6QDsz8t7y", "D" },
		{ "4jWG6600hsz9BRB", "0" },
		{ "4jWGD75LL0z9KW5", "B" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned level = 0; rows[i].levels[level]; level++)
			want_int(rows[i].id, queue_id_hash_at(slice_of(rows[i].id), level),
			    rows[i].levels[level]);
	want_int("no more digits", queue_id_hash_at(slice_of(rows[1].id), 5), '_');
	want_int("no more characters", queue_id_hash_at(SLICE_LIT("ABCDEF"), 6), '_');
	assert_true(queue_id_may_be(SLICE_LIT("zz")) && queue_id_may_be(SLICE_LIT("A_b")));
	assert_false(queue_id_may_be(SLICE_NULL) || queue_id_may_be(SLICE_LIT("a.b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_validity),
		cmocka_unit_test(test_unique),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests_name("queue_id", tests, NULL, NULL);
}
