// SPDX-License-Identifier: BSD-2-Clause
/*
 * OpenSSL reaches the socket through a BIO of our own: it sends without SIGPIPE, counts bytes on
 * the wire, and remembers how the socket failed, which OpenSSL's answers do not tell for sure.
 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/check.h"
#include "log/log.h"
#include "net/tls_context.h"
#include "net/transport.h"

/* A ticket with a chain of certificates in it, or a reply. */
#define HELD_MAX 4096

static BIO_METHOD *socket_method;
static pthread_once_t socket_method_once = PTHREAD_ONCE_INIT;

/* The common end of both directions. */
static int moved(BIO *bio, struct tls_connection *c, ssize_t n, int retry)
{
	if (n > 0) {
		c->wire_bytes += (uint64_t)n;
		return 1;
	}
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
	else if (n == -1)
		c->errnum = errno;
	return 0;
}

static int socket_read(BIO *bio, char *data, size_t len, size_t *done)
{
	struct tls_connection *c = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = recv(c->fd, data, len, c->may_wait ? 0 : MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	c->eof = c->eof || n == 0;
	*done = n > 0 ? (size_t)n : 0;
	return moved(bio, c, n, BIO_FLAGS_READ);
}

/* RFC 8446 4.6.1: the ticket comes after the handshake, and the client goes on without it. */
static bool may_be_held(const struct tls_connection *c, size_t len)
{
	if (c->held_len + len > HELD_MAX)
		return false;
	return c->hold || (SSL_get_state(c->ssl) == TLS_ST_SW_SESSION_TICKET &&
			      SSL_version(c->ssl) == TLS1_3_VERSION);
}

static void hold(struct tls_connection *c, const char *data, size_t len)
{
	c->held = xrealloc(c->held, c->held_len + len);
	memcpy(c->held + c->held_len, data, len);
	c->held_len += len;
}

static void forget_held(struct tls_connection *c, size_t len)
{
	c->held_len -= len;
	if (c->held_len) {
		memmove(c->held, c->held + len, c->held_len);
		return;
	}
	free(c->held);
	c->held = NULL;
}

/* What is held, and DATA; how much went out of DATA, or -1. */
static ssize_t send_with_held(struct tls_connection *c, const char *data, size_t len)
{
	struct iovec parts[] = { { c->held, c->held_len }, { (void *)(uintptr_t)data, len } };
	struct msghdr message = { .msg_iov = c->held_len ? parts : parts + 1,
		.msg_iovlen = c->held_len ? 2 : 1 };
	ssize_t n;

	do
		n = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n > 0 && c->held_len) {
		size_t held = c->held_len < (size_t)n ? c->held_len : (size_t)n;

		c->wire_bytes += held;
		forget_held(c, held);
		n -= (ssize_t)held;
		if (n == 0) {
			errno = EAGAIN;
			return -1;
		}
	}
	return n;
}

static int socket_write(BIO *bio, const char *data, size_t len, size_t *done)
{
	struct tls_connection *c = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (may_be_held(c, len)) {
		hold(c, data, len);
		*done = len;
		return 1;
	}
	n = send_with_held(c, data, len);
	*done = n > 0 ? (size_t)n : 0;
	return moved(bio, c, n, BIO_FLAGS_WRITE);
}

static long socket_ctrl(BIO *bio, int command, long number, void *ptr)
{
	struct tls_connection *c = BIO_get_data(bio);

	(void)number, (void)ptr;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return c->eof;
	default:
		return 0;
	}
}

static void make_socket_method(void)
{
	socket_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	ASSERT(socket_method);
	BIO_meth_set_read_ex(socket_method, socket_read);
	BIO_meth_set_write_ex(socket_method, socket_write);
	BIO_meth_set_ctrl(socket_method, socket_ctrl);
}

struct tls_connection *tls_connection_new(const struct tls_context *ctx, int fd)
{
	struct tls_connection *c = xcalloc(1, sizeof(*c));
	BIO *bio;

	pthread_once(&socket_method_once, make_socket_method);
	c->fd = fd;
	c->ctx = ctx;
	c->ssl = SSL_new(ctx->ctx);
	bio = BIO_new(socket_method);
	if (!c->ssl || !bio) {
		BIO_free(bio);
		SSL_free(c->ssl);
		c->ssl = NULL;
		return c;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	SSL_set_app_data(c->ssl, c);
	if (SSL_is_server(c->ssl))
		SSL_set_accept_state(c->ssl);
	else
		SSL_set_connect_state(c->ssl);
	return c;
}

static void connection_free(struct tls_connection *c)
{
	if (!c)
		return;
	SSL_free(c->ssl);
	ERR_clear_error();
	tls_client_free(c->client);
	free(c->verify_issuer);
	free(c->matched_name);
	free(c->held);
	free(c->session_key);
	free(c->text);
	free(c);
}

static void remember_error(struct tls_connection *c)
{
	unsigned long error = ERR_peek_error();
	const char *reason = error ? ERR_reason_error_string(error) : NULL;

	char whole[256];

	free(c->text);
	if (c->ctx->whole_errors && error) {
		ERR_error_string_n(error, whole, sizeof(whole));
		reason = whole;
	}
	c->text = xstrdup(reason ? reason : "unknown TLS failure");
	/* In the handshake another line comes first. */
	if (c->logs && !c->peer)
		tls_log_library_errors();
	if (!c->logs)
		ERR_clear_error();
}

/* What the result RET of an SSL_ function says; the thread's queue was empty before that. */
static enum transport_result result_of(struct tls_connection *c, int ret)
{
	int error = SSL_get_error(c->ssl, ret);

