// SPDX-License-Identifier: BSD-2-Clause
/*
 * XCLIENT: a proxy in front of us says who its client is, and from then on the session is that
 * client's: names, limits, restrictions, greeting, everything begins anew.  All that it says counts
 * or, where one attribute is wrong, nothing.
 */
#include "smtpd/smtpd_xclient.h"

#include <string.h>

#include "smtpd/client_attrs.h"
#include "smtpd/smtpd.h"

static bool is_given(const struct client_attrs *said, enum client_attr attr)
{
	return said->given & CLIENT_BIT(attr);
}

/* The name that was said, or the old one, which must outlive its arena. */
static const char *name_of(
    const struct client_attrs *said, enum client_attr attr, const char *old, struct arena *arena)
{
	if (!is_given(said, attr))
		return arena_strdup(arena, old);
	return said->value[attr] != NULL ? said->value[attr] : "unknown";
}

static void take_address(const struct client_attrs *said, enum client_attr addr_attr,
    const struct net_addr *new, enum client_attr port_attr, struct net_addr *addr)
{
	unsigned port = addr->len > 0 ? net_addr_port(addr) : 0;
	char text[NET_ADDR_TEXT];
	uint64_t said_port = 0;

	if (is_given(said, addr_attr))
		*addr = *new;
	if (is_given(said, port_attr)) {
		slice_uint(slice_of(said->value[port_attr]), 65535, &said_port);
		port = (unsigned)said_port;
	}
	if (addr->len > 0)
		net_addr_parse(slice_of(net_addr_text(addr, text)), port, addr);
}

static void take_names(struct smtpd *s, const struct client_attrs *said, struct arena *arena)
{
	s->client_name = name_of(said, CLIENT_NAME, s->client_name, arena);
	s->reverse_name = name_of(said, CLIENT_REVERSE_NAME, s->reverse_name, arena);
	if (is_given(said, CLIENT_NAME))
		s->client_name_failed = said->temporary & CLIENT_BIT(CLIENT_NAME);
	if (is_given(said, CLIENT_REVERSE_NAME))
		s->reverse_name_failed = said->temporary & CLIENT_BIT(CLIENT_REVERSE_NAME);
}

/* ARENA, where what was said lies, becomes the session's. */
static void become(struct smtpd *s, const struct client_attrs *said, struct arena *arena)
{
	const char *login = said->value[CLIENT_LOGIN];
	const char *protocol = said->value[CLIENT_PROTO];

	smtpd_session_reset(s);
	smtpd_forget_forwarded(s);
	take_names(s, said, arena);
	arena_release(&s->client_arena);
	s->client_arena = *arena;
	take_address(said, CLIENT_ADDR, &said->addr, CLIENT_PORT, &s->session.peer);
	take_address(said, CLIENT_DESTADDR, &said->dest_addr, CLIENT_DESTPORT, &s->session.local);
	s->helo = said->value[CLIENT_HELO];
	s->esmtp = protocol != NULL && slice_caseeq_str(slice_of(protocol), "ESMTP");
	s->sasl_method = login != NULL ? "XCLIENT" : NULL;
	s->sasl_username = s->session.user = login;
	s->hidden_is_known = false;
	smtpd_peer_describe(s);
	smtpd_welcome(s);
}

void smtpd_xclient(struct smtpd *s, struct slice args)
{
	struct strbuf error = STRBUF_INIT(1000);
	struct client_attrs said = { 0 };
	struct arena arena = ARENA_INIT;

	if (args.len == 0) {
		smtpd_reply(s, 501, "5.5.4", "Syntax: XCLIENT attribute=value...");
	} else if (!s->may_xclient) {
		smtpd_reply(s, 550, "5.7.0", "Error: insufficient authorization");
	} else if (!client_attrs_parse(ATTRS_XCLIENT, args, &arena, &said, &error)) {
		smtpd_reply(s, 501, "5.5.4", "%s", error.ptr);
		arena_release(&arena);
	} else {
		become(s, &said, &arena);
	}
	strbuf_release(&error);
}
