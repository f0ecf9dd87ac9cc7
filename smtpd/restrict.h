// SPDX-License-Identifier: BSD-2-Clause
/*
 * The restriction engine: smtpd_client_restrictions and its sisters (postconf(5), access(5)).
 *
 * It knows nothing of sessions and sockets: it gets a struct of facts and answers with a verdict
 * and with findings (a hold, a filter, headers to prepend, ...).  Its lines in the log ("NOQUEUE:
 * reject: RCPT from ...") it writes itself.
 *
 * The engine is made once from a role's parameters, before the jail, and is immutable and safe for
 * all threads.  A restriction, table type or action that it does not know is never skipped: the
 * verdict is then 451 4.3.5 (Server configuration error), and a line in the log says why.
 *
 * What a caller does:
 *
 *	at connect, HELO, MAIL, RCPT, VRFY, ETRN	restrict_check(stage), reply with
 *	at DATA and BDAT, and after the last byte	the verdict
 *
 * restrict_check itself knows smtpd_delay_reject: at CONNECT, HELO and MAIL it then accepts at once
 * (but for the syntax of the sender) and does the work at RCPT (ETRN, VRFY).  With it off, a
 * verdict against the client at CONNECT is to be remembered by the caller ("503 5.7.0 Error: access
 * denied for client" to what follows).
 */
#ifndef PC_SMTPD_RESTRICT_H
#define PC_SMTPD_RESTRICT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "conf/postfix_conf.h"
#include "mail/dsn.h"
#include "net/addr.h"
#include "rewrite/resolve.h"
#include "rewrite/rewrite.h"

struct restrictions;

enum restrict_stage {
	RESTRICT_CONNECT,
	RESTRICT_HELO, /* HELO and EHLO */
	RESTRICT_MAIL,
	RESTRICT_RCPT,
	RESTRICT_DATA,
	RESTRICT_END_OF_DATA,
	RESTRICT_VRFY, /* facts.recipient is the address; judged as RCPT */
	RESTRICT_ETRN  /* facts.etrn_domain */
};

/*
 * What is known of the session.  Borrowed during the call.  NULL (or a NULL slice, SLICE_NULL)
 * means: not known yet.  An address is in internal form as the client gave it (not rewritten); the
 * null sender is an empty slice whose ptr is not NULL.
 */
struct restrict_facts {
	const char *command;  /* what the log calls it: "EHLO" or "HELO"; NULL: by the stage */
	const char *queue_id; /* NULL: "NOQUEUE" */

	const char *client_name;    /* verified, or "unknown" */
	const char *client_address; /* "192.0.2.1", or "unknown" */
	const struct net_addr *client_addr;
	unsigned client_port;	  /* logged with smtpd_client_port_logging */
	const char *reverse_name; /* unverified; "unknown" */

	/* The name is "unknown" because a name server did not answer. */
	bool client_name_failed, reverse_name_failed;

	const char *protocol; /* "SMTP" or "ESMTP" */
	const char *helo;

	struct slice sender;
	struct slice recipient;
	unsigned recipient_count; /* accepted so far, at DATA and later */
	uint64_t size;		  /* SIZE=, or the real one at END_OF_DATA */
	const char *etrn_domain;

	const char *sasl_method, *sasl_username, *sasl_sender; /* NULL: not authenticated */
	bool tls;
	/* The client's certificate: fingerprints "AB:CD:..."; NULL: it gave none. */
	const char *cert_fingerprint, *cert_key_fingerprint;
	const char *cert_name; /* its common name; may be "" */
	bool cert_trusted;
	bool asks_client_certs; /* else a restriction about them is a mistake */

	/* Input was waiting where the client should have waited for a reply
	 * (reject_unauth_pipelining). */
	bool pipelined;

	/* Where lines of the log go; NULL: log_info. */
	void (*log)(const char *line, void *arg);
	void *log_arg;
};

/*
 * What checks leave behind.  One for the session (from CONNECT and HELO), one in each transaction:
 * a transaction's ends with it as a whole.  Zero it and give it an arena of the same lifetime.
 */
struct restrict_line {
	struct restrict_line *next;
	const char *text;
};
struct restrict_deferral {
	bool active;
	unsigned code;
	char dsn[DSN_CODE_TEXT];
	const char *text;
};
struct restrict_findings {
	struct arena *arena;
	bool hold;
	bool discard; /* accept, and throw the message away: all recipients */
	const char *hold_reason, *discard_reason;
	const char *filter;		     /* "transport:nexthop"; the last one counts */
	const char *redirect;		     /* one address instead of all recipients */
	struct restrict_line *prepend, *bcc; /* in order */
	/* Between lists and stages: a reason to defer what is permitted in the end. */
	struct restrict_deferral if_permit;
};

/* Reply text: "<x@y>: Relay access denied".  Cut when it does not fit (a reply has 510 octets). */
struct restrict_verdict {
	bool accepted;
	unsigned code; /* 450, 554, ...; 0 when accepted, and for HANGUP: no reply at all */
	char dsn[DSN_CODE_TEXT];
	char text[1024];
	bool disconnect; /* 421, 521 and HANGUP: reply, then close */
};

/*
 * Never NULL.  RESOLVER and REWRITER must outlive it.  Opens the tables that the lists name.
 */
struct restrictions *restrictions_new(const struct postfix_params *params,
    const struct resolver *resolver, const struct rewriter *rewriter);
void restrictions_free(struct restrictions *r);
/*
 * Why smtpd must not start: neither the relay nor the recipient list refuses strangers ("in
 * parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working
 * instance of: ...").  NULL when all is well.  The text belongs to R.
 */
const char *restrictions_trouble(const struct restrictions *r);

/*
 * Judges one stage.  SESSION and TRANSACTION (NULL before MAIL; findings then go to SESSION) get
 * what the checks find.  Returns verdict->accepted.  A refusal has been logged.
 */
bool restrict_check(const struct restrictions *r, enum restrict_stage stage,
    const struct restrict_facts *facts, struct restrict_findings *session,
    struct restrict_findings *transaction, struct restrict_verdict *verdict);

/* local_header_rewrite_clients: are headers of this client's mail rewritten in local context? */
enum rewrite_context restrict_header_context(
    const struct restrictions *r, const struct restrict_facts *facts);

#endif
