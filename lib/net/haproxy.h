// SPDX-License-Identifier: BSD-2-Clause
/*
 * The header that a proxy in front of us sends before the client's first byte (haproxy's PROXY
 * protocol, versions 1 and 2, https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt): who the
 * client is, and where it connected to.  Pure.
 */
#ifndef PC_NET_HAPROXY_H
#define PC_NET_HAPROXY_H

#include <stdbool.h>

#include "base/slice.h"
#include "net/addr.h"

/* A longer header is none. */
#define HAPROXY_MAX 536

enum haproxy_result {
	HAPROXY_MORE, /* it may become one: read on */
	HAPROXY_DONE,
	HAPROXY_BAD
};

struct haproxy_header {
	size_t length; /* DONE: so many bytes were it; the client's follow */
	/* The proxy speaks for itself (a health check): there are no addresses. */
	bool local;
	struct net_addr client, server;
	const char *error; /* BAD: why; a static text */
};

/* All bytes there are so far, at most HAPROXY_MAX. */
enum haproxy_result haproxy_parse(struct slice in, struct haproxy_header *header);
/* What is wrong with a header that is not going to be complete. */
const char *haproxy_incomplete(struct slice in);

#endif
