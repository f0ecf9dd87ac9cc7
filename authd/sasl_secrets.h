// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stored passwords in the forms in which Cyrus SASL's mechanisms ask for them ("auxiliary
 * properties").
 */
#ifndef PC_AUTHD_SASL_SECRETS_H
#define PC_AUTHD_SASL_SECRETS_H

#include "authd/database.h"
#include "base/strbuf.h"

/* Before sasl_secrets_fake. */
void sasl_secrets_setup(void);

/*
 * What CREDENTIALS give as PROPERTY ("userPassword", "cmusaslsecretCRAM-MD5",
 * "cmusaslsecretDIGEST-MD5", "authPassword").  False: nothing, or the stored text is malformed.
 */
bool sasl_secret(const struct credentials *credentials, const char *property, struct strbuf *value);

/*
 * For a user that is not there: what makes a mechanism do the same work and say the same (the same
 * salt at each attempt) as for one that is, and then refuse any password.  SCHEME is the
 * mechanism's.
 */
void sasl_secret_fake(
    const char *scheme, struct slice user, const char *property, struct strbuf *value);
/* Whether SCRAM with these took its keys from a password, as it does for plain ones. */
void sasl_secrets_saw(const struct credentials *credentials);

#endif
