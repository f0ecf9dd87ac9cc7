// SPDX-License-Identifier: BSD-2-Clause
/*
 * The server is ours, in a thread; the client is OpenSSL between two buffers in memory, so that the
 * test decides which bytes travel when.
 */
#include <config.h> /* the build's, not the tests' own */

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/stream.h"
#include "net/tls.h"
#include "scratch.h"
#include "sys/file.h"
#include "sys/socket.h"

static char rsa_pem[400], ec_pem[400];
static struct tls_files both[] = { { ec_pem, NULL }, { rsa_pem, "" }, { NULL, NULL } };

static void write_pem(const char *name, EVP_PKEY *key)
{
	X509 *cert = X509_new();
	FILE *file = fopen(scratch_path(name), "w");

	assert_non_null(file);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	    (const unsigned char *)"mx.example", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	PEM_write_X509(file, cert);
	fclose(file);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static int set_up(void **state)
{
	(void)state;
	write_pem("rsa.pem", EVP_RSA_gen(2048));
	write_pem("ec.pem", EVP_EC_gen("P-256"));
	snprintf(rsa_pem, sizeof(rsa_pem), "%s", scratch_path("rsa.pem"));
	snprintf(ec_pem, sizeof(ec_pem), "%s", scratch_path("ec.pem"));
	return 0;
}

static struct tls_context *new_context(struct tls_server_config config)
{
	struct reason why;
	struct tls_context *ctx;

	if (!config.files)
		config.files = both;
	ctx = tls_server_new(&config, &why);
	if (!ctx)
		fail_msg("%s", why.text);
	return ctx;
}

/* A connection with both ends in this program. */
struct link {
	struct stream *server;
	const struct tls_context *ctx;
	pthread_t thread;
	bool accepted;
	SSL_CTX *client_ctx;
	SSL *client;
	BIO *in, *out; /* of the client */
	int peer;
};

static void *accept_in_thread(void *arg)
{
	struct link *l = arg;

	l->accepted = tls_accept(l->server, l->ctx);
	return NULL;
}

static void link_open(struct link *l, const struct tls_context *ctx)
{
	int pair[2];

	memset(l, 0, sizeof(*l));
	assert_int_equal(socket_pair(pair), 0);
	l->ctx = ctx;
	l->server = stream_new(pair[0]);
	stream_set_deadline(l->server, deadline_in(60000));
	l->peer = pair[1];
	l->client_ctx = SSL_CTX_new(TLS_client_method());
	/* A session in the client's own cache would die with its context. */
	SSL_CTX_set_session_cache_mode(
	    l->client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	l->client = SSL_new(l->client_ctx);
	l->in = BIO_new(BIO_s_mem());
	l->out = BIO_new(BIO_s_mem());
	SSL_set_bio(l->client, l->in, l->out);
	SSL_set_connect_state(l->client);
}

static void link_close(struct link *l)
{
	stream_free(l->server);
	if (l->peer != -1)
		close(l->peer);
	/* A session that ended without a good-bye would not be resumed by the client. */
	if (l->client)
		SSL_set_shutdown(l->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(l->client);
	SSL_CTX_free(l->client_ctx);
	ERR_clear_error();
}

/* What the client wants to send goes out. */
static void pump_out(struct link *l)
{
	char data[20000];
	int n;

	while ((n = BIO_read(l->out, data, sizeof(data))) > 0)
		if (send(l->peer, data, (size_t)n, MSG_NOSIGNAL) != n)
			return;
}

/* Something that came goes to the client; false at the end. */
static bool pump_in(struct link *l, int wait_ms)
{
	char data[20000];
	ssize_t n;

	if (socket_wait(l->peer, POLLIN, deadline_in(wait_ms)) != 1)
		return false;
	n = recv(l->peer, data, sizeof(data), 0);
	if (n > 0)
		BIO_write(l->in, data, (int)n);
	return n > 0;
}

static bool handshake(struct link *l)
{
	bool ok = true;

	pthread_create(&l->thread, NULL, accept_in_thread, l);
	while (ok && SSL_do_handshake(l->client) != 1) {
		ok = SSL_get_error(l->client, -1) == SSL_ERROR_WANT_READ;
		pump_out(l);
		ok = ok && pump_in(l, 10000);
	}
	pump_out(l);
	if (!ok)
		shutdown(l->peer, SHUT_WR);
	pthread_join(l->thread, NULL);
	return ok && l->accepted;
}

static void client_says(struct link *l, struct slice text)
{
	assert_int_equal(SSL_write(l->client, text.ptr, (int)text.len), text.len);
}

static void want_client_hears(const char *name, struct link *l, const char *want)
{
	char text[200];
	int n;

	while ((n = SSL_read(l->client, text, sizeof(text))) <= 0)
		if (!pump_in(l, 5000))
			fail_msg("%s: nothing came", name);
	want_slice(name, slice_mem(text, (size_t)n), slice_of(want));
}

static void want_line(const char *name, struct stream *s, const char *want)
{
	struct slice line;

	if (stream_read_line(s, 1000, &line) != STREAM_READ_LINE)
		fail_msg("%s: %s", name, stream_error_text(s));
	want_slice(name, line, slice_of(want));
}

static void test_talk(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "smtpd" });
	struct tls_info info;
	struct link l;

	(void)state;
	link_open(&l, ctx);
	SSL_set_tlsext_host_name(l.client, "mx.example");
	assert_null(stream_tls(l.server));
	assert_true(handshake(&l));
	assert_non_null(stream_tls(l.server));
	tls_connection_info(stream_tls(l.server), &info);
	want_str("protocol", info.protocol, "TLSv1.3");
	want_str("cipher", info.cipher, "TLS_AES_256_GCM_SHA384");
	want_int("bits", info.cipher_bits, 256);
	want_int("bits", info.algorithm_bits, 256);
	want_str("key exchange", info.key_exchange, "X25519");
	want_str("signature", info.signature, "ECDSA (prime256v1)");
	want_str("digest", info.digest, "SHA256");
	want_str("server name", info.server_name, "mx.example");
	assert_false(info.resumed);

	client_says(&l, SLICE_LIT("EHLO x\r\nNOOP\r\n"));
	pump_out(&l);
	want_line("first", l.server, "EHLO x\r\n");
	assert_true(stream_has_input(l.server));
	want_line("second", l.server, "NOOP\r\n");
	assert_false(stream_has_input(l.server));
	assert_false(stream_poll_input(l.server));
	stream_puts(l.server, "250 ok\r\n");
	assert_true(stream_flush(l.server));
	want_client_hears("reply", &l, "250 ok\r\n");
	want_int("in", stream_bytes_in(l.server), 14);
	want_int("out", stream_bytes_out(l.server), 8);
	stream_shrink(l.server);

	stream_puts(l.server, "221 bye\r\n");
	stream_finish(l.server);
	want_client_hears("last", &l, "221 bye\r\n");
	while (!(SSL_get_shutdown(l.client) & SSL_RECEIVED_SHUTDOWN)) {
		char byte;

		if (SSL_read(l.client, &byte, 1) <= 0 &&
		    !(SSL_get_shutdown(l.client) & SSL_RECEIVED_SHUTDOWN))
			assert_true(pump_in(&l, 5000));
	}
	link_close(&l);
	tls_context_free(ctx);
	tls_context_free(NULL);
}

/* A record in the buffer of TLS, not of the stream: parking with that would lose a wake-up. */
static void test_pending(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	char *text = xmalloc(16384);
	struct slice some;
	struct link l;

	(void)state;
	memset(text, 'x', 16384);
	link_open(&l, ctx);
	assert_true(handshake(&l));
	client_says(&l, slice_mem(text, 16384));
	pump_out(&l);
	for (size_t got = 0; got < 16384; got += some.len) {
		assert_true(stream_read_some(l.server, 1000, &some));
		want_int("more", stream_has_input(l.server), got + some.len < 16384);
	}
	link_close(&l);
	tls_context_free(ctx);
	free(text);
}

/* The bytes of a record come in two parts, cut in every place. */
static void test_split(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	char data[200];
	struct link l;
	int len;

	(void)state;
	link_open(&l, ctx);
	assert_true(handshake(&l));
	client_says(&l, SLICE_LIT("first\n"));
	len = BIO_read(l.out, data, sizeof(data));
	for (int cut = 0; cut < len; cut++) {
		if (cut) {
			client_says(&l, SLICE_LIT("again\n"));
			want_int("length", BIO_read(l.out, data, sizeof(data)), len);
		}
		assert_int_equal(file_write_all(l.peer, slice_mem(data, (size_t)cut)), 0);
		assert_false(stream_poll_input(l.server));
		assert_false(stream_has_input(l.server));
		assert_int_equal(
		    file_write_all(l.peer, slice_mem(data + cut, (size_t)(len - cut))), 0);
		want_line("record", l.server, cut ? "again\n" : "first\n");
	}
	link_close(&l);
	tls_context_free(ctx);
}

/* CVE-2011-0411: commands that were sent in clear behind STARTTLS. */
static void test_input_before(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	struct slice line;
	struct link l;

	(void)state;
	link_open(&l, ctx);
	assert_int_equal(file_write_all(l.peer, SLICE_LIT("STARTTLS\r\nRSET\r\n")), 0);
	want_line("STARTTLS", l.server, "STARTTLS\r\n");
	assert_false(tls_accept(l.server, ctx));
	want_int("refused", stream_error(l.server), STREAM_TLS);
	assert_null(stream_tls(l.server));
	want_int("and over", stream_read_line(l.server, 10, &line), STREAM_READ_FAILED);
	link_close(&l);
	tls_context_free(ctx);
}

/* After TLS has begun, whatever its end, nothing is read in clear. */
static void test_clear_after(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	struct slice line;
	struct link l;

	(void)state;
	link_open(&l, ctx);
	assert_true(handshake(&l));
	SSL_shutdown(l.client);
	pump_out(&l);
	assert_int_equal(file_write_all(l.peer, SLICE_LIT("RSET\r\n")), 0);
	want_int("close_notify", stream_read_line(l.server, 10, &line), STREAM_READ_FAILED);
	want_int("close_notify", stream_error(l.server), STREAM_EOF);
	want_int("sticks", stream_read_line(l.server, 10, &line), STREAM_READ_FAILED);
	assert_false(stream_after_timeout(l.server, deadline_in(100)));
	link_close(&l);

	link_open(&l, ctx);
	assert_int_equal(file_write_all(l.peer, SLICE_LIT("EHLO no.tls\r\n")), 0);
	assert_false(tls_accept(l.server, ctx));
	want_int("no handshake", stream_error(l.server), STREAM_TLS);
	assert_true(strlen(stream_error_text(l.server)) > 5);
	assert_int_equal(file_write_all(l.peer, SLICE_LIT("RSET\r\n")), 0);
	want_int("no handshake", stream_read_line(l.server, 10, &line), STREAM_READ_FAILED);
	link_close(&l);

	link_open(&l, ctx);
	assert_true(handshake(&l));
	assert_int_equal(file_write_all(l.peer, SLICE_LIT("RSET\r\n")), 0);
	want_int("in the middle", stream_read_line(l.server, 10, &line), STREAM_READ_FAILED);
	want_int("in the middle", stream_error(l.server), STREAM_TLS);
	link_close(&l);
	tls_context_free(ctx);
}

static void test_peer_vanishes(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	struct slice line;
	struct link l;

	(void)state;
	link_open(&l, ctx);
	close(l.peer);
	l.peer = -1;
	assert_false(tls_accept(l.server, ctx));
	want_int("before", stream_error(l.server), STREAM_EOF);
	link_close(&l);

	link_open(&l, ctx);
	assert_true(handshake(&l));
	/* What came for the client is read first: an unread byte would make the end a reset. */
	pump_in(&l, 100);
	close(l.peer);
	l.peer = -1;
	want_int("read", stream_read_line(l.server, 10, &line), STREAM_READ_FAILED);
	want_int("read", stream_error(l.server), STREAM_EOF);
	link_close(&l);

	link_open(&l, ctx);
	assert_true(handshake(&l));
	close(l.peer);
	l.peer = -1;
	stream_puts(l.server, "x");
	assert_false(stream_flush(l.server));
	want_int("write, without SIGPIPE", stream_error(l.server), STREAM_IO);
	link_close(&l);
	tls_context_free(ctx);
}

static void test_deadlines(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	int64_t before = clock_ms();
	struct slice line;
	struct link l;

	(void)state;
	link_open(&l, ctx);
	stream_set_deadline(l.server, deadline_in(60));
	assert_false(tls_accept(l.server, ctx));
	want_int("handshake", stream_error(l.server), STREAM_TIMEOUT);
	assert_in_range(clock_ms() - before, 55, 60000);
	link_close(&l);

	link_open(&l, ctx);
	assert_true(handshake(&l));
	stream_set_deadline(l.server, deadline_in(60));
	want_int("read", stream_read_line(l.server, 10, &line), STREAM_READ_FAILED);
	want_int("read", stream_error(l.server), STREAM_TIMEOUT);
	assert_true(stream_after_timeout(l.server, deadline_in(60000)));
	stream_puts(l.server, "421\r\n");
	assert_true(stream_flush(l.server));
	want_client_hears("last words", &l, "421\r\n");
	link_close(&l);
	tls_context_free(ctx);
}

/* The rate counts what is on the wire: one record of 16 KiB arrives in many pieces. */
static void test_min_rate(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	char *text = xcalloc(1, 16000), *data = xmalloc(20000);
	struct slice some;
	struct link l;
	int len;

	(void)state;
	link_open(&l, ctx);
	assert_true(handshake(&l));
	client_says(&l, slice_mem(text, 16000));
	len = BIO_read(l.out, data, 20000);
	stream_set_min_rate(l.server, 10000, 30);
	stream_set_deadline(l.server, deadline_in(60000));
	for (int at = 0; at < len - 1; at += 1000) {
		int n = len - 1 - at < 1000 ? len - 1 - at : 1000;

		assert_int_equal(file_write_all(l.peer, slice_mem(data + at, (size_t)n)), 0);
		assert_false(stream_poll_input(l.server));
		usleep(5000);
	}
	assert_int_equal(file_write_all(l.peer, slice_mem(data + len - 1, 1)), 0);
	assert_true(stream_read_some(l.server, 16000, &some));
	stream_set_min_rate(l.server, 10000, 30);
	while (stream_read_some(l.server, 16000, &some))
		;
	want_int("slow", stream_error(l.server), STREAM_TIMEOUT);
	link_close(&l);
	tls_context_free(ctx);
	free(text);
	free(data);
}

/* The ticket of a connection to ctx, or NULL. */
static SSL_SESSION *kept_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept_session);
	kept_session = session;
	return 1;
}

