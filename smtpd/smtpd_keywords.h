// SPDX-License-Identifier: BSD-2-Clause
/*
 * The keywords of EHLO's reply: which of them this client is told of.  To announce another one is
 * to add a row in smtpd_keywords.c.
 */
#ifndef PC_SMTPD_SMTPD_KEYWORDS_H
#define PC_SMTPD_SMTPD_KEYWORDS_H

#include "smtpd/smtpd.h"

/*
 * What the client is not told of, enum smtpd_keyword: smtpd_discard_ehlo_keywords, or what
 * smtpd_discard_ehlo_keyword_address_maps say of its address, and what we do not do.
 */
unsigned smtpd_hidden_keywords(struct smtpd *s);
/* Each keyword with a LF in front.  False: nobody knows what to say, for a table failed. */
bool smtpd_keywords_announce(struct smtpd *s, struct strbuf *out);

#endif
