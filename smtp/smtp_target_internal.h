// SPDX-License-Identifier: BSD-2-Clause
/* What the parts of smtp_target share. */
#ifndef PC_SMTP_SMTP_TARGET_INTERNAL_H
#define PC_SMTP_SMTP_TARGET_INTERNAL_H

#include "net/dns_records.h"
#include "smtp/smtp_target.h"

/* Made by smtp_target_prepare, immutable afterwards. */
struct target_rules {
	int family;	  /* of inet_protocols */
	bool mx;	  /* records of domains count */
	bool dns, native; /* where addresses are looked up */
	bool dnssec;
	/* smtp_dns_resolver_options: the first of DOMAINS for names without a dot, all of them for
	 * all names. */
	bool search_default, search_parents;
	char domains[6][DNS_NAME_SIZE];
	size_t domain_count;
	int first_family; /* smtp_address_preference; AF_UNSPEC: any */
};
extern struct target_rules target_rules;

/* The search for the hosts of one destination. */
struct target_search {
	struct smtp_targets found;
	struct smtp_target like; /* what all of them have in common */
	const char *domain;	 /* nexthop as the DNS has it (IDNA) */
	const char *service;	 /* of the port, as written; for SRV */
	bool detect_loops;	 /* only who listens at the port of SMTP can be ourselves */
	int64_t deadline;	 /* for all lookups */
	struct smtp_failure *failure;
};

/* FAILURE with this code and text, of the host unless it is final. */
void target_failed(struct smtp_failure *failure, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- smtp_target_syntax.c ---- */

struct target_place {
	const char *host;    /* domain, host or address, without brackets */
	const char *ascii;   /* the same as the DNS has it */
	const char *service; /* as written, or the parameter's */
	unsigned port;
	bool brackets;
};
/* HOST, HOST:PORT, [HOST], [HOST]:PORT; in ARENA.  False with FAILURE. */
bool target_place_parse(const char *destination, const char *service, struct arena *arena,
    struct target_place *place, struct smtp_failure *failure);

/* ---- smtp_target_lookup.c ---- */

struct smtp_target *target_add(struct smtp_targets *targets, const struct smtp_target *target);
/* For one name: a slow one must not eat up the time of all. */
int64_t target_lookup_deadline(const struct target_search *search);
/*
 * Adds the addresses of TARGET's host, each with everything else of TARGET, whose texts are in the
 * search's arena.  False with the failure: there are none.
 */
bool target_add_host(struct target_search *search, const struct smtp_target *target);
/* The failure for what the DNS said of NAME. */
void target_dns_failed(
    struct smtp_failure *failure, const char *name, const struct dns_answer *answer);

/* ---- smtp_target_filter.c: what answers are not seen, and are they to be trusted? ---- */

void target_filter_prepare(void);
/*
 * Does smtp_dns_reply_filter leave this record: "NAME. TTL IN TYPE DATA"?  *BROKEN: it failed.
 */
bool target_filter_passes(
    const char *name, uint32_t ttl, const char *type, const char *data, bool *broken);
/* Nothing was left of the TYPE records by it, or it failed. */
void target_filter_failed(
    struct smtp_failure *failure, const char *name, const char *type, bool broken);
/* Once per process, after an answer that was not validated although it was asked for. */
void target_probe_dnssec(const struct dns_answer *answer);

/* ---- smtp_target_mx.c ---- */

/* Finds by MX, or by address where there is none. */
enum smtp_targets_result target_find_domain(struct target_search *search);
/* By address. */
enum smtp_targets_result target_find_host(struct target_search *search);
/*
 * The hosts that were found for NAME, best first, without this one; BEST: the preference of the
 * best of all that there are.
 */
enum smtp_targets_result target_choose(
    struct target_search *search, const char *name, unsigned best);
bool target_are_enough(const struct target_search *search);

/* ---- smtp_target_srv.c ---- */

/* Does use_srv_lookup name this service? */
bool target_uses_srv(const char *service);
enum smtp_targets_result target_find_service(struct target_search *search);

/* ---- smtp_target_order.c ---- */

unsigned target_random_below(unsigned limit);
/* Sorts by preference: equals are shuffled, the favourite family first. */
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
