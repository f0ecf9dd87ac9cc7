// SPDX-License-Identifier: BSD-2-Clause
/* What msg_parse takes, written again with msg_add, is the same bytes. */
#include "ipc/msg.h"

#include <string.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(struct msg_out *out, const struct msg *m, struct arena *arena)
{
	msg_begin(out, arena_slicedup(arena, m->kind));
	for (size_t i = 0; i < m->attr_count; i++)
		msg_add(out, arena_slicedup(arena, m->attrs[i].name), m->attrs[i].value);
}

static void read_all(const struct msg *m, struct arena *arena)
{
	for (size_t i = 0; i < m->attr_count; i++) {
		const char *name = arena_slicedup(arena, m->attrs[i].name), *text;
		struct slice value;
		uint64_t u;
		int64_t n;

		ASSERT(msg_get(m, name, &value));
		msg_get_str(m, name, arena, &text);
		if (msg_get_u64(m, name, &u) && u <= INT64_MAX)
			ASSERT(msg_get_i64(m, name, &n) && n == (int64_t)u);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body = slice_mem(data, size);
	struct arena arena = ARENA_INIT;
	struct msg_out out = { 0 };
	struct msg m;

	if (size <= MSG_MAX - MSG_FRONT && msg_parse(&m, body, &arena)) {
		write_again(&out, &m, &arena);
		ASSERT(slice_eq(slice_from(strbuf_slice(&out.buf), MSG_FRONT), body));
		read_all(&m, &arena);
	}
	msg_release(&out);
	arena_release(&arena);
	return 0;
}
