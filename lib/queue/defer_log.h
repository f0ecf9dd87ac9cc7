// SPDX-License-Identifier: BSD-2-Clause
/*
 * The logs defer/ID and bounce/ID in the peer's format (postfix.md 6.6): why each recipient was not
 * delivered.  Written by us for people and for a Postfix that may take the queue over; read for
 * mailq, and when we take over.
 */
#ifndef PC_QUEUE_DEFER_LOG_H
#define PC_QUEUE_DEFER_LOG_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/reason.h"
#include "base/slice.h"
#include "base/strbuf.h"

struct defer_entry {
	/* Internal form for defer_log_add, which writes the external one; as the log has it from
	 * defer_log_parse.  Original "" when the same. */
	const char *recipient, *original;
	const char *orcpt; /* "" */
	unsigned notify;
	off_t offset; /* of the recipient's record; 0 when the log has none */
	struct reason why;
	const char *remote_mta, *diagnostic; /* "" */
	const char *action;		     /* "failed", "delivered", ...; NULL or "": "delayed" */
	bool no_text;			     /* defer_log_add: without the line for people */
};

#define DEFER_LOG_MAX_ENTRIES 100000

void defer_log_add(struct strbuf *out, const struct defer_entry *entry);
/*
 * Entries in order, in ARENA; what cannot be read is skipped (a log is never a reason to hold mail
 * up).
 */
size_t defer_log_parse(struct slice text, struct arena *arena, struct defer_entry **entries);

#endif
