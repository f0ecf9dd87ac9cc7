// SPDX-License-Identifier: BSD-2-Clause
/*
 * The records of a local submission: what sendmail gives to postdrop, what postdrop leaves in
 * maildrop, and what pickup takes from there.  Any user of the host can write them, so each of the
 * three looks at every record: its place, its type, and that text of the envelope is text.
 *
 *   envelope    T c (postdrop's own) C F S V A i n R, ended by M
 *   content     N L, ended by X
 *   extracted   A R, ended by E
 */
#ifndef PC_QUEUE_MAILDROP_H
#define PC_QUEUE_MAILDROP_H

#include <stdbool.h>

#include "base/reason.h"
#include "base/slice.h"

#define MAILDROP_ENVELOPE_ID_MAX 1000
/* More are refused while somebody hears of it. */
#define MAILDROP_RECIPIENTS_MAX 100000

enum maildrop_section {
	MAILDROP_ENVELOPE,
	MAILDROP_CONTENT,
	MAILDROP_EXTRACTED,
	MAILDROP_END /* nothing may follow */
};

/*
 * May a record of TYPE with DATA stand in *SECTION?  Moves *SECTION on at M, X and E.
 */
bool maildrop_accept(enum maildrop_section *section, int type, struct slice data);

/*
 * Reads the whole file FD (with pread): are the records complete, is nothing behind them, is there
 * a sender, at least one recipient and not too many, and are these addresses?  CONTENT_MAX: bytes
 * with CRLF line ends, 0: no limit.  False with WHY: 5.3.4 "message file too big", 5.6.0 what is
 * wrong, 4.3.0.
 */
bool maildrop_check(int fd, long long content_max, struct reason *why);

#endif
