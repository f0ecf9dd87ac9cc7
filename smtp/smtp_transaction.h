// SPDX-License-Identifier: BSD-2-Clause
/* One message over a session that stands ready: MAIL, RCPT, DATA or BDAT. */
#ifndef PC_SMTP_SMTP_TRANSACTION_H
#define PC_SMTP_SMTP_TRANSACTION_H

#include "smtp/smtp_session.h"

/* What a delivery still has to do. */
struct smtp_todo {
	struct delivery *delivery;
	size_t *indices; /* recipients without a final result, into the request */
	size_t count;
};

enum smtp_transaction_end {
	SMTP_TRANSACTION_DONE, /* every recipient of TODO has its result; session as it says */
	/*
	 * The host failed (FAILURE) before the message was its: those left in TODO may be tried at
	 * another one.
	 */
	SMTP_TRANSACTION_NEXT_HOST
};

/*
 * Delivers to TODO's recipients.  LAST: no other host is left, so that what another host might do
 * better is a result, too.  Results leave by delivery_result; recipients with one are taken off
 * TODO.  When qmgr has called the delivery back before the message is the server's, TODO stays as
 * it is, with _DONE.
 */
enum smtp_transaction_end smtp_transaction(
    struct smtp_session *session, struct smtp_todo *todo, bool last, struct smtp_failure *failure);

#endif
