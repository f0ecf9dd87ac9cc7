// SPDX-License-Identifier: BSD-2-Clause
/*
 * posttls-finger: what a mail server does about TLS.
 *
 *   posttls_finger.c         options, levels, reconnecting
 *   posttls_finger_find.c    from a destination to addresses
 *   posttls_finger_talk.c    one connection
 */
#ifndef PC_CMD_POSTTLS_FINGER_H
#define PC_CMD_POSTTLS_FINGER_H

#include "base/arena.h"
#include "conf/postfix_conf.h"
#include "net/addr.h"
#include "net/dns_records.h"
#include "net/stream.h"
#include "net/tls_client.h"

enum finger_level {
	FINGER_NONE,
	FINGER_MAY,
	FINGER_ENCRYPT,
	FINGER_FINGERPRINT,
	FINGER_DANE,
	FINGER_DANE_ONLY,
	FINGER_VERIFY,
	FINGER_SECURE
};

struct finger {
	struct arena arena;
	const struct postfix_params *params;
	struct tls_context *tls; /* NULL: there is no TLS */
	enum finger_level level;
	unsigned log;
	bool lmtp, quiet, show_chain, wrapper, force_tlsa, native;
	int family; /* to prefer; AF_UNSPEC */
	long connect_seconds, command_seconds, delay, reconnects;
	const char *protocols, *grade, *server_name, *insecure_mx;
	const char *destination; /* as given */
	const char *const *matches;
	const struct tls_anchors **anchors;
	char server[256]; /* who it says it is in its reply to EHLO */
	bool again;	  /* this is not the first connection: only what may differ is told */
	bool resumed;	  /* the last connection's session */
};

struct finger_target {
	const char *host, *nexthop;
	struct net_addr addr; /* len 0: PATH */
	const char *path;
	unsigned port;
	bool by_mx, mx_secure, addr_secure;
	const char *canonical; /* or "" */
	const char *peer;      /* "HOST[ADDR]:PORT" */
};

/* What there is to try, in turn; 0 with WHY. */
size_t finger_find(struct finger *f, struct finger_target **targets, struct reason *why);

enum finger_end {
	FINGER_UNREACHED, /* WHY: another address may be tried */
	FINGER_ENDED,	  /* a conversation, whatever came of it */
	FINGER_WITH_TLS	  /* the same, over TLS */
};
/* Says all that there is to say about one server. */
enum finger_end finger_talk(
    struct finger *f, const struct finger_target *target, struct reason *why);

#endif
