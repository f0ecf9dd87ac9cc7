// SPDX-License-Identifier: BSD-2-Clause
/* What stands behind MAIL or RCPT (an even or odd first byte): all of it stays within the line. */
#include <stdint.h>

#include "base/check.h"
#include "base/codec.h"
/* A fuzz target is one file and the library; this one is about a daemon's file. */
#include "smtpd/smtpd_args.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct slice part, struct slice whole)
{
	ASSERT(part.len <= whole.len);
	ASSERT(part.len == 0 ||
	       (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void check_address(struct slice address, bool sender)
{
	ASSERT(sender || address.len > 0);
	ASSERT(address.len <= ADDRESS_MAX && ascii_is_valid(address));
	for (size_t i = 0; i < address.len; i++)
		ASSERT(address.ptr[i] >= ' ' && address.ptr[i] != 0x7f);
}

static void check_options(struct slice options)
{
	struct strbuf auth = STRBUF_INIT(500);
	struct slice option;

	while (slice_token(&options, " \t", &option)) {
		uint64_t number = 0;

		strbuf_reset(&auth);
		switch (smtpd_args_option(option, &number, &auth)) {
		case OPTION_SIZE:
			ASSERT(number <= INT64_MAX);
			break;
		case OPTION_AUTH:
			ASSERT(auth.len <= option.len);
			for (size_t i = 0; i < auth.len; i++)
				ASSERT(ascii_isprint(auth.ptr[i]));
			break;
		default:
			ASSERT(number == 0);
			break;
		}
	}
	strbuf_release(&auth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf out = STRBUF_INIT(ADDRESS_MAX);

	if (size == 0)
		return 0;
	struct slice whole = slice_mem(data + 1, size - 1), args = whole;
	bool sender = data[0] % 2 == 0, strict = data[0] & 2;
	unsigned flags = (sender ? ADDRESS_ALLOW_EMPTY : 0) | (strict ? ADDRESS_STRICT : 0);

	if (smtpd_args_keyword(&args, sender ? "FROM" : "TO")) {
		check_inside(args, whole);
		if (smtpd_args_path(&args, flags, &out) == ADDRESS_OK) {
			check_inside(args, whole);
			check_address(strbuf_slice(&out), sender);
			check_options(args);
		}
	}
	strbuf_release(&out);
	return 0;
}
