// SPDX-License-Identifier: BSD-2-Clause
/* Outcomes in other words: what is taken over of a table's result, and what is not. */
#include "unit.h"

#include "rewrite/status_filter.h"

#define FILTER                                                                                     \
	"regexp:{ {/perm one/ 4.7.7 now temporary} {/temp one/ 5.7.8 now permanent}"               \
	" {/perm two/ 2.0.0 now ok} {/perm three/ 5.9.9} {/perm four/ now without code}"           \
	" {/perm five/ 7.7.7 bad code} {/perm six/ 5.1.1   blanks and 5.1.2 more  }"               \
	" {/perm seven/ 5.1.1.} {/perm eight/ 5.1.123456789012345}"                                \
	" {/^([0-9.]+) .*queued as (.*)$/ 2.6.7 delivered as $2 ($1)}"                             \
	" {/taken/ 4.0.0 not taken} {/^4\\.2\\.9 temp two$/ 4.2.2} }"

static const struct {
	const char *dsn, *text, *want_dsn, *want_text;
} cases[] = {
	{ "5.1.1", "said: perm one (in reply)", "4.7.7", "now temporary" },
	{ "4.2.1", "temp one", "5.7.8", "now permanent" },
	{ "5.1.1", "perm two", "5.1.1", "perm two" },
	{ "5.1.1", "perm three", "5.9.9", "perm three" },
	{ "5.1.1", "perm four", "5.1.1", "perm four" },
	{ "5.1.1", "perm five", "5.1.1", "perm five" },
	{ "5.1.1", "perm six", "5.1.1", "blanks and 5.1.2 more" },
	{ "5.1.2", "perm seven", "5.1.2", "perm seven" },
	{ "5.1.2", "perm eight", "5.1.2", "perm eight" },
	{ "2.0.0", "250 Ok: queued as X", "2.6.7", "delivered as X (2.0.0)" },
	{ "2.0.0", "taken", "2.0.0", "taken" },
	{ "4.2.9", "temp two", "4.2.2", "temp two" },
	{ "5.9.9", "other", "5.9.9", "other" },
	{ "5.9.9", "", "5.9.9", "" },
};

static void outcomes(void **state)
{
	struct status_filter *filter = status_filter_new("smtp_delivery_status_filter", FILTER);
	struct reason why;

	(void)state;
	assert_non_null(filter);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		reason_set(&why, cases[i].dsn, "%s", cases[i].text);
		status_filter_apply(filter, &why);
		want_str(cases[i].text, why.dsn, cases[i].want_dsn);
		want_str(cases[i].text, why.text, cases[i].want_text);
	}
	status_filter_free(filter);
}

static void without_table(void **state)
{
	struct status_filter *failing = status_filter_new("smtp_delivery_status_filter", "fail:x");
	struct reason why;

	(void)state;
	assert_null(status_filter_new("smtp_delivery_status_filter", ""));
	reason_set(&why, "4.1.1", "later");
	status_filter_apply(failing, &why);
	want_str("dsn", why.dsn, "4.1.1");
	want_str("text", why.text, "later");
	status_filter_free(failing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes),
		cmocka_unit_test(without_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
