// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a decoder takes, its encoder makes again (base64), or something that decodes to the same
 * (hex and xtext, where there are two spellings).
 */
#include <stdint.h>

#include "base/check.h"
#include "base/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct codec {
	void (*encode)(struct strbuf *, struct slice);
	bool (*decode)(struct strbuf *, struct slice);
	bool one_spelling;
} codecs[] = {
	{ base64_encode, base64_decode, true },
	{ hex_encode, hex_decode, false },
	{ xtext_encode, xtext_decode, false },
};

static void decode_and_back(const struct codec *codec, struct slice in)
{
	struct strbuf plain = STRBUF_INIT(STRBUF_NO_LIMIT), coded = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct strbuf again = STRBUF_INIT(STRBUF_NO_LIMIT);

	if (codec->decode(&plain, in)) {
		ASSERT(plain.len <= in.len);
		codec->encode(&coded, strbuf_slice(&plain));
		ASSERT(!codec->one_spelling || slice_eq(strbuf_slice(&coded), in));
		ASSERT(codec->decode(&again, strbuf_slice(&coded)));
		ASSERT(slice_eq(strbuf_slice(&again), strbuf_slice(&plain)));
	} else {
		ASSERT(plain.len == 0 && !plain.overflow);
	}
	strbuf_release(&plain);
	strbuf_release(&coded);
	strbuf_release(&again);
}

static void encode_and_back(const struct codec *codec, struct slice in)
{
	struct strbuf coded = STRBUF_INIT(STRBUF_NO_LIMIT), plain = STRBUF_INIT(STRBUF_NO_LIMIT);

	codec->encode(&coded, in);
	ASSERT(ascii_is_valid(strbuf_slice(&coded)));
	ASSERT(codec->decode(&plain, strbuf_slice(&coded)));
	ASSERT(slice_eq(strbuf_slice(&plain), in));
	strbuf_release(&coded);
	strbuf_release(&plain);
}

/* A maximum that may lie anywhere in the result. */
static void decode_bounded(const struct codec *codec, struct slice in)
{
	struct strbuf plain = STRBUF_INIT(in.len ? (unsigned char)in.ptr[0] % 8 : 0);

	if (!codec->decode(&plain, in))
		ASSERT(plain.len == 0);
	strbuf_release(&plain);
}

/* Valid text stays so when valid text is put before and behind it, and cannot hide what is not. */
static void check_utf8(struct slice in)
{
	struct strbuf longer = STRBUF_INIT(STRBUF_NO_LIMIT);

	strbuf_addstr(&longer, "\xc3\xbc");
	strbuf_addslice(&longer, in);
	strbuf_addstr(&longer, "a");
	ASSERT(utf8_is_valid(in) == utf8_is_valid(strbuf_slice(&longer)));
	ASSERT(utf8_is_valid(in) || !ascii_is_valid(in));
	strbuf_addch(&longer, (char)0xff);
	ASSERT(!utf8_is_valid(strbuf_slice(&longer)));
	strbuf_release(&longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size);

	for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
		decode_and_back(&codecs[i], in);
		encode_and_back(&codecs[i], in);
		decode_bounded(&codecs[i], in);
	}
	check_utf8(in);
	return 0;
}
