// SPDX-License-Identifier: BSD-2-Clause
/* XCLIENT's or XFORWARD's words (an even or odd first byte): what is taken is harmless text. */
#include <stdint.h>

#include "base/check.h"
/* A fuzz target is one file and the library; this one is about a daemon's file. */
#include "smtpd/client_attrs.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	for (; *text != '\0'; text++)
		ASSERT((unsigned char)*text >= ' ' && *text != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf error = STRBUF_INIT(1000);
	struct client_attrs attrs = { 0 };
	struct arena arena = ARENA_INIT;

	if (size == 0)
		return 0;
	if (client_attrs_parse(data[0] % 2 == 0 ? ATTRS_XCLIENT : ATTRS_XFORWARD,
		slice_mem(data + 1, size - 1), &arena, &attrs, &error)) {
		ASSERT(error.len == 0);
		for (unsigned i = 0; i < CLIENT_ATTRS; i++)
			if (attrs.value[i] != NULL) {
				ASSERT(attrs.given & CLIENT_BIT(i));
				check_text(attrs.value[i]);
			}
	} else {
		ASSERT(error.len > 0);
	}
	strbuf_release(&error);
	arena_release(&arena);
	return 0;
}
