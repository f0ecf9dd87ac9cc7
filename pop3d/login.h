// SPDX-License-Identifier: BSD-2-Clause
/*
 * The login half: a connection from its greeting to a login, and, for TLS, the proxy afterwards.
 * It holds the TLS keys and no mail; who may log in is authd's to say.
 */
#ifndef PC_POP3D_LOGIN_H
#define PC_POP3D_LOGIN_H

#include "auth/auth_client.h"
#include "net/tls.h"
#include "pop3d/login_config.h"
#include "server/server.h"

#define LOGIN_LINE_MAX 8192
#define LOGIN_IDLE_MS  (180 * INT64_C(1000))
#define LOGIN_MAX_BAD  3
#define LOGIN_AUTH_MS  (155 * INT64_C(1000)) /* a little more than a request lives */

struct login_process {
	struct auth_client *auth;
	char hostname[256];
};
extern struct login_process login_process;

struct login_backend; /* login_proxy.c */

/* What was wrong with the last attempt. */
enum login_failure {
	LOGIN_REFUSED, /* the password, or no attempt at all */
	LOGIN_TEMPORARY,
	LOGIN_NOT_AUTHORIZED,
	LOGIN_USER_DISABLED,
	LOGIN_PASSWORD_EXPIRED,
	LOGIN_INVALID_BASE64,
	LOGIN_DISABLED, /* nologin */
	LOGIN_NO_MECHANISM,
	LOGIN_NO_PLAINTEXT
};

struct login {
	struct session session; /* first */
	enum { LOGIN_HANDSHAKE, LOGIN_COMMANDS, LOGIN_PROXY } state;
	const struct login_config *config;
	struct net_addr real_peer,
	    real_local;	     /* of the connection, whoever speaks for the client */
	bool trusted;	     /* login_trusted_networks */
	bool secured;	     /* that, or client and server have one address: as good as TLS */
	char *local_name;    /* what TLS's client asked for; NULL */
	int client_cert;     /* tls_info's */
	char *cert_user;     /* its user, if it is good; NULL */
	char challenge[384]; /* for APOP; "" */
	uint32_t challenge_connection;
	char *user;	    /* of USER; NULL */
	char *tried_user;   /* of the last attempt, as far as it is known; NULL */
	char mechanism[32]; /* of the last attempt; "" */
	unsigned attempts, bad_commands;
	int64_t first_attempt;
	enum login_failure failure;
	bool in_exchange, aborted;
	char session_id[64];
	const char *end; /* why the connection ends, for the log; NULL: it closed */
	bool end_is_all; /* nothing of the attempts is told behind it */
	bool silent;	 /* its end was logged already */
	char end_text[160];
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
/* USER and PASS or APOP may be used. */
bool login_may_use_plaintext(const struct login *l);
/* The settings of the connection as it is known now. */
void login_configure(struct login *l);

/* login_log.c: "WHAT: user=<u>, method=PLAIN, rip=..., ..."; MAIL_PID may be "". */
void login_log(const struct login *l, const char *what, const char *mail_pid);
void login_log_end(const struct login *l);

/* login_trusted.c: who speaks for a client.  False: the connection is over (and it is logged). */
bool login_read_proxy(struct login *l);
/* XCLIENT, as Dovecot's own proxies send it. */
void login_xclient(struct login *l, struct slice args);

/* login_auth.c: an exchange, and on success the hand-over. */
void login_list_mechanisms(struct login *l, const char *separator, const char *end);
bool login_has_mechanism(const char *name);
/* INITIAL in base64; a NULL pointer: none.  False: the connection is over (or handed over). */
bool login_authenticate(struct login *l, struct slice mechanism, struct slice initial);
/* An attempt that is over before it began. */
void login_note_attempt(struct login *l, const char *mechanism, enum login_failure failure);
/* Chooses the challenge, "" without APOP. */
void login_make_challenge(struct login *l);
bool login_apop(struct login *l, struct slice args);
/* USER and PASS, as PLAIN. */
bool login_password(struct login *l, struct slice password);

/* login_proxy.c */
void login_proxy_begin(struct login *l, int fd);
enum session_next login_proxy_serve(struct login *l);
void login_proxy_end(struct login *l);

#endif
