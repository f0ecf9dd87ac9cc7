// SPDX-License-Identifier: BSD-2-Clause
/* Client and server are ours, with a socket between them; the server runs in a thread. */
#include <config.h> /* the build's, not the tests' own */

#include "unit.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "log/log.h"
#include "net/stream.h"
#include "net/tls_client.h"
#include "scratch.h"
#include "sys/socket.h"

#define PEER "mx.example[192.0.2.1]:25"

static int log_fd;
static EVP_PKEY *ca_key;
static X509 *ca_cert;

/* ---- certificates ---- */

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX v3;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&v3, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
	assert_non_null(ext);
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
}

struct cert_form {
	const char *file, *name, *alt;
	long from, to; /* seconds from now */
	bool alone;    /* signed by itself */
};

static X509 *make_cert(EVP_PKEY *key, const struct cert_form *form)
{
	X509 *cert = X509_new(), *issuer = form->alone || !ca_cert ? cert : ca_cert;
	static int serial;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), form->from);
	X509_gmtime_adj(X509_getm_notAfter(cert), form->to ? form->to : 86400);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	    (const unsigned char *)form->name, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer));
	if (form->alt)
		extend(cert, issuer, NID_subject_alt_name, form->alt);
	if (!ca_cert && !form->alone)
		extend(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(cert, issuer == cert ? key : ca_key, EVP_sha256()) > 0);
	return cert;
}

static void write_pem(const char *name, EVP_PKEY *key, X509 *cert)
{
	FILE *file = fopen(scratch_path(name), "w");

	assert_non_null(file);
	if (key)
		PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	if (cert)
		PEM_write_X509(file, cert);
	fclose(file);
}

static const struct cert_form forms[] = {
	{ "good.pem", "mx.example", "DNS:mx.example", 0, 0, false },
	{ "wild.pem", "wild", "DNS:*.wild.example", 0, 0, false },
	{ "part.pem", "part", "DNS:m*.example", 0, 0, false },
	{ "cn.pem", "mx.example", NULL, 0, 0, false },
	{ "both.pem", "mx.example", "DNS:other.example", 0, 0, false },
	{ "ip.pem", "ip", "IP:192.0.2.1", 0, 0, false },
	{ "late.pem", "mx.example", "DNS:mx.example", -86400 * 2, -86400, false },
	{ "early.pem", "mx.example", "DNS:mx.example", 86400, 86400 * 2, false },
	{ "alone.pem", "mx.example", "DNS:mx.example", 0, 0, true },
	{ "latename.pem", "x", "DNS:x.example", -86400 * 2, -86400, false },
};

static int set_up(void **state)
{
	(void)state;
	ca_key = EVP_EC_gen("P-256");
	ca_cert = make_cert(ca_key, &(struct cert_form){ .name = "Test CA" });
	write_pem("ca.pem", NULL, ca_cert);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		X509 *cert = make_cert(key, &forms[i]);

		write_pem(forms[i].file, key, cert);
		X509_free(cert);
		EVP_PKEY_free(key);
	}
	log_fd = memfd_create("log", MFD_CLOEXEC);
	log_open(&(struct log_config){ .name = "postfix/smtp", .fd = log_fd, .hostname = "h" });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	X509_free(ca_cert);
	EVP_PKEY_free(ca_key);
	return 0;
}

/* What was logged since the last call; static. */
static const char *logged(void)
{
	static char text[20000];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	assert_int_equal(ftruncate(log_fd, 0), 0);
	lseek(log_fd, 0, SEEK_SET);
	return text;
}

static void want_logged(const char *name, const char *text, const char *want)
{
	if (!strstr(text, want))
		fail_msg("%s: not logged: %s\n%s", name, want, text);
}

/* ---- connections ---- */

struct server {
	struct tls_context *ctx;
	struct stream *stream;
	pthread_t thread;
	char sni[100];
	bool accepted, resumed;
};

