// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "base/codec.h"
#include "base/reason.h"

static void test_set(void **state)
{
	struct reason why = { "", "" };

	(void)state;
	assert_false(reason_is_permanent(&why));
	reason_set(&why, "5.1.1", "<%s> unknown", "joe");
	want_str("code", why.dsn, "5.1.1");
	want_str("text", why.text, "<joe> unknown");
	assert_true(reason_is_permanent(&why));
	reason_set(&why, "4.3.0", "a\r\nb\t\x7f\x01z\xc3\xbc");
	want_str("controls", why.text, "a??b???z\xc3\xbc");
	assert_false(reason_is_permanent(&why));
	reason_set(&why, "2.0.0", "%s", "");
	want_str("empty", why.text, "");
	reason_set(&why, "4.3.0", "a??b???z\xc3\xbc");
	reason_set(&why, why.dsn, "host said: %s", why.text);
	want_str("own code", why.dsn, "4.3.0");
	want_str("own text", why.text, "host said: a??b???z\xc3\xbc");
}

/* A cut text ends with a whole character, wherever the end falls. */
static void test_cut(void **state)
{
	static const char *const characters[] = { "a", "\xc3\xbc", "\xe2\x82\xac",
		"\xf0\x9f\x93\xa7" };
	struct reason why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(characters); i++) {
		for (int pad = 508; pad <= 520; pad++) {
			size_t len;

			reason_set(&why, "4.0.0", "%*s%s%s", pad, "", characters[i], "bbbbbbbb");
			len = strlen(why.text);
			want_int(characters[i], utf8_is_valid(slice_of(why.text)), true);
			assert_true(len >= sizeof(why.text) - 4 && len < sizeof(why.text));
		}
	}
	reason_set(&why, "4.0.0", "%*s%s", 508, "", characters[2]);
	want_int("exact fit", strlen(why.text), 511);
	reason_set(&why, "4.0.0", "%*s%s", 509, "", characters[2]);
	want_int("one byte too many", strlen(why.text), 509);
}

static void test_dsn(void **state)
{
	static const struct {
		const char *dsn;
		bool valid;
	} cases[] = {
		{ "2.0.0", true },
		{ "4.7.23", true },
		{ "5.999.999", true },
		{ "5.10.0", true },
		{ "", false },
		{ "3.0.0", false },
		{ "x.0.0", false },
		{ "55.0.0", false },
		{ "5.1", false },
		{ "5.1.", false },
		{ "5..1", false },
		{ ".1.1", false },
		{ "5.1.1.1", false },
		{ "5.1000.1", false },
		{ "5.1.1000", false },
		{ "5.01.1", false },
		{ "5.1.00", false },
		{ "5.1.1 ", false },
		{ "5.-1.1", false },
		{ "5.1.1x", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		want_int(cases[i].dsn, dsn_is_valid(cases[i].dsn), cases[i].valid);
}

static void set_wrong_code(void)
{
	struct reason why;

	reason_set(&why, "550", "no enhanced code");
}

static void test_bugs(void **state)
{
	(void)state;
	want_abort("a code that is none", set_wrong_code);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_dsn),
		cmocka_unit_test(test_bugs),
	};

	return cmocka_run_group_tests_name("reason", tests, NULL, NULL);
}
