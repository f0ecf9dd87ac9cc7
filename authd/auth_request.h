// SPDX-License-Identifier: BSD-2-Clause
/*
 * One AUTH of a client: from its line to OK or FAIL.  It belongs to its connection and is worked on
 * by the thread that has the session.
 */
#ifndef PC_AUTHD_AUTH_REQUEST_H
#define PC_AUTHD_AUTH_REQUEST_H

#include "authd/authd.h"
#include "authd/logins.h"
#include "authd/sasl_server.h"
#include "base/list.h"

/* A connection for the client protocol. */
struct client_session {
	struct session session;
	struct list requests;
	size_t request_count;
	unsigned connection; /* CUID */
	bool has_version, said_version, has_cpid, is_login;
	uint32_t minor; /* of the protocol that the client speaks */
	struct login_client login;
};

enum auth_request_state {
	AUTH_REQUEST_PENALTY, /* has not begun: its address has failed too often */
	AUTH_REQUEST_OPEN,    /* it is the client's turn */
	AUTH_REQUEST_LAST,    /* accepted; the client has the server's last word to acknowledge */
	AUTH_REQUEST_DELAYED, /* accepted; a passdb wants the answer held back */
	AUTH_REQUEST_FAILED   /* the answer is held back */
};

struct auth_request {
	struct list node;
	struct client_session *client;
	uint32_t id;
	enum auth_request_state state;
	bool wants_last_word_with_ok; /* "final-resp-ok" */
	bool named;		      /* somebody's name came */
	bool has_response;	      /* with AUTH; RESPONSE holds it, in base64 */
	struct slice response;
	int64_t step_began; /* clock_ms */
	int64_t due;	    /* when it ends or begins by itself, or when its answer is to be sent */
	const char *answer; /* the FAIL line that is held back */
	struct arena arena;
	struct subject subject;
	const struct sasl_mechanism *mechanism;
	struct sasl_exchange *exchange;
	enum db_result result; /* after the check */
	const char *why;       /* why nobody can have this name, or what the response lacks */
	const char *reason;    /* for the client, with FAIL */
	unsigned penalty;      /* of its address, as it began */
	uint32_t checksum;     /* of name and password; 0: no password came */
};

/* Before the first request. */
void auth_request_setup(const struct server_context *ctx);

/* Of a line of AUTH that is whole; takes what it needs from FIELDS. NULL: it names no service. */
struct auth_request *auth_request_new(struct client_session *client, uint32_t id,
    const struct sasl_mechanism *mechanism, const struct auth_fields *fields);
void auth_request_free(struct auth_request *request);
/* One that has not failed; or NULL. */
struct auth_request *auth_request_find(struct client_session *client, uint32_t id);

/* The request may be gone afterwards. */
void auth_request_start(struct auth_request *request);
void auth_request_continue(struct auth_request *request, struct slice base64);
/* DUE has passed. */
void auth_request_expire(struct auth_request *request);

/* An answer; LINE with its LF.  All that a client hears goes through here. */
void auth_client_send(struct client_session *client, struct slice line);
/* A FAIL for no request. CODE may be NULL. */
void auth_client_fail(
    struct client_session *client, uint32_t id, const char *code, const char *reason);

#endif
