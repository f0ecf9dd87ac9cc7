// SPDX-License-Identifier: BSD-2-Clause
/*
 * TLS of the client: which policy holds for a target, and the handshake under it (postfix.md 7.3,
 * TLS_README).
 */
#ifndef PC_SMTP_SMTP_TLS_H
#define PC_SMTP_SMTP_TLS_H

#include "smtp/smtp_session.h"

enum smtp_tls_level {
	SMTP_TLS_NONE,
	SMTP_TLS_MAY,
	SMTP_TLS_ENCRYPT,
	SMTP_TLS_FINGERPRINT,
	SMTP_TLS_HALF_DANE,
	SMTP_TLS_DANE,
	SMTP_TLS_DANE_ONLY,
	SMTP_TLS_VERIFY,
	SMTP_TLS_SECURE
};

/* In the arena that it was made in; never changed afterwards. */
struct smtp_tls_policy {
	enum smtp_tls_level level; /* the one that holds: DANE records were asked for already */
	bool wrapper;		   /* smtp_tls_wrappermode */
	bool reuse;		   /* connections may be kept (connection_reuse) */
	const char *key;	   /* two policies with the same key are the same policy */
	const char *name;	   /* for the log: "may", "dane:encrypt"; NULL: as LEVEL */
	void *details;		   /* smtp_tls.c's */
};

/* Before the jail: keys, CA files, policy maps.  A mistake costs TLS, as with the peer. */
void smtp_tls_prepare(const struct postfix_params *params);

/*
 * The policy for TARGET.  False with FAILURE: a table, or DNS for DANE, failed (4.7.x), or there
 * can be no delivery under it (level too low for REQUIRETLS, dane-only without records).
 */
bool smtp_tls_policy(const struct smtp_target *target, struct arena *arena,
    const struct smtp_tls_policy **policy, struct smtp_failure *failure);

/* Keys or CAs that could not be loaded make it false: then mail goes as if nobody offered TLS. */
bool smtp_tls_is_available(void);

/* The text for "tls=" of the log line; "" when smtp_log_tls_feature_status says so. */
enum smtp_tls_status {
	SMTP_TLS_UNDECIDED, /* no connection, or it was lost */
	SMTP_TLS_USED,
	SMTP_TLS_UNUSED,  /* the connection was used without */
	SMTP_TLS_VIOLATED /* the connection was not used for that reason */
};
void smtp_tls_describe(
    const struct smtp_tls_policy *policy, enum smtp_tls_status status, char out[64]);

/*
 * The handshake, after the server said 220 to STARTTLS, or first (wrapper); within
 * smtp_starttls_timeout.  Logs its line.  Sets has_tls, is_verified.  False with FAILURE (its tls,
 * too): handshake failed, then the session is broken, or the certificate will not do; nothing but
 * QUIT may follow.  PLAIN_NEXT: at
 * level may the same host may be tried once more without TLS.
 */
bool smtp_tls_start(struct smtp_session *session, bool *plain_next, struct smtp_failure *failure);

#endif
