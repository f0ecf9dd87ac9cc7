// SPDX-License-Identifier: BSD-2-Clause
#include <netdb.h>
#include <string.h>

#include "base/strbuf.h"
#include "smtp/smtp_target_internal.h"

#define SEPARATORS ", \t\r\n"
#define PORT_MAX   65535

bool smtp_nexthop_item(const char *nexthop, size_t i, struct arena *arena, const char **item)
{
	struct slice rest = slice_of(nexthop), word;

	while (slice_token(&rest, SEPARATORS, &word))
		if (i-- == 0) {
			*item = arena_slicedup(arena, word);
			return true;
		}
	return false;
}

/* known_tcp_ports: "smtps=submissions=465, ...". */
static bool find_known_port(struct slice service, unsigned *port)
{
	struct slice rest = slice_of(smtp_params->known_tcp_ports), row;

	while (slice_token(&rest, SEPARATORS, &row)) {
		ptrdiff_t equals = slice_rfind(row, '=');
		struct slice names, name;
		uint64_t value;

		if (equals == -1 ||
		    !slice_uint(slice_from(row, (size_t)equals + 1), PORT_MAX, &value))
			continue;
		names = slice_first(row, (size_t)equals);
		while (slice_token(&names, "=", &name))
			if (slice_caseeq(name, service)) {
				*port = (unsigned)value;
				return true;
			}
	}
	return false;
}

static bool find_port(const char *service, unsigned *port)
{
	struct servent entry, *found = NULL;
	char buffer[1024];
	uint64_t value;

	if (slice_uint(slice_of(service), PORT_MAX, &value)) {
		*port = (unsigned)value;
		return value != 0;
	}
	if (find_known_port(slice_of(service), port))
		return true;
	if (getservbyname_r(service, "tcp", &entry, buffer, sizeof(buffer), &found) != 0 || !found)
		return false;
	*port = ntohs((uint16_t)found->s_port);
	return true;
}

/* Splits off ":SERVICE"; an IPv6 address without brackets has none. */
static bool split(struct slice text, struct slice *host, struct slice *service, bool *brackets)
{
	ptrdiff_t at = slice_find(text, ']');
	struct net_addr addr;

	*service = SLICE_NULL;
	*brackets = slice_starts(text, "[");
	if (*brackets) {
		if (at == -1)
			return false;
		*host = slice_mem(text.ptr + 1, (size_t)at - 1);
		text = slice_from(text, (size_t)at + 1);
		*service = slice_from(text, 1);
		return host->len > 0 && (text.len == 0 || (text.ptr[0] == ':' && service->len));
	}
	*host = text;
	at = slice_rfind(text, ':');
	if (at == -1 || net_addr_parse(text, 0, &addr))
		return text.len > 0;
	*host = slice_first(text, (size_t)at);
	*service = slice_from(text, (size_t)at + 1);
	return host->len > 0 && service->len > 0;
}

bool target_place_parse(const char *destination, const char *service, struct arena *arena,
    struct target_place *place, struct smtp_failure *failure)
{
	struct slice host, own_service;

	if (!split(slice_of(destination), &host, &own_service, &place->brackets)) {
		target_failed(failure, "4.3.5", "bad next-hop destination: %s", destination);
		return false;
	}
	if (place->brackets && slice_casestarts(host, "ipv6:"))
		host = slice_from(host, strlen("ipv6:"));
	place->host = arena_slicedup(arena, host);
	place->service = own_service.len ? arena_slicedup(arena, own_service) : service;
	if (!find_port(place->service, &place->port)) {
		target_failed(failure, "4.3.5", "unknown service: %s/tcp", place->service);
		return false;
	}
	return true;
}
