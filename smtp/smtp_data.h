// SPDX-License-Identifier: BSD-2-Clause
/* Between smtp_transaction.c, which has the envelope, and smtp_data.c, which has the message. */
#ifndef PC_SMTP_SMTP_DATA_H
#define PC_SMTP_SMTP_DATA_H

#include "smtp/smtp_transaction.h"

enum transaction_rcpt_state {
	TRANSACTION_RCPT_WAITING, /* for the server's word */
	TRANSACTION_RCPT_ACCEPTED,
	TRANSACTION_RCPT_LEFT, /* to the next host */
	TRANSACTION_RCPT_OVER  /* has its result */
};

struct transaction_rcpt {
	size_t index;	     /* into the request */
	const char *address; /* as in RCPT TO */
	enum transaction_rcpt_state state;
};

struct transaction {
	struct smtp_session *s;
	struct smtp_todo *todo;
	const struct delivery_request *request;
	bool last;
	struct smtp_failure *failure; /* the caller's: why some are left to the next host */
	bool next_host;
	struct arena arena;
	const char *sender; /* as in MAIL FROM */
	struct transaction_rcpt *list;
	size_t count, accepted;
	bool data_said; /* DATA went out together with the RCPTs */
	struct smtp_reply reply;
};

/* ---- smtp_transaction.c ---- */

/* RCPT's result is OUTCOME. */
void transaction_result(
    struct transaction *t, struct transaction_rcpt *rcpt, const struct delivery_outcome *outcome);
/*
 * RCPT has failed here: that is its result, unless another host may do better.  Nothing for one
 * that has a result, or is left, already.
 */
void transaction_fail(
    struct transaction *t, struct transaction_rcpt *rcpt, const struct smtp_failure *failure);
void transaction_fail_all(struct transaction *t, const struct smtp_failure *failure);

/* ---- smtp_data.c ---- */

/* DATA, together with the last RCPTs, where the message will go by DATA. */
void smtp_data_say_along(struct transaction *t);
/* The message for all who were accepted; after it nobody waits. */
void smtp_data(struct transaction *t);
/* A probe that asks for no more than RCPT's reply. */
bool smtp_probe_ends_at_rcpt(const struct transaction *t);
/* t->reply has accepted the message, or the probe, for RCPT. */
void transaction_sent(struct transaction *t, struct transaction_rcpt *rcpt);

#endif
