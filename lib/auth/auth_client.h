// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client side of Dovecot's auth protocol, for smtpd and the pre-login halves: it asks an auth
 * server (our authd, or a Dovecot of 2.3 or 2.4) whether a SASL exchange is right.
 *
 * Blocking calls with a deadline, for session threads.  A client may be shared by all threads; a
 * request belongs to one.  A request has a connection to itself while it lives; finished requests
 * leave theirs for the next one.  When the server went away while a connection lay idle, the
 * request is started once more on a new one.
 *
 * Everything that is not an answer (no server, a deadline, nonsense on the line) is
 * AUTH_TEMPORARY: it is never to be taken for a refusal, nor a refusal for it.
 */
#ifndef PC_AUTH_AUTH_CLIENT_H
#define PC_AUTH_AUTH_CLIENT_H

#include <stdint.h>

#include "auth/auth_proto.h"
#include "base/reason.h"

struct auth_client;
struct auth_request;

/*
 * WHERE is a UNIX socket's path, or "inet:HOST:PORT" (HOST a name, an address, or an IPv6 address
 * in brackets; PORT a number).  Connects to nothing yet.  NULL when WHERE makes no sense.
 */
struct auth_client *auth_client_new(const char *where);
/* No request may be alive. */
void auth_client_free(struct auth_client *client);

struct auth_mechanism {
	char name[32];	/* "PLAIN" */
	unsigned flags; /* enum auth_mechanism_flag */
};
/*
 * What the server offers, without private mechanisms; at most AUTH_MECHANISMS_MAX.  As the
 * server said it on a connection that still stands, or on a new one.  False with WHY (4.7.0).
 */
bool auth_client_mechanisms(struct auth_client *client, int64_t deadline,
    struct auth_mechanism *list, size_t *count, struct reason *why);

/*
 * For POP3's APOP: does the server have that (private) mechanism?  Then what its challenge begins
 * with, which a request must name as CONNECTION.
 */
bool auth_client_apop(
    struct auth_client *client, int64_t deadline, uint32_t *server_pid, uint32_t *connection);

struct auth_params {
	const char *mechanism;
	const char *service;			       /* "smtp", "pop3" */
	const char *session;			       /* NULL: none */
	const char *local_ip, *remote_ip, *local_name; /* NULL: none */
	unsigned local_port, remote_port;	       /* 0: none */
	bool secured;				       /* TLS, or the same host */
	bool nologin;				       /* no mailbox will be opened: MTAs */
	/* What pre-login halves know besides; NULL, 0, false: not told. */
	const char *real_local_ip, *real_remote_ip; /* of the connection itself, behind a proxy */
	unsigned real_local_port, real_remote_port;
	const char *client_id;	    /* what IMAP's ID said */
	const char *forward_fields; /* "name=value" with TABs between, from a trusted proxy */
	const char *cert_username;  /* of a certificate that was verified */
	bool valid_client_cert;
	bool no_penalty; /* a trusted network's client: its failures count for nothing */
	bool debug;
	/* The mechanism's last word comes with AUTH_OK, as a field "resp", not as a challenge. */
	bool final_resp_ok;
	/* Of auth_client_apop: only the connection that has told it will do; 0: any. */
	uint32_t connection;
	/* The initial response in base64; NULL pointer: none; of length 0: an empty one. */
	struct slice initial;
};

enum auth_status {
	AUTH_CONTINUE, /* auth_request_challenge holds what to send to the client */
	AUTH_OK,
	AUTH_FAILED,
	AUTH_TEMPORARY
};

/* Never NULL; free it.  *STATUS is the first answer. */
struct auth_request *auth_request_start(struct auth_client *client,
    const struct auth_params *params, int64_t deadline, enum auth_status *status);
/* After AUTH_CONTINUE: RESPONSE is base64.  One that is not is refused without asking. */
enum auth_status auth_request_continue(
    struct auth_request *request, struct slice response, int64_t deadline);
/*
 * A request that has not ended is cancelled.  After AUTH_OK on a socket for logins the server keeps
 * the request for auth_master_request (auth/master_client.h) only until this call.
 */
void auth_request_free(struct auth_request *request);

/* Base64; of the last AUTH_CONTINUE. */
struct slice auth_request_challenge(const struct auth_request *request);
/* After AUTH_OK the user's name (never empty); after AUTH_FAILED what is known of it, or "". */
const char *auth_request_user(const struct auth_request *request);
/* A field of the OK or FAIL line; false when it is not there. */
bool auth_request_field(const struct auth_request *request, const char *name, struct slice *value);
/* The Ith parameter of the OK or FAIL line ("user=x"); false at the end. */
bool auth_request_nth(const struct auth_request *request, size_t i, struct slice *text);
/* The server's text for the client, or "". After AUTH_TEMPORARY: what went wrong, for the log. */
const char *auth_request_reason(const struct auth_request *request);
/* "temp_fail", "authz_fail", "user_disabled", "pass_expired", "invalid_base64", or "". */
const char *auth_request_code(const struct auth_request *request);

/* For auth_master_request. */
uint32_t auth_request_id(const struct auth_request *request);
uint32_t auth_request_client_pid(const struct auth_request *request);
const char *auth_request_cookie(const struct auth_request *request);

#endif