static struct tls_context *new_server(const char *file, struct tls_server_config config)
{
	static char path[400];
	struct tls_files files[] = { { path, NULL }, { NULL, NULL } };
	struct tls_context *ctx;
	struct reason why;

	snprintf(path, sizeof(path), "%s", scratch_path(file));
	config.files = files;
	config.service = "smtpd";
	ctx = tls_server_new(&config, &why);
	if (!ctx)
		fail_msg("%s", why.text);
	return ctx;
}

/* Says a line, hears one, and goes without a good-bye. */
static void *serve(void *arg)
{
	struct server *server = arg;
	struct tls_info info;
	struct slice line;

	server->accepted = tls_accept(server->stream, server->ctx);
	if (server->accepted) {
		tls_connection_info(stream_tls(server->stream), &info);
		snprintf(server->sni, sizeof(server->sni), "%s", info.server_name);
		server->resumed = info.resumed;
		stream_puts(server->stream, "250 hello\r\n");
		stream_read_line(server->stream, 100, &line);
	}
	stream_free(server->stream);
	return NULL;
}

/* Whether the handshake worked; the rest is in RESULT, *SERVER and INFO's texts in the log. */
static bool talk(struct server *server, struct tls_context *client,
    const struct tls_client_wish *wish, struct tls_client_result *result)
{
	struct stream *s;
	struct slice line;
	int pair[2];
	bool done;

	assert_int_equal(socket_pair(pair), 0);
	server->stream = stream_new(pair[0]);
	stream_set_deadline(server->stream, deadline_in(60000));
	pthread_create(&server->thread, NULL, serve, server);
	s = stream_new(pair[1]);
	stream_set_deadline(s, deadline_in(60000));
	done = tls_connect(s, client, wish, result);
	if (done) {
		assert_int_equal(stream_read_line(s, 100, &line), STREAM_READ_LINE);
		want_slice("hello", line, slice_of("250 hello\r\n"));
		stream_puts(s, "QUIT\r\n");
		stream_flush(s);
	} else {
		assert_int_not_equal(stream_error(s), STREAM_OK);
	}
	stream_free(s);
	pthread_join(server->thread, NULL);
	return done;
}

static struct tls_context *new_client(struct tls_client_config config)
{
	struct tls_context *ctx;
	struct reason why;

	ctx = tls_client_new(&config, &why);
	if (!ctx)
		fail_msg("%s", why.text);
	return ctx;
}

static const char *const mx[] = { "mx.example", NULL };

