// SPDX-License-Identifier: BSD-2-Clause
/* What the parts of smtp_target share. */
#ifndef PC_SMTP_SMTP_TARGET_INTERNAL_H
#define PC_SMTP_SMTP_TARGET_INTERNAL_H

#include "net/dns_records.h"
#include "smtp/smtp_target.h"

/* Made by smtp_target_prepare, immutable afterwards. */
struct target_rules {
	int family;			      /* of inet_protocols */
	bool dns, dnssec, native;	      /* where names are looked up */
	bool try_default_domain, try_parents; /* smtp_dns_resolver_options */
	int first_family;		      /* smtp_address_preference; AF_UNSPEC: any */
};
extern struct target_rules target_rules;

/* FAILURE with this code and text, of a host unless it is final. */
void target_failed(struct smtp_failure *failure, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- smtp_target_syntax.c ---- */

struct target_place {
	const char *host;    /* domain, host or address, without brackets */
	const char *service; /* as written, or the parameter's */
	unsigned port;
	bool brackets;
};
/* HOST, HOST:PORT, [HOST], [HOST]:PORT; in ARENA.  False with FAILURE. */
bool target_place_parse(const char *destination, const char *service, struct arena *arena,
    struct target_place *place, struct smtp_failure *failure);

/* ---- smtp_target_lookup.c ---- */

/* Adds one; its texts must be in the arena of TARGETS. */
struct smtp_target *target_add(struct smtp_targets *targets, const struct smtp_target *target);

/*
 * Adds the addresses of LIKE's host, each with everything else of LIKE.  False with FAILURE: there
 * are none.
 */
bool target_add_host(struct smtp_targets *targets, const struct smtp_target *like, int64_t deadline,
    const char *id, struct smtp_failure *failure);

/* FAILURE for what the DNS said of NAME. */
void target_dns_failed(
    struct smtp_failure *failure, const char *name, const struct dns_answer *answer);

/* ---- smtp_target_order.c ---- */

/* LIST is sorted by preference alone: equals are shuffled, the favourite family first. */
void target_order(struct smtp_target *list, size_t count);
/* Leaves at most LIMIT (0: all), with a fair part of both families; returns how many. */
size_t target_balance(struct smtp_target *list, size_t count, size_t limit);
/* Leaves those that are better than every target that is this host; returns how many. */
size_t target_drop_own(struct smtp_target *list, size_t count, bool *own);
bool target_is_own(const struct net_addr *addr);
void target_own_prepare(const struct postfix_params *params);

/* ---- smtp_target_connect.c ---- */

void target_bind_prepare(const struct postfix_params *params);

#endif
