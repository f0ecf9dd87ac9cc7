// SPDX-License-Identifier: BSD-2-Clause
/* Which TLSA records hold for a mail server (RFC 7672 2.2). */
#ifndef PC_NET_DANE_H
#define PC_NET_DANE_H

#include "net/dns_records.h"
#include "net/tls_client.h"

#define DANE_MAX_RECORDS 30

struct dane_host {
	const char *name;	 /* as MX or next hop name it */
	const char *canonical;	 /* behind its CNAMEs where they are validated; or "" */
	bool secure;		 /* its addresses are validated */
	bool even_when_insecure; /* smtp_tls_force_insecure_host_tlsa_lookup */
	unsigned port;
};

enum dane_result {
	DANE_NONE,     /* no validated records: the host does not do DANE */
	DANE_UNUSABLE, /* it does, and none of its records is for mail, or known to us */
	DANE_USABLE,   /* at least one can be checked */
	DANE_ERROR     /* nobody can tell now: the mail has to wait */
};

struct dane_records {
	struct dns_tlsa *list; /* malloc'ed, NULL when there are none */
	size_t count;
	char base[DNS_NAME_SIZE]; /* at which they were found, without "_25._tcp." */
};
/*
 * Asks the DNS, until DEADLINE (clock_ms).  CTX says which records are usable.  RECORDS is written
 * in any case.  Any thread.
 */
enum dane_result dane_find(const struct dane_host *host, const struct tls_context *ctx,
    int64_t deadline, struct dane_records *records);
void dane_records_release(struct dane_records *records);

#endif
