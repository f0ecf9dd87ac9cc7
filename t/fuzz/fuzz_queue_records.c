// SPDX-License-Identifier: BSD-2-Clause
/* Records of offers, deliveries, notices and commands: what is taken can be written again. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "deliver/delivery.h"
#include "deliver/notice.h"
#include "ipc/msg.h"
#include "queue/offer.h"
#include "queue/queue_control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What OUT holds is parsed once more. */
static struct msg again(const struct msg_out *out, struct arena *arena)
{
	struct msg m;

	ASSERT(msg_parse(&m, slice_from(strbuf_slice(&out->buf), MSG_FRONT), arena));
	return m;
}

static void try_offer(const struct msg *m, struct msg_out *out, struct arena *arena)
{
	struct offer_record a, b;
	struct msg copy;

	if (!offer_record_parse(m, &a))
		return;
	offer_record_write(out, &a);
	copy = again(out, arena);
	ASSERT(offer_record_parse(&copy, &b) && memcmp(&a, &b, sizeof(a)) == 0);
}

static void try_control(const struct msg *m, struct msg_out *out, struct arena *arena)
{
	struct queue_control a, b;
	struct msg copy;

	if (!queue_control_parse(m, &a))
		return;
	queue_control_write(out, &a);
	copy = again(out, arena);
	ASSERT(queue_control_parse(&copy, &b) && a.op == b.op && strcmp(a.id, b.id) == 0);
}

static void try_request(const struct msg *m, struct msg_out *out, struct arena *arena)
{
	struct delivery_request a, b;
	struct msg copy;

	if (!delivery_request_parse(m, arena, &a))
		return;
	delivery_request_write(out, &a);
	if (out->buf.overflow)
		return;
	copy = again(out, arena);
	ASSERT(delivery_request_parse(&copy, arena, &b));
	ASSERT(a.recipient_count == b.recipient_count && a.recipient_count > 0);
}

static void try_report(const struct msg *m, struct arena *arena)
{
	struct delivery_report report;
	uint64_t number;

	if (delivery_report_parse(m, arena, &report))
		for (size_t i = 0; i < report.item_count; i++)
			ASSERT(report.items[i].index < DELIVERY_MAX_RECIPIENTS &&
			       dsn_is_valid(report.items[i].outcome.why.dsn));
	delivery_cancel_parse(m, &number);
}

static void try_notice(const struct msg *m, struct msg_out *out, struct arena *arena)
{
	struct notice_request a, b;
	struct notice_answer answer;
	struct msg copy;

	if (notice_answer_parse(m, &answer))
		ASSERT(answer.ok || answer.why.dsn[0] == '4');
	if (!notice_request_parse(m, arena, &a))
		return;
	notice_request_write(out, &a);
	if (out->buf.overflow)
		return;
	copy = again(out, arena);
	ASSERT(notice_request_parse(&copy, arena, &b) && a.recipient_count == b.recipient_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = ARENA_INIT;
	struct msg_out out = { 0 };
	struct msg m;

	if (size <= MSG_MAX - MSG_FRONT && msg_parse(&m, slice_mem(data, size), &arena)) {
		try_offer(&m, &out, &arena);
		try_control(&m, &out, &arena);
		try_request(&m, &out, &arena);
		try_report(&m, &arena);
		try_notice(&m, &out, &arena);
	}
	msg_release(&out);
	arena_release(&arena);
	return 0;
}
