// SPDX-License-Identifier: BSD-2-Clause
/*
 * The header is read past the stream, with looks at what is there first, so that no byte of the
 * client behind it, a TLS handshake perhaps, is taken.
 */
#include "smtpd/smtpd_haproxy.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "net/haproxy.h"
#include "smtpd/smtpd.h"

#define PROTOCOL "haproxy"

static bool has_proxy;

void smtpd_haproxy_open(const struct postfix_params *params)
{
	const char *protocol = params->smtpd_upstream_proxy_protocol;

	has_proxy = protocol[0] != '\0';
	if (has_proxy && strcmp(protocol, PROTOCOL) != 0)
		fatal("unknown smtpd_upstream_proxy_protocol value: %s", protocol);
}

/* As the peer shows foreign bytes. */
static void log_bad(const char *error, struct slice bytes)
{
	struct strbuf text = STRBUF_INIT(4 * HAPROXY_MAX + 1);

	escape_encode(&text, bytes);
	log_warning("haproxy read: %s: %s", error, text.ptr);
	strbuf_release(&text);
}

/* Looks at more of what comes, up to SIZE bytes; 0 or less when there is no more (logged). */
static ssize_t look(int fd, int64_t deadline, char *to, size_t size, struct slice before)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t got;

	do {
		int ready = poll(&pfd, 1, deadline_left(deadline));

		if (ready == 0) {
			log_warning("haproxy read: timeout error");
			return -1;
		}
		got = recv(fd, to, size, MSG_PEEK | MSG_DONTWAIT);
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got < 0)
		log_warning("haproxy read: %s", strerror(errno));
	else if (got == 0 && before.len == 0)
		log_warning("haproxy read: EOF");
	else if (got == 0)
		log_bad(haproxy_incomplete(before), before);
	return got;
}

static bool take(int fd, char *to, size_t size)
{
	return size == 0 || recv(fd, to, size, MSG_DONTWAIT) == (ssize_t)size;
}

static bool read_header(int fd, int64_t deadline, struct haproxy_header *header)
{
	char bytes[HAPROXY_MAX];
	size_t have = 0;

	for (;;) {
		ssize_t got =
		    look(fd, deadline, bytes + have, sizeof(bytes) - have, slice_mem(bytes, have));

		if (got <= 0)
			return false;
		struct slice all = slice_mem(bytes, have + (size_t)got);

		switch (haproxy_parse(all, header)) {
		case HAPROXY_MORE:
			if (!take(fd, bytes + have, (size_t)got))
				return false;
			have = all.len;
			break;
		case HAPROXY_BAD:
			/* Taken, so that closing the connection does not cut our reply. */
			(void)take(fd, bytes + have, (size_t)got);
			log_bad(header->error, all);
			return false;
		case HAPROXY_DONE:
			return take(fd, bytes + have, header->length - have);
		}
	}
}

bool smtpd_haproxy_begin(struct smtpd *s)
{
	struct haproxy_header header;
	int64_t deadline =
	    deadline_in(smtpd_server.params->smtpd_upstream_proxy_timeout * (int64_t)1000);

	if (!has_proxy)
		return true;
	if (!read_header(stream_fd(s->session.stream), deadline, &header))
		return false;
	if (header.local)
		return true;
	s->session.peer = header.client;
	s->session.local = header.server;
	return true;
}
