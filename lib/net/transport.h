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

/* One attempt to move bytes, which never waits (but see tls_connection_may_wait). */
enum transport_result {
	TRANSPORT_DONE,
	TRANSPORT_WANT_READ,
	TRANSPORT_WANT_WRITE,
	TRANSPORT_EOF,
	TRANSPORT_ERRNO, /* errno tells */
	TRANSPORT_TLS	 /* tls_connection_text tells */
};

enum transport_result tls_connection_read(
    struct tls_connection *c, void *data, size_t size, size_t *done);
/* A read may wait as long as the socket lets it. */
void tls_connection_may_wait(struct tls_connection *c, bool may_wait);
enum transport_result tls_connection_write(
    struct tls_connection *c, const void *data, size_t len, size_t *done);
/* What is written from now on may wait for tls_connection_close, to go out with it. */
void tls_connection_hold(struct tls_connection *c);
/* close_notify. */
enum transport_result tls_connection_close(struct tls_connection *c);
/* Decrypted bytes that nobody read. */
bool tls_connection_pending(const struct tls_connection *c);
/* Bytes on the wire, both directions. */
uint64_t tls_connection_wire_bytes(const struct tls_connection *c);
const char *tls_connection_text(const struct tls_connection *c);
void tls_connection_free(struct tls_connection *c);

/* True when S can start a handshake; otherwise S has failed. */
bool stream_begin_tls(struct stream *s, struct tls_connection *c);
/* Waits as RESULT wants, or makes S fail with it. */
bool stream_settle(struct stream *s, enum transport_result result);

#endif
