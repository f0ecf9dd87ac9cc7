// SPDX-License-Identifier: BSD-2-Clause
/*
 * The server side of SASL mechanisms, Cyrus SASL's, with our databases behind them.
 *
 * sasl_server_setup loads the mechanisms before the process serves; any thread may then have
 * exchanges of its own.
 */
#ifndef PC_AUTHD_SASL_SERVER_H
#define PC_AUTHD_SASL_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "authd/database.h"
#include "authd/sasl_mechanism.h"
#include "base/slice.h"
#include "base/strbuf.h"

/* WANTED is auth_mechanisms; fatal() for a word that is no mechanism of ours. */
void sasl_server_setup(const char *wanted, const char *realms);
/* Who answers a mechanism's questions; each is asked from within a step and may block. */
struct sasl_asker {
	/* Who it is: once, before the others.  AUTHZID ("" for none) is whom it wants to be. False:
	 * nobody can have that name, and the exchange fails. */
	bool (*name)(void *arg, struct slice user, struct slice authzid);
	/* Whether it is the user's password. */
	bool (*verify)(void *arg, struct slice password);
	/* The stored password: DB_OK with it, DB_FAILED, or any other for none. */
	enum db_result (*credentials)(void *arg, struct credentials *credentials);
	/* Whether APOP's challenge is one that this connection made. */
	bool (*challenge)(void *arg, struct slice challenge);
	/* Somebody who need not say who it is came in. */
	bool (*anonymous)(void *arg, struct slice trace);
};

struct sasl_exchange;
enum sasl_result {
	SASL_RESULT_CONTINUE, /* OUT holds the challenge */
	/* The mechanism is content, and so was the asker; OUT what the client is still to hear, if
	 * anything. */
	SASL_RESULT_DONE,
	SASL_RESULT_FAILED
};

/* What is known of the client beforehand. */
struct sasl_client {
	const char *service;   /* "smtp", "pop3" */
	const char *cert_user; /* what the TLS layer said, for EXTERNAL; "" for nothing */
};
/* NULL when memory or the library fails.  ASKER may be NULL for an exchange that is only begun. */
struct sasl_exchange *sasl_exchange_new(const struct sasl_mechanism *mechanism,
    const struct sasl_asker *asker, void *arg, const struct sasl_client *client);
void sasl_exchange_free(struct sasl_exchange *exchange);
/* The first step; RESPONSE.ptr NULL: the client sent no initial response. */
enum sasl_result sasl_exchange_start(
    struct sasl_exchange *exchange, struct slice response, struct strbuf *out);
enum sasl_result sasl_exchange_step(
    struct sasl_exchange *exchange, struct slice response, struct strbuf *out);

#endif
