// SPDX-License-Identifier: BSD-2-Clause
/* Changes to refusals that main.cf asks for, after they were logged. */
#ifndef PC_SMTPD_SMTPD_FOOTER_H
#define PC_SMTPD_SMTPD_FOOTER_H

#include "smtpd/smtpd.h"

/* Opens the tables; before the jail. */
void smtpd_footer_open(const struct postfix_params *params);
/*
 * Changes what is about to be sent, if it is a refusal: another code, enhanced code ("" for none)
 * or text, and further lines behind it (LF between).
 */
void smtpd_footer_apply(
    struct smtpd *s, unsigned *code, char dsn[DSN_CODE_TEXT], struct strbuf *text);

#endif
