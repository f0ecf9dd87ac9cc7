// SPDX-License-Identifier: BSD-2-Clause
/* What a line splits into makes, escaped again, a line that splits into the same. */
#include <stdint.h>

#include "auth/auth_proto.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields, again;
	struct strbuf line = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct slice value;
	uint32_t id;

	if (size <= AUTH_REPLY_MAX && auth_fields_split(&fields, slice_mem(data, size), &arena)) {
		for (size_t i = 0; i < fields.count; i++) {
			if (i > 0)
				strbuf_addch(&line, '\t');
			auth_escape(&line, fields.list[i]);
		}
		strbuf_addch(&line, '\t'); /* the one that is dropped */
		ASSERT(auth_fields_split(&again, strbuf_slice(&line), &arena));
		ASSERT(again.count == fields.count);
		for (size_t i = 0; i < fields.count; i++)
			ASSERT(slice_eq(again.list[i], fields.list[i]));
		auth_field_get(&fields, 1, "user", &value);
		auth_field_id(&fields, 1, &id);
		auth_mechanism_flags(&fields, 2);
	}
	strbuf_release(&line);
	arena_release(&arena);
	return 0;
}
