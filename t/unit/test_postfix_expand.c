// SPDX-License-Identifier: BSD-2-Clause
#include "conf/postfix_expand.h"
#include "conf/postfix_value.h"
#include "unit.h"

static const char *lookup(const char *name, void *arg, bool *failed)
{
	(void)arg;
	if (strcmp(name, "foo") == 0)
		return "bar # c";
	if (strcmp(name, "level") == 0)
		return "3.6";
	if (strcmp(name, "empty") == 0)
		return "";
	if (strcmp(name, "broken") == 0)
		*failed = true;
	return NULL;
}

/* What postconf -x of Postfix 3.7 says, too, where it collapses no blanks. */
static void test_forms(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "plain text", "plain text" },
		{ "$foo", "bar # c" },
		{ "${foo}x$(foo)x", "bar # cxbar # cx" },
		{ "$foo-x", "bar # c-x" },
		{ "a$$foo", "a$foo" },
		{ "$$$foo", "$bar # c" },
		{ "$nope.", "." },
		{ "${foo?yes it is}", "yes it is" },
		{ "${foo? yes }", " yes " },
		{ "${foo?{ x y }:{ z }}", "x y" },
		{ "${ foo ? { x } : { z } }", "x" },
		{ "${foo ?yes:no}", "yes:no" },
		{ "${foo?{yes}:no}", "yes" },
		{ "${empty?{yes}:no way}", "no way" },
		{ "${empty?yes}", "" },
		{ "${empty:{ d e }}", "d e" },
		{ "${nope: d e}", " d e" },
		{ "${foo:yes?no}x", "x" },
		{ "$(foo?(b))", "(b)" },
		{ "${foo?$foo}", "bar # c" },
		{ "${foo?${empty?{1}:{${level}}}}", "3.6" },
		{ "${foo?a}b}", "ab}" },
		{ "${foo?${broken:never}}x", NULL },
		{ "${empty?${broken}}x", "x" },
		{ "${{3.6} <level {3.10}?{a}:{b}}", "a" },
		{ "${{$level} <level {3.6}?{a}:{b}}", "b" },
		{ "${{2}  <=level  {1.2.3}?yes : no}x", "x" },
		{ "${{3.6} ==level {3.6.0}?{a}:{b}}", "a" },
		{ "${{ab} < {b}}", "true" },
		{ "${{ab} > {b}}", "" },
		{ "${{10} > {9}?{num}:{str}}", "num" },
		{ "${{10} > {9a}?{str}:{num}}", "num" },
		{ "${{01} == {1}?yes}x", "yesx" },
		{ "${{01} == {1}:yes}x", "x" },
		{ "${{1} == {1.0}}x", "x" },
		{ "${{99999999999999999999} != {99999999999999999998}}", "true" },
		{ "${{$foo} == {bar # c}?{${{a} <= {a}}}:{}}", "true" },
		{ "${{a} >= {b}?{1}:{2}}", "2" },
		{ "${domain_to_ascii{ x.$level }}", "x.3.6" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(1000), error = STRBUF_INIT(1000);
		bool ok = postfix_expand(&out, slice_of(cases[i].text), lookup, NULL, &error);
		want_str(cases[i].text, error.ptr, "");
		want_int(cases[i].text, ok, cases[i].want != NULL);
		if (cases[i].want)
			want_str(cases[i].text, out.ptr, cases[i].want);
		strbuf_release(&out);
		strbuf_release(&error);
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "${foo", "truncated reference at \"{foo\"" },
		{ "$(foo?a", "truncated reference at \"(foo?a\"" },
		{ "${foo?{a}", "truncated reference at \"{foo?{a}\"" },
		{ "a$", "name expected after \"$\" at \"\"" },
		{ "$-a", "name expected after \"$\" at \"-a\"" },
		{ "${}x", "name expected at \"\"" },
		{ "${foo-bar}", "bad name at \"-bar\"" },
		{ "${foo y}", "bad name at \"y\"" },
		{ "${foo?{yes}{no}}", "\":\" expected at \"{no}\"" },
		{ "${empty:{yes}?{no}}", "unexpected input at \":{yes}?{no}\"" },
		{ "${{01} =< {1}:yes}", "comparison expected at \"=< {1}:yes\"" },
		{ "${{1} == 1}", "comparison expected at \"1\"" },
		{ "${{1}}", "comparison expected at \"\"" },
		{ "${{1} < {2} x}", "\"?\" or \":\" expected at \"x\"" },
		{ "${{2} <level {x}?yes}", "malformed compatibility level at \"x\"" },
		{ "${rot13{a}}", "unknown function at \"rot13\"" },
		{ "${domain_to_ascii{\xc3\xa4}}",
		    "domain_to_ascii: not an ASCII domain at \"\xc3\xa4\"" },
		{ "${domain_to_ascii{a}b}", "unexpected input at \"b\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(1000), error = STRBUF_INIT(1000);
		want_int(cases[i].text,
		    postfix_expand(&out, slice_of(cases[i].text), lookup, NULL, &error), false);
		want_str(cases[i].text, error.ptr, cases[i].error);
		strbuf_release(&out);
		strbuf_release(&error);
	}
}

