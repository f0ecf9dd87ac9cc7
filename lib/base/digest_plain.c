// SPDX-License-Identifier: BSD-2-Clause
/*
 * What needs no library.  CRC-32C takes eight bytes at a time where the processor has an
 * instruction for it and the rest, or everything, from a table of 256.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/digest.h"

static uint32_t crc_table[256];

static void make_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
		crc_table[i] = crc;
	}
}

static uint32_t crc_bytes(uint32_t crc, struct slice in)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_crc_table);
	for (size_t i = 0; i < in.len; i++)
		crc = crc >> 8 ^ crc_table[(crc ^ (unsigned char)in.ptr[i]) & 0xff];
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_words(uint32_t crc, struct slice in)
{
	uint64_t sum = crc, word;

	for (size_t at = 0; at < in.len; at += sizeof(word)) {
		memcpy(&word, in.ptr + at, sizeof(word));
		sum = __builtin_ia32_crc32di(sum, word);
	}
	return (uint32_t)sum;
}

static bool has_crc_words(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc_words(uint32_t crc, struct slice in)
{
	return crc_bytes(crc, in);
}

static bool has_crc_words(void)
{
	return false;
}
#endif

uint32_t crc32c(uint32_t crc, struct slice in)
{
	size_t words = has_crc_words() ? in.len & ~(size_t)7 : 0;

	crc = crc_words(~crc, slice_first(in, words));
	return ~crc_bytes(crc, slice_from(in, words));
}

void random_bytes(void *out, size_t len)
{
	char *to = out;

	while (len) {
		ssize_t got = getrandom(to, len, 0);

		ASSERT(got > 0 || errno == EINTR);
		if (got > 0) {
			to += got;
			len -= (size_t)got;
		}
	}
}

/* Values below 2^32 mod BOUND would make the small results likelier and are drawn again. */
uint32_t random_below(uint32_t bound)
{
	uint32_t value, surplus;

	ASSERT(bound > 0);
	surplus = -bound % bound;
	do
		random_bytes(&value, sizeof(value));
	while (value < surplus);
	return value % bound;
}

void secret_clear(void *ptr, size_t len)
{
	if (len)
		explicit_bzero(ptr, len);
}

void secret_release(struct strbuf *buf)
{
	if (buf->alloc)
		secret_clear(buf->ptr, buf->alloc);
	strbuf_release(buf);
}
