// SPDX-License-Identifier: BSD-2-Clause
#include "queue/queue_control.h"

#include <string.h>

#include "base/check.h"

static const char *const ops[QUEUE_CONTROL_OPS] = { "flush", "delete", "hold", "release" };

void queue_control_write(struct msg_out *m, const struct queue_control *request)
{
	msg_begin(m, "CONTROL");
	msg_add_str(m, "op", ops[request->op]);
	if (request->id[0])
		msg_add_str(m, "id", request->id);
	else
		msg_add_u64(m, "all", 1);
	for (int i = 0; i < SPOOL_QUEUES; i++)
		if (request->queues[i])
			msg_add_str(m, "queue", spool_queue_name((enum spool_queue)i));
}

static bool take_queues(const struct msg *m, bool queues[SPOOL_QUEUES])
{
	struct slice value;
	size_t index = 0;

	while (msg_each(m, "queue", &index, &value)) {
		bool known = false;

		for (int i = 0; i < SPOOL_QUEUES && !known; i++) {
			known = slice_eq_str(value, spool_queue_name((enum spool_queue)i));
			queues[i] |= known;
		}
		if (!known)
			return false;
	}
	return true;
}

bool queue_control_parse(const struct msg *m, struct queue_control *request)
{
	struct slice op, id;
	uint64_t all;

	*request = (struct queue_control){ .op = QUEUE_CONTROL_OPS };
	if (!msg_is(m, "CONTROL") || !msg_get(m, "op", &op))
		return false;
	for (int i = 0; i < QUEUE_CONTROL_OPS; i++)
		if (slice_eq_str(op, ops[i]))
			request->op = (enum queue_control_op)i;
	if (request->op == QUEUE_CONTROL_OPS || !take_queues(m, request->queues))
		return false;
	if (!msg_get(m, "id", &id))
		return msg_get_u64(m, "all", &all) && all == 1;
	if (!queue_id_is_valid(id))
		return false;
	memcpy(request->id, id.ptr, id.len);
	return true;
}
