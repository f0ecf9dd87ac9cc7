// SPDX-License-Identifier: BSD-2-Clause
/* The records of a submission. */
#include "queue/maildrop.h"

#include <stdio.h>

#include "base/reason.h"
#include "base/strbuf.h"
#include "queue/queue_file.h"
#include "unit.h"

static void test_maildrop(void **state)
{
	static const struct {
		const char *types;
		bool good;
	} rows[] = {
		{ "SRMNXE", true },
		{ "FSAiRRMNLNXARE", true },
		{ "SnRMXE", false },
		{ "SMXRE", true },
		{ "SRMXE ", false },
		{ "SRMNX", false },
		{ "RMXE", false },
		{ "SMXE", false },
		{ "SRNMXE", false },
		{ "SRMXNE", false },
		{ "SRDMXE", false },
		{ "SRMpXE", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct strbuf file = STRBUF_INIT(10000);
		struct reason why = { .dsn = "" };
		FILE *f = tmpfile();

		for (const char *p = rows[i].types; *p != '\0'; p++)
			queue_record_add(
			    &file, *p, *p == 'S' || *p == 'R' ? SLICE_LIT("a@b.c") : SLICE_NULL);
		fwrite(file.ptr, 1, file.len, f);
		fflush(f);
		if (maildrop_check(fileno(f), 0, &why) != rows[i].good)
			fail_msg("%s: %s", rows[i].types, why.text);
		fclose(f);
		strbuf_release(&file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maildrop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
