// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "net/idna.h"

static void test_to_ascii(void **state)
{
	static const struct {
		const char *domain, *want;
	} cases[] = {
		{ "example.test", "example.test" },
		{ "Example.TEST", "Example.TEST" },
		{ "_smtp._tcp.example.test", "_smtp._tcp.example.test" },
		{ "m\xc3\xbcnchen.test", "xn--mnchen-3ya.test" },
		{ "M\xc3\x9cNCHEN.test", "xn--mnchen-3ya.test" },
		{ "stra\xc3\x9f"
		  "e.test",
		    "xn--strae-oqa.test" },
		{ "a\xe3\x80\x82\xc3\xbc.test", "a.xn--tda.test" },
		{ "\xc3.test", NULL },
		{ "\xe2\x80\x8e.test", NULL },
		{ "a b\xc3\xbc.test", NULL },
	};
	char out[DNS_NAME_SIZE], long_domain[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool ok = idna_to_ascii(cases[i].domain, out);

		want_int(cases[i].domain, ok, cases[i].want != NULL);
		if (ok)
			want_str(cases[i].domain, out, cases[i].want);
	}
	memset(long_domain, 'a', sizeof(long_domain));
	long_domain[256] = '\0';
	want_int("too long", idna_to_ascii(long_domain, out), false);
	memcpy(long_domain, "\xc3\xbc", 2);
	want_int("too long", idna_to_ascii(long_domain, out), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_to_ascii) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
