// SPDX-License-Identifier: BSD-2-Clause
/* Schemes that stretch the password by PBKDF2: SCRAM's (RFC 5802 3, RFC 7677), and PBKDF2 itself.
 */
#include <string.h>

#include "auth/scheme_row.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/cursor.h"
#include "base/digest.h"

#define SCRAM_ROUNDS  4096 /* also the least that a server may have: RFC 7677 4 */
#define PBKDF2_ROUNDS 5000
#define PBKDF2_SIZE   20
#define PBKDF2_SALT   16
/* Seconds of work; more is a typing error. */
#define ROUNDS_MAX 10000000

/* --- SCRAM --- */

#define SCRAM_KEY_MAX  32
#define SCRAM_SALT_MAX 64

/* RFC 5802 3: what a server keeps, as "iterations,salt,StoredKey,ServerKey", three in base64. */
struct scram_secret {
	unsigned iterations;
	unsigned char salt[SCRAM_SALT_MAX], stored_key[SCRAM_KEY_MAX], server_key[SCRAM_KEY_MAX];
	size_t salt_len, key_len;
};

static bool take_part(struct cursor *c, struct slice *part)
{
	*part = cursor_until(c, ",");
	return part->len > 0;
}

static bool decode_part(struct slice part, size_t max, unsigned char *bytes, size_t *len)
{
	struct strbuf out = STRBUF_INIT(SCRAM_SALT_MAX);
	bool good = base64_decode(&out, part) && out.len <= max;

	if (good) {
		memcpy(bytes, out.ptr, out.len);
		*len = out.len;
	}
	strbuf_release(&out);
	return good;
}

static bool decode_key(struct slice part, size_t size, unsigned char *key)
{
	size_t len;

	return decode_part(part, SCRAM_KEY_MAX, key, &len) && len == size;
}

/* What is wrong, or NULL. */
static const char *parse_scram(struct scram_secret *secret, const char *digest, struct slice text)
{
	unsigned char unused[DIGEST_MAX_SIZE];
	struct slice rounds, salt, stored_key, server_key;
	struct cursor c = cursor_of(text);
	uint64_t number;

	memset(secret, 0, sizeof(*secret));
	secret->key_len = digest_bytes(digest, SLICE_NULL, unused);
	if (!take_part(&c, &rounds) || !cursor_skip(&c, ",") || !take_part(&c, &salt) ||
	    !cursor_skip(&c, ",") || !take_part(&c, &stored_key) || !cursor_skip(&c, ",") ||
	    !take_part(&c, &server_key) || !cursor_at_end(&c))
		return "passdb entry format";
	if (!slice_uint(rounds, ROUNDS_MAX, &number) || number < SCRAM_ROUNDS)
		return "iteration count in passdb";
	secret->iterations = (unsigned)number;
	if (!decode_part(salt, SCRAM_SALT_MAX, secret->salt, &secret->salt_len))
		return "salt in passdb";
	if (!decode_key(stored_key, secret->key_len, secret->stored_key))
		return "StoredKey in passdb";
	if (!decode_key(server_key, secret->key_len, secret->server_key))
		return "ServerKey in passdb";
	return NULL;
}

/* Fills in the keys, from the rest. */
static bool derive_keys(struct scram_secret *s, const char *digest, struct slice password)
{
	unsigned char salted[SCRAM_KEY_MAX], client_key[DIGEST_MAX_SIZE], out[DIGEST_MAX_SIZE];
	struct slice key = slice_mem(salted, s->key_len);
	bool good = digest_pbkdf2(
	    digest, password, slice_mem(s->salt, s->salt_len), s->iterations, salted, s->key_len);

	good = good && digest_hmac(digest, key, SLICE_LIT("Client Key"), client_key) == s->key_len;
	good = good && digest_bytes(digest, slice_mem(client_key, s->key_len), out) == s->key_len;
	if (good)
		memcpy(s->stored_key, out, s->key_len);
	good = good && digest_hmac(digest, key, SLICE_LIT("Server Key"), out) == s->key_len;
	if (good)
		memcpy(s->server_key, out, s->key_len);
	secret_clear(salted, sizeof(salted));
	secret_clear(client_key, sizeof(client_key));
	return good;
}

