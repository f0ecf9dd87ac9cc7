// SPDX-License-Identifier: BSD-2-Clause
/*
 * map_hash is SipHash-2-4.  The secret is the key of its reference vectors, because this program
 * has a random_bytes of its own, which the linker finds before the library's.
 */
#include "unit.h"

#include "base/digest.h"
#include "base/map.h"

void random_bytes(void *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((unsigned char *)out)[i] = (unsigned char)i;
}

/* From the reference implementation's vectors: the input of length N is 00 01 .. N-1. */
static void test_vectors(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		uint64_t want;
	} cases[] = {
		{ "nothing", 0, 0x726fdb47dd0e0e31 },
		{ "one byte", 1, 0x74f839c593dc67fd },
		{ "a whole word", 8, 0x93f5f5799a932462 },
		{ "15 bytes (the paper's appendix A)", 15, 0xa129ca6149be45e5 },
	};
	char bytes[15];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		want_int(cases[i].name, map_hash(slice_mem(bytes, cases[i].len)), cases[i].want);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
	};

	return cmocka_run_group_tests_name("map_hash", tests, NULL, NULL);
}
