// SPDX-License-Identifier: BSD-2-Clause
/* Text is parsed by inet_pton(3), which takes no short forms and asks no name server. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct net_addr net_addr_of(const struct sockaddr *sa, socklen_t len)
{
	struct net_addr addr = { .len = 0 };
	const struct sockaddr_in6 *in6 = (const void *)sa;
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (!sa || len < sizeof(sa->sa_family))
		return addr;
	if (sa->sa_family == AF_INET && len >= sizeof(in)) {
		memcpy(&addr.ss, sa, sizeof(in));
		addr.len = sizeof(in);
	} else if (sa->sa_family == AF_INET6 && len >= sizeof(*in6)) {
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			in.sin_port = in6->sin6_port;
			memcpy(&in.sin_addr, &in6->sin6_addr.s6_addr[12], 4);
			memcpy(&addr.ss, &in, sizeof(in));
			addr.len = sizeof(in);
		} else {
			memcpy(&addr.ss, in6, sizeof(*in6));
			addr.len = sizeof(*in6);
		}
	}
	return addr;
}

/* A NUL-terminated copy; false when it does not fit or has a NUL of its own. */
static bool copy_text(struct slice text, char *out, size_t size)
{
	if (!text.len || text.len >= size || slice_has_nul(text))
		return false;
	memcpy(out, text.ptr, text.len);
	out[text.len] = '\0';
	return true;
}

bool net_addr_parse(struct slice text, unsigned port, struct net_addr *addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	char copy[INET6_ADDRSTRLEN];

	if (!copy_text(text, copy, sizeof(copy)))
		return false;
	if (inet_pton(AF_INET, copy, &in.sin_addr) == 1)
		*addr = net_addr_of((struct sockaddr *)&in, sizeof(in));
	else if (inet_pton(AF_INET6, copy, &in6.sin6_addr) == 1)
		*addr = net_addr_of((struct sockaddr *)&in6, sizeof(in6));
	else
		return false;
	return true;
}

/* The address's bytes and their number: 4, 16, or 0 for no address. */
static size_t bytes_of(const struct net_addr *addr, const unsigned char **bytes)
{
	*bytes = (const unsigned char *)"";
	if (addr->len && addr->ss.ss_family == AF_INET) {
		*bytes = (const void *)&((const struct sockaddr_in *)&addr->ss)->sin_addr;
		return 4;
	}
	if (addr->len && addr->ss.ss_family == AF_INET6) {
		*bytes = ((const struct sockaddr_in6 *)&addr->ss)->sin6_addr.s6_addr;
		return 16;
	}
	return 0;
}

const char *net_addr_text(const struct net_addr *addr, char out[NET_ADDR_TEXT])
{
	const unsigned char *bytes;

	if (!bytes_of(addr, &bytes) || !inet_ntop(addr->ss.ss_family, bytes, out, NET_ADDR_TEXT))
		snprintf(out, NET_ADDR_TEXT, "unknown");
	return out;
}

unsigned net_addr_port(const struct net_addr *addr)
{
	if (addr->len && addr->ss.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&addr->ss)->sin_port);
	if (addr->len && addr->ss.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&addr->ss)->sin6_port);
	return 0;
}

bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
	const unsigned char *left, *right;
	size_t len = bytes_of(a, &left);

	return len == bytes_of(b, &right) && (len == 0 || memcmp(left, right, len) == 0);
}

bool net_addr_is_loopback(const struct net_addr *addr)
{
	static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
	const unsigned char *bytes;

	switch (bytes_of(addr, &bytes)) {
	case 4:
		return bytes[0] == 127;
	case 16:
		return memcmp(bytes, &loopback, 16) == 0;
	default:
		return false;
	}
}

bool net_addr_local(int fd, struct net_addr *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	*addr = (struct net_addr){ .len = 0 };
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return false;
	*addr = net_addr_of((struct sockaddr *)&ss, len);
	return true;
}

bool net_addr_peer(int fd, struct net_addr *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	*addr = (struct net_addr){ .len = 0 };
	if (getpeername(fd, (struct sockaddr *)&ss, &len) == -1)
		return false;
	*addr = net_addr_of((struct sockaddr *)&ss, len);
	return true;
}

static bool parse_port(struct slice text, unsigned *port)
{
	struct servent entry, *found = NULL;
	char name[64], buf[1024];
	uint64_t number;

	if (slice_uint(text, 65535, &number)) {
		*port = (unsigned)number;
		return true;
	}
	if (!copy_text(text, name, sizeof(name)) ||
	    getservbyname_r(name, "tcp", &entry, buf, sizeof(buf), &found) != 0 || !found)
		return false;
	*port = ntohs((uint16_t)found->s_port);
	return true;
}

