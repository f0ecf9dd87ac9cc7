// SPDX-License-Identifier: BSD-2-Clause
/*
 * What XCLIENT and XFORWARD say of a client: NAME=VALUE words with values in xtext (RFC 3461 4),
 * "[UNAVAILABLE]" and "[TEMPUNAVAIL]".  Pure: who may say it, and what becomes of it, is the
 * callers' (smtpd_xclient.c, smtpd_xforward.c).
 */
#ifndef PC_SMTPD_CLIENT_ATTRS_H
#define PC_SMTPD_CLIENT_ATTRS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "net/addr.h"

enum client_attr {
	CLIENT_NAME,
	CLIENT_ADDR,
	CLIENT_PORT,
	CLIENT_PROTO,
	CLIENT_HELO,
	CLIENT_REVERSE_NAME,
	CLIENT_LOGIN,
	CLIENT_DESTADDR,
	CLIENT_DESTPORT,
	CLIENT_SOURCE,
	CLIENT_IDENT,
	CLIENT_ATTRS
};
#define CLIENT_BIT(attr) (1u << (attr))

enum client_attrs_command { ATTRS_XCLIENT, ATTRS_XFORWARD };

/* A value is decoded and harmless text; NULL where it was not given or is [UNAVAILABLE]. */
struct client_attrs {
	unsigned given, temporary; /* bits of attributes; [TEMPUNAVAIL] */
	const char *value[CLIENT_ATTRS];
	struct net_addr addr, dest_addr; /* without ports */
};

/*
 * Adds to OUT (which may hold what earlier commands said) what ARGS say; texts lie in ARENA.  True,
 * or false with the text of the refusal ("Bad NAME syntax: x") in ERROR; OUT is then of no use.
 */
bool client_attrs_parse(enum client_attrs_command command, struct slice args, struct arena *arena,
    struct client_attrs *out, struct strbuf *error);

#endif
