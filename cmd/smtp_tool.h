// SPDX-License-Identifier: BSD-2-Clause
/* What smtp-source and smtp-sink share: addresses on the command line, options with numbers. */
#ifndef PC_CMD_SMTP_TOOL_H
#define PC_CMD_SMTP_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct smtp_tool_address {
	int family;
	struct sockaddr_storage ss;
	socklen_t len;
};

#define SMTP_TOOL_ADDRESSES 64

/*
 * Addresses of "unix:PATH", "[inet:]HOST[:PORT]", "[HOST]:PORT" and ":PORT", of FAMILY (AF_UNSPEC:
 * any), in the resolver's order.  PASSIVE: to listen at; an empty host is every one of ours, and a
 * PORT there has to be.  Fatal where there is none.
 */
size_t smtp_tool_addresses(
    const char *text, int family, bool passive, struct smtp_tool_address list[SMTP_TOOL_ADDRESSES]);

/* A number of at least LEAST; otherwise fatal: "bad WHAT: TEXT". */
long smtp_tool_number(const char *text, long least, const char *what);
/* -T: buffers of a socket, before it listens or connects. */
void smtp_tool_window(int fd, int bytes);

#endif