static const struct {
	const char *name, *file;
	enum tls_client_check check;
	bool no_ca, one_label;
	const char *names[3];
	enum tls_client_trust trust;
	const char *line;
} name_cases[] = {
	{ "no check, no CA", "good.pem", TLS_CHECK_NOTHING, true, false, { NULL },
	    TLS_PEER_UNTRUSTED, "Untrusted TLS connection established to " PEER ": TLSv1.3 with" },
	{ "no check", "good.pem", TLS_CHECK_NOTHING, false, false, { NULL }, TLS_PEER_TRUSTED,
	    "Trusted TLS connection established to " PEER ": TLSv1.3 with cipher "
	    "TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature "
	    "ECDSA (prime256v1) server-digest SHA256\n" },
	{ "no check, expired", "late.pem", TLS_CHECK_NOTHING, false, false, { NULL },
	    TLS_PEER_UNTRUSTED, "" },
	{ "name", "good.pem", TLS_CHECK_NAMES, false, false, { "mx.example" }, TLS_PEER_VERIFIED,
	    "Verified TLS connection established to " PEER },
	{ "case", "good.pem", TLS_CHECK_NAMES, false, false, { "MX.Example" }, TLS_PEER_VERIFIED,
	    "" },
	{ "second name", "good.pem", TLS_CHECK_NAMES, false, false, { "a.test", "mx.example" },
	    TLS_PEER_VERIFIED, "" },
	{ "other name", "good.pem", TLS_CHECK_NAMES, false, false, { "other.example" },
	    TLS_PEER_TRUSTED,
	    "server certificate verification failed for " PEER ": num=62:hostname mismatch\n" },
	{ "below", "good.pem", TLS_CHECK_NAMES, false, false, { ".example" }, TLS_PEER_VERIFIED,
	    "" },
	{ "not below itself", "good.pem", TLS_CHECK_NAMES, false, false, { ".mx.example" },
	    TLS_PEER_TRUSTED, "" },
	{ "no name", "good.pem", TLS_CHECK_NAMES, false, false, { NULL }, TLS_PEER_UNTRUSTED,
	    "num=1:unspecified certificate verification error\n" },
	{ "no CA", "good.pem", TLS_CHECK_NAMES, true, false, { "mx.example" }, TLS_PEER_UNTRUSTED,
	    "certificate verification failed for " PEER ": untrusted issuer /CN=Test CA\n" },
	{ "alone", "alone.pem", TLS_CHECK_NAMES, false, false, { "mx.example" }, TLS_PEER_UNTRUSTED,
	    ": certificate verification failed for " PEER ": self-signed certificate\n" },
	{ "expired", "late.pem", TLS_CHECK_NAMES, false, false, { "mx.example" },
	    TLS_PEER_UNTRUSTED,
	    "server certificate verification failed for " PEER ": certificate has expired\n" },
	{ "early", "early.pem", TLS_CHECK_NAMES, false, false, { "mx.example" }, TLS_PEER_UNTRUSTED,
	    "server certificate verification failed for " PEER ": certificate not yet valid\n" },
	{ "expired and other", "latename.pem", TLS_CHECK_NAMES, false, false, { "mx.example" },
	    TLS_PEER_UNTRUSTED, "" },
	{ "wild", "wild.pem", TLS_CHECK_NAMES, false, false, { "mx.wild.example" },
	    TLS_PEER_VERIFIED, "" },
	{ "wild, two labels", "wild.pem", TLS_CHECK_NAMES, false, false, { "a.mx.wild.example" },
	    TLS_PEER_VERIFIED, "" },
	{ "wild, two labels, one allowed", "wild.pem", TLS_CHECK_NAMES, false, true,
	    { "a.mx.wild.example" }, TLS_PEER_TRUSTED, "" },
	{ "wild, itself", "wild.pem", TLS_CHECK_NAMES, false, false, { "wild.example" },
	    TLS_PEER_TRUSTED, "" },
	{ "partly wild", "part.pem", TLS_CHECK_NAMES, false, false, { "mx.example" },
	    TLS_PEER_TRUSTED, "" },
	{ "common name", "cn.pem", TLS_CHECK_NAMES, false, false, { "mx.example" },
	    TLS_PEER_VERIFIED, "" },
	{ "alternative name instead of common", "both.pem", TLS_CHECK_NAMES, false, false,
	    { "mx.example" }, TLS_PEER_TRUSTED, "" },
	{ "address", "ip.pem", TLS_CHECK_NAMES, false, false, { "192.0.2.1" }, TLS_PEER_VERIFIED,
	    "" },
	{ "other address", "ip.pem", TLS_CHECK_NAMES, false, false, { "192.0.2.2" },
	    TLS_PEER_UNTRUSTED, "" },
	{ "address and no name", "good.pem", TLS_CHECK_NAMES, false, false, { "192.0.2.1" },
	    TLS_PEER_UNTRUSTED, "" },
};

