// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client side of SASL by Cyrus SASL (RFC 4422): one login at a time and thread.
 */
#ifndef PC_AUTH_SASL_LOGIN_H
#define PC_AUTH_SASL_LOGIN_H

#include <stdbool.h>

#include "base/reason.h"
#include "base/slice.h"
#include "base/strbuf.h"

/* Before the jail: loads the library and its plug-ins.  False with WHY (in the log's words). */
bool sasl_login_open(const char *path, struct reason *why);

/* A file that the library reads while it serves, for the walls; NULL: no more. */
const char *sasl_login_reads(size_t i);
/* Do these words mean something to it (see SECURITY below)?  *UNKNOWN is the first that does not.
 */
bool sasl_login_knows(const char *security, struct slice *unknown);

struct sasl_login;
struct sasl_login_wish {
	const char *service, *server; /* "smtp", its host name */
	const char *user, *password;
	const char *mechanisms; /* what the server offers, filtered; blanks between */
	/* Words of smtp_sasl_security_options: noplaintext, noactive, nodictionary, noanonymous,
	 * forward_secrecy, mutual_auth. */
	const char *security;
	bool no_authzid; /* send_cyrus_sasl_authzid = no */
};
/*
 * NULL with WHY (4.7.0 and the library's own words: "no mechanism available").  MECHANISM (of the
 * result's life) and INITIAL (base64 of the first response; without *HAS_INITIAL: none) are what
 * AUTH sends.
 */
struct sasl_login *sasl_login_start(const struct sasl_login_wish *wish, const char **mechanism,
    struct strbuf *initial, bool *has_initial, struct reason *why);
/* CHALLENGE and RESPONSE are base64. */
bool sasl_login_step(
    struct sasl_login *c, struct slice challenge, struct strbuf *response, struct reason *why);
/*
 * Has the mechanism said all that it wants to say?  Before that a server's success is its own
 * claim: who asked for mutual_auth must not believe it.
 */
bool sasl_login_is_done(const struct sasl_login *c);
/* Wipes what it knew.  NULL is fine. */
void sasl_login_free(struct sasl_login *c);

#endif
