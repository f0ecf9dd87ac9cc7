// SPDX-License-Identifier: BSD-2-Clause
/*
 * What SASL responses say of the authorization identity: whom a master user wants to act for has to
 * be known before the mechanism asks for a password, and Cyrus SASL tells it afterwards.  Pure;
 * nothing is checked here, since the mechanism itself looks at the whole response.
 *
 * Each appends what is there.  The bytes are the client's: any, NUL among them.
 */
#ifndef PC_AUTHD_SASL_PEEK_H
#define PC_AUTHD_SASL_PEEK_H

#include "base/slice.h"
#include "base/strbuf.h"

void sasl_peek_plain(struct slice response, struct strbuf *authzid);
void sasl_peek_external(struct slice response, struct strbuf *authzid);
void sasl_peek_scram(struct slice response, struct strbuf *authzid);
void sasl_peek_digest(struct slice response, struct strbuf *authzid);

/* The first value of that name in a DIGEST-MD5 challenge or response, unquoted into VALUE. */
bool sasl_digest_value(struct slice text, const char *wanted, struct strbuf *value);

#endif
