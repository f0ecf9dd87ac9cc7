// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who is the client: its address's name, and whether that name has the address
 * (smtpd_peername_lookup).  A name that is not confirmed is "unknown" to everything but
 * reject_unknown_reverse_client_hostname and its sisters.
 */
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "net/dns.h"
#include "smtpd/smtpd.h"

static bool has_address(
    const char *name, const struct net_addr *addr, int64_t deadline, bool *temporary)
{
	struct net_addr found[DNS_MAX_RECORDS];
	enum dns_result result;
	size_t count =
	    dns_addresses_of(name, addr->ss.ss_family, deadline, found, DNS_MAX_RECORDS, &result);

	for (size_t i = 0; i < count; i++)
		if (net_addr_equal(&found[i], addr))
			return true;
	char text[NET_ADDR_TEXT];

	*temporary = result == DNS_TEMPORARY;
	log_warning("hostname %s does not resolve to address %s%s", name, net_addr_text(addr, text),
	    result == DNS_FOUND ? "" : ": Name or service not known");
	return false;
}

void smtpd_peer_lookup(struct smtpd *s)
{
	const struct postfix_params *p = smtpd_server.params;
	char name[DNS_NAME_SIZE];
	enum dns_result result;
	int64_t deadline = deadline_in(p->postcote_dns_timeout * 1000);

	s->client_name = s->reverse_name = "unknown";
	if (!p->smtpd_peername_lookup || s->session.peer.len == 0)
		return;
	if (!dns_name_of(&s->session.peer, deadline, name, sizeof(name), &result)) {
		s->client_name_failed = s->reverse_name_failed = result == DNS_TEMPORARY;
		return;
	}
	s->reverse_name = arena_strdup(&s->client_arena, name);
	if (has_address(name, &s->session.peer, deadline, &s->client_name_failed))
		s->client_name = s->reverse_name;
}

static bool is_in(const struct match_list *list, const struct smtpd *s)
{
	return match_list_client(list, slice_of(s->client_name), &s->session.peer) == MATCH_YES;
}

void smtpd_peer_authorize(struct smtpd *s)
{
	s->may_xforward = is_in(smtpd_server.xforward_hosts, s);
}

void smtpd_peer_describe(struct smtpd *s)
{
	net_addr_text(&s->session.peer, s->client_address);
	net_addr_text(&s->session.local, s->server_address);
	s->name_addr = arena_printf(&s->client_arena, "%s[%s]", s->client_name, s->client_address);
	if (smtpd_server.params->smtpd_client_port_logging && s->session.peer.len > 0)
		s->name_addr = arena_printf(
		    &s->client_arena, "%s:%u", s->name_addr, net_addr_port(&s->session.peer));
	else if (smtpd_server.params->smtpd_client_port_logging)
		s->name_addr = arena_printf(&s->client_arena, "%s:unknown", s->name_addr);
	s->debugged = log_debugs() || (smtpd_server.params->debug_peer_level > 0 &&
					  is_in(smtpd_server.debug_peers, s));
	s->may_xverp = is_in(smtpd_server.verp_clients, s);
	s->may_xclient = is_in(smtpd_server.xclient_hosts, s);
}
