// SPDX-License-Identifier: BSD-2-Clause
#include "auth/scheme.h"

#include <stdio.h>

#include "unit.h"

#define HELLO_6                                                                                    \
	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnI"                             \
	"FNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"

#define CRAM "cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56"
#define SCRAM_1                                                                                    \
	"4096,zvyIo1yMsUid8Oh9ebAklQ==,4ktDQX4vA3URPrSQqBDlIHkgj4w=,UP8KNSfVEsR2whbVF6LgVT/J/hw="
#define ARGON2I                                                                                    \
	"$argon2i$v=19$m=32768,t=4,p=1$My1J8MO7P4GN0d1tjJ8DDA$"                                    \
	"3UEqNNjbTPW+lMOqDsS695zVroa2E0hyrRm1VueVWqk"

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
	{ "{PLAIN.ROT13}frperg", "CRYPT", "secret", PASSWORD_UNKNOWN_SCHEME },
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
	    "Hello world!", PASSWORD_MATCH },
	{ "{BLF-CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "PLAIN", "U*U",
	    PASSWORD_MATCH },
	{ "{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "PLAIN", "U*V",
	    PASSWORD_MISMATCH },
	{ "{MD5-CRYPT}$1$dXc3I7Rw$zA0T0kZkhd8ERajPlJVz20", "PLAIN", "password", PASSWORD_MATCH },
	/* A setting without a hash is nobody's password. */
	{ "{CRYPT}$6$saltstring", "PLAIN", "", PASSWORD_MISMATCH },
	{ "{CRYPT}$6$saltstring$", "PLAIN", "", PASSWORD_MISMATCH },
	{ "{CRYPT}", "PLAIN", "", PASSWORD_MISMATCH },
	{ "{CRYPT}*", "PLAIN", "", PASSWORD_MISMATCH },
	{ "{CRYPT}*0", "PLAIN", "", PASSWORD_MISMATCH },
	{ "!", "CRYPT", "", PASSWORD_MISMATCH },
	{ "", "CRYPT", "", PASSWORD_MISMATCH },
	/* digests of "secret" */
	{ "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{SHA1}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", "PLAIN", "secret",
	    PASSWORD_MATCH },
	{ "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", "PLAIN", "Secret",
	    PASSWORD_MISMATCH },
	{ "{SHA1.HEX}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{SHA1.B64}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "PLAIN", "secret",
	    PASSWORD_UNUSABLE },
	{ "{SHA1.HEX}e5e9fa", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{SSHA.HEX}a36fa8dbaa4404254fb9451b930139aac4aaa1ef4f9d2508", "PLAIN", "secret",
	    PASSWORD_MATCH },
	{ "{SSHA}a36fa8dbaa4404254fb9451b930139aac4aaa1ef4f9d2508", "PLAIN", "secret",
	    PASSWORD_MISMATCH },
	{ "{SSHA512}THhkZutGxQeLb4PNqGT6PIqhlyPLEDpVQDsM9MzbzZiokBbJj4fGpC6TTXR+bw3E1ILQNpkkGsAq3"
	  "AGUlUvH8vGZghc=",
	    "PLAIN", "secret", PASSWORD_MATCH },
	{ "{SMD5}hbiwTho7UoKin1wiZT8QjpNjgUI=", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{SMD5}hbiwTho7UoKin1wiZT8Qjg==", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{PLAIN-MD4}67d3dafef63ff00603aeef3769cfbf0d", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{PLAIN-MD4}67d3dafef63ff00603aeef3769cfbf0d", "PLAIN", "", PASSWORD_MISMATCH },
	{ "{PLAIN-MD4}31d6cfe0d16ae931b73c59d7e0c089c0", "PLAIN", "", PASSWORD_MATCH },
	{ "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{PLAIN-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{LDAP-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{LDAP-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{LDAP-MD5}AAAA", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{MD5}$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{MD5}$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK", "PLAIN", "secret", PASSWORD_MISMATCH },
	{ "{MD5}", "PLAIN", "", PASSWORD_UNUSABLE },
	/* Without a scheme these are MD5's whatever the default says. */
	{ "$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/", "PLAIN", "secret", PASSWORD_MATCH },
	{ "$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/$x", "PLAIN", "secret", PASSWORD_MATCH },
	{ "$1$", "PLAIN", "$1$", PASSWORD_MATCH },
	{ "$1$$", "PLAIN", "$1$$", PASSWORD_MISMATCH },
	{ "{DES-CRYPT}/d63lSE/fkfgI", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{DES-CRYPT}/d63lSE/fkf", "PLAIN", "secret", PASSWORD_MISMATCH },
	{ "{BLF-CRYPT}$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{BLF-CRYPT}$2y$", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{BLF-CRYPT}", "PLAIN", "", PASSWORD_MISMATCH },
	{ "{PLAIN-TRUNC}6-secret", "CRYPT", "secret", PASSWORD_MATCH },
	{ "{PLAIN-TRUNC}6-secret", "CRYPT", "secrets", PASSWORD_MATCH },
	{ "{PLAIN-TRUNC}6-secret", "CRYPT", "secre", PASSWORD_MISMATCH },
	{ "{PLAIN-TRUNC}6-secret", "CRYPT", "", PASSWORD_MISMATCH },
	{ "{PLAIN-TRUNC}3-secr", "CRYPT", "secret", PASSWORD_MISMATCH },
	{ "{PLAIN-TRUNC}9-secret", "CRYPT", "secrets", PASSWORD_MISMATCH },
	{ "{PLAIN-TRUNC}99999999999999999999-secret", "CRYPT", "secret", PASSWORD_MATCH },
	{ "{PLAIN-TRUNC}99999999999999999999-secret", "CRYPT", "secrets", PASSWORD_MISMATCH },
	{ "{PLAIN-TRUNC}secret", "CRYPT", "secret", PASSWORD_UNUSABLE },
	{ "{PLAIN-TRUNC}x-secret", "CRYPT", "x-secret", PASSWORD_UNUSABLE },
	/* Everybody's password, for the peer. */
	{ "{PLAIN-TRUNC}0-", "CRYPT", "secret", PASSWORD_UNUSABLE },
	{ "{PLAIN-TRUNC}-", "CRYPT", "", PASSWORD_UNUSABLE },
	{ "{PLAIN-TRUNC}", "CRYPT", "", PASSWORD_UNUSABLE },
	{ "{CRAM-MD5}" CRAM, "PLAIN", "secret", PASSWORD_MATCH },
	{ "{HMAC-MD5}" CRAM, "PLAIN", "secret", PASSWORD_MATCH },
	{ "{HMAC-MD5}" CRAM, "PLAIN", "secreT", PASSWORD_MISMATCH },
	{ "{CRAM-MD5.B64}zTun3qrW5cojRIukLjeXR6ng9/H7wAyKgbuqw5VzG1Y=", "PLAIN", "secret",
	    PASSWORD_MATCH },
	{ "{CRAM-MD5}cd3b", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{DIGEST-MD5}734c726901e727cce7aec830575f6ac5", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{SCRAM-SHA-1}" SCRAM_1, "PLAIN", "secret", PASSWORD_MATCH },
	{ "{SCRAM-SHA-1}" SCRAM_1, "PLAIN", "secreT", PASSWORD_MISMATCH },
	{ "{SCRAM-SHA-256}" SCRAM_1, "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{SCRAM-SHA-1}4095,zvyIo1yMsUid8Oh9ebAklQ==,4ktDQX4vA3URPrSQqBDlIHkgj4w=,UP8KNSfVEsR2whbV"
	  "F6LgVT/J/hw=",
	    "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{SCRAM-SHA-1}4096,zvyI,4ktDQX4vA3URPrSQqBDlIHkgj4w=,AAAA", "PLAIN", "secret",
	    PASSWORD_UNUSABLE },
	{ "{SCRAM-SHA-1}4096,zvyI,AAAA,4ktDQX4vA3URPrSQqBDlIHkgj4w=", "PLAIN", "secret",
	    PASSWORD_UNUSABLE },
	{ "{SCRAM-SHA-1}4096,,,", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{SCRAM-SHA-256}4096,jGTNow9K18OvR9DB59BDuQ==,Miz/wktgFj3VDv4xzT/t/vNSFMNd7SDjHhjF0pK3GOY"
	  "=,m5IcoYJcQjZ9VvQv5rYgFqlgs5xVveX05R9ov4NihBU=",
	    "PLAIN", "secret", PASSWORD_MATCH },
	{ "{PBKDF2}$1$arR3fQmlp8LtyL0Z$5000$0d53e5f575d53e56a911acac30f76bb7d8c00188", "PLAIN",
	    "secret", PASSWORD_MATCH },
	{ "{PBKDF2}$1$IMO2cz3ki0mWfVL6$1$2bd5142861e209a92bc06d8c5c5912122e373576", "PLAIN",
	    "secret", PASSWORD_MATCH },
	{ "{PBKDF2}$1$IMO2cz3ki0mWfVL6$0$2bd5142861e209a92bc06d8c5c5912122e373576", "PLAIN",
	    "secret", PASSWORD_MISMATCH },
	{ "{PBKDF2}$1$IMO2cz3ki0mWfVL6$99999999999$2bd5142861e209a92bc06d8c5c5912122e373576",
	    "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{PBKDF2}$2$IMO2cz3ki0mWfVL6$1$2bd5142861e209a92bc06d8c5c5912122e373576", "PLAIN",
	    "secret", PASSWORD_UNUSABLE },
	{ "{PBKDF2}$1$a$1", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{PBKDF2}$1$a$1$2bd5", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{ARGON2I}" ARGON2I, "PLAIN", "secret", PASSWORD_MATCH },
	{ "{ARGON2ID}" ARGON2I, "PLAIN", "secret", PASSWORD_MATCH },
	{ "{ARGON2ID}" ARGON2I, "PLAIN", "Secret", PASSWORD_MISMATCH },
	{ "{ARGON2ID}foo", "PLAIN", "foo", PASSWORD_MISMATCH },
	{ "{ARGON2ID}$argon2id$v=19$m=4294967295,t=3,p=1$7ttS1WQaGXglcwRqYHZ32A$GW7QyuUIpogrcxU61s"
	  "epaCo4Ukea1ms0o9NUlRBjTkR",
	    "PLAIN", "secret", PASSWORD_MISMATCH },
	{ "{OTP}sha1 1024 6ebb11513668ad25 379229f6ae4f82c4", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{OTP}sha1 1024 6ebb11513668ad25 379229F6ae4f82c4", "PLAIN", "secret", PASSWORD_MATCH },
	{ "{OTP}md5 1024 6ebb11513668ad25 379229f6ae4f82c4", "PLAIN", "secret", PASSWORD_MISMATCH },
	{ "{OTP}sha1 1023 6ebb11513668ad25 379229f6ae4f82c4", "PLAIN", "secret",
	    PASSWORD_MISMATCH },
	/* RFC 2289 appendix C: "This is a test." */
	{ "{OTP}md4 99 test c5e612776e6c237a", "PLAIN", "This is a test.", PASSWORD_MATCH },
	{ "{OTP}md5 99 test 50fe1962c4965880", "PLAIN", "This is a test.", PASSWORD_MATCH },
	{ "{OTP}sha1 99 test 87fec7768b73ccf9", "PLAIN", "This is a test.", PASSWORD_MATCH },
	{ "{OTP}SHA1 1024 6ebb11513668ad25 379229f6ae4f82c4", "PLAIN", "secret",
	    PASSWORD_UNUSABLE },
	{ "{OTP}sha1 1024 6ebb11513668ad25", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{OTP}sha1 1024 6ebb11513668ad25 379229f6ae4f82", "PLAIN", "secret", PASSWORD_UNUSABLE },
	{ "{OTP}sha1 99999999 6ebb11513668ad25 379229f6ae4f82c4", "PLAIN", "secret",
	    PASSWORD_UNUSABLE },
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
		    password_verify(c->stored, c->fallback, NULL, slice_of(c->password), &why),
		    c->want);
		want_int(c->stored, *why.dsn != '\0', c->want >= PASSWORD_UNUSABLE);
	}
}

/* The user's name is in the digest; what follows its last @ is the realm. */
static void test_user(void **state)
{
	static const struct user_case {
		const char *stored, *user;
		enum password_result want;
	} user_cases[] = {
		{ "{DIGEST-MD5}734c726901e727cce7aec830575f6ac5", "user@dom", PASSWORD_MATCH },
		{ "{DIGEST-MD5}734c726901e727cce7aec830575f6ac5", "user", PASSWORD_MISMATCH },
		{ "{DIGEST-MD5}734c726901e727cce7aec830575f6ac5", NULL, PASSWORD_UNUSABLE },
		{ "{DIGEST-MD5}20b4b61d3f0126b9aac227a68dbe3e26", "user", PASSWORD_MATCH },
		{ "{DIGEST-MD5}c752f0e67f7456b2268cbb0c8bf8f618", "a@b@c", PASSWORD_MATCH },
		{ "{DIGEST-MD5.B64}x1Lw5n90VrImjLsMi/j2GA==", "a@b@c", PASSWORD_MATCH },
	};
	struct reason why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(user_cases); i++)
		want_int(user_cases[i].stored,
		    password_verify(
			user_cases[i].stored, "", user_cases[i].user, SLICE_LIT("secret"), &why),
		    user_cases[i].want);
}

/* A password that goes on after a NUL is another one. */
static void test_nul(void **state)
{
	struct reason why;

	(void)state;
	want_int("plain", password_verify("{PLAIN}a", "CRYPT", NULL, SLICE_LIT("a\0b"), &why),
	    PASSWORD_MISMATCH);
	want_int("crypt",
	    password_verify("{MD5-CRYPT}$1$dXc3I7Rw$zA0T0kZkhd8ERajPlJVz20", "CRYPT", NULL,
		SLICE_LIT("password\0b"), &why),
	    PASSWORD_MISMATCH);
}

static void make_and_verify(const char *name)
{
	unsigned long rounds = strstr(name, "SHA") && strstr(name, "CRYPT") ? 1000 : 0;
	struct strbuf out = STRBUF_INIT(1000);
	struct reason why;

	want_int(name, password_make(name, "u@d", SLICE_LIT("s3cret"), rounds, &out, &why), true);
	want_int(out.ptr, password_verify(out.ptr, "NONE", "u@d", SLICE_LIT("s3cret"), &why),
	    PASSWORD_MATCH);
	want_int(out.ptr, password_verify(out.ptr, "NONE", "u@d", SLICE_LIT("S3cret"), &why),
	    PASSWORD_MISMATCH);
	strbuf_release(&out);
}

/* What is made is verified, with every scheme there is and in every encoding. */
static void test_make(void **state)
{
	static const char *const encodings[] = { "", ".HEX", ".b64", ".Base64" };
	const char *name;
	char full[100];

	(void)state;
	for (size_t i = 0; (name = password_scheme_name(i)) != NULL; i++) {
		want_int(name, password_scheme_is_known(name), true);
		/* What the peer makes of this one it does not verify, and neither do we. */
		for (size_t k = 0; strcmp(name, "PLAIN-TRUNC") && k < ARRAY_LEN(encodings); k++) {
			snprintf(full, sizeof(full), "%s%s", name, encodings[k]);
			make_and_verify(full);
		}
	}
	want_int("unknown", password_scheme_is_known("NONSENSE"), false);
	want_int("encoding", password_scheme_is_known("SHA1.NONSENSE"), false);
}

static void test_make_refuses(void **state)
{
	static const struct refuse_case {
		const char *scheme, *user;
		struct slice password;
	} refused[] = {
		{ "NONSENSE", NULL, { "x", 1 } },
		{ "SHA1.NONSENSE", NULL, { "x", 1 } },
		{ "PLAIN", NULL, { "a\nb", 3 } },
		{ "PLAIN", NULL, { "a\0b", 3 } },
		{ "CRYPT", NULL, { "a\0b", 3 } },
		{ "DIGEST-MD5", NULL, { "x", 1 } },
	};
	struct strbuf out = STRBUF_INIT(1000);
	struct reason why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		const struct refuse_case *c = &refused[i];

		why = (struct reason){ "", "" };
		want_int(c->scheme, password_make(c->scheme, c->user, c->password, 0, &out, &why),
		    false);
		want_int(c->scheme, *why.text != '\0', true);
	}
	strbuf_release(&out);
}

/* 64 KiB are a password like any other, where the scheme can take them. */
static void test_long(void **state)
{
	static char text[64 * 1024];
	static const struct long_case {
		const char *scheme;
		bool can;
	} long_cases[] = { { "PLAIN", true }, { "SSHA256", true }, { "PBKDF2", true },
		{ "SCRAM-SHA-256", true }, { "CRAM-MD5", true }, { "ARGON2I", true },
		{ "BLF-CRYPT", true }, { "SHA512-CRYPT", false }, { "DES-CRYPT", false } };
	struct reason why;

	(void)state;
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < ARRAY_LEN(long_cases); i++) {
		const struct long_case *c = &long_cases[i];
		struct strbuf out = STRBUF_INIT(200000);
		struct slice password = slice_mem(text, sizeof(text));

		want_int(
		    c->scheme, password_make(c->scheme, NULL, password, 0, &out, &why), c->can);
		if (c->can) {
			want_int(c->scheme, password_verify(out.ptr, "", NULL, password, &why),
			    PASSWORD_MATCH);
			want_int(c->scheme,
			    password_verify(out.ptr, "", NULL, slice_first(password, 70), &why),
			    PASSWORD_MISMATCH);
		}
		strbuf_release(&out);
	}
	want_int("crypt",
	    password_verify(
		"{SHA512-CRYPT}" HELLO_6, "", NULL, slice_mem(text, sizeof(text)), &why),
	    PASSWORD_MISMATCH);
}

