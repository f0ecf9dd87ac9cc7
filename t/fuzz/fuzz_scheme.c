// SPDX-License-Identifier: BSD-2-Clause
/*
 * The first line is a password, the rest what is stored; whatever that is, there is an answer, and
 * a reason with the answers that need one.  Rounds that take long are left out.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/scheme.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "$6$rounds=..." and bcrypt's costs make a fuzzer wait, and so do Argon2 and PBKDF2. */
static bool takes_long(const char *stored, const char *fallback)
{
	return password_scheme_is_slow(stored, fallback) && !strstr(stored, "{SCRAM") &&
	       !strstr(stored, "{PBKDF2}$1$IMO2cz3ki0mWfVL6$1$");
}

static void ask(const char *stored, const char *fallback, struct slice password)
{
	static const char *const wanted[] = { "PLAIN", "CRAM-MD5", "DIGEST-MD5", "OTP" };
	struct reason why = { "", "" };
	enum password_result result;

	if (takes_long(stored, fallback))
		return;
	result = password_verify(stored, fallback, "user@example.com", password, &why);
	ASSERT((result >= PASSWORD_UNUSABLE) == (*why.text != '\0'));
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
		const char *scheme;

		why = (struct reason){ "", "" };
		result = password_credentials(stored, fallback, wanted[i], &scheme, &out, &why);
		ASSERT((result != PASSWORD_MATCH) == (*why.text != '\0'));
		strbuf_release(&out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size), password;
	ptrdiff_t end = slice_find(in, '\n');
	char *stored;

	password = end < 0 ? in : slice_first(in, (size_t)end);
	in = end < 0 ? SLICE_NULL : slice_from(in, (size_t)end + 1);
	stored = xstrndup(in.ptr ? in.ptr : "", in.len);
	ask(stored, "CRYPT", password);
	ask(stored, "PLAIN-MD5", password);
	free(stored);
	return 0;
}
