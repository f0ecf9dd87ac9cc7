// SPDX-License-Identifier: BSD-2-Clause
/*
 * libsodium's Argon2 and its text form.  Memory grows with the rounds, along libsodium's three
 * steps (RFC 9106 has others).  A hash of either kind is good under both names.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "auth/scheme_row.h"
#include "base/check.h"

#define ARGON2ID_ROUNDS 3 /* libsodium takes fewer; the peer does not */

static const struct step {
	unsigned long rounds;
	size_t memory;
} steps_i[] = {
	{ crypto_pwhash_argon2i_OPSLIMIT_INTERACTIVE, crypto_pwhash_argon2i_MEMLIMIT_INTERACTIVE },
	{ crypto_pwhash_argon2i_OPSLIMIT_MODERATE, crypto_pwhash_argon2i_MEMLIMIT_MODERATE },
	{ crypto_pwhash_argon2i_OPSLIMIT_SENSITIVE, crypto_pwhash_argon2i_MEMLIMIT_SENSITIVE },
}, steps_id[] = {
	{ crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE,
	    crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE },
	{ crypto_pwhash_argon2id_OPSLIMIT_MODERATE, crypto_pwhash_argon2id_MEMLIMIT_MODERATE },
	{ crypto_pwhash_argon2id_OPSLIMIT_SENSITIVE, crypto_pwhash_argon2id_MEMLIMIT_SENSITIVE },
};

static size_t memory_for(const struct step steps[3], unsigned long rounds)
{
	size_t memory = steps[0].memory;

	for (size_t i = 0; i < 3; i++)
		if (rounds >= steps[i].rounds)
			memory = steps[i].memory;
	return memory;
}

enum password_result scheme_verify_argon2(const struct scheme_use *use, struct slice data)
{
	char hash[crypto_pwhash_STRBYTES] = { 0 };

	if (sodium_init() < 0)
		return scheme_unusable(use, "libsodium does not start");
	if (data.len >= sizeof(hash) || slice_has_nul(data))
		return PASSWORD_MISMATCH;
	memcpy(hash, data.ptr, data.len);
	return crypto_pwhash_str_verify(
		   hash, use->password.ptr ? use->password.ptr : "", use->password.len) == 0
		   ? PASSWORD_MATCH
		   : PASSWORD_MISMATCH;
}

bool scheme_make_argon2(const struct scheme_use *use, struct strbuf *out)
{
	bool is_id = !strcmp(use->scheme->detail, "argon2id");
	const struct step *steps = is_id ? steps_id : steps_i;
	unsigned long rounds = use->rounds ? use->rounds : steps[0].rounds;
	size_t memory = memory_for(steps, rounds);
	char hash[crypto_pwhash_STRBYTES];

	if (is_id && rounds < ARGON2ID_ROUNDS)
		rounds = ARGON2ID_ROUNDS;
	errno = 0;
	if (sodium_init() < 0 ||
	    crypto_pwhash_str_alg(hash, use->password.ptr ? use->password.ptr : "",
		use->password.len, rounds, memory,
		is_id ? crypto_pwhash_ALG_ARGON2ID13 : crypto_pwhash_ALG_ARGON2I13) != 0)
		return scheme_cannot_make(use, "crypto_pwhash_%s_str failed: %s",
		    use->scheme->detail, strerror(errno ? errno : ENOMEM));
	strbuf_addstr(out, hash);
	return true;
}
