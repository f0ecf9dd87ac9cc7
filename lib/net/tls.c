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

#include "base/check.h"
#include "net/tls_context.h"
#include "net/transport.h"

struct tls_connection {
	SSL *ssl;
	int fd;
	bool eof; /* the socket's */
	bool may_wait;
	int errnum; /* the socket's, 0: none */
	uint64_t wire_bytes;
	char *text; /* what went wrong, or NULL */
	char key_exchange[24], signature[24];
	int signature_bits;
	const char *digest;
};

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

static int socket_write(BIO *bio, const char *data, size_t len, size_t *done)
{
	struct tls_connection *c = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
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

static struct tls_connection *connection_new(const struct tls_context *ctx, int fd)
{
	struct tls_connection *c = xcalloc(1, sizeof(*c));
	BIO *bio;

	pthread_once(&socket_method_once, make_socket_method);
	c->fd = fd;
	c->ssl = tls_context_ssl(ctx);
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
	SSL_set_accept_state(c->ssl);
	return c;
}

void tls_connection_free(struct tls_connection *c)
{
	if (!c)
		return;
	SSL_free(c->ssl);
	ERR_clear_error();
	free(c->text);
	free(c);
}

static void remember_error(struct tls_connection *c)
{
	char text[256];

	tls_library_error(text, sizeof(text));
	free(c->text);
	c->text = xstrdup(text);
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

enum transport_result tls_connection_read(
    struct tls_connection *c, void *data, size_t size, size_t *done)
{
	ERR_clear_error();
	return result_of(c, SSL_read_ex(c->ssl, data, size, done));
}

void tls_connection_may_wait(struct tls_connection *c, bool may_wait)
{
	c->may_wait = may_wait;
}

enum transport_result tls_connection_write(
    struct tls_connection *c, const void *data, size_t len, size_t *done)
{
	ERR_clear_error();
	return result_of(c, SSL_write_ex(c->ssl, data, len, done));
}

/* SSL_shutdown gives 0 when ours is sent and the peer's has not come: we do not wait for that. */
enum transport_result tls_connection_close(struct tls_connection *c)
{
	int ret;

	ERR_clear_error();
	ret = SSL_shutdown(c->ssl);
	return ret == 0 ? TRANSPORT_DONE : result_of(c, ret);
}

bool tls_connection_pending(const struct tls_connection *c)
{
	return c->ssl && SSL_pending(c->ssl) > 0;
}

uint64_t tls_connection_wire_bytes(const struct tls_connection *c)
{
	return c->wire_bytes;
}

const char *tls_connection_text(const struct tls_connection *c)
{
	return c->text ? c->text : "TLS failure";
}

/* "P-256", where OpenSSL's own name for that curve is prime256v1. */
static const char *curve_name(int nid)
{
	const char *name = EC_curve_nid2nist(nid);

	return name ? name : OBJ_nid2sn(nid);
}

static void note_key_exchange(struct tls_connection *c)
{
	int nid = (int)SSL_get_negotiated_group(c->ssl);

	if (nid <= 0 || nid & TLSEXT_nid_unknown)
		return;
	if (EC_curve_nid2nist(nid))
		snprintf(c->key_exchange, sizeof(c->key_exchange), "ECDHE (%s)", curve_name(nid));
	else
		snprintf(c->key_exchange, sizeof(c->key_exchange), "%s", OBJ_nid2sn(nid));
}

/* A resumed session brings a key of its own: nothing was signed. */
static void note_signature(struct tls_connection *c)
{
	EVP_PKEY *key = SSL_session_reused(c->ssl) ? NULL : SSL_get_privatekey(c->ssl);
	char curve[32];
	int nid;

	if (!key)
		return;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	    EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1) {
		snprintf(c->signature, sizeof(c->signature), "ECDSA (%.14s)",
		    curve_name(OBJ_sn2nid(curve)));
	} else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
		snprintf(c->signature, sizeof(c->signature), "RSA-PSS");
		c->signature_bits = EVP_PKEY_get_bits(key);
	} else {
		snprintf(c->signature, sizeof(c->signature), "%s",
		    OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
	}
	if (SSL_get_signature_nid(c->ssl, &nid) == 1 && nid != NID_undef)
		c->digest = OBJ_nid2sn(nid);
}

/* Below TLS 1.3 these are part of the cipher's name, and the peers' log lines have them there. */
static void note_details(struct tls_connection *c)
{
	if (SSL_version(c->ssl) < TLS1_3_VERSION)
		return;
	note_key_exchange(c);
	note_signature(c);
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
		.resumed = SSL_session_reused(c->ssl) == 1,
	};
	info->cipher_bits = SSL_CIPHER_get_bits(cipher, &info->algorithm_bits);
}

bool tls_accept(struct stream *s, const struct tls_context *ctx)
{
	struct tls_connection *c = connection_new(ctx, stream_fd(s));
	enum transport_result result;

	if (!stream_begin_tls(s, c))
		return false;
	if (!c->ssl)
		return stream_settle(s, TRANSPORT_TLS);
	do {
		ERR_clear_error();
		result = result_of(c, SSL_do_handshake(c->ssl));
		if (!stream_settle(s, result))
			return false;
	} while (result != TRANSPORT_DONE);
	note_details(c);
	return true;
}
