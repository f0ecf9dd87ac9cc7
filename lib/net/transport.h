// SPDX-License-Identifier: BSD-2-Clause
/*
 * Between stream.c and tls.c, and for nobody else: what a stream asks of a TLS connection, and how
 * a handshake waits and fails in the stream's way.
 */
#ifndef PC_NET_TRANSPORT_H
#define PC_NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/stream.h"

/* One attempt to move bytes, which never waits but where it says so. */
enum transport_result {
	TRANSPORT_DONE,
	TRANSPORT_WANT_READ,
	TRANSPORT_WANT_WRITE,
	TRANSPORT_EOF,
	TRANSPORT_ERRNO, /* errno tells */
	TRANSPORT_TLS	 /* TEXT tells */
};

/* A table, so that programs that never speak TLS need not load its library. */
struct transport {
	/* MAY_WAIT: as long as the socket lets it. */
	enum transport_result (*read)(
	    struct tls_connection *c, void *data, size_t size, bool may_wait, size_t *done);
	enum transport_result (*write)(
	    struct tls_connection *c, const void *data, size_t len, size_t *done);
	/* What is written from now on may wait for CLOSE, to go out with it. */
	void (*hold)(struct tls_connection *c);
	/* close_notify. */
	enum transport_result (*close)(struct tls_connection *c);
	/* Are there decrypted bytes that nobody read? */
	bool (*pending)(const struct tls_connection *c);
	/* Bytes on the wire, both directions. */
	uint64_t (*wire_bytes)(const struct tls_connection *c);
	const char *(*text)(const struct tls_connection *c);
	void (*free)(struct tls_connection *c);
};

/* True when S can start a handshake; otherwise S has failed. */
bool stream_begin_tls(
    struct stream *s, const struct transport *transport, struct tls_connection *c);
/* Waits as RESULT wants, or makes S fail with it. */
bool stream_settle(struct stream *s, enum transport_result result);

#endif
