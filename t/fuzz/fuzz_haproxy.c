// SPDX-License-Identifier: BSD-2-Clause
/* A proxy's header: what is one stays one with more behind it, and lies within what was read. */
#include <stdint.h>

#include "base/check.h"
#include "net/haproxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size < HAPROXY_MAX ? size : HAPROXY_MAX);
	struct haproxy_header whole, part;

	switch (haproxy_parse(in, &whole)) {
	case HAPROXY_MORE:
		ASSERT(in.len < HAPROXY_MAX && haproxy_incomplete(in) != NULL);
		break;
	case HAPROXY_BAD:
		ASSERT(whole.error != NULL);
		break;
	case HAPROXY_DONE:
		ASSERT(whole.length > 0 && whole.length <= in.len);
		ASSERT(whole.local == (whole.client.len == 0));
		ASSERT(haproxy_parse(slice_first(in, whole.length), &part) == HAPROXY_DONE);
		ASSERT(part.length == whole.length);
		ASSERT(haproxy_parse(slice_first(in, whole.length - 1), &part) == HAPROXY_MORE);
		break;
	}
	return 0;
}
