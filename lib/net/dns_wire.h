// SPDX-License-Identifier: BSD-2-Clause
/*
 * Answers of the DNS as they come over the net (RFC 1035 4): a strict decoder without memory of its
 * own.  What does not hold together is no answer at all.
 */
#ifndef PC_NET_DNS_WIRE_H
#define PC_NET_DNS_WIRE_H

#include "base/cursor.h"
#include "net/dns.h"

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_MX = 15,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_TLSA = 52
};
enum dns_rcode { DNS_RCODE_FORMERR = 1, DNS_RCODE_SERVFAIL = 2, DNS_RCODE_NXDOMAIN = 3 };

/*
 * A name as text without final dot, "" for the root, in lower case where it has ASCII letters.
 * is_host: labels of letters, digits, '-' (not at an end) and '_' (RFC 1123 2.1); of another name
 * the text is empty.
 */
struct dns_name {
	char text[DNS_NAME_SIZE];
	bool is_host;
};

struct dns_record {
	struct dns_name owner;
	unsigned type;
	uint32_t ttl;
	struct cursor data; /* over the whole packet, for names; ends with the record's data */
};

struct dns_reply {
	struct slice packet;
	size_t answers_at;
	unsigned answers; /* in the answer section, of class IN or not */
	unsigned rcode;
	bool authentic; /* AD, of a server that knows EDNS0 and so what AD is (RFC 6840 5.7) */
	char canonical[DNS_NAME_SIZE]; /* NAME, or what is behind its CNAMEs */
	bool too_many_cnames;
};

/*
 * The answer to the question for TYPE records of NAME.  False: it is malformed, truncated, or the
 * answer to something else.
 */
bool dns_reply_parse(struct slice packet, const char *name, unsigned type, struct dns_reply *reply);

/* The next record of the answer section from *AT on, which begins as answers_at. */
bool dns_reply_next(const struct dns_reply *reply, size_t *at, struct dns_record *record);

/*
 * Reads a name with its compression (RFC 1035 4.1.4); pointers go backwards only.  False (and
 * failed): it ends too late, is too long, or goes round.
 */
bool dns_name_read(struct cursor *c, struct dns_name *name);
/* 0 and failed where two bytes are not there. */
unsigned dns_u16_read(struct cursor *c);

/*
 * May NAME be asked for, and be the name of a host?  Numbers and dots alone are allowed here: see
 * dns_name_is_number.
 */
bool dns_name_is_host(const char *name);
bool dns_name_is_number(const char *name);

#endif