static void test_names(void **state)
{
	char ca[400];

	(void)state;
	snprintf(ca, sizeof(ca), "%s", scratch_path("ca.pem"));
	for (size_t i = 0; i < ARRAY_LEN(name_cases); i++) {
		const char *name = name_cases[i].name;
		struct server server = { .ctx = new_server(
					     name_cases[i].file, (struct tls_server_config){ 0 }) };
		struct tls_context *client = new_client(
		    (struct tls_client_config){ .ca_file = name_cases[i].no_ca ? NULL : ca });
		struct tls_client_result result;
		bool done = talk(&server, client,
		    &(struct tls_client_wish){ .peer = PEER,
			.log = TLS_LOG_SUMMARY,
			.check = name_cases[i].check,
			.names = name_cases[i].names,
			.one_label_wildcards = name_cases[i].one_label },
		    &result);

		want_int(name, done, true);
		want_int(name, result.trust, name_cases[i].trust);
		want_int(name, result.matched,
		    name_cases[i].trust == TLS_PEER_VERIFIED ||
			name_cases[i].check == TLS_CHECK_NOTHING);
		if (!result.matched)
			want_str(name, result.why.text, "Server certificate not verified");
		want_logged(name, logged(), name_cases[i].line);
		tls_context_free(client);
		tls_context_free(server.ctx);
	}
}

/* A wish that would take any certificate of a known CA for the right one. */
static void test_nonsense(void **state)
{
	static const struct tls_client_wish wishes[] = {
		{ .peer = PEER, .check = TLS_CHECK_DANE, .tlsa_base = "mx.example" },
		{ .peer = PEER, .protocols = "SSLv7" },

		{ .peer = PEER, .ciphers = "nonsense" },
	};
	struct server server = { .ctx = new_server("good.pem", (struct tls_server_config){ 0 }) };
	struct tls_context *client = new_client((struct tls_client_config){ 0 });
	struct tls_client_result result;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
		assert_false(talk(&server, client, &wishes[i], &result));
		assert_false(result.matched);
		assert_non_null(strstr(logged(), ": aborting TLS session\n"));
	}
	tls_context_free(client);
	tls_context_free(server.ctx);
}

static void test_required(void **state)
{
	struct server server = { .ctx = new_server("good.pem", (struct tls_server_config){ 0 }) };
	struct tls_context *client = new_client((struct tls_client_config){ 0 });
	struct tls_client_result result;

	(void)state;
	assert_false(talk(&server, client,
	    &(struct tls_client_wish){
		.peer = PEER, .check = TLS_CHECK_NAMES, .names = mx, .required = true },
	    &result));
	want_str("why", result.why.text, "Server certificate not verified");
	want_str("dsn", result.why.dsn, "4.7.5");
	tls_context_free(client);
	tls_context_free(server.ctx);
}

/* ---- fingerprints, TLSA, anchors ---- */

static X509 *read_cert(const char *file)
{
	FILE *in = fopen(scratch_path(file), "r");
	X509 *cert;

	assert_non_null(in);
	cert = PEM_read_X509(in, NULL, NULL, NULL);
	assert_non_null(cert);
	fclose(in);
	return cert;
}

/* Certificate or key of FILE: its DER, or a digest; the size. */
static uint16_t material(const char *file, uint8_t selector, uint8_t matching, uint8_t *out)
{
	X509 *cert = read_cert(file);
	unsigned char *der = NULL;
	int len = selector ? i2d_PUBKEY(X509_get0_pubkey(cert), &der) : i2d_X509(cert, &der);
	size_t size = (size_t)len;

	assert_true(len > 0);
	if (matching)
		size = digest_bytes(
		    matching == 2 ? "SHA512" : "SHA256", slice_mem(der, (size_t)len), out);
	else
		memcpy(out, der, size);
	OPENSSL_free(der);
	X509_free(cert);
	return (uint16_t)size;
}

