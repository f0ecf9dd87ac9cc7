// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

static void test_equality(void **state)
{
	static const struct {
		const char *name;
		struct slice a, b;
		bool equal, caseequal;
	} cases[] = {
		{ "same", { "abc", 3 }, { "abc", 3 }, true, true },
		{ "case", { "aBc", 3 }, { "AbC", 3 }, false, true },
		{ "lengths", { "abc", 3 }, { "ab", 2 }, false, false },
		{ "both empty, one NULL", { NULL, 0 }, { "", 0 }, true, true },
		{ "NUL inside", { "a\0b", 3 }, { "a\0c", 3 }, false, false },
		{ "@ is not `", { "@", 1 }, { "`", 1 }, false, false },
		{ "[ is not {", { "[", 1 }, { "{", 1 }, false, false },
		{ "Latin-1 has no case", { "\xc4", 1 }, { "\xe4", 1 }, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		want_int(cases[i].name, slice_eq(cases[i].a, cases[i].b), cases[i].equal);
		want_int(cases[i].name, slice_caseeq(cases[i].a, cases[i].b), cases[i].caseequal);
	}
	assert_true(slice_eq_str(SLICE_LIT("x"), "x"));
	assert_true(slice_caseeq_str(SLICE_LIT("x"), "X"));
}

static void test_ends(void **state)
{
	static const struct {
		const char *name, *text, *part;
		bool starts, casestarts, ends;
	} cases[] = {
		{ "whole", "abc", "abc", true, true, true },
		{ "empty part", "abc", "", true, true, true },
		{ "both empty", "", "", true, true, true },
		{ "longer part", "bc", "abc", false, false, false },
		{ "front", "abc", "ab", true, true, false },
		{ "front, other case", "abc", "AB", false, true, false },
		{ "back", "abc", "bc", false, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice s = slice_of(cases[i].text);

		want_int(cases[i].name, slice_starts(s, cases[i].part), cases[i].starts);
		want_int(cases[i].name, slice_casestarts(s, cases[i].part), cases[i].casestarts);
		want_int(cases[i].name, slice_ends(s, cases[i].part), cases[i].ends);
	}
	assert_true(slice_starts(SLICE_NULL, ""));
	assert_false(slice_starts(SLICE_NULL, "a"));
}

static void test_order(void **state)
{
	static const struct {
		const char *name;
		struct slice a, b;
		int sign;
	} cases[] = {
		{ "equal", { "ab", 2 }, { "ab", 2 }, 0 },
		{ "shorter first", { "ab", 2 }, { "abc", 3 }, -1 },
		{ "longer last", { "abc", 3 }, { "ab", 2 }, 1 },
		{ "bytes before length", { "b", 1 }, { "aa", 2 }, 1 },
		{ "bytes are unsigned", { "\x80", 1 }, { "a", 1 }, 1 },
		{ "NULL first", { NULL, 0 }, { "a", 1 }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int order = slice_cmp(cases[i].a, cases[i].b);

		want_int(cases[i].name, (order > 0) - (order < 0), cases[i].sign);
	}
}

static void test_parts(void **state)
{
	(void)state;
	want_slice("from", slice_from(SLICE_LIT("abc"), 1), SLICE_LIT("bc"));
	want_slice("from the end", slice_from(SLICE_LIT("abc"), 3), SLICE_NULL);
	want_slice("from past it", slice_from(SLICE_LIT("abc"), 9), SLICE_NULL);
	want_slice("first", slice_first(SLICE_LIT("abc"), 2), SLICE_LIT("ab"));
	want_slice("first of fewer", slice_first(SLICE_LIT("abc"), 9), SLICE_LIT("abc"));
	want_slice("trim", slice_trim(SLICE_LIT(" \ta b\t "), " \t"), SLICE_LIT("a b"));
	want_slice("trim all", slice_trim(SLICE_LIT("   "), " "), SLICE_NULL);
	want_slice("trim no NUL", slice_trim(slice_mem("\0a\0", 3), " "), slice_mem("\0a\0", 3));
	want_slice("slice_of(NULL)", slice_of(NULL), SLICE_NULL);
}

static void test_find(void **state)
{
	(void)state;
	want_int("first", slice_find(SLICE_LIT("a@b@c"), '@'), 1);
	want_int("last", slice_rfind(SLICE_LIT("a@b@c"), '@'), 3);
	want_int("none", slice_find(SLICE_LIT("abc"), '@'), -1);
	want_int("none from behind", slice_rfind(SLICE_LIT("abc"), '@'), -1);
	want_int("not the terminator", slice_find(SLICE_LIT("abc"), '\0'), -1);
	want_int("in nothing", slice_find(SLICE_NULL, 'a'), -1);
	want_int("in nothing from behind", slice_rfind(SLICE_NULL, 'a'), -1);
	want_int("text", slice_find_str(SLICE_LIT("a--b"), "--"), 1);
	want_int("text past the end", slice_find_str(slice_mem("ab", 1), "ab"), -1);
	want_int("text in nothing", slice_find_str(SLICE_NULL, "a"), -1);
	want_int("empty text", slice_find_str(SLICE_NULL, ""), 0);
	assert_true(slice_has_nul(slice_mem("a\0b", 3)));
	assert_true(slice_has_nul(slice_mem("\0", 1)));
	assert_false(slice_has_nul(SLICE_LIT("ab")));
}

static void test_token(void **state)
{
	static const struct {
		const char *name, *input, *want;
	} cases[] = {
		{ "words", "a bc d", "a|bc|d|" },
		{ "runs and ends", ", a ,,b  ", "a|b|" },
		{ "one word", "abc", "abc|" },
		{ "separators only", " ,, ", "" },
		{ "nothing", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice rest = slice_of(cases[i].input), word;
		char got[64] = "";

		while (slice_token(&rest, " ,", &word)) {
			strncat(got, word.ptr, word.len);
			strcat(got, "|");
		}
		want_str(cases[i].name, got, cases[i].want);
	}
}

static void test_uint(void **state)
{
	static const struct {
		const char *name, *input;
		uint64_t max;
		bool valid;
		uint64_t want;
	} cases[] = {
		{ "zero", "0", 0, true, 0 },
		{ "leading zeros", "007", 7, true, 7 },
		{ "at the maximum", "65535", 65535, true, 65535 },
		{ "over the maximum", "65536", 65535, false, 0 },
		{ "2^64-1", "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "2^64", "18446744073709551616", UINT64_MAX, false, 0 },
		{ "twenty-one digits", "184467440737095516150", UINT64_MAX, false, 0 },
		{ "empty", "", 9, false, 0 },
		{ "sign", "+1", 9, false, 0 },
		{ "minus", "-1", UINT64_MAX, false, 0 },
		{ "blank before", " 1", 9, false, 0 },
		{ "junk behind", "1x", 99, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t value = 0;

		want_int(cases[i].name, slice_uint(slice_of(cases[i].input), cases[i].max, &value),
		    cases[i].valid);
		want_int(cases[i].name, value, cases[i].want);
	}
}

static void test_ascii(void **state)
{
	int digits = 0, alphas = 0, alnums = 0, spaces = 0, prints = 0, uppers = 0, lowers = 0;
	char text[] = "AZ[@a\xc4";

	(void)state;
	for (int c = 0; c < 256; c++) {
		digits += ascii_isdigit((char)c);
		alphas += ascii_isalpha((char)c);
		alnums += ascii_isalnum((char)c);
		spaces += ascii_isspace((char)c);
		prints += ascii_isprint((char)c);
		if (ascii_lower((char)c) != (char)c)
			want_int("back", ascii_upper(ascii_lower((char)c)), (char)c);
		uppers += ascii_upper((char)c) != (char)c;
		lowers += ascii_lower((char)c) != (char)c;
	}
	want_int("changed by upper", uppers, 26);
	want_int("changed by lower", lowers, 26);
	want_int("digits", digits, 10);
	want_int("letters", alphas, 52);
	want_int("both", alnums, 62);
	want_int("spaces", spaces, 6);
	want_int("printable", prints, 95);
	ascii_tolower(text, strlen(text));
	want_str("lower", text, "az[@a\xc4");
	text[0] = text[1] = 'A';
	ascii_tolower(text, 1);
	want_str("lower of 1", text, "aA[@a\xc4");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equality),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_uint),
		cmocka_unit_test(test_ascii),
	};

	return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
