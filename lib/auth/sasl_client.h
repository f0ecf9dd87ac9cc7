// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client side of SASL by Cyrus SASL (RFC 4422): one login at a time and thread.
 */
#ifndef PC_AUTH_SASL_CLIENT_H
#define PC_AUTH_SASL_CLIENT_H

#include <stdbool.h>

#include "base/reason.h"
#include "base/slice.h"
#include "base/strbuf.h"

/* Before the jail: loads the library and its plug-ins.  False with WHY (in the log's words). */
bool sasl_client_open(const char *path, struct reason *why);

struct sasl_client;
struct sasl_client_wish {
	const char *service, *server; /* "smtp", its host name */
	const char *user, *password;
	const char *mechanisms; /* what the server offers, filtered; blanks between */
	/* Words of smtp_sasl_security_options: noplaintext, noactive, nodictionary, noanonymous,
	 * mutual_auth. */
	const char *security;
	bool no_authzid; /* send_cyrus_sasl_authzid = no */
};
/*
 * NULL with WHY (4.7.0, "SASL authentication failed; cannot authenticate to server X: no mechanism
 * available").  MECHANISM (of the result's life) and INITIAL (base64 of the first response; without
 * *HAS_INITIAL: none) are what AUTH sends.
 */
struct sasl_client *sasl_client_start(const struct sasl_client_wish *wish, const char **mechanism,
    struct strbuf *initial, bool *has_initial, struct reason *why);
/* CHALLENGE and RESPONSE are base64. */
bool sasl_client_step(
    struct sasl_client *c, struct slice challenge, struct strbuf *response, struct reason *why);
/* Wipes what it knew.  NULL is fine. */
void sasl_client_free(struct sasl_client *c);

#endif
