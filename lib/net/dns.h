// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names and addresses of hosts, from /etc/hosts and the DNS, as resolv.conf says.
 *
 * A call blocks its thread until DEADLINE (clock_ms) at most; what is not known then is a temporary
 * failure.  Any thread may call.  Records beyond the hundredth of an answer are not looked at, and
 * an answer that needs more than ten CNAMEs is a temporary failure.
 */
#ifndef PC_NET_DNS_H
#define PC_NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

#define DNS_MAX_RECORDS 100
#define DNS_MAX_CNAMES	10
#define DNS_NAME_SIZE	256

enum dns_result {
	DNS_FOUND,
	DNS_NOT_FOUND, /* the name does not exist, or has no such record */
	DNS_TEMPORARY  /* no server could tell in time */
};

/*
 * Keeps what resolv.conf says now, for processes that cannot read it after their jail.  Where it
 * can be read later its contents of that time count.
 */
void dns_open(void);

/*
 * The host name of ADDR (PTR, or /etc/hosts), without a final dot.  What is no host name (letters,
 * digits, '-', '_') or is a number counts as not found.  The name is a claim of whoever owns the
 * address: the caller confirms it with dns_addresses_of.
 */
bool dns_name_of(const struct net_addr *addr, int64_t deadline, char *name, size_t size,
    enum dns_result *result);

/*
 * The addresses of NAME, IPv4 before IPv6, at most MAX; returns their number, which is not 0 for
 * DNS_FOUND only.  FAMILY is AF_INET, AF_INET6, or AF_UNSPEC for both.  Domains to search are used
 * for names without a dot only.
 */
size_t dns_addresses_of(const char *name, int family, int64_t deadline, struct net_addr *addrs,
    size_t max, enum dns_result *result);

/*
 * The Ith domain that resolv.conf has names without a dot searched in ("search", "domain", or the
 * host's own); false at the end.
 */
bool dns_search_domain(size_t i, char domain[DNS_NAME_SIZE]);

/*
 * Asks these servers ("127.0.0.1:5353", commas between several) and no others; NULL: as resolv.conf
 * says.  Before there are threads.  False: malformed, and nothing has changed.
 */
bool dns_use_server(const char *server);

#endif
