// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who decides about a client's AUTH: a server that speaks Dovecot's protocol, or Cyrus SASL in this
 * process.  A session opens an exchange, carries base64 to and fro, and need not know which.
 *
 * Blocking calls with a deadline, for session threads.  A service may be shared by all threads; an
 * exchange belongs to one.  What could not be decided is AUTH_TEMPORARY and has been logged.
 */
#ifndef PC_AUTH_AUTH_SERVICE_H
#define PC_AUTH_AUTH_SERVICE_H

#include "auth/auth_client.h"

struct auth_service_config {
	const char *type;
	/* dovecot: as auth_client_new takes it.  cyrus: "smtpd" for smtpd.conf. */
	const char *path;
	const char *config_path; /* cyrus: directories with ':' between them, in which that is */
	const char *service;	 /* "smtp" */
	const char *host;	 /* our name */
	const char *realm;	 /* cyrus: of names without one; "": none */
};

struct auth_service_class;
struct auth_service {
	const struct auth_service_class *class;
};

struct auth_exchange {
	const struct auth_service_class *class;
	struct slice challenge; /* base64, after AUTH_CONTINUE */
	const char *user;	/* after AUTH_OK; else what is known of the name, or "" */
	const char *reason;	/* why not, for the client and the log, or "" */
};

/* What is known as smtpd_sasl_type, in the order in which postconf -a prints; NULL: no more. */
const char *auth_service_type(size_t i);

/*
 * Once in a process, before its walls stand and its threads run.  NULL with WHY: no such type, or a
 * configuration that can be no good.  Connects to nothing yet.
 */
struct auth_service *auth_service_new(const struct auth_service_config *config, struct reason *why);

/* As auth_client_mechanisms. */
bool auth_service_mechanisms(struct auth_service *service, int64_t deadline,
    struct auth_mechanism *list, size_t *count, struct reason *why);
/* What to say to a client that asks for the mechanism NAME, which it was not offered. */
void auth_service_refusal(struct auth_service *service, const char *name, struct reason *why);

/* Never NULL; free it.  *STATUS is the first answer. */
struct auth_exchange *auth_service_start(struct auth_service *service,
    const struct auth_params *params, int64_t deadline, enum auth_status *status);
/* After AUTH_CONTINUE; RESPONSE is base64. */
enum auth_status auth_exchange_continue(
    struct auth_exchange *exchange, struct slice response, int64_t deadline);
void auth_exchange_free(struct auth_exchange *exchange);

/*
 * A directory or file that the process reads from while it serves, for its walls; NULL: no more.
 */
const char *auth_service_reads(const struct auth_service *service, size_t i);

/* For the kinds themselves. */
struct auth_service_class {
	const char *type;
	struct auth_service *(*open)(const struct auth_service_config *config, struct reason *why);
	bool (*mechanisms)(struct auth_service *service, int64_t deadline,
	    struct auth_mechanism *list, size_t *count, struct reason *why);
	void (*refusal)(const char *name, struct reason *why);
	struct auth_exchange *(*start)(struct auth_service *service,
	    const struct auth_params *params, int64_t deadline, enum auth_status *status);
	enum auth_status (*go_on)(
	    struct auth_exchange *exchange, struct slice response, int64_t deadline);
	void (*free)(struct auth_exchange *exchange);
	const char *(*reads)(const struct auth_service *service, size_t i); /* may be NULL */
};
extern const struct auth_service_class auth_service_dovecot, cyrus_server;

#endif
