// SPDX-License-Identifier: BSD-2-Clause
/*
 * Texts in JSON (RFC 8259 7), as Postfix's commands write them.  What doveadm's readers make of
 * them is the same: Dovecot writes rare control characters with small letters, and DEL as it is.
 */
#ifndef PC_BASE_JSON_H
#define PC_BASE_JSON_H

#include "base/slice.h"
#include "base/strbuf.h"

/*
 * Appends TEXT in quotes.  Control characters and DEL are escaped; bytes that are no UTF-8 are left
 * as they are, as the peer leaves them.
 */
void json_add_text(struct strbuf *out, struct slice text);

#endif