enum password_result scheme_verify_scram(const struct scheme_use *use, struct slice data)
{
	struct scram_secret have, want;
	const char *wrong = parse_scram(&have, use->scheme->detail, data);

	if (wrong)
		return scheme_unusable(use, "Invalid %s %s", use->scheme->name, wrong);
	want = have;
	if (!derive_keys(&want, use->scheme->detail, use->password))
		return scheme_unusable(use, "%s is not available", use->scheme->detail);
	return scheme_compare(
	    slice_mem(want.stored_key, want.key_len), slice_mem(have.stored_key, have.key_len));
}

bool scheme_make_scram(const struct scheme_use *use, struct strbuf *out)
{
	unsigned char unused[DIGEST_MAX_SIZE];
	struct scram_secret secret = { .iterations = SCRAM_ROUNDS, .salt_len = 16 };

	random_bytes(secret.salt, secret.salt_len);
	secret.key_len = digest_bytes(use->scheme->detail, SLICE_NULL, unused);
	if (!derive_keys(&secret, use->scheme->detail, use->password))
		return scheme_cannot_make(use, "%s is not available", use->scheme->detail);
	strbuf_addf(out, "%u,", secret.iterations);
	base64_encode(out, slice_mem(secret.salt, secret.salt_len));
	strbuf_addch(out, ',');
	base64_encode(out, slice_mem(secret.stored_key, secret.key_len));
	strbuf_addch(out, ',');
	base64_encode(out, slice_mem(secret.server_key, secret.key_len));
	return true;
}

/* --- "$1$salt$rounds$hex"; the salt is the text itself --- */

enum password_result scheme_verify_pbkdf2(const struct scheme_use *use, struct slice data)
{
	struct strbuf key = STRBUF_INIT(PBKDF2_SIZE);
	unsigned char want[PBKDF2_SIZE];
	struct cursor c = cursor_of(data);
	enum password_result result;
	struct slice salt, rounds;
	uint64_t number;

	if (!cursor_skip(&c, "$1$"))
		return scheme_unusable(use, "Invalid PBKDF2 passdb entry prefix");
	salt = cursor_until(&c, "$");
	(void)cursor_skip(&c, "$");
	rounds = cursor_until(&c, "$");
	if (!cursor_skip(&c, "$") || slice_find(cursor_rest(&c), '$') >= 0)
		return scheme_unusable(use, "Invalid PBKDF2 passdb entry format");
	if (!slice_uint(rounds, ROUNDS_MAX, &number))
		return scheme_unusable(use, "Invalid PBKDF2 iteration count in passdb");
	if (!hex_decode(&key, cursor_rest(&c)) || key.len != sizeof(want))
		result = scheme_unusable(use, "PBKDF2 hash not 160bit hex-encoded");
	else if (!digest_pbkdf2("SHA1", use->password, salt, (unsigned)number, want, sizeof(want)))
		result = PASSWORD_MISMATCH;
	else
		result = scheme_compare(strbuf_slice(&key), slice_mem(want, sizeof(want)));
	strbuf_release(&key);
	return result;
}

bool scheme_make_pbkdf2(const struct scheme_use *use, struct strbuf *out)
{
	static const char letters[] =
	    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	unsigned long rounds = use->rounds ? use->rounds : PBKDF2_ROUNDS;
	unsigned char key[PBKDF2_SIZE];
	char salt[PBKDF2_SALT];

	if (rounds > ROUNDS_MAX)
		return scheme_cannot_make(use, "more than %d rounds", ROUNDS_MAX);
	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = letters[random_below(sizeof(letters) - 1)];
	if (!digest_pbkdf2("SHA1", use->password, slice_mem(salt, sizeof(salt)), (unsigned)rounds,
		key, sizeof(key)))
		return scheme_cannot_make(use, "SHA1 is not available");
	strbuf_addf(out, "$1$%.*s$%lu$", (int)sizeof(salt), salt, rounds);
	hex_encode(out, slice_mem(key, sizeof(key)));
	return true;
}
