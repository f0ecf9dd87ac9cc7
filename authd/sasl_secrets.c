// SPDX-License-Identifier: BSD-2-Clause
/*
 * Cyrus SASL asks for a password in plain text and for what its mechanism makes of it, and takes
 * what there is.  Dovecot's stored forms hold the same numbers in another notation.
 *
 * A user that is not there gets a password that nobody knows.  SCRAM needs care: from plain text
 * the keys are computed (some milliseconds), stored ones are merely read.  The made-up user is of
 * the kind that was seen last among the real ones, so that the time tells nothing where all users
 * are of one kind, as they are but for the time of a migration.
 */
#include "authd/sasl_secrets.h"

#include <stdatomic.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/cursor.h"
#include "base/digest.h"

#define MD5_SIZE      16
#define SCRAM_ROUNDS  "4096"
#define SCRAM_SALT    16
#define SCRAM_KEY_MAX 32

static unsigned char fake_key[32];
static atomic_bool scram_is_stored; /* of the last known user */

void sasl_secrets_setup(void)
{
	random_bytes(fake_key, sizeof(fake_key));
}

static bool is_plain(const char *scheme)
{
	return !strcasecmp(scheme, "PLAIN") || !strcasecmp(scheme, "CLEAR") ||
	       !strcasecmp(scheme, "CLEARTEXT");
}

static bool is_scram(const char *scheme)
{
	return !strncasecmp(scheme, "SCRAM-", 6);
}

/* --- Dovecot's notations to Cyrus SASL's --- */

/*
 * Dovecot writes the states of outer and inner MD5 as eight little-endian words in hex, Cyrus SASL
 * reads inner and outer one as words in network order.
 */
static bool cram_secret(const char *stored, struct strbuf *value)
{
	struct strbuf raw = STRBUF_INIT(2 * MD5_SIZE);
	bool good = hex_decode(&raw, slice_of(stored)) && raw.len == 2 * MD5_SIZE;

	for (size_t half = 2; good && half-- > 0;) {
		for (size_t i = 0; i < MD5_SIZE; i++) {
			size_t swapped = (i & ~(size_t)3) + (3 - i % 4);

			strbuf_addch(value, raw.ptr[half * MD5_SIZE + swapped]);
		}
	}
	secret_release(&raw);
	return good;
}

static bool digest_secret(const char *stored, struct strbuf *value)
{
	size_t before = value->len;

	return hex_decode(value, slice_of(stored)) && value->len - before == MD5_SIZE;
}

/* "rounds,salt,StoredKey,ServerKey" to RFC 5803's "MECH$rounds:salt$StoredKey:ServerKey". */
static bool scram_secret(const char *scheme, const char *stored, struct strbuf *value)
{
	static const char between[] = "$:$:";
	struct slice rest = slice_of(stored);

	for (const char *p = scheme; *p; p++)
		strbuf_addch(value, ascii_upper(*p));
	for (size_t i = 0; i < 4; i++) {
		ptrdiff_t comma = slice_find(rest, ',');
		bool is_last = i == 3;

		if ((comma < 0) != is_last || (!is_last && comma == 0) || (is_last && !rest.len))
			return false;
		strbuf_addch(value, between[i]);
		strbuf_addslice(value, is_last ? rest : slice_first(rest, (size_t)comma));
		if (!is_last)
			rest = slice_from(rest, (size_t)comma + 1);
	}
	return true;
}

bool sasl_secret(const struct credentials *credentials, const char *property, struct strbuf *value)
{
	const char *scheme = credentials->scheme, *stored = credentials->password;

	if (!strcmp(property, "userPassword") && is_plain(scheme)) {
		strbuf_addstr(value, stored);
		return true;
	}
	if (!strcmp(property, "cmusaslsecretCRAM-MD5") && !strcasecmp(scheme, "CRAM-MD5"))
		return cram_secret(stored, value);
	if (!strcmp(property, "cmusaslsecretDIGEST-MD5") && !strcasecmp(scheme, "DIGEST-MD5"))
		return digest_secret(stored, value);
	if (!strcmp(property, "authPassword") && is_scram(scheme))
		return scram_secret(scheme, stored, value);
	return false;
}

/* --- users that are not there --- */

void sasl_secrets_saw(const struct credentials *credentials)
{
	if (credentials->wanted && is_scram(credentials->wanted))
		atomic_store(&scram_is_stored, is_scram(credentials->scheme));
}

/* LEN bytes in base64 that depend on WHAT, SCHEME and USER alone. */
static void add_fake(
    struct strbuf *out, const char *what, const char *scheme, struct slice user, size_t len)
{
	unsigned char bytes[DIGEST_MAX_SIZE];
	struct digest *d = digest_new("SHA512");

	ASSERT(d);
	digest_update(d, slice_mem(fake_key, sizeof(fake_key)));
	digest_update(d, slice_mem(what, strlen(what) + 1));
	digest_update(d, slice_mem(scheme, strlen(scheme) + 1));
	digest_update(d, user);
	digest_final(d, bytes);
	digest_free(d);
	base64_encode(out, slice_mem(bytes, len));
}

void sasl_secret_fake(
    const char *scheme, struct slice user, const char *property, struct strbuf *value)
{
	size_t key_len = !strcasecmp(scheme, "SCRAM-SHA-1") ? 20 : SCRAM_KEY_MAX;
	bool is_stored = is_scram(scheme) && atomic_load(&scram_is_stored);

	if (!strcmp(property, "userPassword") && !is_stored) {
		add_fake(value, "password", scheme, user, SCRAM_KEY_MAX);
	} else if (!strcmp(property, "authPassword") && is_stored) {
		strbuf_addf(value, "%s$" SCRAM_ROUNDS ":", scheme);
		add_fake(value, "salt", scheme, user, SCRAM_SALT);
		strbuf_addch(value, '$');
		add_fake(value, "stored", scheme, user, key_len);
		strbuf_addch(value, ':');
		add_fake(value, "server", scheme, user, key_len);
	}
}