	if (ret > 0)
		return TRANSPORT_DONE;
	if (error == SSL_ERROR_WANT_READ)
		return TRANSPORT_WANT_READ;
	if (error == SSL_ERROR_WANT_WRITE)
		return TRANSPORT_WANT_WRITE;
	if (error == SSL_ERROR_ZERO_RETURN || (c->eof && !c->errnum)) {
		ERR_clear_error();
		return TRANSPORT_EOF;
	}
	if (c->errnum) {
		ERR_clear_error();
		errno = c->errnum;
		return TRANSPORT_ERRNO;
	}
	remember_error(c);
	return TRANSPORT_TLS;
}

static enum transport_result connection_read(
    struct tls_connection *c, void *data, size_t size, bool may_wait, size_t *done)
{
	enum transport_result result;

	ERR_clear_error();
	c->ahead = false;
	c->may_wait = may_wait;
	result = result_of(c, SSL_read_ex(c->ssl, data, size, done));
	c->may_wait = false;
	return result;
}

static void connection_hold(struct tls_connection *c)
{
	c->hold = true;
}

static enum transport_result connection_write(
    struct tls_connection *c, const void *data, size_t len, size_t *done)
{
	ERR_clear_error();
	return result_of(c, SSL_write_ex(c->ssl, data, len, done));
}

/* SSL_shutdown gives 0 when ours is sent and the peer's has not come: we do not wait for that. */
static enum transport_result connection_close(struct tls_connection *c)
{
	int ret;

	ERR_clear_error();
	c->hold = false;
	ret = SSL_shutdown(c->ssl);
	return ret == 0 ? TRANSPORT_DONE : result_of(c, ret);
}

static bool connection_pending(const struct tls_connection *c)
{
	return c->ssl && (c->ahead || SSL_pending(c->ssl) > 0);
}

static uint64_t connection_wire_bytes(const struct tls_connection *c)
{
	return c->wire_bytes;
}

static const char *connection_text(const struct tls_connection *c)
{
	return c->text ? c->text : "TLS failure";
}

const struct transport tls_transport = { .read = connection_read,
	.write = connection_write,
	.hold = connection_hold,
	.close = connection_close,
	.pending = connection_pending,
	.wire_bytes = connection_wire_bytes,
	.text = connection_text,
	.free = connection_free };

static void note_key_exchange(struct tls_connection *c)
{
	int nid = (int)SSL_get_negotiated_group(c->ssl);

	if (nid <= 0 || nid & TLSEXT_nid_unknown)
		return;
	if (EC_curve_nid2nist(nid))
		snprintf(c->key_exchange, sizeof(c->key_exchange), "ECDHE (%s)", OBJ_nid2sn(nid));
	else
		snprintf(c->key_exchange, sizeof(c->key_exchange), "%s", OBJ_nid2sn(nid));
}

/* A resumed session brings a key of its own: nothing was signed. */
static void note_signature(struct tls_connection *c)
{
	EVP_PKEY *key = SSL_session_reused(c->ssl) ? NULL : SSL_get_privatekey(c->ssl);
	int nid;

	if (!key)
		return;
	/* A client that has a key signs only when it was asked to. */
	if (SSL_get_signature_nid(c->ssl, &nid) != 1 || nid == NID_undef) {
		if (!SSL_is_server(c->ssl))
			return;
		nid = NID_undef;
	}
	tls_signature_name(key, c->signature, sizeof(c->signature), &c->signature_bits);
	if (nid != NID_undef)
		c->digest = OBJ_nid2sn(nid);
}

void tls_note_details(struct tls_connection *c)
{
	if (SSL_version(c->ssl) < TLS1_3_VERSION)
		return;
	note_key_exchange(c);
	note_signature(c);
}

static void client_info(const struct tls_client_cert *client, struct tls_info *info)
{
	info->client = TLS_NO_CLIENT_CERT;
	info->client_name = info->client_issuer = info->client_fingerprint =
	    info->client_key_fingerprint = info->client_signature = info->client_digest = "";
	if (!client)
		return;
	info->client = client->trusted ? TLS_CLIENT_TRUSTED : TLS_CLIENT_UNTRUSTED;
	info->client_name = client->subject;
	info->client_issuer = client->issuer;
	info->client_fingerprint = client->fingerprint;
	info->client_key_fingerprint = client->key_fingerprint;
	info->client_signature = client->signature;
	info->client_signature_bits = client->signature_bits;
	info->client_digest = client->digest;
}

void tls_connection_info(const struct tls_connection *c, struct tls_info *info)
{
	const char *name = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
	const SSL_CIPHER *cipher = SSL_get_current_cipher(c->ssl);

	*info = (struct tls_info){
		.protocol = SSL_get_version(c->ssl),
		.cipher = SSL_CIPHER_get_name(cipher),
		.key_exchange = c->key_exchange,
		.signature = c->signature,
		.signature_bits = c->signature_bits,
		.digest = c->digest ? c->digest : "",
		.server_name = name ? name : "",
		.matched_name = c->matched_name ? c->matched_name : "",
		.resumed = SSL_session_reused(c->ssl) == 1,
	};
	info->cipher_bits = SSL_CIPHER_get_bits(cipher, &info->algorithm_bits);
	client_info(c->client, info);
}

/* What the session was like, for the log; then what will be asked for. */
static void note_handshake(struct tls_connection *c)
{
	if (c->peer && c->peer->verbose && SSL_session_reused(c->ssl))
		log_info("%s: Reusing old session (RFC 5077 session ticket)", c->peer->name);
	tls_note_details(c);
	tls_note_client(c);
}

/*
 * A flight is read whole, not header by header; only then, for what is read ahead later would have
 * to be kept in a buffer of 17 KiB while the session is parked.
 */
bool tls_handshake(struct stream *s, struct tls_connection *c)
{
	enum transport_result result;

	SSL_set_read_ahead(c->ssl, 1);
	c->may_wait = true;
	do {
		ERR_clear_error();
		result = result_of(c, SSL_do_handshake(c->ssl));
		if (!stream_settle(s, result))
			return false;
	} while (result != TRANSPORT_DONE);
	c->may_wait = false;
	SSL_set_read_ahead(c->ssl, 0);
	/* A record, or a part of one, that came behind the last flight: it wakes nobody any more.
	 */
	c->ahead = SSL_has_pending(c->ssl) == 1;
	return true;
}

static bool server_handshake(struct stream *s, struct tls_connection *c)
{
	if (!tls_handshake(s, c))
		return false;
	note_handshake(c);
	return true;
}

bool tls_accept_choosing(
    struct stream *s, const struct tls_context *ctx, tls_choose *choose, void *arg)
{
	struct tls_connection *c = tls_connection_new(ctx, stream_fd(s));
	bool done;

