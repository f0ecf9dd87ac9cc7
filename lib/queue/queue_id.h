// SPDX-License-Identifier: BSD-2-Clause
/*
 * Queue ids, in the alphabets of Postfix (postfix.md 6.2): the name of a queue file, the key of
 * every log line, a part of Message-Id.
 *
 *   short   5 hex digits of microseconds, then hex digits of seconds (modulo a power of 16 that is
 *           at least 2 * LIFETIME_S) and of the number: 13 characters by default
 *   long    seconds (6 or more) and microseconds (4) in base 52, 'z', the number in base 51
 *
 * No id repeats within 2 * LIFETIME_S: time only goes on within a process (two calls never get the
 * same microsecond), and processes that get the same one have numbers from one counter of the
 * suite.
 */
#ifndef PC_QUEUE_QUEUE_ID_H
#define PC_QUEUE_QUEUE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define QUEUE_ID_SIZE 40 /* of every array that holds one, with its NUL */
#define QUEUE_ID_MIN  6

struct queue_id_rules {
	bool long_form;	    /* enable_long_queue_ids */
	int64_t lifetime_s; /* maximal_queue_lifetime; 0 counts as 5 days */
};

/* NUMBER comes from the suite's counter (server/shared.h).  Any thread. */
void queue_id_new(const struct queue_id_rules *rules, uint64_t number, char id[QUEUE_ID_SIZE]);
/* The same from a given time, which queue_id_new takes from the clock. */
void queue_id_make(
    const struct queue_id_rules *rules, int64_t wall_us, uint64_t number, char id[QUEUE_ID_SIZE]);

/* ASCII letters and digits only, QUEUE_ID_MIN to QUEUE_ID_SIZE - 1 of them: what names a file. */
bool queue_id_is_valid(struct slice id);
/* What commands take for one, as the peer's do: letters, digits and '_', up to 100 of them. */
bool queue_id_may_be(struct slice id);
bool queue_id_is_long(struct slice id);
/*
 * What names the sub-directory of LEVEL (from 0) in hashed queues; of a valid id.  Short ids: their
 * characters; long ones: the hex digits of their microseconds; '_' where there are no more.
 */
char queue_id_hash_at(struct slice id, unsigned level);
/* At level 0. */
char queue_id_hash(struct slice id);

#endif
