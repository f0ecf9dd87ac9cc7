// SPDX-License-Identifier: BSD-2-Clause
/* A request or an answer that is taken, written again, is taken again with the same content. */
#include "authd/worker_proto.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void compare(const struct pairs *a, const struct pairs *b)
{
	const struct pair *q = b->first;

	for (const struct pair *p = a->first; p; p = p->next, q = q->next)
		ASSERT(q && is_same(p->name, q->name) && is_same(p->value, q->value));
	ASSERT(!q);
}

static void parse_again(const struct msg_out *out, struct msg *m, struct arena *arena)
{
	ASSERT(msg_parse(m, slice_from(strbuf_slice(&out->buf), MSG_FRONT), arena));
}

static void check_request(const struct msg *m, struct msg_out *out, struct arena *arena)
{
	struct worker_request request, again;
	struct msg copy;

	if (!worker_request_read(m, arena, &request))
		return;
	worker_request_write(out, &request);
	parse_again(out, &copy, arena);
	ASSERT(worker_request_read(&copy, arena, &again));
	ASSERT(again.id == request.id && again.op == request.op && again.place == request.place);
	ASSERT(is_same(again.args, request.args));
	ASSERT(is_same(again.subject.user, request.subject.user));
	ASSERT(is_same(again.subject.client_id, request.subject.client_id));
	ASSERT(slice_eq(again.password, request.password));
	compare(&request.subject.extra, &again.subject.extra);
	compare(&request.subject.answer, &again.subject.answer);
}

static void check_answer(const struct msg *m, struct msg_out *out, struct arena *arena)
{
	struct worker_answer answer, again;
	struct msg copy;

	if (!worker_answer_read(m, arena, &answer))
		return;
	ASSERT(answer.result <= DB_FAILED);
	worker_answer_write(out, &answer);
	parse_again(out, &copy, arena);
	ASSERT(worker_answer_read(&copy, arena, &again));
	ASSERT(again.result == answer.result && again.last == answer.last);
	ASSERT(is_same(again.password, answer.password));
	compare(&answer.fields, &again.fields);
	compare(&answer.answer, &again.answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = ARENA_INIT;
	struct msg_out out = { { 0 } };
	struct msg m;

	if (size <= MSG_MAX - MSG_FRONT && msg_parse(&m, slice_mem(data, size), &arena)) {
		check_request(&m, &out, &arena);
		check_answer(&m, &out, &arena);
	}
	msg_release(&out);
	arena_release(&arena);
	return 0;
}
