// SPDX-License-Identifier: BSD-2-Clause
#include <netdb.h>
#include <string.h>

#include "log/log.h"
#include "net/dns_wire.h"
#include "net/idna.h"
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

/* NULL, or what is wrong. */
static const char *split(
    struct slice text, struct slice *host, struct slice *service, bool *brackets)
{
	ptrdiff_t at = slice_find(text, ']');

	*service = SLICE_NULL;
	*brackets = slice_starts(text, "[");
	if (*brackets) {
		if (at == -1)
			return "missing \"]\" in server description";
		*host = slice_mem(text.ptr + 1, (size_t)at - 1);
		text = slice_from(text, (size_t)at + 1);
		*service = slice_from(text, 1);
		return text.len && text.ptr[0] != ':' ? "garbage after \"]\" in server description"
						      : NULL;
	}
	at = slice_rfind(text, ':');
	*host = at == -1 ? text : slice_first(text, (size_t)at);
	if (at != -1)
		*service = slice_from(text, (size_t)at + 1);
	return host->len ? NULL : "missing host information in server description";
}

static bool take_host(struct target_place *place, struct arena *arena)
{
	char ascii[DNS_NAME_SIZE];
	struct net_addr addr;

	place->ascii = place->host;
	if (net_addr_parse(slice_of(place->host), 0, &addr))
		return true;
	if (!idna_to_ascii(place->host, ascii) || !dns_name_is_host(ascii) ||
	    dns_name_is_number(ascii))
		return false;
	place->ascii = arena_strdup(arena, ascii);
	return true;
}

/* A next hop that makes no sense is a mistake of this host, which may be mended. */
static bool bad_destination(
    struct smtp_failure *failure, const char *trouble, const char *destination)
{
	log_warning("%s: %s", trouble, destination);
	target_failed(failure, "4.3.5", "%s: %s", trouble, destination);
	failure->stop = true;
	return false;
}

bool target_place_parse(const char *destination, const char *service, struct arena *arena,
    struct target_place *place, struct smtp_failure *failure)
{
	struct slice host, own_service;
	const char *trouble;

	trouble = split(slice_of(destination), &host, &own_service, &place->brackets);
	if (trouble)
		return bad_destination(failure, trouble, destination);
	if (place->brackets && slice_casestarts(host, "ipv6:"))
		host = slice_from(host, strlen("ipv6:"));
	place->host = arena_slicedup(arena, host);
	if (!take_host(place, arena))
		return bad_destination(failure,
		    "valid hostname or network address required in server description",
		    destination);
	place->service = own_service.len ? arena_slicedup(arena, own_service) : service;
	if (find_port(place->service, &place->port))
		return true;
	if (ascii_isdigit(place->service[0]))
		return bad_destination(failure, "bad network port for destination", destination);
	return bad_destination(failure, "unknown service", place->service);
}
