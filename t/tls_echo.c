// SPDX-License-Identifier: BSD-2-Clause
/*
 * tls_echo CERTIFICATE [PROTOCOLS]: the least SMTP that clients do STARTTLS with, for
 * t/tls_interop.t.  Prints its port, serves one client at a time, and echoes what it does not know.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "net/stream.h"
#include "net/tls.h"
#include "sys/socket.h"

#define PATIENCE_MS 10000

static void begin_tls(struct stream *s, const struct tls_context *ctx)
{
	stream_puts(s, "220 go ahead\r\n");
	if (stream_flush(s))
		tls_accept(s, ctx);
}

static void describe(struct stream *s)
{
	struct tls_info info;

	if (!stream_tls(s)) {
		stream_puts(s, "250 plain\r\n");
		return;
	}
	tls_connection_info(stream_tls(s), &info);
	stream_printf(s, "250 %s %s resumed=%d name=%s\r\n", info.protocol, info.cipher,
	    info.resumed, info.server_name);
}

static void serve(struct stream *s, const struct tls_context *ctx)
{
	struct slice line;

	stream_set_deadline(s, deadline_in(PATIENCE_MS));
	stream_puts(s, "220 ready\r\n");
	while (stream_read_line(s, 65536, &line) != STREAM_READ_FAILED) {
		if (slice_casestarts(line, "EHLO"))
			stream_puts(s, "250-here\r\n250 STARTTLS\r\n");
		else if (slice_casestarts(line, "STARTTLS"))
			begin_tls(s, ctx);
		else if (slice_casestarts(line, "INFO"))
			describe(s);
		else if (slice_casestarts(line, "QUIT"))
			break;
		else
			stream_write(s, line);
	}
	stream_puts(s, "221 bye\r\n");
	stream_finish(s);
}

static int listen_on_loopback(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket_inet_listen((struct sockaddr *)&in, sizeof(in), 5);

	if (fd != -1 && getsockname(fd, (struct sockaddr *)&in, &len) == 0)
		printf("%d\n", ntohs(in.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	struct tls_files files[] = { { argv[1], NULL }, { NULL, NULL } };
	struct tls_server_config config = {
		.files = files, .protocols = argc > 2 ? argv[2] : NULL, .service = "echo"
	};
	struct tls_context *ctx;
	struct reason why;
	int fd;

	if (argc < 2)
		return 2;
	ctx = tls_server_new(&config, &why);
	if (!ctx) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	fd = listen_on_loopback();
	while (socket_wait(fd, POLLIN, DEADLINE_NEVER) == 1) {
		struct stream *s = stream_new(socket_accept(fd, NULL, NULL, true));

		serve(s, ctx);
		stream_free(s);
	}
	return 1;
}
