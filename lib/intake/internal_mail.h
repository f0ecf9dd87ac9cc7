// SPDX-License-Identifier: BSD-2-Clause
/*
 * Mail that the suite itself sends to one recipient: notices to senders, copies and transcripts for
 * the postmaster.  It has its Received: field; Date:, Message-Id: and full addresses are completed.
 */
#ifndef PC_INTAKE_INTERNAL_MAIL_H
#define PC_INTAKE_INTERNAL_MAIL_H

#include "intake/intake.h"

struct rewriter;

/* In the queue file of mail to the postmaster: nobody is told when it cannot be delivered. */
#define INTERNAL_MAIL_LAST "postcote_last_notice"

struct internal_mail {
	struct intake_service *service;
	const struct postfix_params *params; /* of the daemon */
	const struct rewriter *rewriter;     /* of the daemon's parameters */
	const char *filter_class;	     /* "bounce", "notify": internal_mail_filter_classes */
	/* From $double_bounce_sender, else from nobody. */
	bool is_last;
	const char *to;	      /* external form; need not be complete */
	const char *encoding; /* "7bit", "8bit" or NULL */
	bool smtputf8, require_tls;
};

/* Ready for its header; then intake_line and intake_commit.  NULL with WHY. */
struct intake *internal_mail_begin(const struct internal_mail *mail, struct reason *why);

/* "double-bounce@mail.example.com": where mail of INTERNAL_MAIL_LAST comes from; internal form. */
bool internal_mail_is_last_sender(const struct postfix_params *params, const char *sender);

/* Is CLASS among notify_classes ("bounce" implies "2bounce")?  An unknown word there matches none.
 */
bool internal_mail_notifies(const struct postfix_params *params, const char *class);

#endif
