// SPDX-License-Identifier: BSD-2-Clause
/*
 * The one stream type: a socket, plain or TLS, with buffers, a deadline and a minimum rate.
 *
 * Errors stick: after an error, an end of input or a missed deadline every call is a no-op that
 * returns failure, and stream_error() says why.  So a handler is a straight line that checks once.
 * Reading flushes first what was written and not yet sent (that is all of command pipelining), and
 * flushing happens nowhere else but in stream_flush.  A slice that a read returned is valid until
 * the next read.  One thread at a time.
 *
 * Buffers exist only while bytes are in them: an idle stream costs the struct (and the TLS state).
 */
#ifndef PC_NET_STREAM_H
#define PC_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct tls_connection;

enum stream_error {
	STREAM_OK,
	STREAM_EOF,	/* the peer closed (TLS: with close_notify, or without) */
	STREAM_TIMEOUT, /* deadline, or slower than the minimum rate */
	STREAM_IO,	/* the kernel's error, see stream_errno */
	STREAM_TLS	/* a TLS failure; the text is in tls.h's connection info */
};

struct stream;

/* Takes FD, a socket, over and makes it blocking (and TCP_NODELAY where that applies). */
struct stream *stream_new(int fd);
/*
 * The same for a blocking socket that was accepted from a listening one of TCP's after
 * stream_prepare_listener, whose options it inherits: saves three of the four calls that set them.
 * The connection may be older than those options; only its limit of waiting is set again.
 */
struct stream *stream_accepted(int fd);
void stream_prepare_listener(int fd);
/* Sends nothing; closes the descriptor. NULL is fine. */
void stream_free(struct stream *s);
int stream_fd(const struct stream *s);
enum stream_error stream_error(const struct stream *s);
int stream_errno(const struct stream *s);
/* "Connection reset by peer", "timeout", ...; a static or per-stream text. */
const char *stream_error_text(const struct stream *s);

/* For all further reads and writes until it is set again; clock_ms() or DEADLINE_NEVER. */
void stream_set_deadline(struct stream *s, int64_t deadline);
/*
 * The average of bytes per second since this call must not be less than BYTES_PER_S once the peer
 * has made us wait for GRACE_MS; 0 switches it off.  Time counts only while we wait for the peer (a
 * slow disk of ours is not its fault), bytes count on the wire and in both directions.
 */
void stream_set_min_rate(struct stream *s, unsigned bytes_per_s, int64_t grace_ms);

/*
 * Takes a STREAM_TIMEOUT that hit while reading back, for a last reply ("421 timeout") before the
 * new DEADLINE; the minimum rate is off.  False, and nothing changes, for any other failure.
 */
bool stream_after_timeout(struct stream *s, int64_t deadline);

enum stream_read {
	STREAM_READ_LINE,    /* *OUT ends with LF */
	STREAM_READ_PARTIAL, /* MAX bytes without an LF: the next call goes on */
	STREAM_READ_FAILED   /* see stream_error; bytes before the end of input are not given */
};
/* Bytes up to and with the next LF, at most MAX (<= 64 KiB).  NULs and CRs are left as they are. */
enum stream_read stream_read_line(struct stream *s, size_t max, struct slice *out);
/* 1 to MAX bytes, as they come. */
bool stream_read_some(struct stream *s, size_t max, struct slice *out);

/* Buffered; sent by the next read or stream_flush, or when 16 KiB have gathered. */
void stream_write(struct stream *s, struct slice data);
void stream_puts(struct stream *s, const char *text);
void stream_printf(struct stream *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool stream_flush(struct stream *s);
/*
 * The last thing: flushes and, in TLS, says good-bye (close_notify), so that the peer can tell the
 * end from a cut.  True: all is sent, and the stream is at STREAM_EOF; else it has failed.
 */
bool stream_finish(struct stream *s);

/* Bytes that the peer sent and nobody read yet: in our buffer or decrypted in TLS. */
bool stream_has_input(const struct stream *s);
/* What lies in the buffer, for a look (pipelining checks, log lines); reads nothing. */
struct slice stream_peek(const struct stream *s);
/* A read that does not wait: true when input, or an end, is there. */
bool stream_poll_input(struct stream *s);
/* The same, but waits a moment (some milliseconds) for it: for a peer that is about to answer. */
bool stream_linger(struct stream *s);
/* Throws buffered input away (STARTTLS). */
void stream_discard_input(struct stream *s);
/* Frees the buffers of a stream with nothing in them; before parking.  Output must be sent. */
void stream_shrink(struct stream *s);

/* Total application bytes since stream_new. */
uint64_t stream_bytes_in(const struct stream *s);
uint64_t stream_bytes_out(const struct stream *s);

/* The TLS state, or NULL for a plain stream (net/tls.h). */
struct tls_connection *stream_tls(const struct stream *s);

#endif
