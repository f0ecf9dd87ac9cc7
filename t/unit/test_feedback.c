// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "qmgr/feedback.h"

static const struct {
	const char *text;
	bool ok;
	enum feedback_kind kind;
	double at4; /* its value at a concurrency of 4 */
} forms[] = {
	{ "1", true, FEEDBACK_CONSTANT, 1 },
	{ "0", true, FEEDBACK_CONSTANT, 0 },
	{ "0.25", true, FEEDBACK_CONSTANT, 0.25 },
	{ "1/8", true, FEEDBACK_CONSTANT, 0.125 },
	{ " 1 / 2 ", true, FEEDBACK_CONSTANT, 0.5 },
	{ "3/4", true, FEEDBACK_CONSTANT, 0.75 },
	{ "1/concurrency", true, FEEDBACK_PER_CONCURRENCY, 0.25 },
	{ "0.5 / concurrency", true, FEEDBACK_PER_CONCURRENCY, 0.125 },
	{ "1 / sqrt_concurrency", true, FEEDBACK_PER_SQRT, 0.5 },
	{ "", false, 0, 0 },
	{ "/", false, 0, 0 },
	{ "1/", false, 0, 0 },
	{ "1/0", false, 0, 0 },
	{ "3/2", false, 0, 0 },
	{ "7", false, 0, 0 },
	{ "2/concurrency", false, 0, 0 },
	{ "-1", false, 0, 0 },
	{ "+1", false, 0, 0 },
	{ "1e0", false, 0, 0 },
	{ "nan", false, 0, 0 },
	{ "0x1", false, 0, 0 },
	{ ".", false, 0, 0 },
	{ "1.0.0", false, 0, 0 },
	{ "1/concurrence", false, 0, 0 },
	{ "1/concurrency/2", false, 0, 0 },
	{ "concurrency", false, 0, 0 },
};

static void test_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct feedback_form form;

		want_int(
		    forms[i].text, feedback_parse(slice_of(forms[i].text), &form), forms[i].ok);
		if (!forms[i].ok)
			continue;
		want_int(forms[i].text, form.kind, forms[i].kind);
		if (feedback_value(&form, 4) != forms[i].at4)
			fail_msg("%s at 4: %g", forms[i].text, feedback_value(&form, 4));
	}
}

/*
 * What happens, one letter each: + a success with the window full, o one with a single delivery
 * running, - a failure.  And the window after each, as the peer's pseudo code has it.
 */
static const struct {
	const char *name;
	unsigned initial, limit, cohorts;
	const char *positive, *negative, *events;
	unsigned windows[24];
} runs[] = {
	{ "defaults, up", 5, 20, 1, "1", "1", "+++++", { 6, 7, 8, 9, 10 } },
	{ "up to the limit", 5, 7, 1, "1", "1", "++++", { 6, 7, 7, 7 } },
	{ "no limit", 5, 0, 1, "1", "1", "++++", { 6, 7, 8, 9 } },
	{ "limit below the initial one", 5, 2, 1, "1", "1", "++-", { 2, 2, 1 } },
	{ "not used", 5, 20, 1, "1", "1", "+o+o", { 6, 6, 7, 7 } },
	{ "within the initial one", 5, 20, 1, "1", "1", "oooo", { 6, 6, 6, 6 } },
	/* As the peer logs it. */
	{ "defaults, down", 5, 20, 1, "1", "1", "----", { 3, 2, 0, 0 } },
	{ "a success between", 5, 20, 1, "1", "1", "--+----", { 3, 2, 3, 1, 0, 0, 0 } },
	{ "one at a time", 1, 20, 1, "1", "1", "-", { 0 } },
	{ "two cohorts", 1, 20, 2, "1", "1", "-+---", { 1, 2, 1, 1, 0 } },
	{ "never dead", 2, 20, 0, "1", "1", "------", { 1, 1, 1, 1, 1, 1 } },
	{ "immune", 3, 20, 0, "1", "0", "---+", { 3, 3, 3, 4 } },
	{ "a cohort up", 4, 20, 1, "1/concurrency", "1", "+++++++++",
	    { 4, 4, 4, 5, 5, 5, 5, 5, 6 } },
	{ "down at the beginning", 4, 20, 9, "1", "1/concurrency", "-----", { 3, 3, 2, 2, 1 } },
	{ "half a step", 4, 20, 9, "1/2", "1/2", "++-+-++", { 4, 5, 4, 4, 3, 3, 4 } },
	{ "dead, and alive again", 2, 20, 1, "1", "1", "--+++", { 1, 0, 2, 3, 4 } },
	{ "root", 4, 20, 1, "1/sqrt_concurrency", "1", "++++", { 4, 5, 5, 6 } },
};

static void test_runs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		struct feedback_config config = { .initial = runs[i].initial,
			.limit = runs[i].limit,
			.cohort_limit = runs[i].cohorts };
		struct feedback f;

		assert_true(feedback_parse(slice_of(runs[i].positive), &config.positive));
		assert_true(feedback_parse(slice_of(runs[i].negative), &config.negative));
		feedback_reset(&f, &config);
		for (size_t j = 0; runs[i].events[j]; j++) {
			char event = runs[i].events[j];

			if (event == '-')
				feedback_failed(&f, &config);
			else
				feedback_succeeded(&f, &config, event == '+' ? f.window : 1);
			if (f.window != runs[i].windows[j])
				fail_msg("%s, after event %zu: got %u, want %u", runs[i].name, j,
				    f.window, runs[i].windows[j]);
		}
	}
}

/* Whatever comes, the window stays between 1 and the limit, or it is dead. */
static void test_random(void **state)
{
	static const char *const texts[] = { "0", "1", "1/3", "1/concurrency",
		"1/sqrt_concurrency" };
	uint32_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct feedback_config config = {
			.initial = 1 + i % 7, .limit = i % 11, .cohort_limit = i % 4
		};
		struct feedback f;

		assert_true(feedback_parse(slice_of(texts[i % 5]), &config.positive));
		assert_true(feedback_parse(slice_of(texts[i / 5 % 5]), &config.negative));
		feedback_reset(&f, &config);
		for (unsigned j = 0; j < 100; j++) {
			seed = seed * 1664525 + 1013904223;
			if (seed >> 30 == 0)
				feedback_succeeded(&f, &config, seed >> 8 & 15);
			else
				feedback_failed(&f, &config);
			assert_true(config.limit == 0 || f.window <= config.limit);
			assert_true(f.window > 0 || config.cohort_limit > 0);
			assert_true(f.window < 1000);
		}
	}
}

static void test_fit(void **state)
{
	struct feedback_config config = { .initial = 5 };
	struct feedback f;

	(void)state;
	feedback_reset(&f, &config);
	config.limit = 3;
	feedback_fit(&f, &config);
	want_int("a new limit", f.window, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
