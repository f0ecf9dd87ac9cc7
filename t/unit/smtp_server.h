// SPDX-License-Identifier: BSD-2-Clause
/*
 * A server of SMTP or LMTP that says what a script says, and what the client's modules need beside
 * it: connections to it, a TLS policy, a login.
 */
#ifndef PC_UNIT_SMTP_SERVER_H
#define PC_UNIT_SMTP_SERVER_H

#include "smtp/smtp_session.h"
#include "smtp/smtp_tls.h"
#include "unit.h"

#define SERVER_RULES 8

struct server_rule {
	const char *verb;
	/*
	 * Lines with LF between them; the last one gets its end.  One that ends with '\\' has no
	 * end: what follows is up to the client.
	 */
	const char *reply;
};
#define SERVER_HANG_UP "hang up"
#define SERVER_SILENT  "say nothing"
#define SERVER_ENDLESS "250- for ever"
#define SERVER_STREAM  "a line for ever"
#define SERVER_SLOW    "250-, one a moment"
#define SERVER_LONG    "a long line" /* "250 xxx...", half a megabyte */

/*
 * What is not in RULES is answered with "250 ok" (QUIT: 221 and the end), EHLO with "250 srv.test".
 * A rule "EHLO+" is for the second EHLO.
 */
struct server_script {
	const char *greeting; /* NULL: "220 srv.test ESMTP" */
	struct server_rule rules[SERVER_RULES];
};

/* What connections to come meet; bytes come one by one when PIECEMEAL. */
void server_play(const struct server_script *script, bool piecemeal);
/* Lines that the servers were sent since server_play, '|' between them; waits for their ends. */
const char *server_heard(void);
/* The same while they go on. */
bool server_has_heard(const char *text);
/* How many connections there were. */
unsigned server_connections(void);

/* The newest server's descriptor, borrowed. */
int server_end(void);

/* What the stubs say. */
extern struct server_stubs {
	struct smtp_tls_policy policy;
	bool tls_fails, plain_would_do;
	enum smtp_tls_level
	    level_next;		    /* what the policy says once TLS has failed; NONE: the same */
	bool policy_fails, refuses; /* smtp_tls_policy; connect(2) */
	const char *login_key;
	bool login_fails;
} server_stubs;

/* Log lines since the last call, without name, each with its LF. */
void server_log_open(void);
const char *server_log(void);

/* ---- the client's side ---- */

/* main.cf with TEXT added; the modules of a session are prepared. */
struct postfix_params *client_setup(const char *text);
int client_teardown(void **state);
/* Parameters, stubs and the request as they are without a test's changes. */
void client_reset(void);
/* mx.example for example.net at that ADDRESS. */
struct smtp_target client_target(const char *address, unsigned port);
extern struct delivery_request client_request;
extern const struct delivery client_delivery;

#endif
