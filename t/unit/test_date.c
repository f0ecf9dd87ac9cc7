// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdlib.h>

#include "mail/date.h"

static void test_write(void **state)
{
	char out[DATE_TEXT];

	(void)state;
	setenv("TZ", "UTC0", 1);
	tzset();
	want_str("utc", date_rfc5322(1795159908, out), "Fri, 20 Nov 2026 07:31:48 +0000 (UTC)");
	want_str("syslog", date_syslog(1795159908, out), "Nov 20 07:31:48");
	want_str("blank", date_syslog(1793584800, out), "Nov  2 02:00:00");
	setenv("TZ", "NST3:30", 1);
	tzset();
	want_str("west", date_rfc5322(1795159908, out), "Fri, 20 Nov 2026 04:01:48 -0330 (NST)");
	setenv("TZ", "UTC0", 1);
	tzset();
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		time_t when;
	} cases[] = {
		{ "Fri, 20 Nov 2026 07:31:48 +0000 (UTC)", true, 1795159908 },
		{ "20 Nov 2026 07:31:48 +0000", true, 1795159908 },
		{ "Fri, 20 Nov 2026 04:01:48 -0330", true, 1795159908 },
		{ "(c) Fri (d), 20\r\n Nov 26 07:31:48 GMT", true, 1795159908 },
		{ "20 Nov 2026 02:31:48 EST", true, 1795159908 },
		{ "20 Nov 2026 07:31 +0000", true, 1795159860 },
		{ "1 Jan 70 00:00:00 Z", true, 0 },
		{ "31 Apr 2026 00:00:00 +0000", false, 0 },
		{ "1 Jan 1969 00:00:00 +0000", false, 0 },
		{ "1 Jan 1000000000 00:00:00 +0000", false, 0 },
		{ "1 Jan 2026 24:00:00 +0000", false, 0 },
		{ "1 Jan 2026 00:00:00 +99999", false, 0 },
		{ "1 Jan 2026", false, 0 },
		{ "((((((((((((((((((((((((((((", false, 0 },
		{ "", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		time_t when = 0;
		bool ok = date_parse(slice_of(cases[i].text), &when);

		want_int(cases[i].text, ok, cases[i].ok);
		if (ok)
			want_int(cases[i].text, when, cases[i].when);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
