// SPDX-License-Identifier: BSD-2-Clause
/*
 * Between the files of tls*.c, which alone see OpenSSL's types (named here by their tags).
 */
#ifndef PC_NET_TLS_CONTEXT_H
#define PC_NET_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/reason.h"
#include "base/slice.h"
#include "net/tls.h"

struct ssl_st;
struct ssl_ctx_st;
struct x509_store_ctx_st;
struct tls_tickets;
struct tls_sessions;
struct transport;

#define TLS_DSN		   "4.7.0"
#define TLS_DIGEST_NAME	   32
#define TLS_DEFAULT_CURVES "X25519 X448 prime256v1 secp384r1 secp521r1"

struct tls_context {
	struct ssl_ctx_st *ctx;
	struct tls_tickets *tickets;   /* NULL: no sessions are resumed */
	struct tls_sessions *sessions; /* a client's, NULL: none are resumed */
	int verify_depth;	       /* -1: no limit of ours */
	bool trust_server_certs;
	char digest[TLS_DIGEST_NAME];
	tls_find_chain *find_chain; /* NULL: all names get the same certificates */
	void *find_arg;
	bool whole_errors;
	char *cache_name;  /* a client's, for the log */
	char *cipher_list; /* what was set for TLS 1.2 and before; NULL: the library's */
};

/* What the other side's certificate says; exists only where there is one. */
struct tls_client_cert {
	bool trusted;
	char *subject, *issuer; /* common names; "" */
	char *fingerprint, *key_fingerprint;
	char signature[24];
	int signature_bits;
	const char *digest;
};

struct tls_connection {
	struct ssl_st *ssl;
	const struct tls_context *ctx;
	int fd;
	bool eof; /* the socket's */
	bool may_wait;
	bool ahead; /* the handshake has read more than its own, which nobody looked at */
	int errnum; /* the socket's, 0: none */
	uint64_t wire_bytes;
	/* Records that go out with the next one: a ticket, which nobody waits for; a last word. */
	char *held;
	size_t held_len;
	bool hold;
	char *text; /* what went wrong, or NULL */
	char key_exchange[24], signature[24];
	int signature_bits;
	const char *digest;
	char *matched_name; /* SNI with certificates of its own, or NULL */
	struct tls_client_cert *client;
	/* The first of the errors that the verification of the peer's certificate had. */
	int verify_error, verify_error_depth;
	bool nothing_matches; /* names were wanted, and there was none to look for */
	bool chain_failed;    /* one of them was about more than the name */
	char *session_key;    /* of a client whose sessions are kept; or NULL */
	bool log_sessions;
	char *verify_issuer;
	/* During the handshake, else NULL. */
	const struct tls_peer *peer;
	tls_choose *choose; /* or NULL */
	void *choose_arg;
	bool logs; /* as Postfix does */
};

/* ---- tls.c ---- */

extern const struct transport tls_transport;
/* A server's or a client's, as CTX is.  Its ssl is NULL when there is no memory. */
struct tls_connection *tls_connection_new(const struct tls_context *ctx, int fd);
bool tls_handshake(struct stream *s, struct tls_connection *c);
/*
 * Groups and own signature: below TLS 1.3 these are part of the cipher's name, and the peers' log
 * lines have them there.
 */
void tls_note_details(struct tls_connection *c);
/* Why the handshake failed; CALL: "SSL_accept error from". */
void tls_log_failure(const struct stream *s, const char *call, const char *peer);

/* ---- tls_log.c ---- */

/* The earliest error of the thread's queue, which says what began it; the queue is empty then. */
void tls_library_error(char *text, size_t size);
/* Each error of the thread's queue as a warning; the queue is empty then. */
void tls_log_library_errors(void);
/* Steps of the handshake go to the log. */
void tls_log_steps(struct ssl_st *ssl);

/* ---- tls_context.c ---- */

