// SPDX-License-Identifier: BSD-2-Clause
/*
 * One connection to a server, from connect(2) to QUIT.  It belongs to one delivery at a time, and
 * between two of them to smtp_reuse.c.
 */
#ifndef PC_SMTP_SMTP_SESSION_H
#define PC_SMTP_SMTP_SESSION_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "net/stream.h"
#include "queue/queue_id.h"
#include "smtp/smtp_target.h"

struct smtp_tls_policy;

/* What the server announced and we may use: what smtp_discard_ehlo_keywords hides is not set. */
enum smtp_feature {
	SMTP_FEATURE_ESMTP = 1,
	SMTP_FEATURE_PIPELINING = 2,
	SMTP_FEATURE_8BITMIME = 4,
	SMTP_FEATURE_SIZE = 8,
	SMTP_FEATURE_STARTTLS = 16,
	SMTP_FEATURE_AUTH = 32,
	SMTP_FEATURE_DSN = 64,
	SMTP_FEATURE_SMTPUTF8 = 128,
	SMTP_FEATURE_CHUNKING = 256,
	SMTP_FEATURE_XFORWARD = 512, /* see xforward */
	SMTP_FEATURE_REQUIRETLS = 1024,
	SMTP_FEATURE_PIX_DOTCRLF = 2048 /* delay_dotcrlf applies */
};
enum smtp_xforward {
	SMTP_XFORWARD_NAME = 1,
	SMTP_XFORWARD_ADDR = 2,
	SMTP_XFORWARD_PORT = 4,
	SMTP_XFORWARD_PROTO = 8,
	SMTP_XFORWARD_HELO = 16,
	SMTP_XFORWARD_IDENT = 32,
	SMTP_XFORWARD_SOURCE = 64
};

/* One server reply (RFC 5321 4.2). */
struct smtp_reply {
	unsigned code; /* 200 to 599; what is no reply is a failure of the session */
	char dsn[12];  /* its enhanced code (RFC 2034), with the code's class; or "" */
	struct strbuf
	    text; /* all lines as they came ("550-5.1.1 a 550 5.1.1 b"), a blank between */
};
void smtp_reply_init(struct smtp_reply *reply);
void smtp_reply_release(struct smtp_reply *reply);

struct smtp_session {
	struct arena arena;
	char id[QUEUE_ID_SIZE];	   /* of the delivery whose it is, for log lines */
	struct smtp_target target; /* texts in ARENA */
	struct stream *stream;
	const char *name;	/* "mx.example.com[192.0.2.1]"; LMTP over a socket: "HOST[PATH]" */
	const char *relay;	/* with ":25": for relay= and connect errors */
	unsigned features;	/* enum smtp_feature */
	unsigned xforward;	/* enum smtp_xforward */
	uint64_t size_limit;	/* SIZE; 0: none told */
	const char *mechanisms; /* after AUTH, "PLAIN LOGIN"; "" */
	const struct smtp_tls_policy *policy;
	bool has_tls, is_verified; /* TLS; and the certificate is the one that policy wants */
	const char *tls_summary; /* for "tls=" of the log line (smtp_log_tls_feature_status), "" */
	bool logged_in;
	/* Who a reused session may serve again, beside the address: what it logged in with. */
	const char *login_key;
	unsigned used;	      /* deliveries so far: conn_use= from the second on */
	int64_t opened_ms;    /* clock_ms */
	int64_t connected_us; /* wall clock */
	bool broken;	      /* nothing is to be said on it any more, not even QUIT */
	bool ending;	      /* QUIT is to be said: it is not kept for another delivery */
	int64_t transfer_ms;  /* smtp_transfer's: what is left of its time, or -1 */
};

/*
 * A session that stands ready for MAIL FROM with TARGET, for DELIVERY: a new one.  NULL with
 * FAILURE.  Logs the info line that precedes a fall-over to another host.
 */
struct smtp_session *smtp_session_open(const struct delivery *delivery,
    const struct smtp_target *target, struct smtp_failure *failure);
/* QUIT when that makes sense; frees it. */
void smtp_session_close(struct smtp_session *session);

/*
 * Writes "FORMAT\r\n" into the stream; nothing leaves before the next smtp_hear.  No argument may
 * have a CR, LF or NUL (ASSERT): what comes from outside was checked before.
 */
void smtp_say(struct smtp_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * Reads one reply within SECONDS.  WHILE: "performing the EHLO handshake", "sending MAIL FROM", for
 * FAILURE's "lost connection with NAME while ...", "conversation with NAME timed out while ...".
 * False: the session is broken.  A 421 makes it `ending`.  Endless replies, endless lines and what
 * is no reply are failures; smtp_reply_filter is applied.
 */
bool smtp_hear(struct smtp_session *session, int64_t seconds, const char *while_what,
    struct smtp_reply *reply, struct smtp_failure *failure);
/*
 * A piece of the message into the stream, within smtp_data_xfer_timeout or, with
 * smtp_per_request_deadline, as fast as smtp_min_data_rate at least; the stream's state says
 * whether that went well.
 */
void smtp_transfer(struct smtp_session *session, struct slice data);
/* The failure that the stream's state means, for whoever writes without a reply in sight. */
void smtp_session_lost(
    struct smtp_session *session, const char *while_what, struct smtp_failure *failure);

/*
 * "host NAME said: TEXT (in reply to COMMAND command)", code as in the reply, X.0.0 without one;
 * soft bounces by parameters.  (smtp_outcome.c)
 */
void smtp_refused(const struct smtp_session *session, const struct smtp_reply *reply,
    const char *command, struct smtp_failure *failure);

/*
 * XFORWARD for DELIVERY, where it is wanted and offered, before each message; what the server says
 * against it is logged.  False: the session is broken.
 */
bool smtp_xforward(
    struct smtp_session *session, const struct delivery *delivery, struct smtp_failure *failure);

/* Before the jail: discard maps, reply filter, PIX maps. */
void smtp_session_prepare(const struct postfix_params *params);

/* ---- smtp_reuse.c ---- */

/*
 * A session with TARGET that stands ready and that DELIVERY may use (same login, same TLS policy);
 * NULL: none.  Its server was asked with RSET, or closed in time.
 */
struct smtp_session *smtp_reuse_take(
    const struct delivery *delivery, const struct smtp_target *target);
/*
 * The session is DELIVERY's no more: kept for the next one (smtp_connection_cache_on_demand while
 * qmgr has more for this destination, ..._destinations; ..._reuse_time_limit,
 * ..._reuse_count_limit, ..._cache_time_limit), or closed.
 */
void smtp_reuse_give(const struct delivery *delivery, struct smtp_session *session);
void smtp_reuse_prepare(const struct postfix_params *params);
/* The process ends: what lies idle is closed, and nothing is kept any more. Any thread. */
void smtp_reuse_drain(void);

#endif
