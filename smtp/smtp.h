// SPDX-License-Identifier: BSD-2-Clause
/*
 * smtp and lmtp: the client side of SMTP (RFC 5321) and LMTP (RFC 2033).  One program under two
 * names; one process per transport, a thread per delivery, straight code with deadlines.
 *
 *   smtp.c              the process: parameters, walls, connections from qmgr
 *   smtp_deliver.c      a delivery: next hops, their hosts in turn, what is left to the next one
 *   smtp_target.c       next hop to hosts and addresses (DNS)
 *   smtp_session.c      a connection: greeting, EHLO, STARTTLS, AUTH, replies, QUIT
 *   smtp_reuse.c        connections that wait for their next delivery
 *   smtp_transaction.c  MAIL, RCPT, DATA or BDAT, and what becomes of each recipient
 *   smtp_content.c      the message as this server gets it
 *   smtp_tls.c          policy, and the handshake
 *   smtp_sasl.c         passwords and mechanisms
 *   smtp_outcome.c      failures as texts and codes
 *
 * Everything that is made from parameters is made by the modules' ..._prepare, before the jail, and
 * is immutable afterwards.
 */
#ifndef PC_SMTP_SMTP_H
#define PC_SMTP_SMTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/reason.h"
#include "conf/postfix_conf.h"
#include "deliver/delivery.h"

/* The program's name in master.cf is lmtp: LHLO, a reply per recipient, lmtp_... parameters. */
extern bool smtp_is_lmtp;
/* Of this service, with its -o. */
extern const struct postfix_params *smtp_params;
/* smtp_NAME or lmtp_NAME: every parameter that both have. */
#define SMTP_PARAM(name) (smtp_is_lmtp ? smtp_params->lmtp_##name : smtp_params->smtp_##name)
/* The name of that parameter, for messages. */
#define SMTP_PARAM_NAME(name) (smtp_is_lmtp ? "lmtp_" name : "smtp_" name)

/* A time of a parameter (seconds; 0: the kernel's own limit, or none) from now. */
int64_t smtp_deadline(int64_t seconds);

/*
 * Why something could not be done, so that it can be told for a recipient (smtp_outcome.c).  WHY's
 * code says whether it is final.  Texts as in postfix.md 7.2.
 */
struct smtp_failure {
	struct reason why;
	/* The remote host and its words, for notices; "" when it was not the remote who refused. */
	char remote_mta[256];
	char diagnostic[1024];
	/*
	 * Nothing was or can be delivered through this host now, whatever the message: it was not
	 * reached, or refused to talk, or its TLS or AUTH failed.  Another host may be tried; when
	 * there is none qmgr suspends the destination.
	 */
	bool host;
	/* That another host has to do was logged with this reason ("connect to ..."). */
	bool logged;
	/* The same, but another address of this next hop would not do better (a table of ours
	 * failed). */
	bool stop;
	/* "tls=" of the log line as far as it was decided ("may?"), or "". */
	char tls[64];
	/* The connection on which it came, as relay= names it, and since when it stood; "": none.
	 */
	char relay[320];
	int64_t connected_us;
};

/* FAILURE becomes WHY and nothing else; TLS stays.  HOST as in the struct. */
void smtp_fail(struct smtp_failure *failure, bool host, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

struct smtp_session;
/*
 * What FAILURE makes of a recipient: BOUNCED or DEFERRED by its code.  SESSION may be NULL: no
 * connection stood.  Texts are FAILURE's and SESSION's.  ARENA is for the rest.
 */
struct delivery_outcome smtp_outcome(
    const struct smtp_session *session, const struct smtp_failure *failure, struct arena *arena);

/* agent_class.deliver: smtp_deliver.c */
void smtp_deliver(struct delivery *d);

#endif
