// SPDX-License-Identifier: BSD-2-Clause
/* The addresses that are this host's, from inet_interfaces or proxy_interfaces. */
#ifndef PC_REWRITE_OWN_ADDR_H
#define PC_REWRITE_OWN_ADDR_H

#include <stdbool.h>

#include "net/addr.h"

struct own_addrs {
	struct net_addr *list;
	size_t count;
};

/*
 * Adds what VALUE names: "all" (every interface), "loopback-only", addresses, host names (looked up
 * now: before serving only).  What cannot be looked up is a warning with PARAMETER's name.
 */
void own_addrs_add(struct own_addrs *own, const char *parameter, const char *value);
bool own_addrs_have(const struct own_addrs *own, const struct net_addr *addr);
void own_addrs_release(struct own_addrs *own);

#endif
