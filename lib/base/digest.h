// SPDX-License-Identifier: BSD-2-Clause
/*
 * Message digests (libcrypto's), checksums, random bytes and comparison in constant time.
 *
 * libcrypto reads its configuration file for the first digest of a process: who goes behind a
 * sandbox makes one before.  The rest of this module needs no file.
 */
#ifndef PC_BASE_DIGEST_H
#define PC_BASE_DIGEST_H

#include "base/slice.h"
#include "base/strbuf.h"

#define DIGEST_MAX_SIZE 64

/* NAME as OpenSSL spells it: "SHA256", "MD5".  Returns the size of the result; 0 if unknown. */
size_t digest_bytes(const char *name, struct slice in, unsigned char out[DIGEST_MAX_SIZE]);

struct digest;				     /* one running computation */
struct digest *digest_new(const char *name); /* NULL if unknown */
void digest_update(struct digest *d, struct slice in);
size_t digest_final(struct digest *d, unsigned char out[DIGEST_MAX_SIZE]);
void digest_free(struct digest *d);

/* HMAC (RFC 2104) and PBKDF2 (RFC 8018 5.2) over it; 0 or false if NAME is unknown. */
size_t digest_hmac(
    const char *name, struct slice key, struct slice in, unsigned char out[DIGEST_MAX_SIZE]);
bool digest_pbkdf2(const char *name, struct slice password, struct slice salt, unsigned rounds,
    unsigned char *out, size_t out_len);

/* RFC 1320, for passwords of old: the default provider of libcrypto has it no more. */
void digest_md4(struct slice in, unsigned char out[16]);
/* MD5's four words after one block, each little-endian: half of a prepared HMAC-MD5. */
void digest_md5_state(const unsigned char block[64], unsigned char out[16]);

/* CRC-32C (RFC 3720 12.1); start with 0 and pass the result of the block before. */
uint32_t crc32c(uint32_t crc, struct slice in);

/* From the kernel; cannot fail. */
void random_bytes(void *out, size_t len);
uint32_t random_below(uint32_t bound); /* uniform in [0, bound); BOUND > 0 */

/* Equal, in a time that depends on the lengths only. */
bool secret_equal(struct slice a, struct slice b);
/* Overwrites memory in a way that the compiler keeps. */
void secret_clear(void *ptr, size_t len);
/* strbuf_release of one that held a secret. */
void secret_release(struct strbuf *buf);

#endif