static bool is_resumed(const struct tls_context *ctx, SSL_SESSION *session, int version)
{
	struct tls_info info;
	struct link l;

	link_open(&l, ctx);
	SSL_CTX_sess_set_new_cb(l.client_ctx, keep_session);
	SSL_set_max_proto_version(l.client, version);
	if (session)
		SSL_set_session(l.client, session);
	assert_true(handshake(&l));
	stream_puts(l.server, "hello");
	assert_true(stream_flush(l.server));
	want_client_hears("with the ticket before it", &l, "hello");
	tls_connection_info(stream_tls(l.server), &info);
	if (info.resumed)
		want_str("nothing was signed", info.signature, "");
	link_close(&l);
	return info.resumed;
}

static void test_tickets(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	char secret[48], other_secret[64];
	struct tls_context *a, *twin, *other_service, *other, *random;

	(void)state;
	memset(secret, 's', sizeof(secret));
	memset(other_secret, 's', sizeof(other_secret));
	a = new_context((struct tls_server_config){
	    .service = "smtps", .ticket_secret = slice_mem(secret, 48) });
	twin = new_context((struct tls_server_config){
	    .service = "smtps", .ticket_secret = slice_mem(secret, 48) });
	other_service = new_context((struct tls_server_config){
	    .service = "submission", .ticket_secret = slice_mem(secret, 48) });
	other = new_context((struct tls_server_config){
	    .service = "smtps", .ticket_secret = slice_mem(other_secret, 64) });
	random = new_context((struct tls_server_config){ .service = "smtps" });
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const struct tls_context *strangers[] = { other_service, other, random };

		assert_false(is_resumed(a, NULL, versions[i]));
		assert_non_null(kept_session);
		want_int("another process", is_resumed(twin, kept_session, versions[i]), true);
		for (size_t j = 0; j < ARRAY_LEN(strangers); j++) {
			assert_false(is_resumed(a, NULL, versions[i]));
			want_int("a stranger", is_resumed(strangers[j], kept_session, versions[i]),
			    false);
		}
		SSL_SESSION_free(kept_session);
		kept_session = NULL;
	}
	tls_context_free(a);
	tls_context_free(twin);
	tls_context_free(other_service);
	tls_context_free(other);
	tls_context_free(random);
}

