// SPDX-License-Identifier: BSD-2-Clause
/*
 * The first byte is the flags.  No address that is taken holds a control character or is too long;
 * its external form is taken again, strictly, and gives the same address.
 */
#include <stdint.h>

#include "base/check.h"
#include "mail/address.h"
#include "mail/hostname.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(struct slice internal, unsigned flags)
{
	struct strbuf external = STRBUF_INIT(STRBUF_NO_LIMIT), again = STRBUF_INIT(ADDRESS_MAX);
	struct slice local, domain, user, extension;
	char delimiter;

	ASSERT(internal.len <= ADDRESS_MAX);
	for (size_t i = 0; i < internal.len; i++)
		ASSERT((unsigned char)internal.ptr[i] >= 0x20 && internal.ptr[i] != 0x7f);
	address_external(internal, &external);
	ASSERT(address_internal(strbuf_slice(&external),
		   (flags & ADDRESS_UTF8) | ADDRESS_ALLOW_EMPTY, &again) == ADDRESS_OK);
	ASSERT(slice_eq(strbuf_slice(&again), internal));
	if (address_split(internal, &local, &domain)) {
		ASSERT(local.len + 1 + domain.len == internal.len);
		hostname_is_valid(domain);
		address_literal_parse(domain, &user);
	}
	if (address_split_extension(local, "+-", &user, &extension, &delimiter))
		ASSERT(user.len + 1 + extension.len == local.len && user.len && extension.len);
	strbuf_release(&external);
	strbuf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf out = STRBUF_INIT(ADDRESS_MAX);
	struct slice rest;
	unsigned flags;

	if (!size)
		return 0;
	flags = data[0];
	rest = slice_mem((const char *)data + 1, size - 1);
	if (address_take_path(&rest, flags, &out) == ADDRESS_OK)
		check_address(strbuf_slice(&out), flags);
	else
		ASSERT(out.len == 0 && rest.len == size - 1);
	strbuf_release(&out);
	return 0;
}
