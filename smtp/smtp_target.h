// SPDX-License-Identifier: BSD-2-Clause
/*
 * From a next hop to the addresses to try (RFC 5321 5, postfix.md 7.1).
 *
 * A next hop is a list of destinations with commas or blanks between: DOMAIN, DOMAIN:PORT, [HOST],
 * [HOST]:PORT, [ADDRESS], [ADDRESS]:PORT, [ipv6:ADDRESS]; LMTP also unix:PATH and inet:DESTINATION.
 */
#ifndef PC_SMTP_SMTP_TARGET_H
#define PC_SMTP_SMTP_TARGET_H

#include "base/arena.h"
#include "net/addr.h"
#include "smtp/smtp.h"

/* One address to try; all texts are in the arena of the targets. */
struct smtp_target {
	const char *destination; /* as it stands in the list: for policies and passwords */
	const char *nexthop;	 /* its domain or host, without brackets and port */
	const char *host; /* the MX or host name; for [ADDRESS] the address; for unix: the path */
	struct net_addr addr; /* with the port; len 0: a UNIX socket */
	const char *path;     /* of the UNIX socket, or NULL */
	unsigned port, preference;
	bool by_mx;	  /* HOST was found as an MX, or SRV, of NEXTHOP */
	bool is_domain;	  /* DESTINATION had no brackets: its parents count in policy maps */
	bool is_fallback; /* of smtp_fallback_relay */
	/* DNSSEC (smtp_dns_support_level = dnssec): the answers were validated. */
	bool mx_secure, addr_secure;
	/* The name behind HOST's CNAMEs, where all of them were validated too; else "". */
	const char *canonical;
};

struct smtp_targets {
	struct arena arena;
	struct smtp_target *list; /* in the order in which they are to be tried */
	size_t count;
	/*
	 * This host is an MX, too: it and the worse ones were left out.  No smtp_fallback_relay may
	 * be tried after these, for it would send the mail back.
	 */
	bool own;
};
void smtp_targets_init(struct smtp_targets *targets);
void smtp_targets_release(struct smtp_targets *targets);

enum smtp_targets_result {
	SMTP_TARGETS_FOUND, /* at least one */
	SMTP_TARGETS_NONE,  /* FAILURE says why: final, or worth another try */
	SMTP_TARGETS_OWN,   /* this host is the best MX: FAILURE is the loop's (5.4.6) */
};

/* Splits a next hop; the Ith destination, or false at the end. */
bool smtp_nexthop_item(const char *nexthop, size_t i, struct arena *arena, const char **item);

/*
 * The addresses of one destination: sorted by preference, equals shuffled
 * (smtp_randomize_addresses), IPv4 and IPv6 balanced, at most smtp_mx_address_limit.  FALLBACK: a
 * member of smtp_fallback_relay.  Adds to TARGETS.  Any thread;
 * every lookup has a deadline.
 */
enum smtp_targets_result smtp_targets_find(struct smtp_targets *targets, const char *destination,
    bool fallback, struct smtp_failure *failure);

/* Before the jail: bind addresses, own addresses, filters of answers. */
void smtp_target_prepare(const struct postfix_params *params);

/*
 * Connects, from smtp_bind_address; the descriptor, or -1 with FAILURE ("connect to
 * NAME[ADDR]:PORT: Connection refused", 4.4.1).
 */
int smtp_target_connect(const struct smtp_target *target, struct smtp_failure *failure);

#endif
