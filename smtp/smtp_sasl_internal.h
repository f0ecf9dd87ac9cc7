// SPDX-License-Identifier: BSD-2-Clause
/* What the files of smtp_sasl.c share. */
#ifndef PC_SMTP_SMTP_SASL_INTERNAL_H
#define PC_SMTP_SMTP_SASL_INTERNAL_H

#include "smtp/smtp_sasl.h"

/* A name and a password, in memory that is wiped. */
struct smtp_account {
	char *user, *password; /* both in VALUE */
	struct strbuf value;
};

/* The name of the server in cache and mechanisms: its host name; for UNIX sockets our own. */
const char *smtp_sasl_server(const struct smtp_target *target);

/*
 * The dialogue with MECHANISMS, which is not empty.  False with FAILURE; a 535 is remembered.
 */
bool smtp_sasl_dialogue(struct smtp_session *session, const struct smtp_account *account,
    const char *mechanisms, struct smtp_failure *failure);

/* ---- smtp_sasl_cache.c: logins that failed lately ---- */

/* Before the jail; fatal for a name that can be no cache. */
void smtp_sasl_cache_prepare(const struct postfix_params *params);
/* Was this account refused there?  Then the reply was TEXT with DSN. */
bool smtp_sasl_cache_find(
    const char *server, const struct smtp_account *account, char dsn[12], struct strbuf *text);
void smtp_sasl_cache_store(
    const char *server, const struct smtp_account *account, const char *dsn, struct slice text);

#endif