bool net_parse_hostport(struct slice text, struct slice *host, unsigned *port)
{
	ptrdiff_t colon = slice_rfind(text, ':');

	if (slice_starts(text, "[")) {
		ptrdiff_t close = slice_find(text, ']');

		if (close < 2 || colon != close + 1)
			return false;
		*host = slice_from(slice_first(text, (size_t)close), 1);
		return parse_port(slice_from(text, (size_t)colon + 1), port);
	}
	/* An IPv6 address without brackets: its last group could as well be the port. */
	if (colon != slice_find(text, ':'))
		return false;
	*host = colon == -1 ? SLICE_NULL : slice_first(text, (size_t)colon);
	return parse_port(slice_from(text, (size_t)(colon + 1)), port);
}

static bool has_host_bits(const struct net_block *block)
{
	unsigned bits = block->family == AF_INET6 ? 128 : 32;

	for (unsigned i = block->prefix; i < bits; i++)
		if (block->bytes[i / 8] & (0x80 >> i % 8))
			return true;
	return false;
}

/* The parts of "ADDRESS/PREFIX" or "[ADDRESS]/PREFIX"; PREFIX is empty when there is no slash. */
static bool split_block(struct slice text, struct slice *address, struct slice *prefix)
{
	ptrdiff_t slash = slice_find(text, '/');

	*address = slash == -1 ? text : slice_first(text, (size_t)slash);
	*prefix = slash == -1 ? SLICE_NULL : slice_from(text, (size_t)slash + 1);
	if (slash != -1 && !prefix->len)
		return false;
	if (!slice_starts(*address, "["))
		return true;
	if (!slice_ends(*address, "]"))
		return false;
	*address = slice_from(slice_first(*address, address->len - 1), 1);
	return slice_find(*address, ':') != -1;
}

bool net_block_parse_any(struct slice text, struct net_block *block)
{
	struct slice address, prefix;
	const unsigned char *bytes;
	struct net_addr addr;
	uint64_t number;
	unsigned bits, written;

	if (!split_block(text, &address, &prefix) || !net_addr_parse(address, 0, &addr))
		return false;
	bits = (unsigned)bytes_of(&addr, &bytes) * 8;
	/* What was written as ::ffff:192.0.2.0/120 has become an IPv4 address. */
	written = slice_find(address, ':') == -1 ? 32 : 128;
	number = written;
	if (prefix.len && !slice_uint(prefix, written, &number))
		return false;
	if (number < written - bits)
		return false;
	*block = (struct net_block){ .family = addr.ss.ss_family,
		.prefix = (unsigned)number - (written - bits) };
	memcpy(block->bytes, bytes, bits / 8);
	return true;
}

bool net_block_parse(struct slice text, struct net_block *block)
{
	return net_block_parse_any(text, block) && !has_host_bits(block);
}

static bool same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

bool net_block_contains(const struct net_block *block, const struct net_addr *addr)
{
	const unsigned char *bytes;

	if (!bytes_of(addr, &bytes) || addr->ss.ss_family != block->family)
		return false;
	return same_prefix(block->bytes, bytes, block->prefix);
}

static unsigned prefix_of(const struct ifaddrs *interface, unsigned bits)
{
	const struct sockaddr *mask = interface->ifa_netmask;
	const unsigned char *bytes;
	unsigned prefix = 0;

	if (!mask)
		return bits;
	bytes = bits == 32 ? (const void *)&((const struct sockaddr_in *)mask)->sin_addr
			   : (const void *)&((const struct sockaddr_in6 *)mask)->sin6_addr;
	while (prefix < bits && bytes[prefix / 8] & (0x80 >> prefix % 8))
		prefix++;
	return prefix;
}

static socklen_t size_of_family(const struct sockaddr *sa)
{
	if (sa && sa->sa_family == AF_INET)
		return sizeof(struct sockaddr_in);
	if (sa && sa->sa_family == AF_INET6)
		return sizeof(struct sockaddr_in6);
	return 0;
}

size_t net_interfaces(struct net_addr *addrs, unsigned *prefixes, size_t max)
{
	struct ifaddrs *all;
	size_t count = 0;

	if (getifaddrs(&all) == -1)
		return 0;
	for (struct ifaddrs *i = all; i && count < max; i = i->ifa_next) {
		socklen_t len = size_of_family(i->ifa_addr);

		if (!len || !(i->ifa_flags & IFF_UP))
			continue;
		addrs[count] = net_addr_of(i->ifa_addr, len);
		prefixes[count] = prefix_of(i, i->ifa_addr->sa_family == AF_INET ? 32 : 128);
		count++;
	}
	freeifaddrs(all);
	return count;
}
