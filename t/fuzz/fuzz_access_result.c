// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an access table (later: a policy service) says.  Whatever it is: a verdict comes out, and it
 * is a whole one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "smtpd/restrict_eval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drop_line(const char *line, void *arg)
{
	(void)arg;
	ASSERT(line[0]);
}

static void judge(const struct restrictions *r, enum restrict_stage stage, const char *value)
{
	struct arena arena = ARENA_INIT;
	struct restrict_findings findings = { .arena = &arena };
	struct restrict_verdict verdict = { .code = 0 };
	struct restrict_facts facts = {
		.client_name = "far.test",
		.client_address = "203.0.113.9",
		.protocol = "ESMTP",
		.helo = "far.test",
		.sender = SLICE_LIT("al@far.test"),
		.recipient = SLICE_LIT("bob@box.example"),
		.log = drop_line,
	};
	struct eval e = {
		.r = r, .facts = &facts, .stage = stage, .findings = &findings, .verdict = &verdict
	};
	enum check check =
	    restrict_access_result(&e, SUBJECT_SENDER, "fuzz", SLICE_LIT("al@far.test"), value);

	ASSERT(strlen(verdict.text) < sizeof(verdict.text));
	if (check == CHECK_REJECT && verdict.code)
		ASSERT(verdict.code >= 400 && verdict.code <= 599 &&
		       verdict.dsn[0] == (char)('0' + verdict.code / 100));
	for (struct restrict_line *l = findings.prepend; l; l = l->next)
		ASSERT(strchr(l->text, ':'));
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* No table, no class and no address is looked at: a result names none. */
	static const struct postfix_params params = {
		.access_map_reject_code = 554,
		.access_map_defer_code = 450,
		.reject_code = 554,
		.defer_code = 450,
		.invalid_hostname_reject_code = 501,
		.non_fqdn_reject_code = 504,
		.plaintext_reject_code = 450,
		.smtpd_null_access_lookup_key = "<>",
	};
	const struct restrictions r = { .params = &params };
	char *value = xstrndup((const char *)data, strnlen((const char *)data, size));
	static const char *const needing[] = { "permit_", "reject_un", "defer_un", "check_",
		"sleep", "reject_auth", "reject_send", "reject_known", "reject_multi" };

	for (size_t i = 0; i < ARRAY_LEN(needing); i++) {
		if (strcasestr(value, needing[i]))
			value[0] = '\0';
	}
	judge(&r, RESTRICT_RCPT, value);
	judge(&r, RESTRICT_END_OF_DATA, value);
	judge(&r, RESTRICT_ETRN, value);
	judge(&r, RESTRICT_CONNECT, value);
	free(value);
	return 0;
}
