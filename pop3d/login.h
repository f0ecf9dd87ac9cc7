// SPDX-License-Identifier: BSD-2-Clause
/*
 * The login half: a connection from its greeting to a login, and, for TLS, the proxy afterwards.
 * It holds the TLS keys and no mail; who may log in is authd's to say.
 */
#ifndef PC_POP3D_LOGIN_H
#define PC_POP3D_LOGIN_H

#include "auth/auth_client.h"
#include "net/tls.h"
#include "server/server.h"

#define LOGIN_LINE_MAX 8192
#define LOGIN_IDLE_MS  (180 * INT64_C(1000))
#define LOGIN_MAX_BAD  3
#define LOGIN_AUTH_MS  (155 * INT64_C(1000)) /* a little more than a request lives */

struct login_process {
	const struct dovecot_settings *settings;
	struct tls_context *tls; /* NULL: ssl = no */
	struct auth_client *auth;
};
extern struct login_process login_process;

struct login_backend; /* login_proxy.c */

struct login {
	struct session session; /* first */
	enum { LOGIN_HANDSHAKE, LOGIN_COMMANDS, LOGIN_PROXY } state;
	bool same_host;	    /* client and server have one address: as good as TLS */
	char *user;	    /* of USER; NULL */
	char *tried_user;   /* of the last attempt, as far as it is known; NULL */
	char mechanism[32]; /* of the last attempt; "" */
	unsigned attempts, bad_commands;
	int64_t first_attempt;
	bool refused_plaintext, in_exchange;
	char session_id[64];
	const char *end; /* why the connection ends, for the log; NULL: it closed */
	char tls_error[200], tls_end[240];
	bool logged_in;
	struct login_backend *backend;
};

/* login_session.c */
extern const struct session_class login_session_class;
bool login_is_secure(const struct login *l);
/* "-ERR TEXT" or "+OK TEXT"; TEXT may begin with a response code. */
void login_reply(struct login *l, bool ok, const char *text);
/* Reads a line of at most LOGIN_LINE_MAX bytes; false when the connection is over. */
bool login_read_line(struct login *l, struct slice *line);
/* "user=<u>, method=PLAIN, rip=..., lip=..., TLS, session=<...>" */
void login_log(const struct login *l, const char *what, const char *extra);

/* login_auth.c: an exchange, and on success the hand-over. */
void login_list_mechanisms(struct login *l, const char *separator, const char *end);
bool login_has_mechanism(struct login *l, const char *name);
/* INITIAL in base64; a NULL pointer: none.  False: the connection is over (or handed over). */
bool login_authenticate(struct login *l, struct slice mechanism, struct slice initial);
/* USER and PASS, as PLAIN. */
bool login_password(struct login *l, struct slice password);

/* login_proxy.c */
void login_proxy_begin(struct login *l, int fd);
enum session_next login_proxy_serve(struct login *l);
void login_proxy_end(struct login *l);

#endif
