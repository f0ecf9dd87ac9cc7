// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdio.h>

#include "smtp/smtp_tls_private.h"

bool smtp_is_lmtp;
const struct postfix_params *smtp_params;

/* "level protocols grade exclude name reuse match,... anchors,... patterns,..." */
static void describe(const struct smtp_tls_entry *e, char *out, size_t size)
{
	const struct smtp_tls_words *lists[] = { &e->match, &e->anchors, &e->mx_patterns };
	size_t len;

	snprintf(out, size, "%s %s %s %s %s %d", smtp_tls_level_name(e->level),
	    e->protocols ? e->protocols : "-", e->grade ? e->grade : "-",
	    e->exclude ? e->exclude : "-", e->server_name ? e->server_name : "-", e->reuse);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		len = strlen(out);
		snprintf(out + len, size - len, " ");
		for (size_t w = 0; w < lists[i]->count; w++) {
			len = strlen(out);
			snprintf(out + len, size - len, "%s%s", w ? "," : "", lists[i]->list[w]);
		}
	}
}

static const struct {
	const char *value, *want; /* of describe, or of WHY after '!' */
} cases[] = {
	{ "none", "none - - - - -1   " },
	{ "MAY", "may - - - - -1   " },
	{ "Dane-Only", "dane-only - - - - -1   " },
	{ "encrypt protocols=TLSv1.2:TLSv1.3 ciphers=high exclude=aNULL:MD5",
	    "encrypt TLSv1.2:TLSv1.3 high aNULL:MD5 - -1   " },
	{ "may, servername=hostname,\tconnection_reuse=yes", "may - - - hostname 1   " },
	{ "secure match=.a.test:nexthop match=b.test",
	    "secure - - - - -1 .a.test,nexthop,b.test  " },
	{ "fingerprint match=AA:BB|CC:DD", "fingerprint - - - - -1 AA:BB,CC:DD  " },
	{ "verify tafile=/a tafile=/b", "verify - - - - -1  /a,/b " },
	{ "secure { policy_string = version: STSv1 } policy_type=sts { mx_host_pattern = *.a.test } "
	  "mx_host_pattern=b.test policy_ttl=86400",
	    "secure - - - - -1   *.a.test,b.test" },
	{ "encrypt protocols=", "encrypt  - - - -1   " },
	{ "none ciphers=high nonsense", "none - - - - -1   " },
	{ "", "!invalid security level \"\"" },
	{ "half-dane", "!invalid security level \"half-dane\"" },
	{ "encrypt;match=x", "!invalid security level \"encrypt;match=x\"" },
	{ "encrypt foo=bar", "!invalid attribute name: \"foo\"" },
	{ "encrypt junk",
	    "!malformed attribute/value pair \"junk\": missing '=' after attribute name" },
	{ "encrypt { ciphers = high",
	    "!malformed attribute/value pair \"{ ciphers = high\": missing '}'" },
	{ "may match=x", "!attribute \"match\" invalid at security level \"may\"" },
	{ "dane match=x", "!attribute \"match\" invalid at security level \"dane\"" },
	{ "fingerprint tafile=x",
	    "!attribute \"tafile\" invalid at security level \"fingerprint\"" },
	{ "secure match=", "!attribute \"match\" has empty value" },
	{ "may ciphers=a ciphers=b", "!attribute \"ciphers\" is specified multiple times" },
	{ "may connection_reuse=1", "!attribute \"connection_reuse\" has bad value: \"1\"" },
	{ "may servername=a..b", "!\"servername=a..b\" specifies an invalid hostname" },
	{ "may servername=-", "!\"servername=-\" specifies an invalid hostname" },
	{ "may policy_ttl=x", "!attribute \"policy_ttl\" has a malformed value: \"x\"" },
	{ "may policy_failure=x", "!attribute \"policy_failure\" has an unexpected value: \"x\"" },
	{ "may policy_type=no-policy-found policy_ttl=1",
	    "!built-in policy has unexpected attribute policy_ttl, policy_domain, policy_string, "
	    "mx_host_pattern or policy_failure" },
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		struct smtp_tls_entry entry;
		struct reason why;
		char got[600];

		if (smtp_tls_entry_parse(cases[i].value, "where", &arena, &entry, &why))
			describe(&entry, got, sizeof(got));
		else
			snprintf(got, sizeof(got), "!%s", why.text);
		want_str(cases[i].value, got, cases[i].want);
		arena_release(&arena);
	}
}

static void test_mx(void **state)
{
	static const struct {
		const char *pattern, *host;
		bool want;
	} hosts[] = { { "mx.a.test", "MX.a.test", true }, { "mx.a.test", "m.a.test", false },
		{ "*.a.test", "mx.a.test", true }, { "*.a.test", "a.b.a.test", false },
		{ "*.a.test", "a.test", false }, { "*.a.test", "test", false },
		{ "*", "test", false }, { "*.", "test", false }, { "", "", true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		want_int(hosts[i].pattern, smtp_tls_mx_matches(hosts[i].pattern, hosts[i].host),
		    hosts[i].want);
}

/* Each level, and each thing that can become of it. */
static void test_describe(void **state)
{
	struct postfix_params params = { .smtp_log_tls_feature_status = true };
	struct smtp_tls_policy policy = { .level = SMTP_TLS_MAY };
	char text[64];

	(void)state;
	smtp_params = &params;
	smtp_tls_describe(&policy, SMTP_TLS_UNDECIDED, text);
	want_str("undecided", text, "may?");
	smtp_tls_describe(&policy, SMTP_TLS_UNUSED, text);
	want_str("unused", text, "may:none");
	policy.level = SMTP_TLS_NONE;
	smtp_tls_describe(&policy, SMTP_TLS_UNUSED, text);
	want_str("none", text, "none");
	policy.level = SMTP_TLS_HALF_DANE;
	policy.name = "dane:halfdane";
	smtp_tls_describe(&policy, SMTP_TLS_USED, text);
	want_str("used", text, "dane:halfdane");
	smtp_tls_describe(&policy, SMTP_TLS_VIOLATED, text);
	want_str("violated", text, "!dane:halfdane");
	params.smtp_log_tls_feature_status = false;
	smtp_tls_describe(&policy, SMTP_TLS_USED, text);
	want_str("off", text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_mx),
		cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