static void test_fingerprints(void **state)
{
	static const char *const files[] = { "good.pem", "late.pem", "alone.pem" };
	struct tls_context *client = new_client((struct tls_client_config){ 0 });

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files) * 3; i++) {
		const char *file = files[i % ARRAY_LEN(files)];
		struct server server = { .ctx = new_server(file, (struct tls_server_config){ 0 }) };
		struct tls_client_result result;
		char text[200] = "";
		uint8_t bytes[DIGEST_MAX_SIZE];
		const char *names[] = { "AB:CD", text, NULL };
		uint16_t len = material(file, i / 3 == 1, 1, bytes);

		if (i / 3 == 2)
			bytes[0] ^= 1;
		for (uint16_t b = 0; b < len; b++)
			snprintf(text + strlen(text), 4, b + 1 < len && b % 2 ? "%02x:" : "%02X",
			    bytes[b]);
		assert_true(talk(&server, client,
		    &(struct tls_client_wish){ .peer = PEER,
			.log = TLS_LOG_SUMMARY,
			.check = TLS_CHECK_FINGERPRINT,
			.names = names },
		    &result));
		want_int(file, result.matched, i / 3 != 2);
		want_logged(file, logged(),
		    i / 3 == 2 ? "num=65:no matching DANE TLSA records\n" : ": Verified TLS");
		tls_context_free(server.ctx);
	}
	tls_context_free(client);
}

#define UNUSABLE 3 /* the handshake is not even tried */

static const struct {
	const char *name, *server, *of; /* the record is made of this certificate */
	uint8_t usage, selector, matching;
	const char *base;
	int cut; /* bytes that are missing */
	int want;
} tlsa_cases[] = {
	{ "3 1 1", "good.pem", "good.pem", 3, 1, 1, "mx.example", 0, true },
	{ "3 0 1", "good.pem", "good.pem", 3, 0, 1, "mx.example", 0, true },
	{ "3 1 2", "good.pem", "good.pem", 3, 1, 2, "mx.example", 0, true },
	{ "3 0 0", "good.pem", "good.pem", 3, 0, 0, "mx.example", 0, true },
	{ "3 1 0", "good.pem", "good.pem", 3, 1, 0, "mx.example", 0, true },
	{ "EE: no names", "good.pem", "good.pem", 3, 1, 1, "other.example", 0, true },
	{ "EE: no dates", "late.pem", "late.pem", 3, 1, 1, "mx.example", 0, true },
	{ "EE: no CA", "alone.pem", "alone.pem", 3, 1, 1, "mx.example", 0, true },
	{ "EE: other", "good.pem", "wild.pem", 3, 1, 1, "mx.example", 0, false },
	{ "EE: CA", "good.pem", "ca.pem", 3, 1, 1, "mx.example", 0, false },
	{ "TA", "good.pem", "ca.pem", 2, 0, 0, "mx.example", 0, true },
	{ "TA: key", "good.pem", "ca.pem", 2, 1, 0, "mx.example", 0, true },
	{ "TA: names", "good.pem", "ca.pem", 2, 0, 0, "other.example", 0, false },
	{ "TA: dates", "late.pem", "ca.pem", 2, 0, 0, "mx.example", 0, false },
	{ "TA: digest of what was not sent", "good.pem", "ca.pem", 2, 0, 1, "mx.example", 0,
	    false },
	{ "TA: leaf", "good.pem", "wild.pem", 2, 0, 0, "mx.example", 0, false },
	{ "PKIX-TA", "good.pem", "ca.pem", 0, 0, 0, "mx.example", 0, UNUSABLE },
	{ "PKIX-EE", "good.pem", "good.pem", 1, 1, 1, "mx.example", 0, UNUSABLE },
	{ "usage 255", "good.pem", "good.pem", 255, 1, 1, "mx.example", 0, UNUSABLE },
	{ "selector 2", "good.pem", "good.pem", 3, 2, 1, "mx.example", 0, UNUSABLE },
	{ "matching 255", "good.pem", "good.pem", 3, 1, 255, "mx.example", 0, UNUSABLE },
	{ "short", "good.pem", "good.pem", 3, 1, 1, "mx.example", 1, UNUSABLE },
	{ "half a certificate", "good.pem", "good.pem", 3, 0, 0, "mx.example", 100, UNUSABLE },
	{ "nothing", "good.pem", "good.pem", 3, 1, 1, "mx.example", 32, UNUSABLE },
};

