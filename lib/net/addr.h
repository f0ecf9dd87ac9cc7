// SPDX-License-Identifier: BSD-2-Clause
/* Network addresses, ports and blocks.  IPv4-mapped IPv6 addresses are turned into IPv4. */
#ifndef PC_NET_ADDR_H
#define PC_NET_ADDR_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/slice.h"

struct net_addr {
	struct sockaddr_storage ss;
	socklen_t len; /* 0: no address (a UNIX socket's peer) */
};

#define NET_ADDR_TEXT 64

struct net_addr net_addr_of(const struct sockaddr *sa, socklen_t len);
/* A literal without brackets, "192.0.2.1" or "2001:db8::1"; PORT in host order. */
bool net_addr_parse(struct slice text, unsigned port, struct net_addr *addr);
/* The literal without port: "192.0.2.1", "2001:db8::1"; "unknown" for no address. */
const char *net_addr_text(const struct net_addr *addr, char out[NET_ADDR_TEXT]);
unsigned net_addr_port(const struct net_addr *addr);
bool net_addr_equal(const struct net_addr *a, const struct net_addr *b); /* without the port */
bool net_addr_is_loopback(const struct net_addr *addr);
bool net_addr_local(int fd, struct net_addr *addr); /* getsockname */
bool net_addr_peer(int fd, struct net_addr *addr);  /* getpeername */

/*
 * "HOST:PORT", "[HOST]:PORT" or "PORT" as master.cf and smtpd_sasl_path write them; HOST is empty
 * when absent.  PORT may be a service name (getservbyname).  False when malformed.
 */
bool net_parse_hostport(struct slice text, struct slice *host, unsigned *port);

struct net_block {
	int family;
	unsigned char bytes[16];
	unsigned prefix;
};
/*
 * "192.0.2.0/24", "[2001:db8::]/32", "[::1]/128", "192.0.2.1".  False when malformed or when host
 * bits are set.
 */
bool net_block_parse(struct slice text, struct net_block *block);
/* The same with host bits, as dovecot.conf has them: they do not count. */
bool net_block_parse_any(struct slice text, struct net_block *block);
bool net_block_contains(const struct net_block *block, const struct net_addr *addr);

/*
 * The addresses of this host's interfaces, each with its netmask as prefix, at most MAX; returns
 * the number.
 */
size_t net_interfaces(struct net_addr *addrs, unsigned *prefixes, size_t max);

#endif
