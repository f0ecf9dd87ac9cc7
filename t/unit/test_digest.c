// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "base/codec.h"
#include "base/digest.h"

static void test_digests(void **state)
{
	static const struct {
		const char *name, *input, *want;
	} cases[] = {
		{ "MD5", "abc", "900150983cd24fb0d6963f7d28e17f72" },
		{ "MD5", "", "d41d8cd98f00b204e9800998ecf8427e" },
		{ "SHA1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ "SHA256", "abc",
		    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "SHA512", "abc",
		    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
		{ "NOSUCH", "abc", "" },
	};
	struct strbuf hex = STRBUF_INIT(200);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned char out[DIGEST_MAX_SIZE];
		size_t len = digest_bytes(cases[i].name, slice_of(cases[i].input), out);

		strbuf_reset(&hex);
		hex_encode(&hex, slice_mem(out, len));
		want_str(cases[i].name, hex.ptr, cases[i].want);
	}
	strbuf_release(&hex);
}

static void test_pieces(void **state)
{
	unsigned char whole[DIGEST_MAX_SIZE], pieces[DIGEST_MAX_SIZE];
	struct digest *d = digest_new("SHA256");

	(void)state;
	digest_update(d, SLICE_LIT("a"));
	digest_update(d, SLICE_NULL);
	digest_update(d, SLICE_LIT("bc"));
	want_int("size", digest_final(d, pieces), 32);
	digest_free(d);
	want_int("size", digest_bytes("SHA256", SLICE_LIT("abc"), whole), 32);
	assert_memory_equal(whole, pieces, 32);
	assert_null(digest_new("NOSUCH"));
	digest_free(NULL);
}

/* RFC 3720 B.4, and the usual check value. */
static void test_crc32c(void **state)
{
	char zeros[32] = "", ones[32], up[32], down[32];

	(void)state;
	for (int i = 0; i < 32; i++) {
		ones[i] = (char)0xff;
		up[i] = (char)i;
		down[i] = (char)(31 - i);
	}
	want_int("zeros", crc32c(0, slice_mem(zeros, 32)), 0x8a9136aa);
	want_int("ones", crc32c(0, slice_mem(ones, 32)), 0x62a8ab43);
	want_int("up", crc32c(0, slice_mem(up, 32)), 0x46dd794e);
	want_int("down", crc32c(0, slice_mem(down, 32)), 0x113fdb5c);
	want_int("digits", crc32c(0, SLICE_LIT("123456789")), 0xe3069283);
	want_int("nothing", crc32c(0, SLICE_NULL), 0);
}

/* Pieces of fewer than eight bytes go through the table, longer ones through the instruction. */
static void test_crc32c_pieces(void **state)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog";
	struct slice all = slice_mem(text, sizeof(text) - 1);
	uint32_t whole = crc32c(0, all);

	(void)state;
	for (size_t step = 1; step <= all.len; step++) {
		uint32_t crc = 0;

		for (size_t at = 0; at < all.len; at += step)
			crc = crc32c(crc, slice_first(slice_from(all, at), step));
		want_int("pieces", crc, whole);
	}
}

static void test_random(void **state)
{
	unsigned char a[300] = { 0 }, b[300] = { 0 };
	unsigned int seen = 0;

	(void)state;
	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 284, b + 284, 16);
	for (int i = 0; i < 1000; i++) {
		uint32_t value = random_below(5);

		assert_true(value < 5);
		seen |= 1u << value;
	}
	want_int("all values come up", seen, 31);
	want_int("below 1", random_below(1), 0);
}

static void no_values(void)
{
	random_below(0);
}

static void test_secrets(void **state)
{
	char secret[] = "secret";

	(void)state;
	assert_true(secret_equal(SLICE_LIT("abc"), SLICE_LIT("abc")));
	assert_false(secret_equal(SLICE_LIT("abc"), SLICE_LIT("abd")));
	assert_false(secret_equal(SLICE_LIT("abc"), SLICE_LIT("ab")));
	assert_true(secret_equal(SLICE_NULL, SLICE_LIT("")));
	secret_clear(secret, 3);
	assert_memory_equal(secret, "\0\0\0ret", 7);
	secret_clear(NULL, 0);
	want_abort("random_below(0)", no_values);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_crc32c_pieces),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_secrets),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
