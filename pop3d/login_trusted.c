// SPDX-License-Identifier: BSD-2-Clause
/*
 * Those who speak for a client: a proxy in front of us with haproxy's header, and proxies of the
 * peer's kind, whose XCLIENT says who the client is.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "net/haproxy.h"
#include "pop3d/login.h"
#include "sys/socket.h"

/* ---- haproxy ---- */

static bool refuse_proxy(struct login *l, enum log_level level, const char *what, const char *why)
{
	char rip[NET_ADDR_TEXT];

	log_as(NULL, level, "haproxy: Client %s (rip=%s)%s%s", what,
	    net_addr_text(&l->real_peer, rip), why[0] != '\0' ? ": " : "", why);
	l->silent = true;
	return false;
}

/* Bytes that are there, not taken: what follows the header is the client's. */
static ssize_t look(int fd, int64_t deadline, void *to, size_t size)
{
	if (socket_wait(fd, POLLIN, deadline) != 1) {
		errno = ETIMEDOUT;
		return -1;
	}
	return recv(fd, to, size, MSG_PEEK | MSG_DONTWAIT);
}

static bool take(int fd, char *to, size_t size)
{
	return size == 0 || recv(fd, to, size, MSG_DONTWAIT) == (ssize_t)size;
}

/* Version 1's word for a proxy that does not know, which is to be believed. */
static enum haproxy_result parse(struct slice all, struct haproxy_header *header)
{
	ptrdiff_t end = slice_find(all, '\n');

	if (end < 0 || !slice_starts(all, "PROXY UNKNOWN"))
		return haproxy_parse(all, header);
	*header = (struct haproxy_header){ .length = (size_t)end + 1, .local = true };
	return HAPROXY_DONE;
}

static bool read_header(struct login *l, int64_t deadline, struct haproxy_header *header)
{
	int fd = stream_fd(l->session.stream);
	char bytes[HAPROXY_MAX];
	size_t have = 0;

	for (;;) {
		ssize_t got = look(fd, deadline, bytes + have, sizeof(bytes) - have);

		if (got < 0 && errno == ETIMEDOUT)
			return refuse_proxy(l, LOG_LEVEL_ERROR, "timed out", "");
		if (got <= 0)
			return refuse_proxy(l, LOG_LEVEL_INFO, "disconnected",
			    got < 0 ? strerrordesc_np(errno) : "");
		switch (parse(slice_mem(bytes, have + (size_t)got), header)) {
		case HAPROXY_MORE:
			if (!take(fd, bytes + have, (size_t)got))
				return refuse_proxy(l, LOG_LEVEL_INFO, "disconnected", "");
			have += (size_t)got;
			break;
		case HAPROXY_BAD:
			return refuse_proxy(l, LOG_LEVEL_ERROR,
			    "disconnected: Failed to read valid HAproxy data", "");
		case HAPROXY_DONE:
			return take(fd, bytes + have, header->length - have) ||
			       refuse_proxy(l, LOG_LEVEL_INFO, "disconnected", "");
		}
	}
}

bool login_read_proxy(struct login *l)
{
	const struct dovecot_settings *set = l->config->set;
	struct haproxy_header header;

	if (!login_config_contains(set->haproxy_trusted_networks, &l->real_peer))
		return refuse_proxy(l, LOG_LEVEL_WARNING, "not trusted", "");
	if (!read_header(l, deadline_in(set->haproxy_timeout * 1000), &header))
		return false;
	if (!header.local) {
		l->session.peer = header.client;
		l->session.local = header.server;
	}
	return true;
}

/* ---- XCLIENT ---- */

/* Ports count too, for the log. */
static bool set_client(struct login *l, struct slice addr, struct slice port)
{
	struct net_addr client;
	uint64_t number = net_addr_port(&l->session.peer);

	if (port.ptr != NULL && !slice_uint(port, 65535, &number))
		return false;
	if (addr.ptr == NULL) {
		char text[NET_ADDR_TEXT];

		return net_addr_parse(slice_of(net_addr_text(&l->session.peer, text)),
		    (unsigned)number, &l->session.peer);
	}
	if (!net_addr_parse(addr, (unsigned)number, &client))
		return false;
	l->session.peer = client;
	return true;
}

static bool is_session_id(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~' || text.ptr[i] == '<' ||
		    text.ptr[i] == '>')
			return false;
	return text.len > 0;
}

void login_xclient(struct login *l, struct slice args)
{
	struct slice rest = args, word, addr = SLICE_NULL, port = SLICE_NULL, session = SLICE_NULL;

	if (!l->trusted) {
		login_reply(l, true, "You are not from trusted IP - ignoring");
		return;
	}
	while (slice_token(&rest, " ", &word)) {
		if (slice_casestarts(word, "ADDR="))
			addr = slice_from(word, 5);
		else if (slice_casestarts(word, "PORT="))
			port = slice_from(word, 5);
		else if (slice_casestarts(word, "SESSION="))
			session = slice_from(word, 8);
	}
	if (!set_client(l, addr, port)) {
		login_reply(l, false, "Invalid parameters");
		return;
	}
	if (is_session_id(session) && session.len < sizeof(l->session_id))
		(void)snprintf(l->session_id, sizeof(l->session_id), "%.*s", SLICE_ARG(session));
	login_configure(l);
	login_reply(l, true, "Updated");
}
