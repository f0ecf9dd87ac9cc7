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

#include "base/slice.h"
#include "base/strbuf.h"

struct sasl_mechanism {
	const char *name;
	unsigned flags; /* enum auth_mechanism_flag */
};

/* WANTED is auth_mechanisms; fatal() for a word that is no mechanism of ours. */
void sasl_server_setup(const char *wanted);
/* Those that are offered. */
size_t sasl_mechanism_count(void);
const struct sasl_mechanism *sasl_mechanism_at(size_t i);
const struct sasl_mechanism *sasl_mechanism_find(struct slice name); /* NULL; any letter case */

struct sasl_exchange;
enum sasl_result {
	SASL_RESULT_CONTINUE, /* OUT holds the challenge */
	SASL_RESULT_DONE,     /* the mechanism is content, and so was CHECK */
	SASL_RESULT_FAILED
};

/* Is called at most once in an exchange, from within a step; may block. */
typedef bool sasl_check(void *arg, struct slice user, struct slice password);

/* NULL when memory or the library fails. */
struct sasl_exchange *sasl_exchange_new(
    const struct sasl_mechanism *mechanism, sasl_check *check, void *arg);
void sasl_exchange_free(struct sasl_exchange *exchange);
/* The first step; RESPONSE.ptr NULL: the client sent no initial response. */
enum sasl_result sasl_exchange_start(
    struct sasl_exchange *exchange, struct slice response, struct strbuf *out);
enum sasl_result sasl_exchange_step(
    struct sasl_exchange *exchange, struct slice response, struct strbuf *out);

#endif
