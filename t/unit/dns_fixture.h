// SPDX-License-Identifier: BSD-2-Clause
/* A name server in a thread on loopback, which the resolver asks; its user has the answers. */
#ifndef PC_UNIT_DNS_FIXTURE_H
#define PC_UNIT_DNS_FIXTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "net/dns.h"
#include "unit.h"

/* The whole answer to QUERY; false: none. */
static bool reply_to(struct slice query, struct strbuf *out);
/* What is longer goes by TCP (RFC 1035 4.2.1). */
static const size_t udp_max;

static void add_u16(struct strbuf *out, unsigned value)
{
	strbuf_addch(out, (char)(value >> 8));
	strbuf_addch(out, (char)value);
}

static void add_name(struct strbuf *out, const char *name)
{
	struct slice rest = slice_of(name), label;

	while (slice_token(&rest, ".", &label)) {
		strbuf_addch(out, (char)label.len);
		strbuf_addslice(out, label);
	}
	strbuf_addch(out, '\0');
}

static int udp_fd, tcp_fd, stop_pipe[2];

static void serve_udp(void)
{
	struct strbuf out = STRBUF_INIT(65535);
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char query[600];
	ssize_t n = recvfrom(udp_fd, query, sizeof(query), 0, (struct sockaddr *)&from, &len);

	if (n > 0 && reply_to(slice_mem(query, (size_t)n), &out)) {
		if (out.len > udp_max) {
			strbuf_truncate(&out, 512);
			out.ptr[2] |= 2;
		}
		sendto(udp_fd, out.ptr, out.len, 0, (struct sockaddr *)&from, len);
	}
	strbuf_release(&out);
}

static void serve_tcp(void)
{
	struct strbuf out = STRBUF_INIT(65535), framed = STRBUF_INIT(65600);
	int fd = accept(tcp_fd, NULL, NULL);
	char query[600];
	ssize_t n = recv(fd, query, sizeof(query), 0);

	if (n > 2 && reply_to(slice_mem(query + 2, (size_t)n - 2), &out)) {
		add_u16(&framed, (unsigned)out.len);
		strbuf_addslice(&framed, strbuf_slice(&out));
		send(fd, framed.ptr, framed.len, MSG_NOSIGNAL);
		/* Until the client has read it all. */
		recv(fd, query, sizeof(query), 0);
	}
	close(fd);
	strbuf_release(&out);
	strbuf_release(&framed);
}

static void *serve(void *arg)
{
	struct pollfd fds[] = { { .fd = udp_fd, .events = POLLIN },
		{ .fd = tcp_fd, .events = POLLIN }, { .fd = stop_pipe[0], .events = POLLIN } };

	(void)arg;
	while (poll(fds, 3, -1) > 0 && !fds[2].revents) {
		if (fds[0].revents)
			serve_udp();
		if (fds[1].revents)
			serve_tcp();
	}
	return NULL;
}

static pthread_t server_thread;

static int set_up(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	char server[64];

	(void)state;
	udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(udp_fd, (struct sockaddr *)&in, sizeof(in)) == -1)
		return -1;
	getsockname(udp_fd, (struct sockaddr *)&in, &len);
	tcp_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(tcp_fd, (struct sockaddr *)&in, sizeof(in)) == -1 || listen(tcp_fd, 5) == -1)
		return -1;
	snprintf(server, sizeof(server), "127.0.0.1:%d", ntohs(in.sin_port));
	if (!dns_use_server(server) || pipe(stop_pipe) == -1)
		return -1;
	return pthread_create(&server_thread, NULL, serve, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	close(stop_pipe[1]);
	pthread_join(server_thread, NULL);
	close(stop_pipe[0]);
	close(udp_fd);
	close(tcp_fd);
	dns_use_server(NULL);
	return 0;
}

#endif