static void test_limits(void **state)
{
	struct strbuf text = STRBUF_INIT(100000), out = STRBUF_INIT(100), error = STRBUF_INIT(1000);

	(void)state;
	for (int i = 0; i < 2 * POSTFIX_EXPAND_DEPTH; i++)
		strbuf_addstr(&text, "${foo?{");
	for (int i = 0; i < 2 * POSTFIX_EXPAND_DEPTH; i++)
		strbuf_addstr(&text, "}}");
	assert_false(postfix_expand(&out, strbuf_slice(&text), lookup, NULL, &error));
	assert_true(slice_starts(strbuf_slice(&error), "nested too deep"));

	strbuf_reset(&text);
	strbuf_reset(&error);
	for (int i = 0; i < 20; i++)
		strbuf_addstr(&text, "$foo");
	assert_false(postfix_expand(&out, strbuf_slice(&text), lookup, NULL, &error));
	want_str("long value", error.ptr, "the value becomes too long");
	strbuf_release(&text);
	strbuf_release(&out);
	strbuf_release(&error);
}

static void note(struct slice name, void *arg)
{
	strbuf_addslice(arg, name);
	strbuf_addch(arg, ' ');
}

static void test_references(void **state)
{
	struct strbuf names = STRBUF_INIT(1000);

	(void)state;
	postfix_expand_references(
	    "$a ${b} $(c) $$d ${ e ? $f :{$g}} ${{$h} < {i}?{${j}}:k} $", note, &names);
	want_str("names", names.ptr, "a b c e f g h j ");
	strbuf_release(&names);
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		char unit;
		int64_t want; /* -1: refused */
	} cases[] = {
		{ "5", 's', 5 },
		{ "5", 'd', 432000 },
		{ "5m", 's', 300 },
		{ "2H", 's', 7200 },
		{ "1w", 's', 604800 },
		{ "0", 'h', 0 },
		{ "", 's', -1 },
		{ "s", 's', -1 },
		{ "5x", 's', -1 },
		{ "5 s", 's', -1 },
		{ "-5s", 's', -1 },
		{ "1.5h", 's', -1 },
		{ "2147483647", 's', 2147483647 },
		{ "2147483648", 's', -1 },
		{ "3551w", 's', -1 },
		{ "99999999999999999999", 's', -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t seconds = -1;
		bool ok = postfix_value_time(cases[i].text, cases[i].unit, &seconds);
		want_int(cases[i].text, ok ? seconds : -1, cases[i].want);
	}
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		long long want;
	} cases[] = {
		{ "0", true, 0 },
		{ "-17", true, -17 },
		{ "9223372036854775807", true, 9223372036854775807 },
		{ "9223372036854775808", false, 0 },
		{ "", false, 0 },
		{ "-", false, 0 },
		{ "+1", false, 0 },
		{ "1k", false, 0 },
		{ "0x10", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		long long value = 0;
		want_int(cases[i].text, postfix_value_number(cases[i].text, &value), cases[i].ok);
		if (cases[i].ok)
			want_int(cases[i].text, value, cases[i].want);
	}
	bool yes;
	assert_true(postfix_value_bool("YES", &yes) && yes);
	assert_true(postfix_value_bool("no", &yes) && !yes);
	assert_false(postfix_value_bool("true", &yes));
	assert_false(postfix_value_bool("", &yes));
}

static void test_levels(void **state)
{
	static const struct {
		const char *low, *high;
	} order[] = {
		{ "0", "1" },
		{ "2", "3.6" },
		{ "3.6", "3.10" },
		{ "3.10", "3.10.1" },
		{ "3.11.999999", "4" },
	};
	static const char *const bad[] = { "", ".", "3.", ".6", "3.6.1.2", "x", "3.6-1",
		"1000000" };
	uint64_t a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		assert_true(postfix_value_level(slice_of(order[i].low), &a));
		assert_true(postfix_value_level(slice_of(order[i].high), &b));
		want_int(order[i].low, a < b, true);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		want_int(bad[i], postfix_value_level(slice_of(bad[i]), &a), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
