// SPDX-License-Identifier: BSD-2-Clause
/* What the system says about this host, and mynetworks made of it. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "conf/postfix_source.h"

#define ADDRESS_MAX 1000

struct ip {
	int family;
	uint8_t bytes[16];
	unsigned len;	 /* bytes */
	unsigned prefix; /* bits of the interface's network */
};

static bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip)
{
	if (sa && sa->sa_family == AF_INET) {
		*ip = (struct ip){ .family = AF_INET, .len = 4, .prefix = 32 };
		memcpy(ip->bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		return true;
	}
	if (sa && sa->sa_family == AF_INET6) {
		*ip = (struct ip){ .family = AF_INET6, .len = 16, .prefix = 128 };
		memcpy(ip->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		return true;
	}
	return false;
}

/* "192.0.2.1", "::1" or "[::1]", with "/prefix" or without. */
static bool ip_from_text(struct slice text, struct ip *ip)
{
	char address[INET6_ADDRSTRLEN];
	uint64_t prefix;
	ptrdiff_t slash = slice_find(text, '/');
	struct slice host = slash < 0 ? text : slice_first(text, (size_t)slash);
	host = slice_trim(host, "[]");
	if (host.len >= sizeof(address) || slice_has_nul(host))
		return false;
	memcpy(address, host.ptr ? host.ptr : "", host.len);
	address[host.len] = '\0';
	*ip = (struct ip){ 0 };
	ip->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	ip->len = ip->family == AF_INET ? 4 : 16;
	ip->prefix = 8 * ip->len;
	if (inet_pton(ip->family, address, ip->bytes) != 1)
		return false;
	if (slash >= 0) {
		if (!slice_uint(slice_from(text, (size_t)slash + 1), ip->prefix, &prefix))
			return false;
		ip->prefix = (unsigned)prefix;
	}
	return true;
}

static const char *ip_print(const struct ip *ip, char *text, size_t size)
{
	return inet_ntop(ip->family, ip->bytes, text, (socklen_t)size);
}

static unsigned mask_bits(const struct sockaddr *mask, unsigned family_bits)
{
	struct ip ip;
	unsigned bits = 0;
	if (!ip_from_sockaddr(mask, &ip))
		return family_bits;
	while (bits < 8 * ip.len && (ip.bytes[bits / 8] & (0x80 >> bits % 8)))
		bits++;
	return bits;
}

static void probe_interfaces(struct strbuf *out)
{
	struct ifaddrs *list;
	if (getifaddrs(&list) < 0)
		return;
	unsigned count = 0;
	for (struct ifaddrs *i = list; i && count < ADDRESS_MAX; i = i->ifa_next) {
		struct ip ip;
		char text[INET6_ADDRSTRLEN];
		if (!(i->ifa_flags & IFF_UP) || !ip_from_sockaddr(i->ifa_addr, &ip))
			continue;
		strbuf_addf(out, "i %s/%u\n", ip_print(&ip, text, sizeof(text)),
		    mask_bits(i->ifa_netmask, 8 * ip.len));
		count++;
	}
	freeifaddrs(list);
}

static void probe_name(struct strbuf *out, const char *name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	if (getaddrinfo(name, NULL, &hints, &list) != 0)
		return;
	for (struct addrinfo *i = list; i; i = i->ai_next) {
		struct ip ip;
		char text[INET6_ADDRSTRLEN];
		if (ip_from_sockaddr(i->ai_addr, &ip))
			strbuf_addf(out, "h %s %s\n", name, ip_print(&ip, text, sizeof(text)));
	}
	freeaddrinfo(list);
}

static bool is_keyword(struct slice word)
{
	return slice_caseeq_str(word, "all") || slice_caseeq_str(word, "loopback-only");
}

void postfix_environment_probe(struct postfix_environment *environment, const char *names)
{
	char host[POSTFIX_HOSTNAME_LIMIT + 1] = "";
	if (gethostname(host, sizeof(host) - 1) == 0) {
		free(environment->hostname);
		environment->hostname = xstrdup(host);
	}
	strbuf_reset(&environment->addresses);
	probe_interfaces(&environment->addresses);
	struct strbuf word = STRBUF_INIT(POSTFIX_HOSTNAME_LIMIT);
	while (postfix_list_next(&names, &word)) {
		struct ip ip;
		if (!word.overflow && !is_keyword(strbuf_slice(&word)) &&
		    !ip_from_text(strbuf_slice(&word), &ip))
			probe_name(&environment->addresses, word.ptr);
	}
	strbuf_release(&word);
}

/* ---- mynetworks ---- */

struct ip_list {
	struct ip list[ADDRESS_MAX];
	size_t count;
};

static bool is_loopback(const struct ip *ip)
{
	static const uint8_t loopback6[16] = { [15] = 1 };
	return ip->family == AF_INET ? ip->bytes[0] == 127 : memcmp(ip->bytes, loopback6, 16) == 0;
}

static bool is_same_address(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static void mask_host_bits(struct ip *ip)
{
	for (unsigned bit = ip->prefix; bit < 8 * ip->len; bit++)
		ip->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

/* The network of an interface for the style; classes exist in IPv4 only. */
static bool apply_style(struct ip *ip, const char *style)
{
	bool is_class = strcmp(style, "class") == 0;
	if (strcmp(style, "host") == 0)
		ip->prefix = 8 * ip->len;
	else if (is_class && ip->family == AF_INET)
		ip->prefix = ip->bytes[0] < 128 ? 8 : ip->bytes[0] < 192 ? 16 : 24;
	else if (!is_class && strcmp(style, "subnet") != 0)
		return false;
	mask_host_bits(ip);
	return true;
}

/* A word of inet_interfaces names this address. */
static bool word_names(
    const struct postfix_environment *environment, struct slice word, const struct ip *ip)
{
	struct ip other;
	if (slice_caseeq_str(word, "all"))
		return true;
	if (slice_caseeq_str(word, "loopback-only"))
		return is_loopback(ip);
	if (ip_from_text(word, &other))
		return is_same_address(ip, &other);
	struct slice rest = strbuf_slice(&environment->addresses), line;
	while (slice_token(&rest, "\n", &line)) {
		struct slice kind, name, address;
		if (slice_token(&line, " ", &kind) && slice_eq_str(kind, "h") &&
		    slice_token(&line, " ", &name) && slice_caseeq(name, word) &&
		    slice_token(&line, " ", &address) && ip_from_text(address, &other) &&
		    is_same_address(ip, &other))
			return true;
	}
	return false;
}

static bool list_names(
    const struct postfix_environment *environment, const char *interfaces, const struct ip *ip)
{
	struct strbuf word = STRBUF_INIT(POSTFIX_HOSTNAME_LIMIT);
	bool found = false;
	while (!found && postfix_list_next(&interfaces, &word))
		found = word_names(environment, strbuf_slice(&word), ip);
	strbuf_release(&word);
	return found;
}

static bool protocols_allow(const char *protocols, int family)
{
	struct strbuf word = STRBUF_INIT(64);
	bool found = false;
	while (!found && postfix_list_next(&protocols, &word))
		found = strcmp(word.ptr, "all") == 0 ||
			strcmp(word.ptr, family == AF_INET ? "ipv4" : "ipv6") == 0;
	strbuf_release(&word);
	return found;
}

static void add_once(struct ip_list *ips, const struct ip *ip)
{
	for (size_t i = 0; i < ips->count; i++)
		if (is_same_address(&ips->list[i], ip) && ips->list[i].prefix == ip->prefix)
			return;
	if (ips->count < ADDRESS_MAX)
		ips->list[ips->count++] = *ip;
}

static void print_network(struct strbuf *out, const struct ip *ip)
{
	char text[INET6_ADDRSTRLEN];
	bool v6 = ip->family == AF_INET6;
	ip_print(ip, text, sizeof(text));
	strbuf_addf(out, "%s%s%s%s/%u", out->len > 0 ? " " : "", v6 ? "[" : "", text, v6 ? "]" : "",
	    ip->prefix);
}

bool postfix_environment_networks(const struct postfix_environment *environment, const char *style,
    const char *interfaces, const char *protocols, struct strbuf *out)
{
	struct ip_list *ips = xcalloc(1, sizeof(*ips));
	struct slice rest = strbuf_slice(&environment->addresses), line;
	struct ip ip = { .family = AF_INET, .len = 4 };
	bool known = apply_style(&ip, style);
	while (known && slice_token(&rest, "\n", &line)) {
		if (!slice_starts(line, "i ") || !ip_from_text(slice_from(line, 2), &ip) ||
		    !protocols_allow(protocols, ip.family) ||
		    !list_names(environment, interfaces, &ip))
			continue;
		apply_style(&ip, style);
		add_once(ips, &ip);
	}
	for (size_t i = 0; i < ips->count; i++)
		print_network(out, &ips->list[i]);
	free(ips);
	return known;
}
