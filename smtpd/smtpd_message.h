// SPDX-License-Identifier: BSD-2-Clause
/*
 * What DATA and BDAT share: a message with recipients, from the decision to take its content to the
 * decision to keep it.
 */
#ifndef PC_SMTPD_SMTPD_MESSAGE_H
#define PC_SMTPD_SMTPD_MESSAGE_H

#include "smtpd/smtpd.h"

/*
 * smtpd_data_restrictions, for a transaction with recipients; COMMAND as the log calls it.  False:
 * VERDICT is to be said.
 */
bool smtpd_message_may_begin(
    struct smtpd *s, const char *command, struct restrict_verdict *verdict);
/* Puts our headers in front.  False: smtpd_message_refuse says why. */
bool smtpd_message_begin(struct smtpd *s);
/* A line of content, of the session that SESSION points to; kept, or dropped once all is lost. */
void smtpd_message_line(void *session, struct slice line, bool complete);
/* The end of the content.  True: it is ours, and nothing was said yet; false: the refusal was. */
bool smtpd_message_end(struct smtpd *s);
/* The reply to content that could not be kept. */
void smtpd_message_refuse(struct smtpd *s);

/* May LF "." LF end this client's content (smtpd_forbid_bare_newline)? */
bool smtpd_message_allows_bare_newline(const struct smtpd *s);
/* Refuses content in which a bare LF was SEEN where that is to be done; true: it was. */
bool smtpd_message_refuse_bare_newline(struct smtpd *s, bool seen, const char *where);

#endif
