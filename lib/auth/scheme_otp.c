// SPDX-License-Identifier: BSD-2-Clause
/*
 * RFC 2289's one-time passwords as a stored secret: "algorithm sequence seed hex", where hex is
 * seed and password hashed once and then sequence times more, each time folded to 64 bits.
 */
#include <string.h>

#include "auth/scheme_row.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/cursor.h"
#include "base/digest.h"

#define OTP_SIZE     8
#define SEQUENCE     1024
#define SEQUENCE_MAX 100000
#define SEED_MAX     16

struct otp {
	const char *algorithm;
	unsigned sequence;
	struct slice seed;
	unsigned char hash[OTP_SIZE];
};

static size_t hash_md4(const char *name, struct slice in, unsigned char out[DIGEST_MAX_SIZE])
{
	(void)name;
	digest_md4(in, out);
	return 16;
}

/* RFC 2289 appendix A: SHA-1's words are written in reverse byte order. */
static size_t hash_sha1(const char *name, struct slice in, unsigned char out[DIGEST_MAX_SIZE])
{
	unsigned char bytes[DIGEST_MAX_SIZE];
	size_t size = digest_bytes(name, in, bytes);

	for (size_t i = 0; i < size; i++)
		out[i] = bytes[i ^ 3];
	return size;
}

static const struct algorithm {
	const char *name, *digest;
	size_t (*run)(const char *name, struct slice in, unsigned char out[DIGEST_MAX_SIZE]);
} algorithms[] = {
	{ "md4", NULL, hash_md4 },
	{ "md5", "MD5", digest_bytes },
	{ "sha1", "SHA1", hash_sha1 },
};

static const struct algorithm *find_algorithm(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (slice_eq_str(name, algorithms[i].name))
			return &algorithms[i];
	return NULL;
}

static bool fold(const struct algorithm *algorithm, struct slice in, unsigned char out[OTP_SIZE])
{
	unsigned char bytes[DIGEST_MAX_SIZE];
	size_t size = algorithm->run(algorithm->digest, in, bytes);

	memset(out, 0, OTP_SIZE);
	for (size_t i = 0; i < size; i++)
		out[i % OTP_SIZE] ^= bytes[i];
	return size > 0;
}

/* Sets otp->hash from the rest. */
static bool compute(struct otp *otp, struct slice password)
{
	const struct algorithm *algorithm = find_algorithm(slice_of(otp->algorithm));
	struct strbuf start = STRBUF_INIT(SEED_MAX + password.len);
	bool good;

	strbuf_addslice(&start, otp->seed);
	strbuf_addslice(&start, password);
	good = !start.overflow && fold(algorithm, strbuf_slice(&start), otp->hash);
	for (unsigned i = 0; good && i < otp->sequence; i++)
		good = fold(algorithm, slice_mem(otp->hash, OTP_SIZE), otp->hash);
	secret_release(&start);
	return good;
}

static bool is_seed(struct slice seed)
{
	struct cursor c = cursor_of(seed);

	(void)cursor_span(&c, "0123456789abcdefghijklmnopqrstuvwxyz");
	return seed.len && seed.len <= SEED_MAX && cursor_at_end(&c);
}

static bool parse(struct otp *otp, struct slice text)
{
	struct strbuf hash = STRBUF_INIT(OTP_SIZE);
	struct cursor c = cursor_of(text);
	const struct algorithm *algorithm = find_algorithm(cursor_until(&c, " "));
	uint64_t sequence;
	bool good = algorithm && cursor_skip(&c, " ") &&
		    slice_uint(cursor_until(&c, " "), SEQUENCE_MAX, &sequence) &&
		    cursor_skip(&c, " ");

	if (good) {
		*otp = (struct otp){ .algorithm = algorithm->name,
			.sequence = (unsigned)sequence,
			.seed = cursor_until(&c, " ") };
		good = is_seed(otp->seed) && cursor_skip(&c, " ") &&
		       hex_decode(&hash, cursor_rest(&c)) && hash.len == OTP_SIZE;
	}
	if (good)
		memcpy(otp->hash, hash.ptr, OTP_SIZE);
	strbuf_release(&hash);
	return good;
}

enum password_result scheme_verify_otp(const struct scheme_use *use, struct slice data)
{
	struct otp have, want;

	if (!parse(&have, data))
		return scheme_unusable(use, "Invalid OTP data in passdb");
	want = have;
	if (!compute(&want, use->password))
		return scheme_unusable(use, "%s is not available", have.algorithm);
	return scheme_compare(slice_mem(want.hash, OTP_SIZE), slice_mem(have.hash, OTP_SIZE));
}

bool scheme_make_otp(const struct scheme_use *use, struct strbuf *out)
{
	struct strbuf seed = STRBUF_INIT(SEED_MAX);
	struct otp otp = { .algorithm = "sha1", .sequence = SEQUENCE };
	unsigned char bytes[SEED_MAX / 2];
	bool good;

	random_bytes(bytes, sizeof(bytes));
	hex_encode(&seed, slice_mem(bytes, sizeof(bytes)));
	otp.seed = strbuf_slice(&seed);
	good = compute(&otp, use->password) ||
	       scheme_cannot_make(use, "%s is not available", otp.algorithm);
	if (good) {
		strbuf_addf(out, "%s %u %.*s ", otp.algorithm, otp.sequence, SLICE_ARG(otp.seed));
		hex_encode(out, slice_mem(otp.hash, OTP_SIZE));
	}
	strbuf_release(&seed);
	return good;
}
