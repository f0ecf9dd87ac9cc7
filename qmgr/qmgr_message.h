// SPDX-License-Identifier: BSD-2-Clause
/* What qmgr_message.c and qmgr_attempt.c share of a message's way through its states. */
#ifndef PC_QMGR_QMGR_MESSAGE_H
#define PC_QMGR_QMGR_MESSAGE_H

#include "qmgr/qmgr.h"

int64_t message_now_s(void);
/* Ends its stay in memory; frees M. */
void message_forget(struct message *m);
/* An attempt has ended, or never began: the message waits in the heap. */
void message_wait_until(struct message *m, int64_t due_s);
/* What postsuper wanted while a job or a delivery was out; false: nothing. */
bool message_begin_wish(struct message *m);
/* Its intake has not been told the last word, or has not said its own. */
bool message_is_offer_open(const struct message *m);
/* Nothing waits and nothing runs: the one place that decides what is next. */
void message_attempt_ended(struct message *m);
/* Its name, if it has one, is unlinked; then it is forgotten. */
void message_remove(struct message *m);

#endif
