// SPDX-License-Identifier: BSD-2-Clause
/* The records of doc/QUEUE.md 2 on the wire. */
#include "queue/offer.h"

#include <string.h>

#include "base/check.h"
#include "ipc/msg.h"

static const char *const kinds[] = {
	[OFFER_R_OFFER] = "OFFER",
	[OFFER_R_SPOOLING] = "SPOOLING",
	[OFFER_R_SPOOLED] = "SPOOLED",
	[OFFER_R_FAILED] = "FAILED",
	[OFFER_R_DONE] = "DONE",
	[OFFER_R_SPOOL] = "SPOOL",
};

void offer_record_write(struct msg_out *m, const struct offer_record *record)
{
	msg_begin(m, kinds[record->kind]);
	msg_add_str(m, "id", record->id);
	if (record->kind != OFFER_R_OFFER)
		return;
	msg_add_u64(m, "seen", record->seen);
	msg_add_u64(m, "size", record->size);
	msg_add_u64(m, "rcpts", record->recipient_count);
	msg_add_u64(m, "flags", record->flags);
}

static bool parse_offer(const struct msg *m, struct offer_record *record)
{
	uint64_t flags;

	if (!msg_get_u64(m, "seen", &record->seen) || !msg_get_u64(m, "size", &record->size) ||
	    !msg_get_u64(m, "rcpts", &record->recipient_count) ||
	    !msg_get_u64(m, "flags", &flags) || flags > UINT32_MAX)
		return false;
	record->flags = (unsigned)flags;
	return true;
}

bool offer_record_parse(const struct msg *m, struct offer_record *record)
{
	struct slice id;

	*record = (struct offer_record){ .kind = OFFER_R_OFFER };
	if (!msg_get(m, "id", &id) || !queue_id_is_valid(id))
		return false;
	memcpy(record->id, id.ptr, id.len);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!msg_is(m, kinds[i]))
			continue;
		record->kind = i;
		return i != OFFER_R_OFFER || parse_offer(m, record);
	}
	return false;
}
