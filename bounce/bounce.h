// SPDX-License-Identifier: BSD-2-Clause
/*
 * bounce: makes notices to senders (RFC 3461 6, RFC 3464) for qmgr (deliver/notice.h), and copies
 * of them for the postmaster.  Whatever it says about a recipient came in the request; of the
 * original it reads content only.
 */
#ifndef PC_BOUNCE_BOUNCE_H
#define PC_BOUNCE_BOUNCE_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "conf/postfix_conf.h"
#include "deliver/notice.h"
#include "intake/intake.h"
#include "mail/notice_template.h"

#define NOTICE_MESSAGE_ID_MAX 998

/* What a notice takes over from the header of the original. */
struct notice_original {
	struct strbuf message_id; /* with its <>; empty: none */
	bool tls_not_required;	  /* "TLS-Required: no" (RFC 8689 5) */
};
/* Reads the header; what cannot be read is not there.  The caller releases message_id. */
void notice_original_read(struct notice_original *original, int fd, off_t data_offset);

/* One message that is made for a request: to the sender, or to the postmaster. */
struct notice_letter {
	const struct postfix_params *params;
	const struct notice_request *request;
	const struct notice_original *original;
	const struct notice_template *template;
	const char *text; /* the template's, expanded; "" in copies for the postmaster */
	const char *to;	  /* external form */
	bool for_postmaster;
	unsigned ret; /* enum dsn_ret: at most so much of the original */
};

/* Does the letter tell about recipient I? */
bool notice_tells_of(const struct notice_letter *letter, size_t i);

/* One part of the notice after the other into IN, which has its recipient already. */
bool notice_write(
    struct intake *in, const struct notice_letter *letter, int fd, struct reason *why);

/* "8bit", "7bit" or NULL: what the letter says of its encoding. */
const char *notice_encoding(const struct notice_letter *letter);

/* ---- bounce_templates.c ---- */

/* Before the jail: reads bounce_template_file.  What is wrong with it is logged. */
void bounce_templates_prepare(const struct postfix_params *params);
/* For that kind of notice; its text is expanded into TEXT. */
const struct notice_template *bounce_template(
    const struct postfix_params *params, enum notice_kind kind, struct strbuf *text);

#endif
