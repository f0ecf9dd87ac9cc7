// SPDX-License-Identifier: BSD-2-Clause
/*
 * Records of the DNS that mail needs besides names and addresses: MX, SRV, TLSA (RFC 5321 5.1,
 * 2782, 6698), and whether an answer was validated.
 *
 * Answers are asked for with DNSSEC OK, and count as secure when the resolver that resolv.conf
 * names says so (AD): it has to be one that is trusted, on this host.  What a call does not know at
 * its DEADLINE (clock_ms) is a temporary failure, as is an answer that is malformed, or that needs
 * more than ten CNAMEs; of an answer at most DNS_MAX_RECORDS records are looked at.  Everything is
 * a stranger's claim: no name in a result has other bytes than a host name may have ("_" too).  Any
 * thread may call.
 */
#ifndef PC_NET_DNS_RECORDS_H
#define PC_NET_DNS_RECORDS_H

#include <stdint.h>

#include "net/dns.h"

#define DNS_TLSA_DATA_MAX 4096

struct dns_answer {
	enum dns_result result;
	bool no_such_name; /* NXDOMAIN; else DNS_NOT_FOUND means: no record of this type */
	bool secure;	   /* validated, all of the chain of CNAMEs */
	unsigned rcode;	   /* of the server, for messages */
	unsigned type;	   /* of the question; of two the one whose answer this is */
	uint32_t ttl[2];   /* of the records; [1]: of IPv6 addresses */
	/* Not found: there were records, but none with a name that a host may have (MX, SRV). */
	bool bad_names;
	/* Temporary: too many CNAMEs. */
	bool loop;
	char canonical[DNS_NAME_SIZE]; /* the name behind all CNAMEs */
	char text[128]; /* not found: "Host not found", "Host found but no data record of
			   requested type", "Host not found, try again", ... */
};

struct dns_mx {
	unsigned preference;
	uint32_t ttl;
	/* Without final dot; "" for the null MX (RFC 7505).  It may be a number ("192.0.2.1"). */
	char name[DNS_NAME_SIZE];
};
struct dns_srv {
	unsigned priority, weight, port;
	uint32_t ttl;
	char name[DNS_NAME_SIZE]; /* "": there is no such service (RFC 2782) */
};
struct dns_tlsa {
	uint8_t usage, selector, matching;
	uint16_t len;
	uint8_t data[DNS_TLSA_DATA_MAX];
};

/* Each returns how many were written to LIST (at most MAX); 0 unless ANSWER's result is FOUND. */
size_t dns_mx_of(const char *domain, int64_t deadline, struct dns_mx *list, size_t max,
    struct dns_answer *answer);
size_t dns_srv_of(const char *name, int64_t deadline, struct dns_srv *list, size_t max,
    struct dns_answer *answer);
size_t dns_tlsa_of(const char *name, int64_t deadline, struct dns_tlsa *list, size_t max,
    struct dns_answer *answer);
/*
 * Addresses by DNS alone (not /etc/hosts), with the answer's security; FAMILY as in
 * dns_addresses_of.  For AF_UNSPEC both have to be secure where both exist.
 */
size_t dns_secure_addresses_of(const char *name, int family, int64_t deadline,
    struct net_addr *addrs, size_t max, struct dns_answer *answer);
/* Any type by number ("NS" is 2), NAME "" for the root: for probes.  Are there such records? */
bool dns_exists(const char *name, unsigned type, int64_t deadline, struct dns_answer *answer);

#endif