/* For SSL_CTX_set_default_passwd_cb: a daemon has nobody to ask. */
int tls_no_password(char *buf, int size, int writing, void *arg);
/* Sets *WHY to the text.  False. */
bool tls_refuse(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A context cannot be made for *WHY: what the library says of it goes to the log, or behind *WHY.
 */
void tls_report(bool log_errors, struct reason *why);

/* ---- tls_chain.c: keys and certificates ---- */

bool tls_load_files(
    struct ssl_ctx_st *ctx, const struct tls_server_config *config, struct reason *why);
bool tls_load_chains(struct ssl_ctx_st *ctx, const char *const *names, struct reason *why);
/* PEM text for one connection; what it had before is forgotten. */
bool tls_load_text(struct ssl_st *ssl, struct slice pem, const char *source, struct reason *why);

/* ---- tls_choice.c: protocols, ciphers, groups, options ---- */

bool tls_set_protocols(
    struct ssl_ctx_st *ctx, const struct tls_server_config *config, struct reason *why);
/* Postfix's form, for one connection. */
bool tls_set_connection_protocols(struct ssl_st *ssl, const char *protocols, struct reason *why);
void tls_set_groups(struct ssl_ctx_st *ctx, const struct tls_server_config *config);
void tls_set_options(struct ssl_ctx_st *ctx, const struct tls_server_config *config);

/* ---- tls_ticket.c ---- */

/* NULL with *WHY on failure. */
struct tls_tickets *tls_tickets_new(
    struct ssl_ctx_st *ctx, const struct tls_server_config *config, struct reason *why);
void tls_tickets_free(struct tls_tickets *tickets);

/* ---- tls_sessions.c: what a client resumes ---- */

/* Takes over what comes for connections of CTX with a session_key. */
struct tls_sessions *tls_sessions_new(struct ssl_ctx_st *ctx, long seconds, size_t max);
void tls_sessions_free(struct tls_sessions *sessions);
/* Gives C a session that was kept under its key; false when there is none. */
bool tls_sessions_use(struct tls_sessions *sessions, struct tls_connection *c);
void tls_sessions_forget(struct tls_sessions *sessions, const char *key);

/* ---- tls_verdict.c: servers' certificates ---- */

struct tls_client_wish;
struct tls_client_result;
/* Before the handshake: what C has to check.  False with WHY: the wish makes no sense. */
bool tls_set_check(
    struct tls_connection *c, const struct tls_client_wish *wish, struct reason *why);
/* After it: what came out; logs as WISH wants. */
void tls_judge(
    struct tls_connection *c, const struct tls_client_wish *wish, struct tls_client_result *result);
bool tls_set_dane(struct ssl_ctx_st *ctx, const char *digests, struct reason *why);

/* ---- tls_peer.c: the other side's certificates ---- */

bool tls_set_clients(
    struct tls_context *context, const struct tls_server_config *config, struct reason *why);
int tls_verify(int ok, struct x509_store_ctx_st *store);
bool tls_load_cas(
    struct ssl_ctx_st *ctx, const struct tls_server_config *config, struct reason *why);
/* What the peer's certificate says goes to C->client; false: there is none. */
bool tls_note_cert(struct tls_connection *c);
/* "AB:CD:..." of certificate or key; malloc'ed, "" on failure. */
struct x509_st;
char *tls_cert_fingerprint(const char *digest, struct x509_st *cert);
char *tls_key_fingerprint(const char *digest, struct x509_st *cert);
void tls_log_cert(const struct tls_connection *c);
void tls_log_verify_error(const struct tls_connection *c);
/* Takes from the finished handshake what is asked for later; says so in the log. */
void tls_note_client(struct tls_connection *c);
void tls_client_free(struct tls_client_cert *client);
/* "RSA-PSS" with *BITS, "ECDSA (prime256v1)" */
struct evp_pkey_st;
void tls_signature_name(const struct evp_pkey_st *key, char *out, size_t size, int *bits);

#endif