static bool can_connect(const struct tls_context *ctx, int version, const char *ciphers)
{
	struct link l;
	bool ok;

	link_open(&l, ctx);
	SSL_CTX_set_cipher_list(l.client_ctx, "ALL:@SECLEVEL=0");
	SSL_set_cipher_list(l.client, ciphers ? ciphers : "ALL:@SECLEVEL=0");
	SSL_set_min_proto_version(l.client, version);
	SSL_set_max_proto_version(l.client, version);
	ok = handshake(&l);
	if (!ok)
		want_int("error", stream_error(l.server), STREAM_TLS);
	link_close(&l);
	return ok;
}

static void test_protocols(void **state)
{
	static const struct {
		const char *list, *min;
		const char *want; /* for TLSv1, 1.1, 1.2, 1.3 */
	} cases[] = {
		{ ">=TLSv1.2", NULL, "..23" },
		{ ">=TLSv1", NULL, "0123" },
		{ ">=TLSv1, !TLSv1.2", NULL, "01.3" },
		{ ">=TLSv1 <=TLSv1.2", NULL, "012." },
		{ ">=0x0303, <=0x0303", NULL, "..2." },
		{ "TLSv1.2 TLSv1.3", NULL, "..23" },
		{ "tlsv1.3", NULL, "...3" },
		{ ">=TLSv1:!SSLv2:!SSLv3:!TLSv1.1", NULL, "0.23" },
		{ NULL, "TLSv1.2", "..23" },
		{ NULL, "TLSv1.3", "...3" },
		{ NULL, "LATEST", "...3" },
		{ NULL, "ANY", "0123" },
		{ NULL, "TLSv1", "0123" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x",
		    .protocols = cases[i].list,
		    .min_protocol = cases[i].min,
		    .ciphers = "ALL:@SECLEVEL=0" });
		char got[] = "....";

		for (int v = 0; v < 4; v++)
			if (can_connect(ctx, TLS1_VERSION + v, NULL))
				got[v] = (char)('0' + v);
		want_str(cases[i].list ? cases[i].list : cases[i].min, got, cases[i].want);
		tls_context_free(ctx);
	}
}