static void test_tlsa(void **state)
{
	struct tls_context *client = new_client((struct tls_client_config){ 0 });
	static struct dns_tlsa record;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tlsa_cases); i++) {
		const char *name = tlsa_cases[i].name;
		struct server server = { .ctx = new_server(tlsa_cases[i].server,
					     (struct tls_server_config){ 0 }) };
		struct tls_client_result result;

		record.usage = tlsa_cases[i].usage;
		record.selector = tlsa_cases[i].selector;
		record.matching = tlsa_cases[i].matching;
		record.len =
		    material(tlsa_cases[i].of, record.selector, record.matching, record.data);
		record.len = (uint16_t)(record.len - tlsa_cases[i].cut);
		want_int(name, tls_tlsa_is_usable(client, &record), tlsa_cases[i].want != UNUSABLE);
		want_int(name,
		    talk(&server, client,
			&(struct tls_client_wish){ .peer = PEER,
			    .log = TLS_LOG_SUMMARY,
			    .check = TLS_CHECK_DANE,
			    .server_name = tlsa_cases[i].base,
			    .tlsa = &record,
			    .tlsa_count = 1,
			    .tlsa_base = tlsa_cases[i].base },
			&result),
		    tlsa_cases[i].want != UNUSABLE);
		want_int(name, result.matched, tlsa_cases[i].want == true);
		logged();
		tls_context_free(server.ctx);
	}
	tls_context_free(client);
}

static void test_anchors(void **state)
{
	struct tls_context *client = new_client((struct tls_client_config){ 0 });
	struct tls_anchors *ca, *other;
	struct reason why;
	X509 *stranger;

	(void)state;
	write_pem("empty.pem", NULL, NULL);
	assert_null(tls_anchors_load(scratch_path("missing.pem"), &why));
	assert_non_null(strstr(why.text, "missing.pem: No such file or directory"));
	assert_null(tls_anchors_load(scratch_path("empty.pem"), &why));
	assert_null(tls_anchors_load(scratch_path("good.pem"), &why)); /* a key is in it */
	ca = tls_anchors_load(scratch_path("ca.pem"), &why);
	assert_non_null(ca);
	stranger = make_cert(ca_key, &(struct cert_form){ .name = "x" });
	write_pem("other.pem", NULL, stranger);
	X509_free(stranger);
	other = tls_anchors_load(scratch_path("other.pem"), &why);
	for (int i = 0; i < 4; i++) {
		const struct tls_anchors *list[] = { i % 2 ? other : ca, NULL };
		const char *names[] = { i / 2 ? "other.example" : "mx.example", NULL };
		struct server server = { .ctx = new_server(
					     "good.pem", (struct tls_server_config){ 0 }) };
		struct tls_client_result result;

		assert_true(talk(&server, client,
		    &(struct tls_client_wish){
			.peer = PEER, .check = TLS_CHECK_NAMES, .names = names, .anchors = list },
		    &result));
		want_int("anchor", result.matched, i == 0);
		tls_context_free(server.ctx);
	}
	tls_anchors_free(ca);
	tls_anchors_free(other);
	tls_context_free(client);
	logged();
}

/* ---- the rest of a wish ---- */