	if (!stream_begin_tls(s, &tls_transport, c))
		return false;
	if (!c->ssl)
		return stream_settle(s, TRANSPORT_TLS);
	c->choose = choose;
	c->choose_arg = arg;
	done = server_handshake(s, c);
	c->choose = NULL;
	return done;
}

bool tls_accept(struct stream *s, const struct tls_context *ctx)
{
	return tls_accept_choosing(s, ctx, NULL, NULL);
}

void tls_log_failure(const struct stream *s, const char *call, const char *peer)
{
	switch (stream_error(s)) {
	case STREAM_TLS:
		log_info("%s %s: -1", call, peer);
		tls_log_library_errors();
		break;
	case STREAM_TIMEOUT:
	case STREAM_IO:
		log_info("%s %s: %s", call, peer, strerrordesc_np(stream_errno(s)));
		break;
	case STREAM_OK:
	case STREAM_EOF:
		log_info("%s %s: lost connection", call, peer);
	}
}

static void log_failure(const struct stream *s, const struct tls_peer *peer)
{
	tls_log_failure(s, "SSL_accept error from", peer->name);
}

static void begin_log(struct tls_connection *c, const struct tls_peer *peer)
{
	c->logs = true;
	c->peer = peer;
	if (!peer->verbose)
		return;
	log_info("setting up TLS connection from %s", peer->name);
	if (c->ctx->cipher_list)
		log_info("%s: TLS cipher list \"%s\"", peer->name, c->ctx->cipher_list);
	tls_log_steps(c->ssl);
}

bool tls_accept_logged(struct stream *s, const struct tls_context *ctx, const struct tls_peer *peer)
{
	struct tls_connection *c = tls_connection_new(ctx, stream_fd(s));
	bool accepted;

	if (!stream_begin_tls(s, &tls_transport, c)) {
		log_failure(s, peer);
		return false;
	}
	if (!c->ssl) {
		log_info("SSL_accept error from %s: -1", peer->name);
		tls_log_library_errors();
		return stream_settle(s, TRANSPORT_TLS);
	}
	begin_log(c, peer);
	/* Certificates of other strength than one may trust would make "verified" a mere word. */
	if (peer->must_verify)
		SSL_set_security_level(c->ssl, 1);
	accepted = server_handshake(s, c);
	if (!accepted)
		log_failure(s, peer);
	c->peer = NULL;
	ERR_clear_error();
	return accepted;
}