static void test_ciphers(void **state)
{
	struct tls_context *ctx = new_context(
	    (struct tls_server_config){ .service = "x", .ciphers = "ECDHE-RSA-AES128-GCM-SHA256" });

	(void)state;
	assert_true(can_connect(ctx, TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256"));
	assert_false(can_connect(ctx, TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384"));
	tls_context_free(ctx);
}

static void test_refused_configuration(void **state)
{
	static const struct tls_files none[] = { { NULL, NULL } };
	static const struct tls_files missing[] = { { "/no/such/cert.pem", NULL }, { NULL, NULL } };
	const struct tls_files missing_key[] = { { rsa_pem, "/no/such/key.pem" }, { NULL, NULL } };
	const struct tls_files wrong_key[] = { { rsa_pem, ec_pem }, { NULL, NULL } };
	const struct {
		const char *name;
		struct tls_server_config config;
		const char *want;
	} cases[] = {
		{ "no certificate", { .files = none }, "no TLS certificate" },
		{ "no file", { .files = missing }, "/no/such/cert.pem" },
		{ "no key", { .files = missing_key }, "/no/such/key.pem" },
		{ "wrong key", { .files = wrong_key }, ec_pem },
		{ "no CA", { .files = both, .ca_file = "/no/such/ca.pem" }, "/no/such/ca.pem" },
		{ "protocol", { .files = both, .protocols = "!SSLv4" }, "!SSLv4" },
		{ "limit", { .files = both, .protocols = ">=TLS" }, ">=TLS" },
		{ "number", { .files = both, .protocols = ">=0x03zz" }, ">=0x03zz" },
		{ "nothing left", { .files = both, .protocols = ">=TLSv1.2 <=TLSv1.1" },
		    "no TLS protocol is left" },
		{ "nothing left", { .files = both, .protocols = "TLSv1.2 !TLSv1.2" },
		    "no TLS protocol is left" },
		{ "least", { .files = both, .min_protocol = "SSLv5" }, "SSLv5" },
		{ "ciphers", { .files = both, .ciphers = "NO-SUCH" }, "NO-SUCH" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct reason why = { "", "" };

		if (tls_server_new(&cases[i].config, &why))
			fail_msg("%s: taken", cases[i].name);
		if (!strstr(why.text, cases[i].want))
			fail_msg(
			    "%s: \"%s\" does not name %s", cases[i].name, why.text, cases[i].want);
		want_str(cases[i].name, why.dsn, "4.7.0");
	}
}

static void test_renegotiation(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	struct link l;

	(void)state;
	link_open(&l, ctx);
	SSL_set_max_proto_version(l.client, TLS1_2_VERSION);
	assert_true(handshake(&l));
	SSL_renegotiate(l.client);
	for (int i = 0; i < 5 && SSL_do_handshake(l.client) != 1; i++) {
		pump_out(&l);
		stream_poll_input(l.server);
		pump_in(&l, 50);
	}
	want_int("not again", SSL_is_init_finished(l.client), false);
	ERR_clear_error();
	link_close(&l);
	tls_context_free(ctx);
}

static void test_client_certificate(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){
	    .service = "x", .ca_file = rsa_pem, .ask_client_cert = true });
	struct link l;

	(void)state;
	/* With none, and with one that nobody knows: the handshake does not judge. */
	link_open(&l, ctx);
	assert_true(handshake(&l));
	link_close(&l);
	link_open(&l, ctx);
	SSL_use_certificate_file(l.client, ec_pem, SSL_FILETYPE_PEM);
	SSL_use_PrivateKey_file(l.client, ec_pem, SSL_FILETYPE_PEM);
	assert_true(handshake(&l));
	link_close(&l);
	tls_context_free(ctx);
}

#define IDLE 50

/* An idle connection holds no record buffers (34 KiB, if it did). */
static void test_idle_memory(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	struct link links[IDLE];
	size_t before, per_connection;

	(void)state;
#if defined(PC_SANITIZED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("the allocator of sanitizers does not count this way\n");
	tls_context_free(ctx);
	skip();
#endif
	for (int i = 0; i < IDLE; i++) {
		link_open(&links[i], ctx);
		assert_true(handshake(&links[i]));
		client_says(&links[i], SLICE_LIT("x\n"));
		pump_out(&links[i]);
		want_line("line", links[i].server, "x\n");
		stream_shrink(links[i].server);
		SSL_free(links[i].client);
		links[i].client = NULL;
	}
	before = mallinfo2().uordblks;
	for (int i = 0; i < IDLE; i++) {
		stream_free(links[i].server);
		links[i].server = NULL;
	}
	per_connection = (before - mallinfo2().uordblks) / IDLE;
	print_message("%zu bytes for each idle connection\n", per_connection);
	assert_in_range(per_connection, 1000, 16 * 1024);
	for (int i = 0; i < IDLE; i++)
		link_close(&links[i]);
	tls_context_free(ctx);
}

static void test_no_tickets(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	static const struct {
		const char *name;
		struct tls_server_config config;
		bool tickets;
	} cases[] = {
		{ "an hour", { .service = "x", .ticket_cipher = "camellia-128-cbc" }, true },
		{ "never", { .service = "x", .session_seconds = -1 }, false },
		{ "no such cipher", { .service = "x", .ticket_cipher = "rot13" }, false },
		{ "not for tickets", { .service = "x", .ticket_cipher = "aes-256-gcm" }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases) * 2; i++) {
		struct tls_context *ctx = new_context(cases[i / 2].config);

		is_resumed(ctx, NULL, versions[i % 2]);
		want_int(cases[i / 2].name, kept_session && SSL_SESSION_has_ticket(kept_session),
		    cases[i / 2].tickets);
		SSL_SESSION_free(kept_session);
		kept_session = NULL;
		tls_context_free(ctx);
	}
}

/* The bytes of what has come, at least one; without waiting for more. */
static size_t came(const struct link *l)
{
	char data[20000];
	ssize_t n = -1;

	if (socket_wait(l->peer, POLLIN, deadline_in(5000)) == 1)
		n = recv(l->peer, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

/* A ticket goes out with the first reply, the good-bye with the last. */
static void test_records_together(void **state)
{
	struct tls_context *ctx = new_context((struct tls_server_config){ .service = "x" });
	struct link l;

	(void)state;
	link_open(&l, ctx);
	assert_true(handshake(&l));
	assert_int_equal(recv(l.peer, &(char){ 0 }, 1, MSG_PEEK | MSG_DONTWAIT), -1);
	stream_puts(l.server, "250 ok\r\n");
	assert_true(stream_flush(l.server));
	assert_true(came(&l) > 100);
	want_client_hears("the first", &l, "250 ok\r\n");
	stream_puts(l.server, "221 bye\r\n");
	assert_true(stream_finish(l.server));
	/* A record has 22 octets around its content, an alert two in it (RFC 8446 5.2, 6). */
	want_int("bytes of the last", (long)came(&l), 22 + 9 + 22 + 2);
	want_client_hears("the last", &l, "221 bye\r\n");
	assert_int_equal(SSL_read(l.client, &(char){ 0 }, 1), 0);
	assert_int_equal(SSL_get_shutdown(l.client) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	link_close(&l);
	tls_context_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_talk),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_input_before),
		cmocka_unit_test(test_clear_after),
		cmocka_unit_test(test_peer_vanishes),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_min_rate),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_no_tickets),
		cmocka_unit_test(test_records_together),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_ciphers),
		cmocka_unit_test(test_refused_configuration),
		cmocka_unit_test(test_renegotiation),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_idle_memory),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
