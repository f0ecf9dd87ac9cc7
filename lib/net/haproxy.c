// SPDX-License-Identifier: BSD-2-Clause
#include "net/haproxy.h"

#include <netinet/in.h>
#include <string.h>

#include "base/cursor.h"

#define V1_BEGIN     "PROXY "
#define V2_SIGNATURE SLICE_LIT("\r\n\r\n\0\r\nQUIT\n")
#define V2_FIXED     16
/* Bytes that are too few for any header. */
#define SHORT 16

enum { V2_LOCAL = 0x20, V2_PROXY = 0x21, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

static enum haproxy_result bad(struct haproxy_header *h, const char *error)
{
	h->error = error;
	return HAPROXY_BAD;
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 1025 25" ---- */

static bool next_address(struct slice *rest, bool v6, unsigned port, struct net_addr *addr)
{
	struct slice word;

	return slice_token(rest, " ", &word) && (slice_find(word, ':') >= 0) == v6 &&
	       net_addr_parse(word, port, addr);
}

static bool next_port(struct slice *rest, struct net_addr *addr)
{
	struct slice word;
	uint64_t port;

	if (!slice_token(rest, " ", &word) || !slice_uint(word, 65535, &port) ||
	    (word.len > 1 && word.ptr[0] == '0'))
		return false;
	if (addr->ss.ss_family == AF_INET)
		((struct sockaddr_in *)&addr->ss)->sin_port = htons((uint16_t)port);
	else
		((struct sockaddr_in6 *)&addr->ss)->sin6_port = htons((uint16_t)port);
	return true;
}

static enum haproxy_result parse_line(struct slice line, struct haproxy_header *h)
{
	struct slice rest = slice_from(line, strlen(V1_BEGIN)), word;
	bool v6;

	if (!slice_token(&rest, " ", &word) ||
	    (!slice_eq_str(word, "TCP4") && !slice_eq_str(word, "TCP6")))
		return bad(h, "bad or missing protocol type");
	v6 = slice_eq_str(word, "TCP6");
	if (!next_address(&rest, v6, 0, &h->client))
		return bad(h, "bad or missing client address");
	if (!next_address(&rest, v6, 0, &h->server))
		return bad(h, "bad or missing server address");
	if (!next_port(&rest, &h->client))
		return bad(h, "bad or missing client port");
	if (!next_port(&rest, &h->server))
		return bad(h, "bad or missing server port");
	return HAPROXY_DONE;
}

static enum haproxy_result parse_v1(struct slice in, struct haproxy_header *h)
{
	ptrdiff_t end = slice_find(in, '\n');
	struct slice line;

	if (end < 0)
		return in.len < HAPROXY_MAX ? HAPROXY_MORE
					    : bad(h, "missing protocol header terminator");
	h->length = (size_t)end + 1;
	line = slice_first(in, (size_t)end);
	if (slice_ends(line, "\r"))
		line.len--;
	if (slice_has_nul(line))
		return bad(h, "missing protocol header terminator");
	if (line.len < strlen("PROXY TCP4 "))
		return bad(h, "short protocol header");
	return parse_line(line, h);
}

/* ---- version 2: binary ---- */

static struct net_addr v4_of(struct slice address, struct slice port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	memcpy(&in.sin_addr, address.ptr, 4);
	memcpy(&in.sin_port, port.ptr, 2);
	return net_addr_of((const struct sockaddr *)&in, sizeof(in));
}

static struct net_addr v6_of(struct slice address, struct slice port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memcpy(&in6.sin6_addr, address.ptr, 16);
	memcpy(&in6.sin6_port, port.ptr, 2);
	return net_addr_of((const struct sockaddr *)&in6, sizeof(in6));
}

/* What follows the addresses (TLVs) is nothing to us. */
static enum haproxy_result parse_v2_addresses(struct cursor *c, bool v6, struct haproxy_header *h)
{
	size_t size = v6 ? 16 : 4;
	struct slice client = cursor_take(c, size), server = cursor_take(c, size);
	struct slice client_port = cursor_take(c, 2), server_port = cursor_take(c, 2);

	if (c->failed)
		return bad(h, "short address field");
	h->client = v6 ? v6_of(client, client_port) : v4_of(client, client_port);
	h->server = v6 ? v6_of(server, server_port) : v4_of(server, server_port);
	return HAPROXY_DONE;
}

static enum haproxy_result parse_v2(struct slice in, struct haproxy_header *h)
{
	struct cursor c = cursor_of(in);
	unsigned command, family;
	size_t length;

	cursor_take(&c, V2_SIGNATURE.len);
	command = cursor_u8(&c);
	family = cursor_u8(&c);
	length = (size_t)cursor_u8(&c) << 8;
	length |= cursor_u8(&c);
	if (c.failed)
		return HAPROXY_MORE;
	if (command >> 4 != 2)
		return bad(h, "unrecognized protocol version");
	if (command != V2_LOCAL && command != V2_PROXY)
		return bad(h, "bad command in proxy header");
	if (command == V2_PROXY && family != V2_TCP4 && family != V2_TCP6)
		return bad(h, "unsupported network protocol");
	if (V2_FIXED + length > HAPROXY_MAX)
		return bad(h, "short version 2 protocol header");
	if (in.len < V2_FIXED + length)
		return HAPROXY_MORE;
	h->length = V2_FIXED + length;
	h->local = command == V2_LOCAL;
	if (h->local)
		return HAPROXY_DONE;
	c = cursor_of(slice_from(slice_first(in, h->length), V2_FIXED));
	return parse_v2_addresses(&c, family == V2_TCP6, h);
}

/* ---- */

/* IN is, as far as it goes, the beginning of WHOLE or begins with it. */
static bool may_be(struct slice in, struct slice whole)
{
	size_t len = in.len < whole.len ? in.len : whole.len;

	return slice_eq(slice_first(in, len), slice_first(whole, len));
}

enum haproxy_result haproxy_parse(struct slice in, struct haproxy_header *header)
{
	memset(header, 0, sizeof(*header));
	if (in.len == 0)
		return HAPROXY_MORE;
	if (may_be(in, V2_SIGNATURE))
		return parse_v2(in, header);
	if (may_be(in, SLICE_LIT(V1_BEGIN)))
		return parse_v1(in, header);
	return bad(
	    header, in.len < SHORT ? "short protocol header" : "unrecognized protocol header");
}

const char *haproxy_incomplete(struct slice in)
{
	if (in.len > 0 && may_be(in, V2_SIGNATURE))
		return "short version 2 protocol header";
	return "missing protocol header terminator";
}
