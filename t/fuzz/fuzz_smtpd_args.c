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

static void check_text(enum smtpd_option option, struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		ASSERT(option == OPTION_ORCPT
			   ? (unsigned char)text.ptr[i] >= ' ' && text.ptr[i] != 0x7f
			   : ascii_isprint(text.ptr[i]));
	ASSERT(utf8_is_valid(text));
}

static void check_options(struct slice options, bool sender)
{
	struct smtpd_option_value value = { .text = STRBUF_INIT(SMTPD_OPTION_TEXT_MAX) };
	struct slice word;

	while (slice_token(&options, " \t", &word)) {
		enum smtpd_option option = sender ? smtpd_args_mail_option(word, &value)
						  : smtpd_args_rcpt_option(word, &value);

		ASSERT(value.number <= INT64_MAX && value.text.len <= word.len);
		if (option < OPTION_BAD_SIZE && option != OPTION_AUTH)
			check_text(option, strbuf_slice(&value.text));
	}
	strbuf_release(&value.text);
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
			check_options(args, sender);
		}
	}
	strbuf_release(&out);
	return 0;
}
