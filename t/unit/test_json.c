// SPDX-License-Identifier: BSD-2-Clause
#include "base/json.h"
#include "unit.h"

static void test_text(void **state)
{
	static const struct {
		const char *name;
		struct slice in;
		const char *want;
	} cases[] = {
		{ "plain", { "two words", 9 }, "\"two words\"" },
		{ "empty", { NULL, 0 }, "\"\"" },
		{ "escapes", { "\"\\\b\f\n\r\t", 7 }, "\"\\\"\\\\\\b\\f\\n\\r\\t\"" },
		{ "controls", { "\0\1\x1f\x7f", 4 }, "\"\\u0000\\u0001\\u001F\\u007F\"" },
		{ "UTF-8", { "\xc3\xa4", 2 }, "\"\xc3\xa4\"" },
		{ "no UTF-8", { "\xff/<>&", 5 }, "\"\xff/<>&\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(100);

		json_add_text(&out, cases[i].in);
		want_str(cases[i].name, out.ptr, cases[i].want);
		strbuf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_text) };

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
