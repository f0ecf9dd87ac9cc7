// SPDX-License-Identifier: BSD-2-Clause
/* The mechanisms that we have, a row for each, and those of them that are offered. */
#ifndef PC_AUTHD_SASL_MECHANISM_H
#define PC_AUTHD_SASL_MECHANISM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/strbuf.h"

struct sasl_mechanism {
	const char *name;
	unsigned flags; /* enum auth_mechanism_flag */
	/* The stored scheme that serves it beside plain text; NULL: the password comes by itself.
	 */
	const char *scheme;
	/* The first word is the server's, whatever the client sent with its request. */
	bool server_first;
	bool says_name;	  /* in its responses stands who it is */
	bool allows_nuls; /* in responses */
	/* What of a response names somebody to act for; appends it. NULL: never any. */
	void (*peek)(struct slice response, struct strbuf *authzid);
};

/*
 * Before serving: WANTED is auth_mechanisms.  fatal() for a word that is no mechanism; those that
 * Dovecot has and we have not are named in the log.
 */
void sasl_mechanism_offer(const char *wanted);
/* Those that are offered. */
size_t sasl_mechanism_count(void);
const struct sasl_mechanism *sasl_mechanism_at(size_t i);
const struct sasl_mechanism *sasl_mechanism_find(struct slice name); /* NULL; any letter case */

#endif