static void test_wishes(void **state)
{
	struct server server = { .ctx = new_server("good.pem", (struct tls_server_config){ 0 }) };
	struct tls_context *client = new_client((struct tls_client_config){ .verbose = true });
	struct tls_client_result result;
	const char *text;

	(void)state;
	want_logged("engine", logged(), "initializing the client-side TLS engine\n");
	assert_true(talk(&server, client,
	    &(struct tls_client_wish){ .peer = PEER,
		.log = TLS_LOG_SUMMARY | TLS_LOG_VERBOSE | TLS_LOG_STEPS,
		.server_name = "sni.example",
		.protocols = "!TLSv1.3",
		.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" },
	    &result));
	want_str("name", server.sni, "sni.example");
	text = logged();
	want_logged("start", text, "setting up TLS connection to " PEER "\n");
	want_logged("list", text, PEER ": TLS cipher list \"ECDHE-ECDSA-AES128-GCM-SHA256\"\n");
	want_logged("steps", text, "SSL_connect:before SSL initialization\n");
	want_logged("depth", text, PEER ": depth=0 verify=0 subject=/CN=mx.example\n");
	want_logged(
	    "cert", text, PEER ": subject_CN=mx.example, issuer=Test CA, cert fingerprint=");
	want_logged("summary", text,
	    "established to " PEER ": TLSv1.2 with cipher ECDHE-ECDSA-AES128-GCM-SHA256 "
	    "(128/128 bits)\n");
	assert_false(talk(&server, client,
	    &(struct tls_client_wish){ .peer = PEER, .protocols = "<=TLSv1.1" }, &result));
	want_str("failed", result.why.text, "Cannot start TLS: handshake failure");
	want_logged("failed", logged(), "SSL_connect error to " PEER ": -1\n");
	tls_context_free(client);
	tls_context_free(server.ctx);
}

/* The first connection brings sessions along; others are used where the wish is the same. */
static void resume(const char *protocols, bool many)
{
	struct server server = { .ctx = new_server("good.pem", (struct tls_server_config){ 0 }) };
	struct tls_context *client = new_client((struct tls_client_config){
	    .session_seconds = 3600, .session_max = 2, .cache_name = "smtp" });
	struct tls_client_wish wish = { .peer = PEER,
		.log = TLS_LOG_SUMMARY | TLS_LOG_CACHE,
		.protocols = protocols,
		.session_key = "smtp&mx.example" };
	struct tls_client_result result;
	const char *text;

	assert_true(talk(&server, client, &wish, &result));
	assert_false(server.resumed);
	text = logged();
	want_logged("look", text, "looking for session smtp&mx.example&");
	want_logged("save", text, "save session smtp&mx.example&");
	for (int i = 0; i < 3; i++) {
		assert_true(talk(&server, client, &wish, &result));
		text = logged();
		if (!server.resumed)
			fail_msg("connection %d was not resumed: %s", i, text);
		want_logged("reload", text, "reloaded session smtp&mx.example&");
		want_logged("reuse", text, PEER ": Reusing old session\n");
		want_logged("line", text, many ? "key-exchange X25519\n" : "bits)\n");
	}
	/* Nobody looked at names in that handshake. */
	wish.check = TLS_CHECK_NAMES;
	wish.names = mx;
	assert_true(talk(&server, client, &wish, &result));
	assert_false(server.resumed);
	assert_false(result.matched);
	assert_true(talk(&server, client, &wish, &result));
	assert_true(server.resumed);
	assert_false(result.matched);
	want_logged("again", logged(), "re-using session with untrusted certificate, look for");
	wish.session_key = NULL;
	assert_true(talk(&server, client, &wish, &result));
	assert_false(server.resumed);
	/* At most two. */
	wish.session_key = "third";
	assert_true(talk(&server, client, &wish, &result));
	wish = (struct tls_client_wish){
		.peer = PEER, .protocols = protocols, .session_key = "smtp&mx.example"
	};
	assert_true(talk(&server, client, &wish, &result));
	assert_false(server.resumed);
	logged();
	tls_context_free(client);
	tls_context_free(server.ctx);
}

static void test_resume(void **state)
{
	(void)state;
	resume(">=TLSv1.3", true);
	resume("<=TLSv1.2", false);
}

/* The verdict of a good handshake holds for its sessions. */
static void test_resume_verified(void **state)
{
	char ca[400];
	struct server server = { .ctx = new_server("good.pem", (struct tls_server_config){ 0 }) };
	struct tls_context *client;
	struct tls_client_result result;

	(void)state;
	snprintf(ca, sizeof(ca), "%s", scratch_path("ca.pem"));
	client = new_client((struct tls_client_config){
	    .session_seconds = 3600, .session_max = 100, .ca_file = ca });
	for (int i = 0; i < 3; i++) {
		assert_true(talk(&server, client,
		    &(struct tls_client_wish){
			.peer = PEER, .check = TLS_CHECK_NAMES, .names = mx, .session_key = "k" },
		    &result));
		assert_int_equal(server.resumed, i > 0);
		assert_int_equal(result.trust, TLS_PEER_VERIFIED);
	}
	tls_context_free(client);
	tls_context_free(server.ctx);
}

/* A client certificate is sent when it is asked for, and told of. */
static void test_client_cert(void **state)
{
	static char path[400], ca[400];
	struct tls_files files[] = { { path, NULL }, { NULL, NULL } };
	struct server server;
	struct tls_context *client;
	struct tls_client_result result;
	struct reason why;

	(void)state;
	snprintf(path, sizeof(path), "%s", scratch_path("cn.pem"));
	snprintf(ca, sizeof(ca), "%s", scratch_path("ca.pem"));
	client = new_client((struct tls_client_config){ .files = files });
	for (int asks = 0; asks < 2; asks++) {
		server.ctx = new_server("good.pem",
		    (struct tls_server_config){ .ca_file = ca, .ask_client_cert = asks != 0 });
		assert_true(talk(&server, client,
		    &(struct tls_client_wish){ .peer = PEER, .log = TLS_LOG_SUMMARY }, &result));
		want_logged("line", logged(),
		    asks ? "server-digest SHA256 client-signature ECDSA (prime256v1) "
			   "client-digest SHA256\n"
			 : "server-digest SHA256\n");
		tls_context_free(server.ctx);
	}
	tls_context_free(client);
	snprintf(path, sizeof(path), "%s", scratch_path("missing.pem"));
	assert_null(tls_client_new(&(struct tls_client_config){ .files = files }, &why));
	assert_null(tls_client_new(&(struct tls_client_config){ .digest = "nonsense" }, &why));
	assert_null(tls_client_new(&(struct tls_client_config){ .dane_digests = "x" }, &why));
}

static void test_log_parts(void **state)
{
	unsigned parts;

	(void)state;
	assert_true(tls_log_parts("0", &parts) && parts == 0);
	assert_true(tls_log_parts("1", &parts) && parts == TLS_LOG_SUMMARY);
	assert_true(tls_log_parts("routine,certmatch", &parts) &&
		    parts == (TLS_LOG_SUMMARY | TLS_LOG_CERTMATCH));
	assert_true(tls_log_parts("4", &parts) && (parts & TLS_LOG_STEPS));
	assert_false(tls_log_parts("5", &parts));
	assert_false(tls_log_parts("1, nonsense", &parts));
}

/* What is no TLS at all, and what ends in the middle of it. */
static void test_strangers(void **state)
{
	static const char *const says[] = { "", "250 what\r\n", "\x16\x03\x03\xff\xff",
		"\x15\x03\x03\x00\x02\x02\x28" };
	static const size_t lengths[] = { 0, 10, 5, 7 };
	struct tls_context *client = new_client((struct tls_client_config){ 0 });
	struct tls_client_result result;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(says); i++) {
		struct stream *s;
		int pair[2];

		assert_int_equal(socket_pair(pair), 0);
		s = stream_new(pair[1]);
		stream_set_deadline(s, deadline_in(60000));
		assert_int_equal(send(pair[0], says[i], lengths[i], 0), (ssize_t)lengths[i]);
		shutdown(pair[0], SHUT_WR);
		assert_false(
		    tls_connect(s, client, &(struct tls_client_wish){ .peer = PEER }, &result));
		want_str("why", result.why.text, "Cannot start TLS: handshake failure");
		want_str("dsn", result.why.dsn, "4.7.5");
		want_logged("log", logged(), "SSL_connect error to " PEER ": ");
		stream_free(s);
		close(pair[0]);
	}
	tls_context_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_tlsa),
		cmocka_unit_test(test_anchors),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_resume_verified),
		cmocka_unit_test(test_client_cert),
		cmocka_unit_test(test_log_parts),
		cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
