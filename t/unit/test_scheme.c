// SPDX-License-Identifier: BSD-2-Clause
#include "auth/scheme.h"
#include "unit.h"

#define HELLO_6                                                                                    \
	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnI"                             \
	"FNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"

static const struct verify_case {
	const char *stored, *fallback, *password;
	enum password_result want;
} cases[] = {
	{ "{PLAIN}secret", "CRYPT", "secret", PASSWORD_MATCH },
	{ "{Plain}secret", "CRYPT", "secret", PASSWORD_MATCH },
	{ "{CLEAR}secret", "CRYPT", "Secret", PASSWORD_MISMATCH },
	{ "{CLEARTEXT}secret", "CRYPT", "secre", PASSWORD_MISMATCH },
	{ "{CLEARTEXT}secret", "CRYPT", "secrets", PASSWORD_MISMATCH },
	{ "{PLAIN}", "CRYPT", "x", PASSWORD_MISMATCH },
	{ "{PLAIN}a{b}c", "CRYPT", "a{b}c", PASSWORD_MATCH },
	{ "{PLAIN.HEX}736563726574", "CRYPT", "secret", PASSWORD_MATCH },
	{ "{plain.b64}c2VjcmV0", "CRYPT", "secret", PASSWORD_MATCH },
	{ "{PLAIN.BASE64}c2VjcmV0", "CRYPT", "secret", PASSWORD_MATCH },
	{ "{PLAIN.HEX}7365637265", "CRYPT", "secret", PASSWORD_MISMATCH },
	{ "{PLAIN.HEX}73656372657", "CRYPT", "secret", PASSWORD_UNUSABLE },
	{ "{PLAIN.ROT13}frperg", "CRYPT", "secret", PASSWORD_UNUSABLE },
	{ "secret", "PLAIN", "secret", PASSWORD_MATCH },
	{ "secret", "plain.hex", "secret", PASSWORD_UNUSABLE },
	/* made with libc's crypt(3) */
	{ HELLO_6, "CRYPT", "Hello world!", PASSWORD_MATCH },
	{ "{SHA512-CRYPT}" HELLO_6, "PLAIN", "Hello world!", PASSWORD_MATCH },
	{ "{SHA512-CRYPT}" HELLO_6, "PLAIN", "Hello world", PASSWORD_MISMATCH },
	{ "{SHA256-CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "PLAIN",
	    "Hello world!", PASSWORD_MATCH },
	{ "{crypt}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "PLAIN",
	    "Hello world!", PASSWORD_MATCH },
	{ "{SHA512-CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "PLAIN",
	    "Hello world!", PASSWORD_UNUSABLE },
	{ "{BLF-CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "PLAIN", "U*U",
	    PASSWORD_MATCH },
	{ "{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "PLAIN", "U*V",
	    PASSWORD_MISMATCH },
	{ "{MD5-CRYPT}$1$dXc3I7Rw$zA0T0kZkhd8ERajPlJVz20", "PLAIN", "password", PASSWORD_MATCH },
	/* A setting without a hash is nobody's password. */
	{ "{CRYPT}$6$saltstring", "PLAIN", "", PASSWORD_MISMATCH },
	{ "{CRYPT}$6$saltstring$", "PLAIN", "", PASSWORD_MISMATCH },
	{ "{CRYPT}", "PLAIN", "", PASSWORD_UNUSABLE },
	{ "{CRYPT}*", "PLAIN", "", PASSWORD_UNUSABLE },
	{ "{CRYPT}*0", "PLAIN", "", PASSWORD_UNUSABLE },
	{ "!", "CRYPT", "", PASSWORD_UNUSABLE },
	{ "", "CRYPT", "", PASSWORD_UNUSABLE },
	/* digests of "secret" */
	{ "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{SHA1}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", "PLAIN", "secret",
	    PASSWORD_MATCH },
	{ "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", "PLAIN", "Secret",
	    PASSWORD_MISMATCH },
	{ "{SSHA}K7gNU3sdo+OL0wNhqoVWhr3g", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{SHA256}####", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{NONSENSE}x", "PLAIN", "x", PASSWORD_UNKNOWN_SCHEME },
	{ "{}x", "PLAIN", "x", PASSWORD_UNKNOWN_SCHEME },
	{ "{x", "PLAIN", "{x", PASSWORD_MATCH },
	{ "x", "NONSENSE", "x", PASSWORD_UNKNOWN_SCHEME },
};

static void test_verify(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct verify_case *c = &cases[i];
		struct reason why = { "", "" };

		want_int(c->stored,
		    password_verify(c->stored, c->fallback, slice_of(c->password), &why), c->want);
		want_int(c->stored, *why.dsn != '\0', c->want >= PASSWORD_UNUSABLE);
	}
}

/* A password that goes on after a NUL is another one. */
static void test_nul(void **state)
{
	struct reason why;

	(void)state;
	want_int("plain", password_verify("{PLAIN}a", "CRYPT", SLICE_LIT("a\0b"), &why),
	    PASSWORD_MISMATCH);
	want_int("crypt",
	    password_verify("{MD5-CRYPT}$1$dXc3I7Rw$zA0T0kZkhd8ERajPlJVz20", "CRYPT",
		SLICE_LIT("password\0b"), &why),
	    PASSWORD_MISMATCH);
}

/* What is made is verified, with every scheme there is. */
static void test_make(void **state)
{
	struct reason why;
	const char *name;

	(void)state;
	for (size_t i = 0; (name = password_scheme_name(i)) != NULL; i++) {
		struct strbuf out = STRBUF_INIT(1000);
		unsigned long rounds = strstr(name, "SHA") && strstr(name, "CRYPT") ? 1000 : 0;

		want_int(name, password_make(name, SLICE_LIT("s3cret"), rounds, &out, &why), true);
		want_int(name, password_verify(out.ptr, "NONE", SLICE_LIT("s3cret"), &why),
		    PASSWORD_MATCH);
		want_int(name, password_verify(out.ptr, "NONE", SLICE_LIT("S3cret"), &why),
		    PASSWORD_MISMATCH);
		want_int(name, password_scheme_is_known(name), true);
		strbuf_release(&out);
	}
	want_int("unknown", password_scheme_is_known("NONSENSE"), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