static void test_slow(void **state)
{
	static const struct slow_case {
		const char *stored, *fallback;
		bool slow;
	} slow_cases[] = {
		{ "{PLAIN}x", "CRYPT", false },
		{ "x", "PLAIN", false },
		{ "{NONSENSE}x", "CRYPT", false },
		{ "$6$x$y", "CRYPT", true },
		{ "{SHA512-CRYPT}$6$x$y", "PLAIN", true },
		{ "{CRYPT}$2y$05$x", "PLAIN", true },
		{ "{CRYPT}$y$x", "PLAIN", true },
		{ "{CRYPT}/d63lSE/fkfgI", "PLAIN", false },
		{ "$1$a$b", "CRYPT", false },
		{ "{CRYPT.HEX}00", "PLAIN", true },
		{ "{SSHA512}x", "PLAIN", false },
		{ "{ARGON2ID}x", "PLAIN", true },
		{ "{SCRAM-SHA-1}x", "PLAIN", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(slow_cases); i++)
		want_int(slow_cases[i].stored,
		    password_scheme_is_slow(slow_cases[i].stored, slow_cases[i].fallback),
		    slow_cases[i].slow);
}

/* What mechanisms get of a stored password, without encodings and second names. */
static void test_credentials(void **state)
{
	static const struct credentials_case {
		const char *stored, *wanted, *scheme, *text; /* scheme NULL: refused */
	} credentials_cases[] = {
		{ "{PLAIN}secret", "PLAIN", "PLAIN", "secret" },
		{ "{CLEAR.HEX}736563726574", "CRAM-MD5", "PLAIN", "secret" },
		{ "{CRAM-MD5}" CRAM, "CRAM-MD5", "CRAM-MD5", CRAM },
		{ "{cram-md5.b64}zTun3qrW5cojRIukLjeXR6ng9/H7wAyKgbuqw5VzG1Y=", "CRAM-MD5",
		    "CRAM-MD5", CRAM },
		{ "{HMAC-MD5}" CRAM, "CRAM-MD5", "CRAM-MD5", CRAM },
		{ "{HMAC-MD5}" CRAM, "PLAIN", NULL, NULL },
		{ "{HMAC-MD5}cd", "CRAM-MD5", NULL, NULL },
		{ "{DIGEST-MD5}c0ffee", "DIGEST-MD5", NULL, NULL },
		{ "{DIGEST-MD5}734c726901e727cce7aec830575f6ac5", "DIGEST-MD5", "DIGEST-MD5",
		    "734c726901e727cce7aec830575f6ac5" },
		{ "{SCRAM-SHA-1}" SCRAM_1, "SCRAM-SHA-1", "SCRAM-SHA-1", SCRAM_1 },
		{ "{SCRAM-SHA-1}" SCRAM_1, "SCRAM-SHA-256", NULL, NULL },
		{ "{PLAIN-TRUNC}6-secret", "PLAIN", NULL, NULL },
		{ "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SCRAM-SHA-1", NULL, NULL },
		{ "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "DIGEST-MD5", NULL, NULL },
		{ "{PLAIN}secret", "APOP", "PLAIN", "secret" },
		{ "{CRYPT}x", "APOP", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(credentials_cases); i++) {
		const struct credentials_case *c = &credentials_cases[i];
		struct strbuf out = STRBUF_INIT(1000);
		struct reason why = { "", "" };
		const char *scheme = NULL;

		want_int(c->stored,
		    password_credentials(c->stored, "CRYPT", c->wanted, &scheme, &out, &why),
		    c->scheme ? PASSWORD_MATCH : PASSWORD_UNUSABLE);
		want_int(c->stored, *why.text != '\0', !c->scheme);
		want_str(c->stored, scheme, c->scheme);
		want_slice(c->stored, strbuf_slice(&out), slice_of(c->text));
		strbuf_release(&out);
	}
}

/* RFC 7677 3: user "user", password "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 rounds. */
static void test_scram(void **state)
{
	static const char text[] =
	    "4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
	    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	struct strbuf stored = STRBUF_INIT(500);
	struct reason why;

	(void)state;
	strbuf_addf(&stored, "{SCRAM-SHA-256}%s", text);
	want_int("pencil", password_verify(stored.ptr, "", NULL, SLICE_LIT("pencil"), &why),
	    PASSWORD_MATCH);
	strbuf_release(&stored);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_make_refuses),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_scram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
